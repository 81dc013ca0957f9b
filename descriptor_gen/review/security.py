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
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CSRF_HEADER = "x-csrf-token"
MAX_BODY = 8 * 2**20  # bytes; 100,000 texts decided at once take about 3 MiB
_LENGTH_DIGITS = 15
_COOKIE = "review_token"
_SAFE_METHODS = frozenset({"GET", "HEAD"})
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
        token: required in the first address, afterwards in the cookie; None on loopback.
        csrf: required in a header of requests that change something.
    """

    hosts: frozenset[str]
    token: str | None = None
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))


def access_rules(host: str, allowed: Iterable[str] = ()) -> AccessRules:
    """Return the rules for a bind address: beyond loopback, a token is needed. `allowed`: further host names."""
    allowed_names = frozenset(name.lower() for name in allowed)
    if is_loopback(host):
        return AccessRules(_LOOPBACK_NAMES | allowed_names)
    everywhere = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    own_name = frozenset({"*"} if everywhere and not allowed_names else {host.lower()})
    return AccessRules(_LOOPBACK_NAMES | allowed_names | own_name, token=secrets.token_urlsafe(24))


class Guard:
    """ASGI middleware that refuses requests that break the rules, and adds the security headers."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app, self._rules = app, rules

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
        if (refusal := self._token_refusal(scope, headers)) is not None:
            return refusal
        if scope["method"] not in _SAFE_METHODS and not _same(headers.get(CSRF_HEADER, ""), self._rules.csrf):
            return JSONResponse({"message": "This change is not from a page of this server. Reload the page"}, 403)
        return _length_refusal(scope, headers)

    def _token_refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return a refusal, a redirect that moves the token from the address to a cookie, or None with that cookie."""
        token = self._rules.token
        if token is None or _same(cookie_parser(headers.get("cookie", "")).get(_COOKIE, ""), token):
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["method"] not in _SAFE_METHODS or not _same("".join(query.pop("token", [])), token):
            return PlainTextResponse("Open the address with the token that the server printed\n", 401)
        rest = urlencode(query, doseq=True)
        path = "/" + scope["path"].lstrip("/")  # never //other.site
        response = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
        response.set_cookie(_COOKIE, token, httponly=True, samesite="strict")
        return response


def _secure(headers: MutableHeaders) -> None:
    """Add the security headers. Only a picture may be kept by the browser that asked for it."""
    kept = headers.get("cache-control", "") if headers.get("content-type", "").startswith("image/") else ""
    headers.update(_HEADERS)
    if kept.startswith("private"):
        headers["Cache-Control"] = kept


def _length_refusal(scope: Scope, headers: Headers) -> Response | None:
    """Return a refusal of a body that is too long, or that does not say beforehand how long it is."""
    length = headers.get("content-length", "0" if scope["method"] in _SAFE_METHODS else "")
    if "transfer-encoding" in headers or not (length.isascii() and length.isdecimal()):
        return JSONResponse({"message": "A request must give its length (Content-Length)"}, 411)
    if len(length) > _LENGTH_DIGITS or int(length) > MAX_BODY:
        return JSONResponse({"message": f"A request has at most {MAX_BODY // 2**20} MiB"}, 413)
    return None


def _same(actual: str, expected: str) -> bool:
    return hmac.compare_digest(actual.encode(), expected.encode())


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() else host.lower()
