"""`descgen build`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from db.commandline import Database, console, json_option, notes, print_json, progress, trust_option
from db.errors import UsageError, UserError
from descriptor_gen import tables
from descriptor_gen.commands.api import api_options, batch_file_options, end_if_stopped, interruptible, param_option
from descriptor_gen.commands.options import (
    action_option,
    dataset_option,
    kind_option,
    language_option,
    name_option,
    number_option,
    stored_templates,
    template_option,
)
from descriptor_gen.llms import Sampling
from descriptor_gen.llms.options import ApiOptions
from encoders.registry import trusting_files

_SAMPLES_TEMPERATURE = 0.8  # default for several samples
_TO_RETRY = {
    False: "Run the same command to retry them",
    True: "To retry them: the same command with --write-batch instead of --read-batch, or without both",
}


@click.command()
@dataset_option
@name_option
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
@action_option
@template_option
@click.option(
    "--against",
    metavar="text[:ENCODER]|run:ID",
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
    dataset_name: str,
    name: str | None,
    llm_name: str,
    kind_names: tuple[str, ...],
    templates: tuple[Path, ...],
    action_names: tuple[str, ...],
    temperature: float | None,
    seed: int,
    batch_size: int,
    base_url: str | None,
    against: str | None,
    rival_count: int,
    api: ApiOptions,
    parameters: dict[str, Any],
    reasoning_tokens: int | None,
    write_batch: Path | None,
    read_batch: tuple[Path, ...],
    dry_run: bool,
    as_json: bool,
    **build_options: Any,
) -> None:
    """Write the missing descriptors of a dataset with an LLM.

    Replies are stored batch by batch: you can stop at any time, and run it again to continue.
    """
    from descriptor_gen.generate import batch_file
    from descriptor_gen.generate.build import build_descriptors, estimate_build
    from descriptor_gen.generate.calls import BuildOptions
    from descriptor_gen.generate.rivals import find_rivals
    from descriptor_gen.llms.registry import LLMOptions, open_llm, toy_note
    from descriptor_gen.prompting.prompt import choose_prompts, origin_notes

    if temperature is not None and "temperature" in parameters:
        raise UsageError("--temperature and --param temperature=null contradict each other: leave one out")
    prompts = choose_prompts(kind_names, templates, stored_templates(database))
    dataset = database.store.resolve(dataset_name, name=name, update="phrases")
    names = tuple(action.name for action in tables.select(dataset, action_names).actions)
    rivals = find_rivals(database.store, dataset, prompts, against, count=rival_count)
    options = BuildOptions(actions=names, rivals=rivals, **build_options)
    if write_batch or read_batch:
        api, options = replace(api, batch_files=read_batch), replace(options, attempts=1)
    sampling = _sampling(temperature, seed, options.samples)
    llm_options = LLMOptions(batch_size, base_url, sampling, api, parameters, reasoning_tokens)
    llm = open_llm(llm_name, llm_options)
    if (write_batch or read_batch) and not isinstance(llm, batch_file.AskedByFile):
        raise UsageError(f"{llm_name} is not asked by files: leave out --write-batch and --read-batch")
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
    if report.invalid or report.failed:
        raise UserError(f"{report.invalid + report.failed} calls gave no descriptors. {_TO_RETRY[bool(read_batch)]}")


def _sampling(temperature: float | None, seed: int, samples: int) -> Sampling:
    if samples > 1 and temperature == 0:
        raise UsageError(f"--samples {samples} at --temperature 0 would give the same reply {samples} times")
    return Sampling(_SAMPLES_TEMPERATURE if temperature is None and samples > 1 else temperature or 0.0, seed)
