"""Read a file of labels: lines, numbered lines, CSV, TSV or JSON. What its lines mean is plain, or it is refused.

`docs/datasets.md` has an example of each form. Which form a file has is seen from what it holds, not from its suffix;
only `.json` promises JSON.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

from db import strict_json
from db.errors import UserError, first_few
from db.given_files import read_text
from db.label_json import labels_of_json
from db.label_tables import Label, LabelsError, is_number, labels_of_table, role
from db.numbering import NumberingError, without_numbers
from db.texts import BIDI_MARKS

FORMS = (
    "Forms that are read: one label a line; numbered lines from 0 or 1; label, tab, phrase; CSV or TSV with a header "
    "(name, or label; if you like id and phrase); JSON: a list, index -> label, label -> index, label -> phrase"
)
_LONGEST_NAME = 200  # characters that the database stores
_LONGEST_PHRASE = 1000
_MOST_LABELS = 100_000
_MOST_BYTES = 16 * 2**20
# What a line of a label is not, and what it looks like.
_NOT_A_LABEL = (
    (re.compile(r"\[[^\]]*\]?|[\W_]+"), "a piece of JSON, YAML or code"),
    (re.compile(r"<.*|\|.*"), "a piece of a page or table"),
    (re.compile(r"[-*+\u2022]\s.*"), "an item of a list with bullets"),
    (re.compile(r".*[,;]"), "an item of a list with commas"),
    (re.compile(r".*:"), "a key of YAML"),
)


def read_labels(path: Path) -> list[Label]:
    """Return the labels of a file in label order.

    Raises:
        UserError: it cannot be read, or what it means is not plain; the message says what was seen.
    """
    try:
        text = read_text(path, at_most=_MOST_BYTES)
        labels = [_cleaned(label) for label in _labels(text, is_json=_is_json(path))]
        _check(labels)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file of labels (UTF-8). {FORMS}") from error
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}") from error
    except NumberingError as error:
        raise UserError(f"{path} {error}. If the numbers belong to the labels, write a JSON list. {FORMS}") from error
    except (LabelsError, strict_json.RepeatedNameError) as error:
        raise UserError(f"{path} {error}. {FORMS}") from error
    return labels


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json"


def _labels(text: str, *, is_json: bool) -> list[Label]:
    if is_json or text.lstrip()[:1] in ("[", "{"):
        try:
            return labels_of_json(strict_json.loads(text))
        except (LabelsError, NumberingError, strict_json.RepeatedNameError):
            raise
        except ValueError as error:
            if is_json:
                raise LabelsError(f"is not JSON: {error}") from error
    lines = [line.strip(" ") for line in re.split(r"\r\n|\r|\n", text)]
    lines = [line for line in lines if line.strip() and not line.startswith("#")]
    delimiter = _delimiter(lines)
    if delimiter is None:
        return [Label(name) for name in _names(lines)]
    return labels_of_table(_cells(lines, delimiter))


def _cells(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        rows = list(csv.reader([f"{line}\n" for line in lines], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise LabelsError(f"is not a table of labels: {error}") from error
    return [[cell.strip() for cell in row] for row in rows]


def _delimiter(lines: Sequence[str]) -> str | None:
    """Return what separates the columns of a table; None if the lines are labels."""
    if any("\t" in line for line in lines):
        return "\t"
    return next((mark for is_table in _TABLES for mark in ",;" if is_table(lines, mark)), None)


def _has_header(lines: Sequence[str], mark: str) -> bool:
    cells = [cell.strip(' "') for cell in lines[0].split(mark)] if lines else []
    return len(cells) > 1 and any(map(role, cells))


def _has_numbers(lines: Sequence[str], mark: str) -> bool:
    """Return whether each line is a name and a number, in either order."""
    ends = [{0: line.partition(mark)[0].strip(), 1: line.rpartition(mark)[2].strip()} for line in lines if mark in line]
    return len(ends) == len(lines) > 1 and any(all(is_number(pair[side]) for pair in ends) for side in (0, 1))


_TABLES: tuple[Callable[[Sequence[str], str], bool], ...] = (_has_header, _has_numbers)


def _names(lines: Sequence[str]) -> list[str]:
    """Return the labels of lines without columns."""
    names = list(lines[1:] if len(lines) > 1 and role(lines[0].strip('"')) == "name" else lines)  # without the header
    for number, line in enumerate(names, start=1):
        for pattern, description in _NOT_A_LABEL:
            if pattern.fullmatch(line):
                raise LabelsError(f"has the line {line[:50]!r}, which looks like {description} (label {number})")
    _check_commas(names)
    return without_numbers(names) or names


def _check_commas(lines: Sequence[str]) -> None:
    """Refuse lines that look like a table without a header, or like a list in one line.

    Raises:
        LabelsError: they do.
    """
    for mark in ",;|":
        counts = {_outside_quotes(line).count(mark) for line in lines}
        spaced = any(f"{mark} " in line for line in lines)
        if len(counts) == 1 and counts != {0} and (len(lines) == 1 or not spaced):
            raise LabelsError(f"has {counts.pop()} {mark!r} in each line, as a table or a list has, and no header")
        headers = [line for line in lines if mark in line and all(map(role, line.split(mark)))]
        if headers:
            raise LabelsError(f"has the line {headers[0]!r}, which looks like a header, below other lines")


def _outside_quotes(line: str) -> str:
    return re.sub(r'"[^"]*"', "", line)


def _cleaned(label: Label) -> Label:
    """Return a label without quotation marks and marks that reorder a line; control characters stay, to be refused."""
    name, phrase = (BIDI_MARKS.sub("", text or "") for text in (label.name, label.phrase))
    return Label(_unquoted(name), phrase or None)


def _unquoted(name: str) -> str:
    """Return a name without quotation marks around it: some lists of Kinetics have them."""
    name = name.strip()
    return name[1:-1].replace('""', '"').strip() if re.fullmatch(r'"(?:[^"]|"")+"', name) else name


def _check(labels: Sequence[Label]) -> None:
    """Refuse what is no list of classes, whatever its form.

    Raises:
        LabelsError: a name is missing, too long or cannot be stored, or all of them are numbers, files or sentences.
    """
    if len(labels) > _MOST_LABELS:
        raise LabelsError(f"has {len(labels)} labels; {_MOST_LABELS} at most")
    for label in labels:
        if fault := _fault(label):
            raise LabelsError(fault)
    names = [repr(label.name) for label in labels]
    for fits, description in _NOT_CLASSES:
        if labels and all(map(fits, labels)):
            raise LabelsError(f"has {first_few(names, count=3)}, which are {description}")


def _fault(label: Label) -> str | None:
    name, text = label.name, label.name + (label.phrase or "")
    shown = f"has the name {name[:50]!r}, which"
    checks = (
        (not name, "has a class without a name"),
        (len(name) > _LONGEST_NAME, f"{shown} is cut here: {len(name)} characters are too long for a class"),
        (len(text) > _LONGEST_NAME + _LONGEST_PHRASE, f"has a phrase of more than {_LONGEST_PHRASE} characters"),
        (any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text), f"{shown} holds a control character"),
        (re.search("[{}]", name) or name.count("[") != name.count("]"), f"{shown} looks like a piece of JSON or code"),
    )
    return next((fault for fails, fault in checks if fails), None)


_FILE = re.compile(r".*\.[A-Za-z][A-Za-z0-9]{1,3}")
_SENTENCE = re.compile(r".+?:\s.+")
_NOT_CLASSES: tuple[tuple[Callable[[Label], object], str], ...] = (
    (lambda label: is_number(label.name), "numbers, not classes"),
    (lambda label: _FILE.fullmatch(label.name), "files, not classes. Videos are listed with --root list.csv"),
    (
        lambda label: label.phrase is None and _SENTENCE.fullmatch(label.name),
        "classes with a text each: descgen import reads texts. If they are labels, write a phrase beside each",
    ),
)
