"""The datasets of a database, and which of them `--dataset` names; also where there is no database yet.

Nothing here imports SQLAlchemy: a command that lists takes the catalogue, and opens a database only if there is one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from db import vocabulary
from db.dataset_changes import Update, refuse_changes
from db.errors import UsageError, first_few, unknown
from db.records import Dataset, Descriptor


class Catalogue(ABC):
    """Datasets, built in and stored, with their descriptors."""

    @abstractmethod
    def datasets(self) -> list[str]:
        """Return the names of the stored datasets."""

    @abstractmethod
    def descriptors(
        self,
        dataset: Dataset,
        *,
        kinds: Sequence[str] | None = None,
        statuses: Sequence[str] = ("pending", "accepted"),
    ) -> list[Descriptor]:
        """Return the descriptors in use for a dataset's actions, by label, kind, LLM, reply or file, and position."""

    @abstractmethod
    def kinds(self) -> list[str]:
        """Return the kinds of the descriptors in use, of any dataset."""

    @abstractmethod
    def _stored(self, name: str) -> Dataset | None:
        """Return the stored dataset of a name."""

    @abstractmethod
    def _names_of(self, path: Path) -> list[str]:
        """Return the names under which a file or folder is stored, in order."""

    def dataset(self, name: str) -> Dataset:
        """Return a built-in dataset, or a stored one.

        Raises:
            UsageError: the dataset is unknown.
        """
        if vocabulary.canonical(name) in vocabulary.BUILT_IN:
            return vocabulary.load(name)
        dataset = self._stored(name)
        if dataset is None:
            known = [*vocabulary.BUILT_IN, *self.datasets()]
            raise UsageError(
                f"{unknown('dataset', name, known)}. For your own classes give a file of labels (one a "
                "line, or CSV, TSV or JSON), or a folder that holds one folder a class"
            )
        return dataset

    def resolve(self, given: str, *, name: str | None = None, update: Update = "nothing") -> Dataset:
        """Return the dataset that `--dataset` names: built in, stored, or read from a file or folder.

        A known name wins over a file or folder of that name; write `./name` or a suffix to mean the path. What is read
        from a path has the name under which that path was stored, else that of the file or folder.

        Args:
            given: a name or a path.
            name: another name for what is read from a path.
            update: what the caller may change of a stored dataset of that name.

        Raises:
            UsageError: it is none of these; or the stored dataset of that name has other classes or phrases.
        """
        if not given or self.knows(given) or not Path(given).exists():
            dataset = self.dataset(given)
            if name not in (None, dataset.name):
                raise UsageError(f"--name is for a file or folder of classes; {given} is a stored or built-in dataset")
            return dataset
        path = Path(given)
        dataset = vocabulary.from_path(path, name=name) if name else self._read_path(path)
        return self._compared(dataset, update) or dataset

    def knows(self, name: str) -> bool:
        """Return whether a dataset of that name is built in or stored."""
        return vocabulary.canonical(name) in vocabulary.BUILT_IN or name in self.datasets()

    def _read_path(self, path: Path) -> Dataset:
        """Read a file or folder under the name that it was stored as; of several, the one with the same classes."""
        names = self._names_of(path)
        dataset = vocabulary.from_path(path, name=names[0] if names else None)
        if len(names) < 2:
            return dataset
        classes = [action.name for action in dataset.actions]
        same = [name for name in names if [action.name for action in self.dataset(name).actions] == classes]
        if len(same) != 1:
            raise UsageError(f"{path} is stored under several names: {first_few(names)}. Give --dataset with one")
        return replace(dataset, name=same[0], stored_as=same[0])

    def _compared(self, dataset: Dataset, update: Update) -> Dataset | None:
        """Return the stored dataset if a given one is the same, None if it is new or may change the stored one.

        Raises:
            UsageError: it differs in more than may be changed.
        """
        names = set(self.datasets())
        if dataset.name not in names:
            return None
        stored = self.dataset(dataset.name)
        refuse_changes(stored, dataset, update=update, names=names)
        return replace(stored, path=dataset.path) if stored.actions == dataset.actions else None


class NoDatabase(Catalogue):
    """Where nothing is stored yet: the built-in datasets, and those of files and folders."""

    def datasets(self) -> list[str]:
        """Return nothing."""
        return []

    def descriptors(
        self,
        dataset: Dataset,
        *,
        kinds: Sequence[str] | None = None,
        statuses: Sequence[str] = ("pending", "accepted"),
    ) -> list[Descriptor]:
        """Return nothing."""
        return []

    def kinds(self) -> list[str]:
        """Return nothing."""
        return []

    def _stored(self, name: str) -> Dataset | None:
        return None

    def _names_of(self, path: Path) -> list[str]:
        return []
