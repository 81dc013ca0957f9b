"""Texts in another language: what the model is told, and which characters a schema allows then."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from db.errors import UsageError

# Letters and digits of all scripts, the marks that combine with them, and the joiners inside of words (Persian, Hindi);
# as ranges, since the grammar engine of local models knows no \p{L}.
_LETTERS = (
    "0-9A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u1fff"  # scripts of Europe, Africa, and Asia without the far East
    "\u200c\u200d\u2c00-\u2dff\u3005-\u3007\u3040-\ud7ff\uf900-\ufdfc\ufe70-\ufefc"
)
_JOINS = " '\u2019-"  # between words
_LATIN = "[a-z]"  # how the patterns of templates name a letter
_WORDS = re.compile(r"\^\[a-z\]\+\(\[ '-\]\[a-z\]\+\)\{(\d+),(\d+)\}\$")  # of the built-in templates
_NAME = re.compile(r"[^\W\d_][\w '()-]{0,39}")
_WITHOUT_SPACES = ("Chinese", "Mandarin", "Cantonese", "Japanese", "Thai", "Lao", "Khmer", "Burmese", "Tibetan")
_THEIR_SCRIPTS = re.compile("[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_CHARACTERS_A_WORD = 4  # about, in Thai, of which a word has the most
MORE_TOKENS = 3  # tokens of a text in another language, for one of the same text in English; at most, about


def language_name(name: str) -> str:
    """Return the name of a language as prompts have it, so that German and german are one.

    Raises:
        UsageError: it is no name.
    """
    if name and not _NAME.fullmatch(name.strip()):
        raise UsageError(f"--language {name!r} is not the name of a language. Write a name, such as German")
    return " ".join(name.split()).title()


def instruction(language: str) -> str:
    """Return the sentence that asks for a language."""
    examples = "" if language == "English" else f" The examples are in English; your texts are in {language}."
    return f"Write every text in {language}.{examples}"


def schema_in(language: str, schema: Any) -> Any:
    """Return a JSON schema whose patterns allow the letters of every language, and digits.

    Words are counted as before; in a language without spaces between words, characters are.
    """
    if not isinstance(schema, Mapping):
        return schema
    changed = {name: schema_in(language, value) for name, value in schema.items()}
    if isinstance(pattern := schema.get("pattern"), str):
        changed["pattern"] = _pattern(language, pattern)
    return changed


def _pattern(language: str, pattern: str) -> str:
    words = _WORDS.fullmatch(pattern)
    if words is None:
        return pattern.replace(_LATIN, f"[{_LETTERS}]")
    least, most = int(words[1]), int(words[2])
    if any(name in language for name in _WITHOUT_SPACES) or _THEIR_SCRIPTS.search(language):
        return f"^[{_LETTERS}]([{_JOINS}]?[{_LETTERS}]){{{least},{(most + 1) * _CHARACTERS_A_WORD - 1}}}$"
    return f"^[{_LETTERS}]+([{_JOINS}][{_LETTERS}]+){{{least},{most}}}$"
