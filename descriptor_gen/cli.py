"""The command `descgen`."""

from __future__ import annotations

import click

from db import vocabulary
from db.commandline import Commands, Database, console, database_option, json_option, print_json, progress, resolve
from db.errors import UserError
from descriptor_gen import show
from descriptor_gen.prompt import kinds, load_prompts

dataset_option = click.option(
    "--dataset",
    "-d",
    required=True,
    metavar="NAME|PATH",
    help=f"{', '.join(vocabulary.BUILT_IN)}; a text file of labels; or a folder of class folders.",
)
kind_option = click.option(
    "--kind", "-k", "wanted", multiple=True, metavar="KIND", help=f"{', '.join(kinds())}; may be given again. [all]"
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="descgen-recognize")
@database_option
@click.pass_context
def descgen(context: click.Context, url: str) -> None:
    """Write, cache and read descriptors of actions.

    \b
    descgen build --dataset hmdb51 --llm llama     write them (run it again: only what is missing)
    descgen list --dataset hmdb51                  what there is, by class
    descgen show --dataset hmdb51 --action wave    the texts of a class
    """
    context.obj = Database(url)
    context.call_on_close(context.obj.close)


@descgen.command()
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

    prompts = load_prompts(wanted or kinds())
    actions = resolve(database.store, dataset)
    llm = open_llm(llm_name, batch_size=batch_size, base_url=base_url)
    with progress(f"{actions.name}, {llm.identity.model}", "calls") as advance:
        report = build_descriptors(database.store, actions, llm=llm, prompts=prompts, limit=limit, on_progress=advance)
    print_json(report) if as_json else console.print(show.build_report(report), soft_wrap=True)
    if report.invalid or report.failed:
        raise UserError(
            f"{report.invalid + report.failed} calls gave no descriptors. Run the same command to try again"
        )


@descgen.command("list")
@dataset_option
@kind_option
@json_option
@click.pass_obj
def list_actions(database: Database, dataset: str, wanted: tuple[str, ...], as_json: bool) -> None:
    """List the classes of a dataset with how many descriptors each has."""
    store = database.existing
    actions = resolve(store, dataset)
    names = [prompt.kind for prompt in load_prompts(wanted)] or None
    rows = show.action_rows(actions, store.descriptors(actions, kinds=names))
    print_json(rows) if as_json else console.print(show.action_table(actions, rows))


@descgen.command("show")
@dataset_option
@click.option(
    "--action",
    "-a",
    "wanted_actions",
    multiple=True,
    metavar="NAME",
    help="Class name or phrase; may be given again. [all]",
)
@kind_option
@json_option
@click.pass_obj
def show_descriptors(
    database: Database, dataset: str, wanted_actions: tuple[str, ...], wanted: tuple[str, ...], as_json: bool
) -> None:
    """Show the descriptors of classes, and which LLM wrote them."""
    store = database.existing
    actions = show.select(resolve(store, dataset), wanted_actions)
    names = [prompt.kind for prompt in load_prompts(wanted)] or None
    found = store.descriptors(actions, kinds=names)
    if not found:
        raise UserError(f"No descriptors for {actions.name} here. Write them with: descgen build --dataset {dataset}")
    print_json(found) if as_json else console.print(show.descriptor_tree(actions, found))


@descgen.command()
@json_option
@click.pass_obj
def stats(database: Database, as_json: bool) -> None:
    """Count what the database holds: descriptors by dataset, kind and LLM; calls, tokens and time by LLM."""
    store = database.existing
    counts = {"descriptors": store.counts(), "calls": store.generation_counts()}
    print_json(counts) if as_json else console.print(show.stats(counts))


@descgen.command()
@json_option
@click.pass_obj
def datasets(database: Database, as_json: bool) -> None:
    """List the datasets: built in, and your own."""
    rows = show.dataset_rows(database.url)
    print_json(rows) if as_json else console.print(show.dataset_table(rows))


@descgen.command()
@json_option
def llms(as_json: bool) -> None:
    """List the short names of LLMs, and which can be used here and now."""
    rows = show.llm_rows()
    print_json(rows) if as_json else console.print(show.llm_table(rows))
