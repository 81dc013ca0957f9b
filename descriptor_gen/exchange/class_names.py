"""Match the class names of an imported file with the classes of a dataset."""

from __future__ import annotations

from collections.abc import Sequence

from db.errors import UserError
from db.records import Dataset
from db.vocabulary import class_finder


def match(dataset: Dataset, keys: Sequence[str]) -> dict[str, str]:
    """Return key of the file -> action name, for the keys that mean an action.

    Keys are names or phrases, matched by `db.vocabulary.class_finder`. If every key is a number and no class has such a
    name, they are labels, counted from 0.

    Raises:
        UserError: the labels are counted from 1.
    """
    names = {action.name for action in dataset.actions}
    if keys and all(key.isdecimal() for key in keys) and names.isdisjoint(keys):
        return _by_label(dataset, keys)
    find = class_finder(dataset)
    return {key: action.name for key in keys if (action := find(key))}


def _by_label(dataset: Dataset, keys: Sequence[str]) -> dict[str, str]:
    labels = {int(key) for key in keys}
    if labels == set(range(1, len(dataset.actions) + 1)):
        raise UserError(
            f"The labels go from 1 to {len(dataset.actions)}; those of {dataset.name} are counted from 0. "
            "Write class names, or labels from 0"
        )
    names = {action.label: action.name for action in dataset.actions}
    return {key: names[int(key)] for key in keys if int(key) in names}
