"""How a file or folder of classes differs from the dataset that is stored under its name, and what may change it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal, Self

from db.errors import UsageError, first_few
from db.records import Action, Dataset

Update = Literal["nothing", "phrases", "classes"]  # what a command may change of a stored dataset


@dataclass(frozen=True)
class DatasetChanges:
    """What is other in a dataset than in the stored one.

    Attributes:
        gone: names of classes that it lacks.
        new: names of classes that the stored one lacks.
        moved: names of classes with another label index, if none are gone or new.
        rephrased: the classes with another phrase, as they were and as they are.
    """

    gone: tuple[str, ...]
    new: tuple[str, ...]
    moved: tuple[str, ...]
    rephrased: tuple[tuple[Action, Action], ...]

    @classmethod
    def between(cls, stored: Dataset, given: Dataset) -> Self:
        """Compare two datasets by the names of their classes."""
        old, now = ({action.name: action for action in dataset.actions} for dataset in (stored, given))
        gone, new = tuple(name for name in old if name not in now), tuple(name for name in now if name not in old)
        both = [(old[name], now[name]) for name in now if name in old]
        moved = tuple(before.name for before, after in both if before.label != after.label)
        rephrased = tuple((before, after) for before, after in both if before.phrase != after.phrase)
        return cls(gone, new, () if gone or new else moved, rephrased)

    @property
    def of_classes(self) -> str:
        """The changed classes by count, with at most five names each; empty if the classes are the same."""
        parts = (("gone", self.gone), ("new", self.new), ("at another place", self.moved))
        return ", ".join(f"{len(names)} {change} ({first_few(names)})" for change, names in parts if names)

    @property
    def of_phrases(self) -> str:
        """The changed phrases by count, at most five; empty if the phrases are the same."""
        shown = [f"{after.name}: {before.phrase!r}, now {after.phrase!r}" for before, after in self.rephrased]
        return f"{len(shown)} ({first_few(shown)})" if shown else ""


def refuse_changes(stored: Dataset, given: Dataset, *, update: Update, names: set[str]) -> None:
    """Refuse a dataset that differs from the stored one in more than the command may change.

    Args:
        stored: the dataset of the same name in the database.
        given: read from a file or folder.
        update: what may differ.
        names: of all stored datasets.

    Raises:
        UsageError: it differs; the message says in what, and which commands solve it.
    """
    changes, source = DatasetChanges.between(stored, given), given.path or given.name
    if (changed := changes.of_classes) and update != "classes":
        free = next(name for n in count(2) if (name := f"{given.name}-{n}") not in names)
        raise UsageError(
            f"{source} has other classes than the stored dataset {stored.name}: {changed}. Give it a name of its own "
            f"(--name NEW): {_add(given)} --name {shlex.quote(free)}. Or change the stored dataset: "
            f"{_add(given)}{_named(given)} --replace"
        )
    if (changed := changes.of_phrases) and (update == "nothing" or stored.stored_as != stored.name):
        raise UsageError(
            f"{source} has other phrases than the stored dataset {stored.name}: {changed}. Texts may have been written "
            f"for the stored ones. To use those: --dataset {shlex.quote(stored.name)}. To change them: "
            f"{_add(given)}{_named(given)}"
        )


def _add(dataset: Dataset) -> str:
    return f"descgen datasets add {dataset.argument}"


def _named(dataset: Dataset) -> str:
    path = Path(dataset.path).resolve()
    return "" if dataset.name in (path.stem, path.name) else f" --name {shlex.quote(dataset.name)}"
