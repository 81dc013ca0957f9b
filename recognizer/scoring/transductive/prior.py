"""The prior of the classes, from a file."""

from __future__ import annotations

import csv
from math import isfinite
from pathlib import Path

from db.errors import UserError, first_few
from db.given_files import read_text
from db.records import Dataset
from db.vocabulary import class_finder

_MOST_BYTES = 2**22


def read_prior(path: Path, dataset: Dataset) -> dict[str, float]:
    """Return the share of each class of a dataset, by name, of sum 1, from a CSV file: a class and its share a line.

    Shares may be any numbers above 0, such as counts of videos. A header `class,share` may be there.

    Raises:
        UserError: the file cannot be read, a line is not a class and a number above 0, or classes are missing or twice.
    """
    find, shares = class_finder(dataset), dict[str, float]()
    for number, row in enumerate(_rows(path), start=1):
        if [cell.strip() for cell in row] in ([], ["class", "share"]):
            continue
        action = find(row[0].strip())
        if action is None or len(row) != 2:
            raise UserError(f"{path}, line {number}: not a class of {dataset.name} and its share: {','.join(row)}")
        if action.name in shares:
            raise UserError(f"{path}, line {number}: {action.name} is there twice")
        shares[action.name] = _share(row[1], path, number)
    if missing := [action.name for action in dataset.actions if action.name not in shares]:
        raise UserError(
            f"{path} has no share for {len(missing)} of {len(dataset.actions)} classes: {first_few(missing)}"
        )
    return {action.name: shares[action.name] / sum(shares.values()) for action in dataset.actions}


def _rows(path: Path) -> list[list[str]]:
    try:
        return list(csv.reader(read_text(path, at_most=_MOST_BYTES).splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a class prior: {error}. A line is: class,share") from error


def _share(text: str, path: Path, number: int) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not (isfinite(share) and share > 0):
        raise UserError(
            f"{path}, line {number}: a share is a number above 0, not {text.strip()!r}. For a class without videos, "
            "take a small one: with 0 it could never be right"
        )
    return share
