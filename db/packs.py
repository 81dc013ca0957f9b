"""Text packs: installed packages that hold descriptors of a dataset as data, found by an entry point.

A pack is two JSON files in a package without code: what is to know about its texts (`pack.json`), and the texts as
`descgen export` writes them (`texts.json`). Both are read where they lie; nothing of the package is imported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple

from db import strict_json
from db.errors import UsageError, UserError, unknown
from db.given_files import TooLargeError, read_bytes
from db.plugins import offered_names

GROUP = "descriptor_gen.packs"
FORMAT = "descgen pack, version 1"
FACTS, TEXTS = "pack.json", "texts.json"
PREFIX = "pack:"
_LARGEST_FACTS = 2**20  # bytes
_NEEDED = ("version", "dataset", "texts_sha256")  # facts, without which a pack is not used


class PackText(NamedTuple):
    """One text of a pack; two texts that agree in all of this are the same text."""

    action: str
    kind: str
    position: int
    text: str
    source: str
    writer: str  # as `db.records.Descriptor.writer`
    sample: int | None


@dataclass(frozen=True)
class Pack:
    """An installed pack.

    Attributes:
        name: of its entry point.
        facts: of `pack.json`: version, licence, dataset, writers, prompt templates, review, lint, controls.
        file: its texts, an export of `descgen`.
    """

    name: str
    facts: Mapping[str, Any]
    file: Path

    @property
    def reference(self) -> str:
        """What a run records: the name, the version and the beginning of the sha256 of the texts."""
        return f"{PREFIX}{self.name} {self.facts['version']} sha256:{self.facts['texts_sha256'][:12]}"

    def contents(self) -> tuple[dict[str, str], list[PackText]]:
        """Return class name -> phrase, and the texts in order.

        Raises:
            UserError: the file is damaged.
        """
        try:
            document = strict_json.loads(read_bytes(self.file).decode())
            calls = {call["cache_key"]: call for call in document["calls"]}
            phrases = {action["name"]: action["phrase"] for action in document["dataset"]["actions"]}
            return phrases, [_text(item, calls.get(item["cache_key"])) for item in document["descriptors"]]
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(self.name, f"{TEXTS} is no export of descgen") from error


def _text(item: Mapping[str, Any], call: Mapping[str, Any] | None) -> PackText:
    writer = call["llm"]["model"] if call else item["origin"] or "hand"
    own = (item["action"], item["kind"], item["position"], item["text"], item["source"])
    if not all(isinstance(value, str | int) for value in (*own, writer)):
        raise TypeError("a field of a text is a list or an object")
    return PackText(*own, writer, call["sample"] if call else None)


def installed_packs() -> list[str]:
    """Return the names of the installed packs."""
    return offered_names(GROUP)


def open_pack(name: str) -> Pack:
    """Return an installed pack, after a check that its texts are those it was made with.

    Raises:
        UsageError: there is none of that name, or several packages offer it.
        UserError: it is damaged.
    """
    offered = list(entry_points(group=GROUP, name=name))
    if not offered:
        raise UsageError(f"{unknown('pack', name, installed_packs() or ['-'])}. Install it: pip install FILE.whl")
    if len({point.dist.name for point in offered if point.dist}) > 1:
        packages = ", ".join(sorted(point.dist.name for point in offered if point.dist))
        raise UsageError(f"The pack {name} is offered by several packages ({packages}). Uninstall all but one")
    folder = _folder(offered[0])
    try:
        facts = strict_json.loads(read_bytes(folder / FACTS, at_most=_LARGEST_FACTS).decode())
        texts = read_bytes(folder / TEXTS)
    except (OSError, ValueError, TooLargeError) as error:
        raise _damaged(name, f"{FACTS} or {TEXTS} cannot be read") from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise UserError(
            f"The pack {name} is not a {FORMAT!r}, the one that this program reads. Take another version of the pack, "
            "or: pip install --upgrade descgen-recognize"
        )
    if not all(isinstance(facts.get(name), str) for name in _NEEDED):
        raise _damaged(name, f"{FACTS} lacks one of {', '.join(_NEEDED)}")
    if hashlib.sha256(texts).hexdigest() != facts.get("texts_sha256"):
        raise _damaged(name, f"{TEXTS} is not the file that it was made with")
    return Pack(name, facts, folder / TEXTS)


def _folder(point: EntryPoint) -> Path:
    if point.dist is None:
        raise _damaged(point.name, "its package is unknown")
    return Path(str(point.dist.locate_file(point.value.replace(".", "/"))))


def _damaged(name: str, problem: str) -> UserError:
    return UserError(f"The pack {name} is damaged: {problem}. Install it again: pip install --force-reinstall FILE.whl")
