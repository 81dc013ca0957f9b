"""`descgen lint`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from db.commandline import Database, console, json_option, print_json
from db.errors import UsageError, UserError
from db.records import Dataset, Descriptor, DescriptorStatus
from descriptor_gen.commands.options import dataset_option, kind_option
from descriptor_gen.lint import table as lint_table
from descriptor_gen.lint.rules import RULES, Limits, item_range, lint, writer
from descriptor_gen.prompting.prompt import kinds, load_prompts
from encoders.registry import open_text_encoder

_STATUSES: dict[str, tuple[DescriptorStatus, ...]] = {"any": ("pending", "accepted"), "accepted": ("accepted",)}


@click.command("lint")
@dataset_option
@kind_option
@click.option("--llm", "-l", metavar="TEXT", help="Only what an LLM wrote whose name contains this, or an import.")
@click.option("--rule", "-r", "rules", multiple=True, type=click.Choice(list(RULES)), help="May be given again. [all]")
@click.option(
    "--status", type=click.Choice(list(_STATUSES)), default="any", show_default=True, help="Rejected texts never count."
)
@click.option("--strict", is_flag=True, help="Fail for warnings too.")
@click.option(
    "--context-length",
    type=click.IntRange(min=3),
    default=Limits.context_length,
    show_default=True,
    help="Tokens that CLIP's text encoder reads, start and end included.",
)
@click.option(
    "--shared",
    type=click.IntRange(min=2),
    metavar="N",
    help="Classes that may not have one text of kind context in common. [5% of all, at least 3]",
)
@click.option(
    "--encoder",
    "-e",
    metavar="NAME",
    help="Look at the sense too, by this text encoder: minilm (bundled), ViT-B/16, hf:... [off: it loads a model]",
)
@click.option("--verbose", "-v", is_flag=True, help="List every finding, by class and kind.")
@json_option
@click.pass_obj
def lint_descriptors(
    database: Database,
    dataset: str,
    wanted: tuple[str, ...],
    llm: str | None,
    rules: tuple[str, ...],
    status: str,
    strict: bool,
    context_length: int,
    shared: int | None,
    encoder: str | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """Find what is wrong with descriptors: cut off, echoing the prompt, repeated, shared, not to be seen.

    Exit code 1 when there are errors (with --strict also for warnings), 0 otherwise.
    """
    actions, found = _read(database, dataset, wanted, status, llm)
    if encoder is None and "sense" in rules:
        raise UsageError("Rule sense needs a text encoder: --encoder minilm")
    opened = open_text_encoder(encoder) if encoder else None
    limits = Limits(
        context_length, shared, {each.kind: item_range(each.output_schema) for each in load_prompts(kinds())}
    )
    report = lint_table.report_of(actions, len(found), lint(actions, found, limits=limits, rules=rules, encoder=opened))
    if as_json:
        print_json(report)
    else:
        console.print(lint_table.listing(actions, report) if verbose else lint_table.summary(report), soft_wrap=True)
    if report.errors or (strict and report.warnings):
        wrong = f"{report.errors} errors" + (f" and {report.warnings} warnings" if strict else "")
        raise UserError(f"{wrong} in the descriptors of {actions.name}. Each of them: --verbose, or --json")


def _read(
    database: Database, name: str, wanted: Sequence[str], status: str, llm: str | None
) -> tuple[Dataset, list[Descriptor]]:
    store = database.existing
    dataset = store.resolve(name)
    names = [prompt.kind for prompt in load_prompts(wanted)] or None
    found = store.descriptors(dataset, kinds=names, statuses=_STATUSES[status])
    if not found and status != "any" and (others := len(store.descriptors(dataset, kinds=names))):
        raise UserError(f"No {status} descriptors for {dataset.name} ({others} pending). Leave out --status for these")
    if not found:
        raise UserError(f"No descriptors for {dataset.name} here. Write them with: descgen build --dataset {name}")
    return dataset, _written_by(found, llm) if llm else found


def _written_by(descriptors: Sequence[Descriptor], llm: str) -> list[Descriptor]:
    writers = {writer(descriptor) for descriptor in descriptors}
    wanted = {name for name in writers if llm.lower() in name.lower()}
    if not wanted:
        raise UsageError(f"No descriptors by {llm!r}. They are by: {', '.join(sorted(writers))}")
    return [each for each in descriptors if writer(each) in wanted]
