"""What is said of a name that no encoder has: the true reason, and what to type instead."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence

from db.errors import did_you_mean, letters, shortened
from db.prefixes import hub_repository, meant_prefix
from encoders.multimodal_names import CONFIG as MULTIMODAL_CONFIG
from encoders.multimodal_names import PREFIX as MULTIMODAL
from encoders.open_clip_files import PREFIX as OPEN_CLIP
from encoders.open_clip_files import what_to_type, without_architecture
from encoders.weights import path_of

OF_TEXTS = "minilm"  # bundled; only `open_text_encoder` opens it
FORMS = (
    "a .pt file of openai-clip; hf:REPO, hf:REPO@REVISION or hf:FOLDER for dual encoders of transformers, such as "
    "hf:google/siglip2-base-patch16-224; open_clip:ARCH/TAG, open_clip:ARCH/FILE or open_clip:hf-hub:REPO for those of "
    "open_clip; st:REPO or st:FOLDER for embedders of videos of sentence-transformers; module:factory for your own; "
    "imported:NAME for embeddings made elsewhere"
)
CONFIGS = {  # what tells the kind of a model folder
    "open_clip_config.json": "open_clip",
    MULTIMODAL_CONFIG: "sentence-transformers",
    "config.json": "transformers",
}
# Other spellings of prefixes, by their letters and digits; `hf-hub:` and `local-dir:` are what open_clip itself takes.
_PREFIXES = {
    "hf": "hf:",
    "huggingface": "hf:",
    "openclip": "open_clip:",
    "hfhub": "open_clip:hf-hub:",
    "localdir": "open_clip:local-dir:",
    "st": MULTIMODAL,
    "sentencetransformers": MULTIMODAL,
    "imported": "imported:",
}
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_WEIGHTS = (".pt", ".pth", ".bin", ".safetensors")


def other_spelling(name: str) -> str | None:
    """Return a name with the prefix that was meant in place of one that is spelled otherwise, such as `HF:`."""
    return meant_prefix(name, _PREFIXES)


def why_unknown(name: str, known: Sequence[str]) -> str:
    """Return the message for a name that is no encoder's.

    Args:
        name: what was typed.
        known: the plain names to choose from.
    """
    model, mark, _ = name.partition("?")
    if mark and model in known:
        return f"The options after ? are those of models of sentence-transformers: leave them out, {_typed(model)}"
    if message := next(filter(None, (tell(name) for tell in _EXACT)), ""):
        return message
    return f"{_file_or_folder(name) or _guessed(name, known)}Known: {', '.join(known)}, {FORMS}"


def _typed(name: str) -> str:
    return f"--encoder {shlex.quote(name)}"


def _texts_only(name: str) -> str:
    if name != OF_TEXTS:
        return ""
    return (
        f"{OF_TEXTS} embeds texts, and no frames of videos: it is for descgen similarity and descgen lint. "
        "For videos, without any download too: --encoder objects"
    )


def _of_another_prefix(name: str) -> str:
    meant = other_spelling(name)
    if meant is None:
        return ""
    return f"Unknown encoder {name!r}. {_of_open_clip(meant) or f'Did you mean {_typed(meant)}'}"


def _of_open_clip(meant: str) -> str:
    """Return what to type for `open_clip:ARCH/TAG`, if there is such an architecture."""
    return what_to_type(meant.removeprefix(OPEN_CLIP)) if meant.startswith(OPEN_CLIP) else ""


def _at_hub(name: str) -> str:
    repository = hub_repository(name)
    return f"{name} is an address. {_as_repository(repository)}".rstrip() if repository else ""


def _as_repository(repository: str) -> str:
    forms = [_typed(prefix + repository) for prefix in ("hf:", "open_clip:hf-hub:", MULTIMODAL)]
    return (
        f"For a repository of Hugging Face: {forms[0]} (files of transformers), {forms[1]} (of open_clip) or "
        f"{forms[2]} (of sentence-transformers). "
    )


def _with_options(name: str) -> str:
    """Return what is said of `NAME?frames=4` without the prefix `st:`."""
    model, mark, _ = name.partition("?")
    if not mark or not model:
        return ""
    if path_of(model).is_dir():
        return (
            f"The options after ? are those of models of sentence-transformers, and the folder {model} has no "
            f"{MULTIMODAL_CONFIG}. Leave them out: {_typed(model)}"
        )
    if not _REPOSITORY.fullmatch(model):
        return ""
    return f"There is no folder {model}. For a repository of sentence-transformers: {_typed(MULTIMODAL + name)}"


def _file_or_folder(name: str) -> str:
    path = path_of(name)
    if path.is_dir() and name:
        configs = ", ".join(f"{file} ({package})" for file, package in CONFIGS.items())
        return f"The folder {name} holds no model; it has none of {configs}. "
    if path.is_file():
        return f"{without_architecture(name)}. "
    if name.endswith(_WEIGHTS) and not path_of(name.partition("/")[2]).is_file():  # `ARCH/FILE`
        return f"There is no file {name}. "
    return f"There is no folder or file {name}. " if _is_path(name) else ""


def _is_path(name: str) -> bool:
    if _REPOSITORY.fullmatch(name) and not name.startswith("."):
        return False
    return name.startswith(("/", "./", "../", "~", ".\\")) or name.endswith("/") or name in (".", "..")


_EXACT: tuple[Callable[[str], str], ...] = (_texts_only, _of_another_prefix, _at_hub, _with_options)


def _guessed(name: str, known: Sequence[str]) -> str:
    """Return what may have been meant: a plain name, an architecture of open_clip, or a repository."""
    near = did_you_mean(name, [*known, OF_TEXTS])
    same = letters(name) in map(letters, known)
    of_open_clip = what_to_type(name, guess=not near)
    if of_open_clip:
        return f"Unknown encoder {shortened(name)!r}. {near if same else ''}{of_open_clip}. "
    if OF_TEXTS in near:
        near += f"{OF_TEXTS} embeds texts only. "
    repository = _as_repository(name) if not near and _REPOSITORY.fullmatch(name) else ""
    return f"Unknown encoder {shortened(name)!r}. {near}{repository}"
