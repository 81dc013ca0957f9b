"""`descgen build`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from db.commandline import Database, console, json_option, notes, print_json, progress, trust_option
from db.errors import UsageError
from descriptor_gen import tables
from descriptor_gen.commands.api import (
    api_options,
    batch_file_options,
    end_if_stopped,
    interruptible,
    param_option,
    refuse_incomplete,
)
from descriptor_gen.commands.options import (
    action_option,
    dataset_option,
    kind_option,
    language_option,
    name_option,
    number_option,
    template_option,
)
from descriptor_gen.commands.planning import locked_option, planned, refuse_other_build, refuse_other_result
from descriptor_gen.llms.options import ApiOptions
from encoders.registry import trusting_files


@click.command()
@locked_option
@dataset_option
@name_option
@click.option(
    "--llm",
    "-l",
    "llm_name",
    default="smollm2",
    show_default=True,
    metavar="NAME",
    help="A short name, hf:<repo or folder>, a .gguf file, openai:<model>; descgen llms lists all forms.",
)
@kind_option
@action_option
@template_option
@click.option(
    "--against",
    metavar="text[:ENCODER]|run:RUN",
    help="For kinds that compare classes: rivals by similarity of text, or by a run's confusions. [text:minilm]",
)
@number_option("--rivals", "rival_count", default=3, about="For kinds that compare classes: number of rivals.")
@number_option("--limit", about="Only the first classes, in label order.")
@number_option("--samples", default=1, about="Independent replies for each class and kind.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="0 is greedy decoding. [0; 0.8 with several samples]")
@click.option("--seed", type=int, default=0, show_default=True, help="Sampling seed; ignored by greedy decoding.")
@language_option
@number_option("--max-tokens", about="Cut replies off after this many tokens. [as the template says]")
@number_option("--attempts", default=3, about="Most calls for one valid reply.")
@click.option("--refresh", is_flag=True, help="Ignore the cache; the old replies stay as history.")
@click.option("--dry-run", is_flag=True, help="Show the calls and their estimated cost; make none.")
@batch_file_options
@number_option("--batch-size", default=16, about="Conversations that a local model decodes together.")
@click.option("--base-url", envvar="OPENAI_BASE_URL", show_envvar=True, help="Address of an OpenAI-compatible server.")
@param_option
@number_option("--reasoning-tokens", about="Room for the thoughts of an API model, besides its reply.")
@api_options
@trust_option(trusting_files)
@json_option
@click.pass_obj
def build(
    database: Database,
    /,
    llm_name: str,
    locked: Path | None,
    api: ApiOptions,
    write_batch: Path | None,
    read_batch: tuple[Path, ...],
    dry_run: bool,
    as_json: bool,
    **asked: Any,
) -> None:
    """Write the missing descriptors of a dataset with an LLM.

    Replies are stored batch by batch: you can stop at any time, and run it again to continue.
    """
    from descriptor_gen.generate import batch_file
    from descriptor_gen.generate.build import build_descriptors, estimate_build
    from descriptor_gen.llms.registry import toy_note
    from descriptor_gen.prompting.prompt import origin_notes

    if write_batch or read_batch:
        api, asked["attempts"] = replace(api, batch_files=read_batch), 1
    dataset, llm, prompts, options = planned(database, llm_name=llm_name, api=api, **asked)
    if (write_batch or read_batch) and not isinstance(llm, batch_file.AskedByFile):
        raise UsageError(f"{llm_name} is not asked by files: leave out --write-batch and --read-batch")
    refuse_other_build(database, locked, dataset, llm, prompts, options)
    for note in filter(None, (*origin_notes(prompts), toy_note(llm_name))):
        notes.print(note, soft_wrap=True)
    if dry_run:
        estimate = estimate_build(database.store, dataset, llm=llm, prompts=prompts, options=options)
        print_json(estimate) if as_json else console.print(tables.estimate(estimate), soft_wrap=True)
        return
    if write_batch and isinstance(llm, batch_file.AskedByFile):
        written = batch_file.write_batch(
            database.store, dataset, write_batch, llm=llm, prompts=prompts, options=options
        )
        print_json(written) if as_json else console.print(tables.written_batch(written), soft_wrap=True)
        return
    with interruptible(llm), progress(f"{dataset.name}, {llm.identity.model}", "calls") as advance:
        report = build_descriptors(
            database.store, dataset, llm=llm, prompts=prompts, options=options, on_progress=advance
        )
    print_json(report) if as_json else console.print(tables.build_report(report), soft_wrap=True)
    end_if_stopped(report, api)
    refuse_incomplete(report, api, refresh=options.refresh)
    refuse_other_result(database, locked, dataset)
