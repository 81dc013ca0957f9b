"""Several reviewers of one server: a session each, own classes, and an address or a proxy that names them."""

from __future__ import annotations

import ipaddress
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request

from db.errors import UsageError
from db.records import Dataset
from descriptor_gen.review.assignment import assign, classes_of
from descriptor_gen.review.identity import LONGEST_NAME, SETTLER, Identities, ProxyRules
from descriptor_gen.review.security import is_loopback
from descriptor_gen.review.session import ReviewSession

_LOOPBACK = ("127.0.0.0/8", "::1")


@dataclass(frozen=True)
class Panel:
    """Who reviews, and how.

    Attributes:
        names: of the reviewers; empty: anybody whom the proxy names.
        header: of the proxy that says who sends a request; empty: each reviewer gets an address.
        proxies: addresses or networks of that proxy; empty: this machine.
        blind: whether nobody sees what others decide.
        overlap: share of the classes that two reviewers get, 0 to 1.
    """

    names: tuple[str, ...] = ()
    header: str = ""
    proxies: tuple[str, ...] = ()
    blind: bool = False
    overlap: float = 0.0

    def __post_init__(self) -> None:
        if any(not name or len(name) > LONGEST_NAME for name in self.names):
            raise UsageError(f"Each of --reviewers has a name of at most {LONGEST_NAME} characters: anna,bob")
        if len({name.casefold() for name in self.names}) < len(self.names):
            raise UsageError(f"--reviewers names somebody twice: {', '.join(self.names)}")
        if self.proxies and not self.header:
            raise UsageError("--trust-proxy needs --reviewer-header, such as X-Forwarded-User")
        if self.overlap and len(self.names) < 2:
            raise UsageError("--overlap needs at least two names: --reviewers anna,bob")

    @property
    def several(self) -> bool:
        """Whether requests have to say who sends them."""
        return bool(self.names or self.header)

    def classes_of(self, reviewer: str, dataset: Dataset) -> frozenset[str] | None:
        """Return the names of the classes that a reviewer gets; None: all.

        Raises:
            UsageError: there are names, and the reviewer is not among them.
        """
        if not self.names:
            return None
        if reviewer not in self.names:
            raise UsageError(f"{reviewer} is not among --reviewers {','.join(self.names)}. Give --reviewer NAME")
        return classes_of(reviewer, self.assigned([action.name for action in dataset.actions]))

    def assigned(self, classes: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Return class name -> the reviewers who get it; empty if everybody has all of them."""
        return assign(classes, self.names, overlap=self.overlap) if self.names else {}


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names in `anna,bob`, with one space between words."""
    return tuple(" ".join(name.split()) for name in text.split(",")) if text.strip() else ()


class Reviewers:
    """The sessions of several reviewers, made when they are first needed."""

    def __init__(self, panel: Panel, starter: ReviewSession) -> None:
        """Start with one session: that of the person who started the server, who may settle what others decided."""
        self.panel, self.starter = panel, starter
        self.assigned = panel.assigned([action.name for action in starter.dataset.actions])
        self._sessions: dict[str, ReviewSession] = {}
        self._lock = threading.Lock()
        self.secrets = {name: secrets.token_urlsafe(24) for name in self._with_address()}

    def _with_address(self) -> list[str]:
        names = [] if self.panel.header else list(self.panel.names)
        return [*names, SETTLER] if self.panel.blind else names

    def identities(self, host: str) -> Identities:
        """Return how requests say who sends them.

        Raises:
            UsageError: others could connect to `host` in place of the proxy, or an address of the proxy is invalid.
        """
        owners = {secret: name for name, secret in self.secrets.items()}
        if not self.panel.header:
            return Identities(owners)
        if not is_loopback(host) and not self.panel.proxies:
            raise UsageError(f"--host {host} with --reviewer-header needs the proxy's address: --trust-proxy ADDRESS")
        addresses = tuple(_network(address) for address in self.panel.proxies or _LOOPBACK)
        names = frozenset(self.panel.names) or None
        return Identities(owners, ProxyRules(self.panel.header.lower(), addresses, names))

    def announced(self, address: Callable[[str | None], str]) -> str:
        """Return the lines that tell the person who starts the server what to give to whom.

        Args:
            address: takes a secret, or None; returns the address that holds it.
        """
        name = self.starter.dataset.name
        if self.panel.header:
            lines = [f"{name}, reviewed by whom {self.panel.header} names, through the proxy: {address(None)}"]
        else:
            lines = [f"{name}: each reviewer has an address, whose secret says who decides"]
        lines += [f"  {owner.strip()}{self._share(owner)}: {address(secret)}" for owner, secret in self.secrets.items()]
        alone = all(len(names) == 1 for names in self.assigned.values())
        if self.panel.blind and len(self.panel.names) > 1 and alone:
            lines.append("  No class goes to two reviewers, so there will be no kappa. To change that: --overlap 0.2")
        return "\n".join([*lines, "  (Ctrl-C quits)"])

    def _share(self, owner: str) -> str:
        classes = self.classes_of(owner)
        shared = sum(len(names) > 1 and owner in names for names in self.assigned.values())
        return "" if classes is None else f" ({len(classes)} classes, {shared} of them with another reviewer)"

    def classes_of(self, name: str) -> frozenset[str] | None:
        """Return the names of a reviewer's classes; None if no classes are assigned, or the name is no reviewer."""
        return classes_of(name, self.assigned) if name in self.panel.names else None

    def session_of(self, request: Request) -> ReviewSession:
        """Return the session of whoever sent a request."""
        name: str = request.scope["reviewer"]
        return self.starter if name == SETTLER else self.session(name)

    def key(self, session: ReviewSession) -> str:
        """Return the sender that `Identities` finds in requests of a session."""
        return SETTLER if session is self.starter else session.reviewer

    def session(self, name: str) -> ReviewSession:
        """Return the session of a reviewer."""
        with self._lock:
            if name not in self._sessions:
                self._sessions[name] = self._open(name)
            return self._sessions[name]

    def _open(self, name: str) -> ReviewSession:
        beside = next((session for session in self._sessions.values()), self.starter)
        return self.starter.for_reviewer(name, blind=self.panel.blind, classes=self.classes_of(name), beside=beside)


def _network(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(address)
    except ValueError as error:
        raise UsageError(
            f"--trust-proxy {address}: {error}. Give an address such as 10.0.0.5, or 10.0.0.0/24"
        ) from None
