"""The descriptors of a text pack: a choice of rows that are in the database, each as the pack has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from db.errors import UsageError, UserError, first_few
from db.packs import PREFIX, Pack, PackText, installed_packs, open_pack
from db.records import STATUSES, Dataset, Descriptor

if TYPE_CHECKING:
    from db.store import Store


def pack_reference(texts: str) -> str:
    """Return what a run records of the option `--texts pack:NAME`: with the version and digest of the installed pack.

    Raises:
        UsageError: it is not of that form, or no such pack is installed.
        UserError: the pack is damaged.
    """
    if not texts.startswith(PREFIX):
        known = ", ".join(installed_packs()) or "none"
        raise UsageError(f"--texts {texts}: give {PREFIX} and the name of an installed pack. Installed: {known}")
    return open_pack(_name(texts)).reference


def pack_descriptors(store: Store, dataset: Dataset, reference: str) -> list[Descriptor]:
    """Return the rows in use that are the texts of a pack about the classes of a dataset: all of them, or none.

    Raises:
        UserError: another version is installed; a phrase of a class differs; a text is not in use here, is at another
            position, or was rejected.
    """
    pack = open_pack(_name(reference))
    if reference not in (pack.reference, PREFIX + pack.name):
        raise UserError(f"{reference} was chosen, and {pack.reference} is installed. Install the other version")
    phrases, texts = pack.contents()
    own = {action.name: action.phrase for action in dataset.actions}
    _refuse_other_classes(pack, dataset, own, phrases)
    wanted = Counter(text for text in texts if text.action in own)
    rows = []
    for row in store.descriptors(dataset, statuses=STATUSES):
        key = PackText(row.action, row.kind, row.position, row.text, row.source, row.writer, row.sample)
        if wanted[key] > 0:
            wanted[key] -= 1
            rows.append(row)
    _refuse_incomplete(pack, list(wanted.elements()), rows)
    return rows


def _name(texts: str) -> str:
    return texts.removeprefix(PREFIX).partition(" ")[0]


def _refuse_other_classes(pack: Pack, dataset: Dataset, own: Mapping[str, str], phrases: Mapping[str, str]) -> None:
    if own.keys().isdisjoint(phrases):
        raise UserError(f"The pack {pack.name} is about {pack.facts['dataset']}: it has no class of {dataset.name}")
    if changed := [name for name in own if phrases.get(name, own[name]) != own[name]]:
        raise UserError(
            f"The pack {pack.name} was written for other phrases of {len(changed)} classes, such as "
            f"{phrases[changed[0]]!r} for {changed[0]}, which is {own[changed[0]]!r} here. Change them back, or use a "
            "new database: --db FILE"
        )


def _refuse_incomplete(pack: Pack, missing: Sequence[PackText], rows: Sequence[Descriptor]) -> None:
    if missing:
        shown = first_few([f"{text.action}, {text.kind}: {text.text}" for text in missing])
        raise UserError(
            f"{len(missing)} of the {len(missing) + len(rows)} texts of the pack {pack.name} are not in use in this "
            f"database: {shown}. Run: descgen import --pack {pack.name}. If texts of the same LLM or changes of "
            "reviewers stand in their place here, use another database: --db FILE"
        )
    if rejected := [row.id for row in rows if row.status == "rejected"]:
        raise UserError(
            f"{len(rejected)} texts of the pack {pack.name} were rejected here, so this is not the pack any more. "
            f"Run: descgen restore {' '.join(map(str, rejected[:5]))}{' ...' if len(rejected) > 5 else ''}"
        )
