"""Texts from elsewhere without what terminals obey: control characters, escape sequences, marks that reorder a line.

Taken out are C0 (but line feed and tab), DEL, C1, the sequences that ESC and C1 begin, and the explicit marks of the
bidirectional algorithm (embeddings, overrides, isolates: U+202A-202E, U+2066-2069): one that is not closed reorders
what a program prints behind it. The implicit marks (U+200E, U+200F, U+061C) stay: they reorder nothing but their
neighbours, Arabic and Hebrew need them beside digits and punctuation, and Unicode (UAX #9, UTS #55) counts them as
harmless.
"""

from __future__ import annotations

import re

BIDI_MARKS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_PRINTABLE = "[^\x00-\x1f\x7f-\x9f]"
_SEQUENCES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, erasing
    rf"|(?:{chr(27)}[\]PX^_]|[\x90\x98\x9d-\x9f]){_PRINTABLE}*(?:\x07|{chr(27)}\\|\x9c)"  # OSC and others, with an end
    "|\x1b[ -/]*[0-~]"
)
_BREAKS = re.compile("\r\n?")
_SPACES = re.compile("[\x0b\x0c\x1c-\x1f\x85]")  # that count as white space
_REST = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069]")
_HALVES = re.compile("[\ud800-\udfff]")  # of surrogate pairs: no text in UTF-8 has them
_ANY = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_IN_JSON = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def clean(text: str) -> str:
    """Return a text without what terminals obey; half a surrogate pair becomes U+FFFD."""
    if not _ANY.search(text):
        return text
    for pattern, instead in ((_SEQUENCES, ""), (_BREAKS, "\n"), (_SPACES, " "), (_REST, ""), (_HALVES, "\ufffd")):
        text = pattern.sub(instead, text)
    return text


def escaped(document: str) -> str:
    """Return a JSON text with what terminals obey written as `\\u009b`: it means the same, and no terminal obeys it."""
    return _IN_JSON.sub(lambda match: f"\\u{ord(match.group()):04x}", document)
