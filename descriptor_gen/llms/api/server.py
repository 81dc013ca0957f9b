"""The address of a server, apart from the secrets in it; and an HTTP client that lets no server repeat a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from db.addresses import forms, hide, hide_in_reply, public_address, secrets_in
from db.errors import UsageError

_ENCODING = ("content-encoding", "content-length", "transfer-encoding")


@dataclass(frozen=True)
class Server:
    """Where calls are sent.

    Attributes:
        address: without user, password and query, as it is stored and shown; None is OpenAI itself.
        auth: user and password, if the given address has them.
        query: parameters of every request.
        secrets: what must be written nowhere.
    """

    address: str | None = None
    auth: tuple[str, str] | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, base_url: str | None) -> Self:
        """Take an address apart.

        Raises:
            UsageError: it is none; the message does not repeat it, since it may hold a password.
        """
        if not base_url:
            return cls()
        try:
            parts = urlsplit(base_url)
            host, _port = parts.hostname, parts.port
        except ValueError as error:
            raise _no_address("its host or port cannot be read") from error
        if parts.scheme not in ("http", "https") or not host:
            raise _no_address("it has no http:// or https:// with a host")
        if "@" in parts.path:
            raise _no_address("@ in a path or a password is written %40, and / in a password %2F")
        auth = (unquote(parts.username or ""), unquote(parts.password or "")) if "@" in parts.netloc else None
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return cls(public_address(base_url), auth, query, secrets_in(base_url))


def _no_address(reason: str) -> UsageError:
    return UsageError(f"--base-url is no address of a server: {reason}. Such as: --base-url http://localhost:8000/v1")


def open_client(server: Server, *, timeout: Any) -> Any:
    """Return a client of the package openai, whose answers hold no secret of ours.

    Raises:
        openai.OpenAIError: there is no API key.
    """
    import openai

    http: Any = _hiding_class()(auth=server.auth)
    client = openai.OpenAI(
        base_url=server.address, default_query=dict(server.query), max_retries=0, timeout=timeout, http_client=http
    )
    http.secrets = (*server.secrets, *forms([client.api_key]))
    return client


def _hiding_class() -> Any:
    import openai

    base: Any = openai.DefaultHttpxClient

    class Hiding(base):  # type: ignore[misc]
        secrets: tuple[str, ...] = ()

        def send(self, request: Any, **options: Any) -> Any:
            return _hidden(super().send(request, **options), self.secrets)

    return Hiding


def _hidden(response: Any, secrets: tuple[str, ...]) -> Any:
    """Return an answer without our secrets; the same one if it has none."""
    text = response.read().decode("utf-8", "surrogateescape")
    is_reply = response.status_code == 200 and '"choices"' in text
    clean = hide_in_reply(text, secrets) if is_reply else hide(text, secrets)
    headers = [(name, hide(value, secrets)) for name, value in response.headers.multi_items()]
    if clean == text and headers == response.headers.multi_items():
        return response
    kept = [(name, value) for name, value in headers if name.lower() not in _ENCODING]
    content = clean.encode("utf-8", "surrogateescape")
    return type(response)(response.status_code, headers=kept, content=content, request=response.request)
