"""`descgen lint`."""

from __future__ import annotations

import click

from db.choice import Choice, choose
from db.commandline import Database, console, json_option, print_json
from db.errors import UserError
from db.records import STATUSES
from descriptor_gen import tables
from descriptor_gen.commands.options import dataset_option, kind_option, writer_option
from descriptor_gen.lint.rules import RULES, Limits, items_of_templates, lint_report
from descriptor_gen.lint.table import listing, summary

_STATUSES = {"any": ("pending", "accepted"), "accepted": ("accepted",)}


@click.command("lint")
@dataset_option
@kind_option
@writer_option
@click.option("--rule", "-r", "rules", multiple=True, type=click.Choice(list(RULES)), help="May be given again. [all]")
@click.option(
    "--status", type=click.Choice(list(_STATUSES)), default="any", show_default=True, help="Never rejected texts."
)
@click.option("--strict", is_flag=True, help="Fail for warnings too.")
@click.option(
    "--context-length",
    type=click.IntRange(min=3),
    default=Limits.context_length,
    show_default=True,
    help="Tokens that CLIP's text encoder reads, including start and end.",
)
@click.option(
    "--shared",
    type=click.IntRange(min=2),
    metavar="N",
    help="So many classes may not have the same text of kind context. [5% of all, at least 3]",
)
@click.option(
    "--encoder",
    "-e",
    metavar="NAME",
    help="Check the meaning too, with this text encoder: minilm (bundled), ViT-B/16, hf:... [off: it loads a model]",
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
    """Find faults in descriptors: cut off, echoing the prompt, repeated, shared, not visible.

    The exit code is 1 when there are errors (with --strict also for warnings), else 0.
    """
    store = database.existing
    actions = store.resolve(dataset)
    choice = Choice(_STATUSES[status], tables.select_kinds(store, wanted), llm)
    descriptors = choose(actions, store.descriptors(actions, statuses=STATUSES), choice)
    limits = Limits(context_length, shared, items_of_templates())
    report = lint_report(actions, descriptors, limits, rules, encoder)
    if as_json:
        print_json(report)
    else:
        console.print(listing(actions, report) if verbose else summary(report), soft_wrap=True)
    if report.errors or (strict and report.warnings):
        faults = f"{report.errors} errors" + (f" and {report.warnings} warnings" if strict else "")
        raise UserError(f"{faults} in the descriptors of {actions.name}. To list them: --verbose, or --json")
