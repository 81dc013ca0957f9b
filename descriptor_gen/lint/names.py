"""Faults of texts that stand for labels: names that say nothing new, may be of another action, or are no short phrase.

Each function returns the fault in words, or an empty string.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST_WORDS = 8  # of a name, as the built-in template asks for
_SHARED_STEM = 4  # letters from which on the beginning of a word is taken for the word: push, pushup

# Words that say nothing about which action it is.
_EMPTY = frozenset(
    ("a", "an", "and", "at", "by", "down", "for", "from", "her", "his", "in", "into", "it", "its", "of", "off", "on",
     "one", "onto", "or", "out", "over", "someone", "something", "the", "their", "to", "up", "with", "person", "people",
     "man", "woman", "men", "women", "child", "children", "player", "players", "human", "action", "doing", "performing",
     "playing", "using", "making", "holding")
)  # fmt: skip
_ENDINGS = ("ing", "ers", "er", "es", "ed", "s", "e", "y")  # the longest first
_SENTENCE = re.compile(
    r"^(an?|the|two|some|several)\s+(\w+\s+)?(is|are|has|have)\b|\b(is|are)\s+\w+ing\b|^(he|she|they|it|someone)\s\w+s\b"
)
_LIST = re.compile(r"[,;/|\n]|\s(or|&)\s")


def stems(text: str) -> frozenset[str]:
    """Return the words of a text that say something about an action, each without its ending; in any order."""
    words = re.findall(r"[^\W\d_]+|\d+", text.casefold())
    return frozenset(_stem(word) for word in words if word not in _EMPTY)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word  # swimm, runn


def same_as_label(name: str, label: str) -> str:
    """Find a name with the same words as the label."""
    return f"the same words as the label {label!r}" if stems(name) == stems(label) else ""


def other_action(name: str, known: Sequence[str]) -> str:
    """Find a name without any word of its label, `known[0]`, and of the other texts of its class."""
    if any(_alike(word, other) for text in known for other in stems(text) for word in stems(name)):
        return ""
    return f"shares no word with the label {known[0]!r}" + (", nor with other texts of its class" if known[1:] else "")


def _alike(word: str, other: str) -> bool:
    shorter, longer = sorted((word, other), key=len)
    return word == other or (len(shorter) >= _SHARED_STEM and longer.startswith(shorter))


def not_a_name(name: str) -> str:
    """Find what is no single short phrase: too many words, a sentence, a list."""
    count = len(name.split())
    if count > MOST_WORDS:
        return f"{count} words, a label has at most {MOST_WORDS}"
    if _LIST.search(name):
        return "a list, not one phrase"
    return "a sentence, not a phrase" if _SENTENCE.search(name.casefold().strip()) else ""
