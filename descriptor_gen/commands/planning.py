"""What a build asks, from the options of `descgen build`; the same by a lock."""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.core import ParameterSource

from db.commandline import Database
from db.errors import UsageError
from db.local_paths import without_folders
from db.records import Dataset
from descriptor_gen import tables
from descriptor_gen.commands.options import stored_templates
from descriptor_gen.llms import LLM, Sampling
from descriptor_gen.llms.options import ApiOptions

if TYPE_CHECKING:
    from descriptor_gen.generate.calls import BuildOptions
    from descriptor_gen.prompting.prompt import Prompt

_SAMPLES_TEMPERATURE = 0.8  # default for several samples
RECORDED = (
    *("llm_name", "kind_names", "action_names", "against", "rival_count", "limit", "samples", "temperature", "seed"),
    *("language", "max_tokens", "parameters", "reasoning_tokens", "batch_size"),
)
"""Parameters of `descgen build` that a lock records: those that determine the texts, but for files of this machine."""


class Planned(NamedTuple):
    """A build before it is made."""

    dataset: Dataset
    llm: LLM
    prompts: Sequence[Prompt]
    options: BuildOptions


def planned(
    database: Database,
    *,
    dataset_name: str,
    name: str | None,
    llm_name: str,
    kind_names: tuple[str, ...],
    templates: tuple[Path, ...],
    action_names: tuple[str, ...],
    against: str | None,
    rival_count: int,
    temperature: float | None,
    seed: int,
    parameters: dict[str, Any],
    reasoning_tokens: int | None,
    base_url: str | None,
    batch_size: int,
    api: ApiOptions = ApiOptions(),  # noqa: B008 - frozen
    **build_options: Any,
) -> Planned:
    """Return what the options of `descgen build` ask for.

    Raises:
        UsageError: options contradict each other, or a name is unknown.
        UserError: a template has faults, or the revision of the model cannot be determined.
    """
    from descriptor_gen.generate.calls import BuildOptions
    from descriptor_gen.generate.rivals import find_rivals
    from descriptor_gen.llms.registry import LLMOptions, open_llm
    from descriptor_gen.prompting.prompt import choose_prompts

    if temperature is not None and "temperature" in parameters:
        raise UsageError("--temperature and --param temperature=null contradict each other: leave one out")
    prompts = choose_prompts(kind_names, templates, stored_templates(database))
    dataset = database.store.resolve(dataset_name, name=name, update="phrases")
    names = tuple(action.name for action in tables.select(dataset, action_names).actions)
    rivals = find_rivals(database.store, dataset, prompts, against, count=rival_count)
    options = BuildOptions(actions=names, rivals=rivals, **build_options)
    sampling = _sampling(temperature, seed, options.samples)
    llm = open_llm(llm_name, LLMOptions(batch_size, base_url, sampling, api, parameters, reasoning_tokens))
    return Planned(dataset, llm, prompts, options)


def _sampling(temperature: float | None, seed: int, samples: int) -> Sampling:
    if samples > 1 and temperature == 0:
        raise UsageError(f"--samples {samples} at --temperature 0 would give the same reply {samples} times")
    return Sampling(_SAMPLES_TEMPERATURE if temperature is None and samples > 1 else temperature or 0.0, seed)


def _take_values(context: click.Context, _option: click.Parameter, path: Path | None) -> Path | None:
    """Let the options that are not given take the values of a lock; click reads this option before them."""
    if path is not None and not context.resilient_parsing:
        from descriptor_gen.generate.lock import read_lock

        lock = read_lock(path)
        values = {"dataset_name": lock.dataset, **{name: lock.options.get(name) for name in RECORDED}}
        known = {name: value for name, value in values.items() if value is not None}
        context.default_map = ChainMap(known, dict(context.default_map or {}))
    return path


locked_option = click.option(
    "--locked",
    type=click.Path(dir_okay=False, path_type=Path),
    is_eager=True,
    callback=_take_values,
    metavar="FILE",
    help="Build what the lock FILE (descgen lock) holds, or say what differs; its options need not be given.",
)


def recorded_options(values: Mapping[str, Any], prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Return the options that a lock records, in the form in which click takes them: kinds, and what was given."""
    source = click.get_current_context().get_parameter_source
    given = {name: values[name] for name in RECORDED if source(name) is not ParameterSource.DEFAULT}
    if parameters := given.pop("parameters", None):
        given["parameters"] = [f"{name}={json.dumps(value)}" for name, value in parameters.items()]
    if without_folders(values["llm_name"]) == values["llm_name"]:
        given["llm_name"] = values["llm_name"]
    else:
        given.pop("llm_name", None)
    return {**given, "kind_names": [prompt.kind for prompt in prompts]}


def refuse_other_build(
    database: Database, path: Path | None, dataset: Dataset, llm: LLM, prompts: Sequence[Prompt], options: BuildOptions
) -> None:
    """Refuse a planned build that would not make the calls of a lock, or has other replies to them in its cache."""
    if path is None:
        return
    from descriptor_gen.generate.calls import plan
    from descriptor_gen.generate.lock import cached_texts, plan_lock, read_lock, refuse_differences, refuse_other_texts

    lock = read_lock(path)
    calls = plan(llm, dataset, prompts, options)
    refuse_differences(lock, plan_lock(dataset, llm, prompts, calls, options={}, texts={}))
    if not options.refresh:
        advice = "Ask again with --refresh, or build in a database of its own: --db FILE"
        refuse_other_texts(lock, cached_texts(database.store, lock), advice=advice)


def refuse_other_result(database: Database, path: Path | None, dataset: Dataset) -> None:
    """Refuse the texts in use after a build by a lock, if they are not those of the lock."""
    if path is None:
        return
    from descriptor_gen.generate.lock import read_lock, refuse_other_texts, texts_in_use

    lock = read_lock(path)
    advice = (
        "The calls were the same, so the model computes otherwise here (device, precision, versions: descgen history "
        "--json), or people changed texts. Texts that have to be the same anywhere: descgen pack"
    )
    refuse_other_texts(lock, texts_in_use(database.store, dataset, lock), advice=advice)
