"""Who may talk to the review application: the Host header, the token, the origin of a change, what a page may load.

An application on loopback is not private by that alone: any page in the same browser can send requests to it, and a
name that resolves to 127.0.0.1 (DNS rebinding) would let that page read the answers. So Host is checked always, and a
change needs a secret that only our own pages know.
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
_COOKIE = "review_token"
_READING = frozenset({"GET", "HEAD"})
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
# Everything comes from the application itself; no inline script or style, no frame around it, no form to elsewhere.
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
    """Return whether an address to bind to is seen from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Rules:
    """What a request must bring.

    Attributes:
        hosts: names that the Host header may hold, without port; `*` takes any (then the token guards alone).
        token: what the first address must hold, and the cookie after it; None where loopback is guard enough.
        csrf: what a changing request must hold in its header.
    """

    hosts: frozenset[str]
    token: str | None = None
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))


def rules_for(host: str, allowed: Iterable[str] = ()) -> Rules:
    """Return the rules of an application bound to an address: a token wherever others can reach it."""
    named = frozenset(name.lower() for name in allowed)
    if is_loopback(host):
        return Rules(_LOOPBACK_NAMES | named)
    everywhere = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    own = frozenset({"*"} if everywhere and not named else {host.lower()})
    return Rules(_LOOPBACK_NAMES | named | own, token=secrets.token_urlsafe(24))


class Guard:
    """ASGI middleware that refuses what breaks the rules, and tells the browser what pages may do."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
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
        if scope["method"] not in _READING and not _same(headers.get(CSRF_HEADER, ""), self._rules.csrf):
            return JSONResponse({"said": "This change did not come from a page of this server. Reload the page"}, 403)
        return None

    def _token_refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return a refusal, or, for an address that holds the token, the way on with the token in a cookie."""
        token = self._rules.token
        if token is None or _same(cookie_parser(headers.get("cookie", "")).get(_COOKIE, ""), token):
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["method"] not in _READING or not _same("".join(query.pop("token", [])), token):
            return PlainTextResponse("Open the address with the token that descgen review printed\n", 401)
        rest = urlencode(query, doseq=True)
        path = "/" + scope["path"].lstrip("/")  # never //elsewhere
        response = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
        response.set_cookie(_COOKIE, token, httponly=True, samesite="strict")
        return response


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(), expected.encode())


def _without_port(host: str) -> str:
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() else host.lower()
