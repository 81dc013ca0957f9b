"""`descgen lint`."""

from __future__ import annotations

from contextlib import nullcontext

import click

from db.commandline import Database, bar, console, json_option, print_json, trust_option
from db.descriptor_filter import DescriptorFilter, filter_descriptors
from db.errors import UserError
from db.progress import no_progress
from db.records import STATUSES
from descriptor_gen import tables
from descriptor_gen.commands.options import USABLE, dataset_option, kind_option, usable_option, writer_option
from descriptor_gen.lint.rules import RULES, Limits, lint_report, template_items
from descriptor_gen.lint.table import listing, summary
from encoders.registry import trusting_files


@click.command("lint")
@dataset_option
@kind_option
@writer_option
@click.option("--rule", "-r", "rules", multiple=True, type=click.Choice(list(RULES)), help="May be given again. [all]")
@usable_option
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
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
    help="Report a context text that N or more classes share. [5% of all classes, at least 3]",
)
@click.option(
    "--encoder",
    "-e",
    metavar="NAME",
    help="Also check the meaning (rule sense) with this text encoder: minilm (bundled), ViT-B/16, hf:... [off]",
)
@click.option("--verbose", "-v", is_flag=True, help="List every finding, by class and kind.")
@trust_option(trusting_files)
@json_option
@click.pass_obj
def lint_descriptors(
    database: Database,
    dataset_name: str,
    kind_names: tuple[str, ...],
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
    """Find faults in descriptors: too long, echoing the prompt, repeated, shared, not visible.

    The exit code is 1 when there are errors (with --strict also for warnings), else 0.
    """
    store = database.reading(as_json=as_json)
    dataset = store.resolve(dataset_name)
    descriptor_filter = DescriptorFilter(USABLE[status], tables.select_kinds(store, kind_names), llm)
    stored = store.descriptors(dataset, statuses=STATUSES)
    descriptors = filter_descriptors(dataset, stored, descriptor_filter) if stored or not as_json else []
    limits = Limits(context_length, shared, template_items())
    with bar(f"{dataset.name}, {encoder}", "texts") if encoder else nullcontext(no_progress) as advance:
        report = lint_report(dataset, descriptors, limits, rules, encoder, on_batch=advance)
    if as_json:
        print_json(report)
    else:
        console.print(listing(dataset, report) if verbose else summary(report), soft_wrap=True)
    if report.errors or (strict and report.warnings):
        faults = f"{report.errors} errors" + (f" and {report.warnings} warnings" if strict else "")
        raise UserError(f"{faults} in the descriptors of {dataset.name}. List them with --verbose or --json")
