"""GGUF files, unpacked once, because transformers reads them slowly: half a minute for 135M weights at each load."""

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
from encoders.weights import sha256_of


def unpacked(file: Path, digest: str, dtype: Any) -> Path:
    """Return a folder with the dequantised model of a GGUF file as safetensors of `dtype`, written at the first call.

    The folder lies in the user's cache and may be deleted.

    Raises:
        UserError: the file's sha256 is not `digest`, or transformers cannot read the file.
    """
    folder: Path = user_cache_path("descgen") / "gguf" / f"{digest[:16]}-{str(dtype).removeprefix('torch.')}"
    if not (folder / "config.json").is_file():
        if (actual := sha256_of(file)) != digest:
            raise UserError(f"{file} has sha256 {actual}, expected {digest}. Install it again")
        _unpack(file, folder, dtype)
    return folder


def _unpack(file: Path, folder: Path, dtype: Any) -> None:
    """Write to a temporary folder and rename it, so that the final folder is always complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(mkdtemp(prefix=folder.name, dir=folder.parent))
    try:
        _write(file, temporary, dtype)
        temporary.rename(folder)
    except OSError:
        if not (folder / "config.json").is_file():  # else: another process was first
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(file: Path, folder: Path, dtype: Any) -> None:
    from safetensors.torch import save_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"gguf_file": file.name, "local_files_only": True}
    try:
        with redirect_stderr(StringIO()):  # hides a progress bar that has no switch
            model = AutoModelForCausalLM.from_pretrained(file.parent, dtype=dtype, trust_remote_code=False, **source)
            tokenizer = AutoTokenizer.from_pretrained(file.parent, trust_remote_code=False, **source)
    except Exception as error:  # a broken file can fail anywhere in the reader: struct.error, KeyError, MemoryError
        raise UserError(f"transformers cannot read {file}: {error}") from error
    tokenizer.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    save_model(model, str(folder / "model.safetensors"), metadata={"format": "pt"})
    config = model.config.to_dict()
    config.pop("quantization_config", None)  # the weights are no longer quantised
    (folder / "config.json").write_text(json.dumps({**config, "architectures": [type(model).__name__]}, default=str))
