"""Labels in JSON: a list, index -> class, class -> index, class -> phrase, or ActivityNet's taxonomy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from db.label_tables import Label, LabelsError, is_number, with_header
from db.numbering import in_order

_WORDS = {str: "texts", bool: "true or false", int: "numbers", float: "numbers", list: "lists", dict: "objects"}


def labels_of_json(document: Any) -> list[Label]:
    """Return the labels of a JSON document.

    Raises:
        LabelsError: what it means is not plain.
        NumberingError: the numbers of the classes do not count them.
    """
    for read in _OBJECTS if isinstance(document, dict) else _LISTS if isinstance(document, list) else ():
        labels = read(document)
        if labels is not None:
            return labels
    raise LabelsError(_contents(document))


def _names(items: Sequence[Any]) -> list[Label] | None:
    return [Label(item) for item in items] if _are_texts(items) else None


def _rows(items: Sequence[Any]) -> list[Label] | None:
    """Return the labels of a list of objects with the same names: `[{"id": 0, "name": "wave"}, ...]`."""
    if not items or not all(isinstance(item, dict) and item.keys() == items[0].keys() for item in items):
        return None
    if not all(isinstance(cell, str | int) for item in items for cell in item.values()):
        return None
    header = list(items[0])
    return with_header(header, [[str(item[name]).strip() for name in header] for item in items])


def _taxonomy(document: Mapping[str, Any]) -> list[Label] | None:
    """Return the leaves of ActivityNet's tree of classes, in the order of the file."""
    if "taxonomy" not in document:
        return None
    try:
        nodes = [(node["nodeId"], node["parentId"], node["nodeName"]) for node in document["taxonomy"]]
        parents = {parent for _, parent, _ in nodes}
        return [Label(str(name)) for number, _, name in nodes if number not in parents]
    except (TypeError, KeyError) as error:
        raise LabelsError("has a taxonomy that is not like ActivityNet's") from error


def _index_to_class(document: Mapping[str, Any]) -> list[Label] | None:
    names = list(document.values())
    if not all(map(is_number, document)) or not _are_texts(names) or any(map(is_number, names)):
        return None
    return in_order([int(key) for key in document], [Label(name) for name in names])


def _class_to_index(document: Mapping[str, Any]) -> list[Label] | None:
    numbers = [str(value) if isinstance(value, str | int) else "" for value in document.values()]
    if not all(map(is_number, numbers)) or any(map(is_number, document)):
        return None
    return in_order(list(map(int, numbers)), [Label(name) for name in document])


def _class_to_phrase(document: Mapping[str, Any]) -> list[Label] | None:
    phrases = list(document.values())
    if not _are_texts(phrases) or any(map(is_number, [*document, *phrases])):
        return None
    return [Label(name, phrase.strip() or None) for name, phrase in document.items()]


def _are_texts(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _contents(document: Any) -> str:
    """Return what a document of another form holds."""
    if not isinstance(document, dict | list):
        return f"is JSON, but neither a list nor an object: {str(document)[:50]!r}"
    values = list(document.values()) if isinstance(document, dict) else document
    kinds = sorted({_WORDS.get(type(value), "null") for value in values})
    if isinstance(document, list):
        return f"is a JSON list of {' and '.join(kinds)}, not of labels"
    if kinds == ["lists"] or "descgen" in document:
        return "looks like descriptors, not labels: read them with: descgen import FILE"
    numbers = sum(map(is_number, document))
    keys = "numbers" if numbers == len(document) else "numbers and others" if numbers else "texts"
    whole = [value for value in values if is_number(str(value))]
    mixed = " (some of them are numbers)" if kinds == ["texts"] and whole else ""
    return f"is a JSON object whose names are {keys} and whose values are {' and '.join(kinds)}{mixed}"


_LISTS: tuple[Callable[[Sequence[Any]], list[Label] | None], ...] = (_names, _rows)
_OBJECTS: tuple[Callable[[Mapping[str, Any]], list[Label] | None], ...] = (
    _taxonomy,
    _index_to_class,
    _class_to_index,
    _class_to_phrase,
)
