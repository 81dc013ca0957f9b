"""Datasets with their actions in label order: built in, or read from a user's file or folder."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path

from db.errors import UsageError, UserError
from db.records import Action, Dataset

_TABLES = ("ucf101", "hmdb51", "kinetics400", "kinetics600")
_SUBSETS = {f"kinetics600-zs{n}": "kinetics600" for n in (1, 2, 3)}  # Chen & Huang, ICCV 2021: 3 x 160 classes
_SUBSETS |= {"thumos14": "ucf101"}  # the 20 classes of its temporal detection, in the order of its detclasslist.txt
_ALIASES = {"k400": "kinetics400", "k600": "kinetics600"} | {f"k600-zs{n}": f"kinetics600-zs{n}" for n in (1, 2, 3)}
_TEAR_SPELLING = {"HandstandPushups": "HandStandPushups"}  # as in the names of the class's files

BUILT_IN: tuple[str, ...] = (*_TABLES, *_SUBSETS)


@cache
def load(name: str) -> Dataset:
    """Return a built-in dataset by its name or alias.

    Raises:
        UsageError: the name is unknown.
    """
    name = _ALIASES.get(name, name)
    if name in _TABLES:
        return Dataset(name, tuple(_rows(name)), stored_as=name)
    if name in _SUBSETS:
        return _subset(name, load(_SUBSETS[name]))
    raise UsageError(
        f"Unknown dataset {name!r}. Known: {', '.join(BUILT_IN)}. For your own classes give a text file with one "
        "label a line, or a folder that holds one folder a class"
    )


def _rows(name: str) -> Iterable[Action]:
    lines = files("db.classes").joinpath(f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    for row in csv.DictReader(lines, delimiter="\t"):
        yield Action(int(row["label"]), row["name"], row["phrase"])


def _subset(name: str, parent: Dataset) -> Dataset:
    phrases = {action.name: action.phrase for action in parent.actions}
    names = files("db.classes").joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines()
    actions = tuple(Action(label, name, phrases[name]) for label, name in enumerate(names))
    return Dataset(name, actions, stored_as=parent.name)


def canonical(name: str) -> str:
    """Return the name that a built-in dataset is stored under (`k600` -> `kinetics600`); other names unchanged."""
    return _ALIASES.get(name, name)


def from_path(path: Path) -> Dataset:
    """Return a user's own dataset, named after its text file of labels or its folder of class folders.

    Raises:
        UserError: it has no labels, a label twice, or the name of a built-in dataset.
    """
    resolved = path.resolve()
    name = canonical(resolved.name if resolved.is_dir() else resolved.stem)
    if not name:
        raise UsageError(f"{path} has no name that a dataset could have")
    if name in BUILT_IN:
        raise UsageError(
            f"{path} has the name of the built-in dataset {name}. Use --dataset {name} for its official classes, "
            "or rename the file for your own"
        )
    return from_labels(name, _folder_labels(path) if path.is_dir() else _file_labels(path))


def from_labels(name: str, labels: Sequence[str]) -> Dataset:
    """Return a dataset of labels in their order, with the phrases of `phrase_of`."""
    if not labels:
        raise UserError(f"No labels in {name}. Write one label a line, or make one folder a class")
    phrases = [phrase_of(label) for label in labels]
    if "" in phrases:
        raise UserError(f"A label of {name} contains no word: {labels[phrases.index('')]!r}")
    repeated = [phrase for phrase, count in Counter(phrases).items() if count > 1]
    if repeated:
        raise UserError(f"Labels of {name} that mean the same class: {', '.join(repeated)}. Keep one of each")
    actions = tuple(Action(i, label, phrase) for i, (label, phrase) in enumerate(zip(labels, phrases, strict=True)))
    return Dataset(name, actions, stored_as=name)


def _file_labels(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file of labels (UTF-8, one a line)") from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def _folder_labels(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def phrase_of(label: str) -> str:
    """Return a label as a readable lower-case phrase: `ApplyEyeMakeup`, `apply_eye_makeup` -> `apply eye makeup`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", label)
    return re.sub(r"[\s_-]+", " ", words).strip().lower()


def spelling(name: str) -> str:
    """Return the letters and digits of a name, case folded: alike for `ApplyEyeMakeup` and `Apply eye make-up`."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", name).casefold() if letter.isalnum())


@lru_cache(maxsize=8)
def class_finder(dataset: Dataset) -> Callable[[str], Action | None]:
    """Return a function from a name in a file, a folder or an option to the class it means; None if it means none.

    It compares with names and phrases: exactly, then ignoring case, then by `spelling`. A spelling that two classes
    share (`C++` and `C#` are both spelled `c`) means neither.
    """
    tables = [
        (form, _unambiguous([form(text) for text in texts], dataset.actions))
        for form in (str, str.casefold, spelling)
        for texts in ([action.name for action in dataset.actions], [action.phrase for action in dataset.actions])
    ]
    return lambda name: next((table[key] for form, table in tables if (key := form(name)) in table), None)


def _unambiguous(keys: Sequence[str], actions: Sequence[Action]) -> dict[str, Action]:
    count = Counter(keys)
    return {key: action for key, action in zip(keys, actions, strict=True) if key and count[key] == 1}


def tear_name(dataset: Dataset, action: Action) -> str:
    """Return TEAR's class string: UCF101 names split before each capital, Kinetics in lower case, no underscores."""
    if dataset.stored_as == "ucf101":
        return " ".join(re.findall("[A-Z][^A-Z]*", _TEAR_SPELLING.get(action.name, action.name)))
    name = action.name.replace("_", " ")
    return name.lower() if dataset.stored_as.startswith("kinetics") else name
