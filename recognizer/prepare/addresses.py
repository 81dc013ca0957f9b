"""Where the datasets are published: downloads.toml, as records."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Unpacking = Literal["archive", "archive of archives", "list of archives"]


@dataclass(frozen=True)
class Address:
    """One place of a file."""

    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class Download:
    """One file to fetch, and what to do with it; paths are from the root of the dataset, with "/"."""

    to: str
    addresses: tuple[Address, ...]  # the first that answers serves
    size: int | None = None  # bytes
    unpack: Unpacking | None = None
    into: str = "."


@dataclass(frozen=True)
class Publication:
    """What a dataset is published as."""

    title: str
    page: str  # the official one
    about: str
    files: tuple[Download, ...]


@cache
def publications() -> Mapping[str, Publication]:
    """Return every known publication by the name of its dataset."""
    text = files("recognizer.prepare").joinpath("downloads.toml").read_text(encoding="utf-8")
    return {name: _publication(row) for name, row in tomllib.loads(text).items()}


def _publication(row: Mapping[str, Any]) -> Publication:
    downloads = tuple(
        Download(**{**file, "addresses": tuple(Address(**address) for address in file["addresses"])})
        for file in row["files"]
    )
    return Publication(row["title"], row["page"], row["about"], downloads)
