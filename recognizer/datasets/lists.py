"""What the official lists of a dataset say: the test splits of UCF101 and HMDB51, the tables of Kinetics."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from db.errors import UserError

_UCF101_TEST = re.compile(r"testlist0([123])\.txt")
_HMDB51_SPLIT = re.compile(r"(.+)_test_split([123])\.txt")
_ANNOTATION = {"label", "youtube_id", "time_start", "time_end"}


class Annotation(NamedTuple):
    """One row of a Kinetics list."""

    class_name: str
    id: str  # <youtube id>_<start>_<end>, seconds in six digits: the official file stem
    youtube_id: str
    subset: str  # the list's own word: "train", "val", "validate", "test"; "" without that column


def ucf101_tests(lists: Iterable[Path]) -> dict[int, list[str]]:
    """Read testlist01.txt to testlist03.txt: split -> `<Class>/<file>.avi`."""
    tests: dict[int, list[str]] = {}
    for path in lists:
        if match := _UCF101_TEST.fullmatch(path.name):
            tests.setdefault(int(match[1]), [line.split()[0] for line in _lines(path)])
    return tests


def hmdb51_tests(lists: Iterable[Path]) -> dict[int, list[str]]:
    """Read `<class>_test_split<N>.txt`: split -> `<class>/<file>.avi` of the videos marked 2, test."""
    tests: dict[int, list[str]] = {}
    for path in lists:
        if match := _HMDB51_SPLIT.fullmatch(path.name):
            rows = (line.rsplit(maxsplit=1) for line in _lines(path))
            found = tests.setdefault(int(match[2]), [])
            found += [f"{match[1]}/{row[0]}" for row in rows if row[1:] == ["2"]]
    return tests


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="surrogateescape")  # as the file system's own names
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a header; a byte order mark and missing cells are no matter."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", skipinitialspace=True)
            return [{key: str(cell).strip() for key, cell in row.items() if key} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV file in UTF-8: {error}") from error


def kinetics_annotations(path: Path) -> list[Annotation]:
    """Read a Kinetics list; [] for a CSV file with other columns."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        columns = {column.strip() for column in file.readline().split(",")}
    return [_annotation(row, path) for row in read_table(path)] if columns >= _ANNOTATION else []


def _annotation(row: Mapping[str, str], path: Path) -> Annotation:
    try:
        start, end = int(float(row["time_start"])), int(float(row["time_end"]))
    except ValueError as error:
        raise UserError(f"{path}: times of {row['youtube_id']!r} are no seconds: {error}") from error
    file_stem = f"{row['youtube_id']}_{start:06d}_{end:06d}"
    return Annotation(row["label"], file_stem, row["youtube_id"], row.get("split", ""))
