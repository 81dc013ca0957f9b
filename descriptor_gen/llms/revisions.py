"""Which weights are these? Digests of local files and commits of hub repositories, without loading anything."""

from __future__ import annotations

import hashlib
from pathlib import Path

from db.errors import UserError

_PATIENCE_SECONDS = 10.0  # for the hub to answer at all
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


def hub_commit(repository: str, revision: str | None = None) -> str:
    """Return the commit of a hub repository (of its `main` where no revision is given): the cached one, else the hub's.

    The hub is asked once, for the head of one file: it tells in a second what a download would after a minute of
    retries, that it is out of reach, that the repository is gated, or that there is none.

    Raises:
        UserError: it is in no cache, and the hub does not give it.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(repository, "config.json", revision=revision)
        if isinstance(cached, str):
            return Path(cached).parent.name  # .../snapshots/COMMIT/config.json
        url = hf_hub_url(repository, "config.json", revision=revision)
        return str(get_hf_file_metadata(url, timeout=_PATIENCE_SECONDS).commit_hash)
    except HFValidationError as error:
        known = "a folder or a repository such as Qwen/Qwen2.5-7B-Instruct"
        raise UserError(f"hf:{repository} is not {known}") from error
    except Exception as error:  # of which HTTP library the error is, the hub's version decides
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
