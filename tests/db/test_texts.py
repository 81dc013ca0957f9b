"""What is taken out of texts before a terminal sees them."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.spreadsheets import safe, unsafe
from db.texts import clean, escaped

OBEYED = {chr(code) for code in range(0x11000) if unicodedata.category(chr(code)) in ("Cc", "Cs")} - {"\n", "\t"}
OBEYED |= {
    chr(code) for code in range(0x11000) if unicodedata.bidirectional(chr(code)) in ["LRE", "RLE", "LRO", "RLO", "PDF"]
}
OBEYED |= {chr(code) for code in range(0x11000) if unicodedata.bidirectional(chr(code)) in ["LRI", "RLI", "FSI", "PDI"]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a person waves", "a person waves"),
        ("two\n\tlines", "two\n\tlines"),
        ("\x1b[31mred\x1b[0m hat", "red hat"),
        ("\x1b]0;owned\x07hat", "hat"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jhat", "hat"),
        ("\x9d0;owned\x9chat", "hat"),
        ("\x1bPq#0\x1b\\hat", "hat"),
        ("\x1bcreset", "reset"),
        ("\x1b]0;without an end", "0;without an end"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\x85b\x0bc", "a b c"),
        ("ab\x08c\x7f", "abc"),
        ("safe\u202etxt.exe\u202c \u2067x\u2069", "safetxt.exe x"),
        ("half \ud800", "half \ufffd"),
        ("\u05d0\u200f!", "\u05d0\u200f!"),  # the implicit mark stays: Hebrew needs it beside punctuation
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u200c\u062e"),  # a joiner inside of a Persian word
    ],
)
def test_a_text_loses_what_terminals_obey(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(st.sampled_from(sorted(OBEYED)) | st.sampled_from("a[];0m\\\n\t") | st.characters()))
def test_nothing_that_terminals_obey_is_left(text: str) -> None:
    cleaned = clean(text)
    assert not OBEYED & set(cleaned)
    assert clean(cleaned) == cleaned
    document = json.dumps(text, ensure_ascii=False)
    assert not OBEYED & set(escaped(document))
    assert json.loads(escaped(document)) == json.loads(document)


def test_a_long_text_is_cleaned_in_linear_time() -> None:
    for piece in ("\x1b]", "\x9d", "\x1b[", "\x9b0;", "\x1bP" + "x" * 100, "\x1b "):
        assert len(clean(piece * 100_000)) < 100_000 * 101


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@sum", "'@sum"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\uff1d1", "'\uff1d1"),
        ("'=1", "''=1"),
        ("'quoted'", "'quoted'"),
        ("a=1", "a=1"),
        ("", ""),
        (-1, -1),
        (None, None),
    ],
)
def test_a_cell_that_looks_like_a_formula_is_written_as_text(cell: object, written: object) -> None:
    assert safe(cell) == written


@given(st.text() | st.text(st.sampled_from("'=+-@\t\r\na")))
def test_the_apostrophe_comes_off_again(cell: str) -> None:
    assert unsafe(safe(cell)) == cell
    assert not safe(cell).startswith(("=", "+", "-", "@", "\t", "\r"))
