"""Which requests the review application answers: checks of the Host header, the token and the origin of changes.

An application on loopback is not private: any page in the same browser can send requests to it, and with a name that
resolves to 127.0.0.1 (DNS rebinding) it could read the responses. So Host is always checked, and a change needs a
secret that only our own pages hold.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db.errors import UsageError
from descriptor_gen.review.identity import SAFE_METHODS, Identities, same

CSRF_HEADER = "x-csrf-token"
MAX_BODY = 8 * 2**20  # bytes; 100,000 texts decided at once take about 3 MiB
_LENGTH_DIGITS = 15
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
# Pages load from the application only: no inline script or style, no frame around them, no form to another site.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Return whether a bind address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class AccessRules:
    """The conditions on a request.

    Attributes:
        hosts: allowed names in the Host header, without port; `*` allows any, then only the token protects.
        token: required in the first address, afterwards in the cookie; None on loopback, and for several reviewers.
        csrf: required in a header of requests that change something; see `csrf_of`.
        identities: of several reviewers; None: whoever passes is the one reviewer.
    """

    hosts: frozenset[str]
    token: str | None = None
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    identities: Identities | None = None

    def csrf_of(self, sender: str) -> str:
        """Return the secret in the pages of one of several reviewers, so that no page decides as another reviewer."""
        return hmac.new(self.csrf.encode(), sender.encode(), "sha256").hexdigest() if sender else self.csrf


def access_rules(host: str, allowed: Iterable[str] = (), *, identities: Identities | None = None) -> AccessRules:
    """Return the rules for a bind address: beyond loopback, a token is needed, unless each request says who sends it.

    Args:
        allowed: further host names.
        identities: of several reviewers.

    Raises:
        UsageError: a proxy is to be believed, and any host name is allowed. A page of another site whose name leads
            here could then send the proxy's header, from a browser at the proxy's address.
    """
    allowed_names = frozenset(name.lower() for name in allowed)
    if is_loopback(host):
        return AccessRules(_LOOPBACK_NAMES | allowed_names, identities=identities)
    if identities and identities.proxy and not allowed_names:
        raise UsageError(f"--host {host} with --reviewer-header needs the name of the proxy: --allow-host NAME")
    everywhere = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    own_name = frozenset({"*"} if everywhere and not allowed_names else {host.lower()})
    token = None if identities else secrets.token_urlsafe(24)
    return AccessRules(_LOOPBACK_NAMES | allowed_names | own_name, token=token, identities=identities)


class Guard:
    """ASGI middleware that refuses requests that break the rules, and adds the security headers.

    It sets `reviewer` in the scope to the reviewer who sent the request; empty if there is only one.
    """

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app, self._rules = app, rules
        one = Identities({rules.token: ""}) if rules.token else None
        self._identities = rules.identities or one

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on to the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _secure(MutableHeaders(scope=message))
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        name = _without_port(headers.get("host", ""))
        if "*" not in self._rules.hosts and name not in self._rules.hosts:
            return PlainTextResponse(
                f"This application does not answer to the name {name!r}. Allow it with: --allow-host {name}\n", 421
            )
        sender = self._identities.identify(scope, headers) if self._identities else ""
        if isinstance(sender, Response):
            return sender
        scope["reviewer"] = sender if self._rules.identities else ""
        csrf = self._rules.csrf_of(scope["reviewer"])
        if scope["method"] not in SAFE_METHODS and not same(headers.get(CSRF_HEADER, ""), csrf):
            return JSONResponse({"message": "This change is not from a page of this server. Reload the page"}, 403)
        return _length_refusal(scope, headers)


def _secure(headers: MutableHeaders) -> None:
    """Add the security headers. Only a picture may be kept by the browser that asked for it."""
    kept = headers.get("cache-control", "") if headers.get("content-type", "").startswith("image/") else ""
    headers.update(_HEADERS)
    if kept.startswith("private"):
        headers["Cache-Control"] = kept


def _length_refusal(scope: Scope, headers: Headers) -> Response | None:
    """Return a refusal of a body that is too long, or that does not say beforehand how long it is."""
    length = headers.get("content-length", "0" if scope["method"] in SAFE_METHODS else "")
    if "transfer-encoding" in headers or not (length.isascii() and length.isdecimal()):
        return JSONResponse({"message": "A request must give its length (Content-Length)"}, 411)
    if len(length) > _LENGTH_DIGITS or int(length) > MAX_BODY:
        return JSONResponse({"message": f"A request has at most {MAX_BODY // 2**20} MiB"}, 413)
    return None


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() else host.lower()
