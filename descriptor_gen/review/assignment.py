"""Which reviewer gets which class: by hash, so that it does not depend on the order of names or on other classes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

_FULL = 2**64


def assign(classes: Iterable[str], reviewers: Sequence[str], *, overlap: float = 0.0) -> Mapping[str, tuple[str, ...]]:
    """Return class name -> the reviewers who get it: one, or two for a share of about `overlap` of the classes.

    With h(x) the first 8 bytes of the sha256 of x in UTF-8, as a number, the reviewers of a class are sorted by
    h(class, newline, reviewer), the smallest first (rendezvous hashing: a further reviewer takes classes from the
    others, who exchange none). The first one gets the class, and the second too if h(class) < overlap * 2^64.

    Args:
        overlap: 0 to 1.
    """
    return {name: tuple(_ranked(name, reviewers)[: 2 if _hash(name) < overlap * _FULL else 1]) for name in classes}


def classes_of(reviewer: str, assigned: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Return the names of the classes that a reviewer gets."""
    return frozenset(name for name, reviewers in assigned.items() if reviewer in reviewers)


def _ranked(name: str, reviewers: Sequence[str]) -> list[str]:
    return sorted(reviewers, key=lambda reviewer: (_hash(f"{name}\n{reviewer}"), reviewer))


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
