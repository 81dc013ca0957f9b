"""Datasets with their actions in label order: built in, or read from a user's file or folder."""

from __future__ import annotations

import csv
import re
import shlex
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path

from db.errors import UsageError, UserError, first_few, unknown
from db.label_files import read_labels
from db.label_tables import Label
from db.records import Action, Dataset
from db.texts import clean

_TABLES = ("ucf101", "hmdb51", "kinetics400", "kinetics600")
_SUBSETS = {f"kinetics600-zs{n}": "kinetics600" for n in (1, 2, 3)}  # Chen & Huang, ICCV 2021: 3 x 160 classes
_SUBSETS |= {"thumos14": "ucf101"}  # the 20 classes of its temporal detection, in the order of its detclasslist.txt
_ALIASES = {"k400": "kinetics400", "k600": "kinetics600"} | {f"k600-zs{n}": f"kinetics600-zs{n}" for n in (1, 2, 3)}
_SMALL_WORDS = {"a", "an", "and", "as", "at", "by", "for", "from", "in", "into", "of", "off", "on", "onto", "or", "out"}
_SMALL_WORDS |= {"over", "the", "to", "up", "with", "without"}  # without a capital in titles: Walking the Dog
_TEAR_SPELLING = {"HandstandPushups": "HandStandPushups"}  # as in the names of the class's files

_LONGEST_NAME = 200  # characters that the database stores

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
        f"{unknown('dataset', name, BUILT_IN)}. For your own classes give a file of labels (one a "
        "line, or CSV, TSV or JSON), or a folder that holds one folder a class"
    )


def _rows(name: str) -> Iterable[Action]:
    lines = files("db.classes").joinpath(f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    for row in csv.DictReader(lines, delimiter="\t"):
        yield Action(int(row["label"]), row["name"], row["phrase"])


def _subset(name: str, parent: Dataset) -> Dataset:
    return subset(name, parent, files("db.classes").joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines())


def subset(name: str, parent: Dataset, classes: Sequence[str]) -> Dataset:
    """Return the dataset of some classes of another one, by name, in their order; it shares that one's descriptors."""
    phrases = {action.name: action.phrase for action in parent.actions}
    actions = tuple(Action(label, each, phrases[each]) for label, each in enumerate(classes))
    return Dataset(name, actions, stored_as=parent.stored_as)


def canonical(name: str) -> str:
    """Return the name that a built-in dataset is stored under (`k600` -> `kinetics600`); other names unchanged."""
    return _ALIASES.get(name, name)


def from_path(path: Path, *, name: str | None = None) -> Dataset:
    """Return a user's own dataset, from a file of labels (`db.label_files`) or a folder of class folders.

    Without `name` it is named after the file or folder.

    Raises:
        UserError: it has no labels, a label twice, or the name of a built-in dataset, or what it means is not plain.
    """
    resolved = path.resolve()
    own = name or canonical(resolved.name if resolved.is_dir() else resolved.stem)
    if name is None and own in BUILT_IN:
        given = shlex.quote(str(path))
        raise UsageError(
            f"{path} has the name of the built-in dataset {own}. Use --dataset {own} for its official classes, "
            f"or store yours under another name: descgen datasets add {given} --name my-{own}"
        )
    labels = _folder_labels(path) if path.is_dir() else read_labels(path)
    return replace(from_labels(checked_name(own), labels), path=str(path))


def checked_name(name: str) -> str:
    """Return the name of a dataset of one's own.

    Raises:
        UsageError: it is that of a built-in dataset, could be taken for a path or an option, or cannot be stored.
    """
    if clean(name) != name:
        raise UsageError(f"{name!r} cannot be the name of a dataset: it holds control characters")
    if canonical(name) in BUILT_IN:
        raise UsageError(f"{name} is a built-in dataset. Choose another name, such as my-{name}")
    if not name.strip() or len(name) > _LONGEST_NAME or name[0] == "-" or not re.fullmatch(r"[^/\\\n\t]+", name):
        raise UsageError(
            f"{name!r} cannot be the name of a dataset: 1 to {_LONGEST_NAME} characters, without / and \\, and not "
            "- as the first one"
        )
    return name


def from_labels(name: str, labels: Sequence[str | Label]) -> Dataset:
    """Return a dataset of labels in their order; a label without a phrase has that of `phrase_of`."""
    if not labels:
        raise UserError(f"No labels in {name}. Write one label a line, or make one folder a class")
    given = [label if isinstance(label, Label) else Label(label) for label in labels]
    actions = tuple(
        Action(i, label.name, label.phrase or phrase_of(clean(label.name))) for i, label in enumerate(given)
    )
    for action in actions:
        if not spelling(action.phrase):
            raise UserError(f"A label of {name} contains no word: {action.name!r}")
    for texts in ([action.phrase.casefold() for action in actions], [action.name for action in actions]):
        repeated = [text for text, count in Counter(texts).items() if count > 1]
        if repeated:
            raise UserError(f"Labels of {name} that mean the same class: {first_few(repeated)}. Keep one of each")
    return Dataset(name, actions, stored_as=name)


def _folder_labels(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def phrase_of(label: str) -> str:
    """Return a label as a readable phrase: `ApplyEyeMakeup`, `apply_eye_makeup` -> `apply eye makeup`.

    Capitals that belong to a word stay: `NASA launch`, `using an iPhone`, `passing American football`.
    """
    words = [word for word in re.split(r"[\s_-]+", label) if word]
    if len(words) == 1:
        return " ".join(word.lower() if _has_first_capital(word) else word for word in _parts(words[0]))
    in_sentence = any(word.islower() and word not in _SMALL_WORDS for word in words)  # else every word has a capital
    kept = [word if in_sentence or not _has_first_capital(word) else word.lower() for word in words[1:]]
    return " ".join([word.lower() if _has_first_capital(word) else word for word in words[:1]] + kept)


def _parts(word: str) -> list[str]:
    """Return the words of a name in one piece; names such as iPhone stay whole."""
    if re.match(r"[a-z][A-Z]", word):
        return [word]
    return re.split(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", word)


def _has_first_capital(word: str) -> bool:
    letters = [letter for letter in word if letter.isalpha()]
    return bool(letters) and letters[0].isupper() and not any(letter.isupper() for letter in letters[1:])


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
