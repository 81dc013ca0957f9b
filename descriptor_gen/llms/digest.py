"""Which weights are these? Digests of local files and commits of hub repositories, without loading anything."""

from __future__ import annotations

import hashlib
from pathlib import Path

from db.errors import UserError

_WEIGHTS = (".safetensors", ".bin", ".gguf", ".json", ".model", ".jinja")


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """Return one sha256 over the weights, configuration and tokenizer files of a model folder.

    Raises:
        UserError: the folder holds no model.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in _WEIGHTS)
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is not a folder of a Hugging Face model: it has no config.json")
    listing = "\n".join(f"{path.name} {file_digest(path)}" for path in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def hub_revision(repository: str) -> str:
    """Return the commit that `main` of a hub repository stands for: the cached one, else the hub's.

    Raises:
        UserError: it is in no cache, and the hub does not give it.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(repository, "config.json")
        return Path(cached).parent.name if isinstance(cached, str) else str(HfApi().model_info(repository).sha)
    except HFValidationError as error:
        raise UserError(
            f"hf:{repository} is neither a folder nor a repository id such as Qwen/Qwen2.5-7B-Instruct"
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(unavailable(repository, error)) from error


def unavailable(model: str, error: Exception) -> str:
    """Return what to tell a user when a hub model does not load: what was tried, how to get access, what works now."""
    from huggingface_hub.constants import HF_HUB_CACHE

    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"Cannot load {model}: {reason}\n"
        f"Tried the cache {HF_HUB_CACHE}, then the hub (https://huggingface.co/{model}).\n"
        "If the model is gated, accept its licence on that page, then run: hf auth login\n"
        "Without any download or account: --llm smollm2"
    )
