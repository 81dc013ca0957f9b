"""`descgen replace`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from db.commandline import Database, console, json_option, print_json
from db.descriptor_filter import DescriptorFilter, filter_descriptors
from db.errors import UserError
from db.records import STATUSES, Dataset, Decision, Descriptor
from descriptor_gen import tables
from descriptor_gen.commands.options import action_option, dataset_option, kind_option, writer_option
from descriptor_gen.commands.review import reviewer_option

if TYPE_CHECKING:
    from db.store import Store
    from descriptor_gen.review.replacing import Preview


@click.command("replace")
@click.argument("old")
@click.argument("new")
@dataset_option
@action_option
@kind_option
@writer_option
@click.option("--status", type=click.Choice([*STATUSES, "any"]), default="any", help="Review status. [any]")
@click.option("--whole-words", "whole", is_flag=True, help="Not inside of longer words.")
@click.option("--match-case", "case", is_flag=True, help="Only where OLD has the same capitals.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@reviewer_option
@json_option
@click.pass_obj
def replace_words(
    database: Database, /, dataset_name: str, dry_run: bool, reviewer: str, as_json: bool, **options: Any
) -> None:
    """Replace OLD by NEW in all texts that match the filters, as one decision that one descgen undo restores.

    Each text keeps its status. Texts that would be empty, too long, or the same as another one are left out.
    """
    store = database.existing
    would = _preview(store, store.resolve(dataset_name), options)
    if not would.replaced and not as_json:
        nothing = f"None of {would.searched} texts changes: {options['old']!r} -> {options['new']!r}"
        raise UserError("\n".join([*_left_out(would), nothing]))
    decision: Decision | None = None
    if would.replaced and not dry_run:
        texts = {item.descriptor.ref: item.text for item in would.replaced}
        decision = store.reviews().replace(texts, reviewer=reviewer)
    if as_json:
        print_json(_document(would, decision))
        return
    console.print("\n".join(_lines(would)), soft_wrap=True)
    end = tables.decision_summary(decision) if decision else "Nothing was changed. To replace: leave --dry-run out"
    console.print(end, soft_wrap=True)


def _preview(store: Store, dataset: Dataset, options: Mapping[str, Any]) -> Preview:
    """Return what replacing would do to the texts that match the options of the command."""
    from descriptor_gen.review.replacing import Words, linted, preview

    every, selected = store.descriptors(dataset, statuses=STATUSES), tables.select(dataset, options["action_names"])
    names, status = {action.name for action in selected.actions}, options["status"]
    kinds, statuses = tables.select_kinds(store, options["kind_names"]), STATUSES if status == "any" else (status,)
    chosen = DescriptorFilter(statuses, kinds, options["llm"])
    matching = filter_descriptors(selected, [d for d in every if d.action in names], chosen)
    words = Words(options["old"], options["new"], whole=options["whole"], case=options["case"])
    return linted(dataset, every, preview(every, matching, words))


def _lines(would: Preview) -> Iterator[str]:
    for item in would.replaced:
        yield f"  {item.descriptor.id}  {item.descriptor.text} -> {item.text}  [{item.descriptor.status}]"
        yield from (f"      {flag.rule}: {flag.detail}" for flag in item.flags)
    yield from _left_out(would)
    yield f"{len(would.replaced)} of {would.searched} texts, {len(would.left_out)} left out"


def _left_out(would: Preview) -> Iterator[str]:
    for item in would.left_out:
        yield f"left out: {item.descriptor.id}  {item.descriptor.text}: {item.reason}"


def _document(would: Preview, decision: Decision | None) -> dict[str, Any]:
    return {
        "searched": would.searched,
        "replaced": [
            {**_about(item.descriptor), "before": item.descriptor.text, "after": item.text, "flags": item.flags}
            for item in would.replaced
        ],
        "left_out": [
            {**_about(item.descriptor), "text": item.descriptor.text, "reason": item.reason} for item in would.left_out
        ],
        "decision": decision,
    }


def _about(descriptor: Descriptor) -> dict[str, Any]:
    return {name: getattr(descriptor, name) for name in ("id", "version", "action", "kind", "status")}
