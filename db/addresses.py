"""Addresses (URLs) without the secrets in them, and texts in which secrets are hidden.

Users and passwords, and the values of query parameters, are secrets: they are used for the connection and stand nowhere
else: not in the database, an export, a report or a message.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, unquote

HIDDEN = "***"
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*://)(?:([^?#]*)@)?([^?#]*)(\?[^#]*)?(#.*)?", re.IGNORECASE | re.DOTALL)
_SECRET_NAME = re.compile("pass|secret|key|token", re.IGNORECASE)
_SHORTEST = 4  # characters; hiding a shorter text would spoil all others
_NO_SECRETS = frozenset(("none", "null", "empty", "dummy", "test", "ollama", "local", "lm-studio", "llama.cpp", "vllm"))
_KEY = "(?:sk-|hf_|ghp_|gsk_|xai-|AIza)"  # how the keys of well-known services begin
_BEGINS_LIKE_ONE = re.compile(f"{_KEY}|Bearer ")
_LOOKS_LIKE_ONE = re.compile(
    rf"\b{_KEY}[\w-]{{12,}}"
    r"|(?<=Bearer )[\w.~+/=-]{8,}"
    r"|(?<=://)[^\s/@'\"]+:(?!\*\*\*@)[^\s/@'\"]+(?=@)"
)


def public_address(text: str) -> str:
    """Return an address without user, password, query and fragment; a text that is no address unchanged."""
    match = _ADDRESS.fullmatch(text)
    return f"{match[1]}{match[3]}" if match else text


def public_provider(provider: str) -> str:
    """Return a provider such as `openai@https://host/v1` without the secrets of its address."""
    name, at, address = provider.partition("@")
    return f"{name}@{public_address(address)}" if at and "://" in address else provider


def secrets_in(text: str) -> tuple[str, ...]:
    """Return the secrets of an address in each form in which a server may write them; () of any other text.

    Of a server of LLMs that is all that stands before `@` or after `?`; of a database, whose users and parameters are
    known, it is the password.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return ()
    scheme, user_and_password, _, query, fragment = match.groups()
    is_web = scheme.lower().startswith("http")
    parameters = parse_qsl((query or "").removeprefix("?"), keep_blank_values=True)
    secrets = [value for name, value in parameters if is_web or _SECRET_NAME.search(name)]
    secrets += [(fragment or "").removeprefix("#")] if is_web else []
    after = text[len(scheme) :]
    for before in {user_and_password or "", after.partition("@")[0], after.rpartition("@")[0]} if "@" in after else ():
        user, colon, password = before.partition(":")  # a password may hold @, / and ?, though it should not
        secrets += [user] if is_web else []
        secrets += [password, base64.b64encode(unquote(before).encode()).decode()] if colon else []
    return forms(secrets)


def forms(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return secrets as they are, in the encoding of addresses, of JSON and of JSON in JSON, the longest first.

    The last is how a reply in JSON stands in the body of an answer.
    """
    plain = [form for secret in secrets if secret for form in (secret, unquote(secret))]
    in_json = [json.dumps(text)[1:-1] for text in plain]
    every = {*plain, *(quote(text, safe="") for text in plain), *in_json, *(json.dumps(text)[1:-1] for text in in_json)}
    usable = [form for form in every if len(form) >= _SHORTEST and form.lower() not in _NO_SECRETS]
    return tuple(sorted(usable, key=lambda form: (-len(form), form)))


def is_secret(name: str, value: str) -> bool:
    """Return whether a named value is a secret, or an address that holds one."""
    return bool(_SECRET_NAME.search(name) or _BEGINS_LIKE_ONE.match(value) or secrets_in(value))


def hide(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a message with `***` in place of the secrets, and of what looks like a key or a password."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return _LOOKS_LIKE_ONE.sub(HIDDEN, text)


def hide_in_reply(text: str, secrets: Iterable[str]) -> str:
    """Return the text of an LLM with `***` in place of the secrets; a plain word stays, since it is a word there."""
    for secret in secrets:
        if len(secret) > _SHORTEST * 2 and not secret.isalpha():
            text = text.replace(secret, HIDDEN)
    return text
