"""Which class another's file means by a name."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from db.errors import UserError
from db.records import Action, Dataset


def match(dataset: Dataset, keys: Sequence[str]) -> dict[str, str]:
    """Return the action name of each key that names one; keys that do not are absent.

    A key is the exact name, or the name or else the phrase but for case, spaces, underscores and punctuation: `Yo Yo`
    and `yo-yo` are `YoYo`. If every key is a number and no class has such a name, they are labels, counted from 0.

    Raises:
        UserError: the labels are counted from 1.
    """
    exact = {action.name: action.name for action in dataset.actions}
    if keys and all(key.isdecimal() for key in keys) and not exact.keys() & set(keys):
        return _by_label(dataset, keys)
    tables = (exact, _plain_names(dataset, lambda action: action.name), _plain_names(dataset, lambda a: a.phrase))
    found = {key: _first(tables, (key, plain(key), plain(key))) for key in keys}
    return {key: name for key, name in found.items() if name is not None}


def plain(text: str) -> str:
    """Return the letters and digits of a text in lower case, all else left out."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).casefold())


def _by_label(dataset: Dataset, keys: Sequence[str]) -> dict[str, str]:
    labels = {int(key) for key in keys}
    if labels == set(range(1, len(dataset.actions) + 1)):
        raise UserError(
            f"The labels go from 1 to {len(dataset.actions)}; those of {dataset.name} are counted from 0. "
            "Write class names, or labels from 0"
        )
    names = {action.label: action.name for action in dataset.actions}
    return {key: names[int(key)] for key in keys if int(key) in names}


def _plain_names(dataset: Dataset, text: Callable[[Action], str]) -> dict[str, str]:
    """Return the action name of each plain text that only one action has."""
    texts = [plain(text(action)) for action in dataset.actions]
    counts = Counter(texts)
    pairs = zip(texts, dataset.actions, strict=True)
    return {key: action.name for key, action in pairs if key and counts[key] == 1}


def _first(tables: Iterable[Mapping[str, str]], keys: Iterable[str]) -> str | None:
    return next((table[key] for table, key in zip(tables, keys, strict=True) if key in table), None)
