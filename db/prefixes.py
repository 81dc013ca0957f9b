"""Prefixes of the names of encoders and LLMs that are spelled otherwise than here: what was meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.util import find_spec

from db.errors import letters

_HUB = re.compile(
    r"(https?://)?(www\.)?(huggingface\.co|hf\.co)/(?P<repository>[\w.-]+/[\w.-]+)"
    r"(/(tree|blob|resolve)/(?P<revision>[\w.-]+).*)?/?([?#].*)?"
)
_LIKE = 0.85  # `opena` is like `openai`, and `openai` is not like `open_clip`


def meant_prefix(name: str, prefixes: Mapping[str, str]) -> str | None:
    """Return a name with the right prefix in place of one that is spelled otherwise; None if it has none.

    Args:
        name: what was typed, such as `HF:owner/name`.
        prefixes: the right prefix, such as `hf:`, by the letters and digits of each spelling.
    """
    typed, _, rest = name.partition(":")
    if not rest or rest.startswith("//") or name.startswith(tuple(prefixes.values())) or _is_module(typed):
        return None
    near = get_close_matches(letters(typed), prefixes, n=1, cutoff=_LIKE)
    return prefixes[near[0]] + rest if near else None


def hub_repository(address: str) -> str | None:
    """Return OWNER/NAME, or OWNER/NAME@REVISION, of the address of a page of Hugging Face; None if it is none."""
    match = _HUB.fullmatch(address)
    if match is None:
        return None
    revision = match["revision"]
    return match["repository"] + (f"@{revision}" if revision not in (None, "main") else "")


def _is_module(typed: str) -> bool:
    """Return whether Python finds a module of that name: `module:factory` is meant then."""
    module = typed.partition(".")[0]
    return module.isidentifier() and find_spec(module) is not None
