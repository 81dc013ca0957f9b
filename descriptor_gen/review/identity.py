"""Who sends a request: the reviewer whose secret it holds, or whom a reverse proxy names.

A secret is in the address that a reviewer was given, afterwards in a cookie. The header of a proxy is believed only if
the connection comes from the address of that proxy: whoever can connect from there can choose the name. What a proxy
says about its clients (X-Forwarded-For) is not read.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTLER = " to settle"  # no reviewer's name begins with a space
LONGEST_NAME = 200
SAFE_METHODS = frozenset({"GET", "HEAD"})
_COOKIE = "review_token"


@dataclass(frozen=True)
class ProxyRules:
    """When the header of a reverse proxy says who sends a request.

    Attributes:
        header: its name, in lower case.
        addresses: networks from which it is believed.
        names: the reviewers; None: any name is one.
    """

    header: str
    addresses: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
    names: frozenset[str] | None = None


@dataclass(frozen=True)
class Identities:
    """How a request says who sends it.

    Attributes:
        secrets: secret -> the reviewer who was given it, or `SETTLER`.
        proxy: for requests without a secret; None: they are refused.
    """

    secrets: Mapping[str, str] = field(default_factory=dict)
    proxy: ProxyRules | None = None

    def identify(self, scope: Scope, headers: Headers) -> str | Response:
        """Return who sends a request, or the answer: a refusal, or a redirect that moves the secret to a cookie."""
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        secret = "".join(query.pop("token", []))
        if scope["method"] in SAFE_METHODS and self._owner(secret) is not None:  # also in place of another cookie
            return _with_cookie(scope["path"], query, secret)
        owner = self._owner(cookie_parser(headers.get("cookie", "")).get(_COOKIE, ""))
        if owner is not None:
            return owner
        if self.proxy is not None:
            return _named_by(self.proxy, scope, headers)
        return PlainTextResponse("Open the address with the token that the server printed\n", 401)

    def _owner(self, secret: str) -> str | None:
        return next((owner for known, owner in self.secrets.items() if same(secret, known)), None)


def same(actual: str, expected: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest(actual.encode(), expected.encode())


def _with_cookie(path: str, query: Mapping[str, list[str]], secret: str) -> Response:
    rest = urlencode(query, doseq=True)
    path = "/" + path.lstrip("/")  # never //other.site
    response = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
    response.set_cookie(_COOKIE, secret, httponly=True, samesite="strict")
    return response


def _named_by(proxy: ProxyRules, scope: Scope, headers: Headers) -> str | Response:
    """Return the name in the header of a proxy, or a refusal."""
    client = scope.get("client")
    if client is None or not _is_within(client[0], proxy):
        return _refusal("This server takes requests from its proxy only. Its address: --trust-proxy ADDRESS")
    values = headers.getlist(proxy.header)
    if len(values) != 1:
        fault = "sent several times: the proxy must replace it" if values else "missing"
        return _refusal(f"The header {proxy.header}, by which the proxy says who you are, is {fault}")
    name = _readable(values[0])
    if not name or len(name) > LONGEST_NAME or "," in name or not name.isprintable():
        return _refusal(f"The header {proxy.header} does not hold one name")
    if proxy.names is not None and name not in proxy.names:
        return _refusal(f"{name} is not among the reviewers of this server: --reviewers")
    return name


def _readable(value: str) -> str:
    """Return a header as UTF-8, with one space between words; empty if it is not UTF-8."""
    try:
        return " ".join(value.encode("latin-1").decode().split())
    except UnicodeDecodeError:
        return ""


def _is_within(address: str, proxy: ProxyRules) -> bool:
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(client, "ipv4_mapped", None)  # an IPv4 client of an IPv6 socket
    return any((mapped or client) in network for network in proxy.addresses)


def _refusal(message: str) -> Response:
    return JSONResponse({"message": message}, 403)
