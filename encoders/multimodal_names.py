"""Names of multimodal embedders of sentence-transformers: `st:REPO@REVISION?OPTION=VALUE&OPTION=VALUE`.

The options: `texts` and `videos` are instructions; `frames` is T of a clip, `side` that of its squares in pixels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from db.errors import UsageError, UserError, unknown
from encoders.protocol import Precision, Traits
from encoders.weights import hub_commit, hub_file, sha256_of, split_revision

PREFIX = "st:"
# These models take any number of frames of any size, and name none.
_SIZES = {"frames": 16, "side": 224}
_LARGEST = {"frames": 2048, "side": 2048}
CONFIG = "config_sentence_transformers.json"
_MODEL_FILES = (".safetensors", ".bin", ".json", ".jinja", ".txt", ".model")
_OWN_MODULES = "sentence_transformers."
# Which of the model's own prompts is taken. `encode_query` and `encode_document` take these as well: each model has a
# `document` there, "" if its files have none, so that they never take `passage` or `corpus`.
_PROMPTS = {"texts": "query", "videos": "document"}
_NOTE = (
    "Videos are {frames} frames, cut to squares of {side} px and taken as 2 frames a second, whatever the video's "
    "length: a model that reads times in its prompt reads these"
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a model lies, and what determines its embeddings.

    Attributes:
        model: a folder, or OWNER/NAME.
        id: its name without paths and instructions.
        revision: a digest of the folder's files, or a commit.
        instructions: of `texts` and of `videos`; "" is none.
        frames: T of a clip.
        side: of the squares that frames are cut to, in pixels.
    """

    model: str
    id: str
    revision: str
    instructions: Mapping[str, str]
    frames: int
    side: int

    def traits(self, precision: Precision) -> Traits:
        """Return what is known of the model before its weights load; each instruction is part of a key."""
        own = {} if precision == "float32" else {"precision": precision}
        return Traits(
            precision=precision,
            key={"videos": self.instructions["videos"], "side": str(self.side), **own},
            texts_key={"texts": self.instructions["texts"]},
            clip_frames=self.frames,
            notes=(_NOTE.format(frames=self.frames, side=self.side),),
        )


def source_of(name: str) -> Source:
    """Return what `st:...` names.

    Raises:
        UsageError: an option after `?` is unknown, or its value is not possible.
        UserError: there is no such model, or it brings code of its own.
    """
    model, _, options = name.removeprefix(PREFIX).partition("?")
    given = _options(name, options)
    folder = Path(model).expanduser()
    if folder.is_dir():
        model, id_, revision = str(folder), f"{PREFIX}{folder.resolve().name}", _digest(folder)
        config: Path | None = folder / CONFIG
    else:
        model, wanted = split_revision(model)
        id_ = f"{PREFIX}{model}"
        revision = hub_commit(model, wanted, hint="A copy in a folder is st:FOLDER.", files=(CONFIG,))
        config = hub_file(model, CONFIG, revision)
    prompts = _prompts(config) if config else {}
    instructions = {side: given.get(side, prompts.get(name) or "") for side, name in _PROMPTS.items()}
    sizes = {option: _size(name, option, given.get(option, str(size))) for option, size in _SIZES.items()}
    return Source(model=model, id=id_, revision=revision, instructions=instructions, **sizes)


def _size(name: str, option: str, value: str) -> int:
    if not value.isascii() or not value.isdecimal() or not 1 <= int(value) <= _LARGEST[option]:
        raise UsageError(f"--encoder {name}: {option}={value}: write a whole number from 1 to {_LARGEST[option]}")
    return int(value)


def _options(name: str, options: str) -> dict[str, str]:
    given = {}
    for part in filter(None, options.split("&")):
        option, _, value = part.partition("=")
        if option not in (*_PROMPTS, *_SIZES):
            raise UsageError(f"--encoder {name}: {unknown('option', option, [*_PROMPTS, *_SIZES])}")
        given[option] = unquote_plus(value)
    return given


def _prompts(config: Path) -> Mapping[str, str | None]:
    content = _read(config)
    prompts = content.get("prompts") or {} if isinstance(content, dict) else None
    if not isinstance(prompts, dict) or not all(isinstance(prompt, str | None) for prompt in prompts.values()):
        raise UserError(f"{config} is not as sentence-transformers writes it: an object with `prompts`, texts by name.")
    return prompts


def _digest(folder: Path) -> str:
    """Return the sha256 of the names and contents of a model's files, those of its modules' folders too."""
    modules = folder / "modules.json"
    if not modules.is_file() or not (folder / CONFIG).is_file():
        raise UserError(f"{folder} has no modules.json or no {CONFIG}: not a folder that sentence-transformers saved.")
    foreign = [type_ for type_ in _module_types(modules) if not type_.startswith(_OWN_MODULES)]
    if foreign:
        raise UserError(f"{folder} brings code of its own ({', '.join(foreign)} in modules.json), which is never run.")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in _MODEL_FILES)
    listing = "\n".join(f"{path.relative_to(folder).as_posix()} {sha256_of(path)}" for path in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def _module_types(modules: Path) -> list[str]:
    content = _read(modules)
    entries = content if isinstance(content, list) else []
    types = [entry["type"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("type"), str)]
    if not types or len(types) < len(entries):
        raise UserError(f"{modules} is not as sentence-transformers writes it: a list of modules, each with a `type`.")
    return types


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
