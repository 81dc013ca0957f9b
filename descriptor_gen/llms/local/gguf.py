"""GGUF files, unpacked once. transformers reads one with Python loops on every load: half a minute for 135M weights."""

from __future__ import annotations

import json
import shutil
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from platformdirs import user_cache_path

from db.errors import UserError
from descriptor_gen.llms.revisions import file_digest


def unpacked(file: Path, digest: str, dtype: Any) -> Path:
    """Return a folder with the model of a GGUF file as safetensors, made at the first call.

    The weights are the dequantised ones, in `dtype`; the folder lies in the user's cache and may be deleted.

    Raises:
        UserError: the file's sha256 is not `digest`, or transformers cannot read the file.
    """
    folder: Path = user_cache_path("descgen") / "gguf" / f"{digest[:16]}-{str(dtype).removeprefix('torch.')}"
    if not (folder / "config.json").is_file():
        _check(file, digest)
        _unpack(file, folder, dtype)
    return folder


def _check(file: Path, digest: str) -> None:
    found = file_digest(file)
    if found != digest:
        raise UserError(f"{file} has sha256 {found}, expected {digest}. Install it again")


def _unpack(file: Path, folder: Path, dtype: Any) -> None:
    """Write beside the place and rename, so that a folder that is there is a whole one."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    room = Path(mkdtemp(prefix=folder.name, dir=folder.parent))
    try:
        _write(file, room, dtype)
        room.rename(folder)
    except OSError:
        if not (folder / "config.json").is_file():  # else: another process was first
            raise
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _write(file: Path, folder: Path, dtype: Any) -> None:
    from safetensors.torch import save_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"gguf_file": file.name, "local_files_only": True}
    try:
        with redirect_stderr(StringIO()):  # a progress bar that cannot be switched off
            model = AutoModelForCausalLM.from_pretrained(file.parent, dtype=dtype, **source)
            tokenizer = AutoTokenizer.from_pretrained(file.parent, **source)
    except Exception as error:  # a broken file can fail anywhere in the reader: struct.error, KeyError, MemoryError
        raise UserError(f"transformers cannot read {file}: {error}") from error
    tokenizer.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    save_model(model, str(folder / "model.safetensors"), metadata={"format": "pt"})
    config = model.config.to_dict()
    config.pop("quantization_config", None)  # the weights are plain now
    (folder / "config.json").write_text(json.dumps({**config, "architectures": [type(model).__name__]}, default=str))
