"""Texts that cannot help: the words of a class in disorder, random words, the same random words for all classes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from random import Random
from string import ascii_lowercase

from db.records import Descriptor

Texts = Sequence[Descriptor]


def scrambled(descriptors: Texts, random: Random) -> list[Descriptor]:
    """Shuffle the words of a class over its texts; each text keeps its number of words."""
    return [text for own in _by_class(descriptors) for text in _dealt(own, random)]


def waffle(descriptors: Texts, random: Random) -> list[Descriptor]:
    """Replace each text: every second one by random letters in words of the same lengths, the others by random words.

    The random words are drawn from the texts of all classes, by their frequency there. After WaffleCLIP (Roth et
    al., ICCV 2023), which takes random words and random characters likewise.
    """
    words = [word for text in descriptors for word in text.text.split()]
    return [
        replace(text, text=" ".join(_letters(text, random) if number % 2 else random.choices(words, k=_length(text))))
        for own in _by_class(descriptors)
        for number, text in enumerate(own)
    ]


def shared(descriptors: Texts, random: Random) -> list[Descriptor]:
    """Give all classes the same random words: the n-th text of each kind, cut to the number of words that it had."""
    words = [word for text in descriptors for word in text.text.split()]
    longest = max(map(_length, descriptors))
    lines: dict[tuple[str, int], list[str]] = defaultdict(lambda: random.choices(words, k=longest))
    made = []
    for own in _by_class(descriptors):
        counts: dict[str, int] = defaultdict(int)
        for text in own:
            line = lines[text.kind, counts[text.kind]]
            counts[text.kind] += 1
            made.append(replace(text, text=" ".join(line[: _length(text)])))
    return made


RANDOM_TEXTS: dict[str, tuple[str, Callable[[Texts, Random], list[Descriptor]]]] = {
    "scrambled": ("the words of each class in disorder", scrambled),
    "waffle": ("random words and letters", waffle),
    "shared": ("the same random words for all classes", shared),
}


def _by_class(descriptors: Texts) -> Iterator[list[Descriptor]]:
    classes: dict[str, list[Descriptor]] = defaultdict(list)
    for text in descriptors:
        classes[text.action].append(text)
    yield from classes.values()


def _dealt(texts: Texts, random: Random) -> Iterator[Descriptor]:
    words = [word for text in texts for word in text.text.split()]
    random.shuffle(words)
    for text in texts:
        count = _length(text)
        yield replace(text, text=" ".join(words[:count]))
        del words[:count]


def _letters(text: Descriptor, random: Random) -> list[str]:
    return ["".join(random.choices(ascii_lowercase, k=len(word))) for word in text.text.split()]


def _length(text: Descriptor) -> int:
    """Return its number of words; a text of a language without spaces is one word."""
    return len(text.text.split())
