"""`descgen build`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import Database, console, json_option, print_json, progress, resolve
from db.errors import UserError
from descriptor_gen import show
from descriptor_gen.commands.options import dataset_option, kind_option, template_option
from descriptor_gen.prompt import choose_prompts


@click.command()
@dataset_option
@click.option(
    "--llm",
    "-l",
    "llm_name",
    default="smollm2",
    show_default=True,
    metavar="NAME",
    help="A short name (descgen llms), hf:<repo or folder>, a .gguf file, or openai:<model>.",
)
@kind_option
@template_option
@click.option("--limit", type=click.IntRange(min=1), help="Only the first classes, in label order.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="Conversations that a local model decodes together.",
)
@click.option("--base-url", envvar="OPENAI_BASE_URL", show_envvar=True, help="An OpenAI-compatible server.")
@json_option
@click.pass_obj
def build(
    database: Database,
    dataset: str,
    llm_name: str,
    wanted: tuple[str, ...],
    templates: tuple[Path, ...],
    limit: int | None,
    batch_size: int,
    base_url: str | None,
    as_json: bool,
) -> None:
    """Write the missing descriptors of a dataset with an LLM.

    Each reply is committed with its batch: stop it at any time, and run it again to go on.
    """
    from descriptor_gen.build import build_descriptors
    from descriptor_gen.llms.registry import open_llm

    prompts = choose_prompts(wanted, templates)
    actions = resolve(database.store, dataset)
    llm = open_llm(llm_name, batch_size=batch_size, base_url=base_url)
    with progress(f"{actions.name}, {llm.identity.model}", "calls") as advance:
        report = build_descriptors(database.store, actions, llm=llm, prompts=prompts, limit=limit, on_progress=advance)
    print_json(report) if as_json else console.print(show.build_report(report), soft_wrap=True)
    if report.invalid or report.failed:
        raise UserError(
            f"{report.invalid + report.failed} calls gave no descriptors. Run the same command to try again"
        )
