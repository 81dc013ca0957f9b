"""Open a dual encoder of transformers from a folder or from the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from db.errors import UserError
from encoders.forward import best_device
from encoders.transformers import DualEncoder, not_dual
from encoders.weights import sha256_of_files

_PATIENCE_SECONDS = 10.0  # for the hub to answer at all
# what determines an embedding: weights, configuration, tokenizer, image processor
_MODEL_FILES = ("*.safetensors", "*.bin", "*.json", "*.txt", "*.model")


@dataclass(frozen=True)
class Source:
    """Where a model lies, and which one exactly.

    Attributes:
        id: `hf:` and the repository, or the folder's own name.
        where: a folder, or a repository of the hub.
        commit: the repository's commit; None for a folder.
        revision: the commit, or the digest of the folder's files.
    """

    id: str
    where: str
    commit: str | None
    revision: str


def open_dual_encoder(source: Source) -> DualEncoder:
    """Open the model of a source; the hub is asked only for files that are not here."""
    import transformers

    with quiet_transformers(), _loading(source.id):
        where: dict[str, Any] = {"pretrained_model_name_or_path": source.where, "revision": source.commit or "main"}
        config = transformers.AutoConfig.from_pretrained(**where)
        _check_towers(source.id, config)
        tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
        image_processor = transformers.AutoImageProcessor.from_pretrained(**where)
        # Checkpoints in half precision would otherwise stay so, which is slow and coarse on a CPU.
        model = transformers.AutoModel.from_pretrained(**where, dtype=torch.float32)
    model = model.eval().to(best_device())
    return DualEncoder(model, tokenizer, image_processor, id=source.id, revision=source.revision)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Load without transformers' progress bar and load report; downloads keep their bar."""
    from huggingface_hub.utils.tqdm import enable_progress_bars
    from transformers.utils import logging

    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()  # the hub's too
    logging.set_verbosity_error()
    if shown:
        enable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()


def find_source(name: str) -> Source:
    """Return what `hf:FOLDER` or `hf:OWNER/REPO` stands for; the hub is asked for its newest commit.

    Raises:
        UserError: it is no model's folder, or a repository that is neither in reach nor in the cache.
    """
    where = name.removeprefix("hf:")
    folder = Path(where).expanduser()
    if not folder.is_dir():
        commit = _newest_commit(where)
        return Source(name, where, commit=commit, revision=commit)
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} has no config.json: not a folder that transformers' save_pretrained wrote.")
    files = {path for pattern in _MODEL_FILES for path in folder.glob(pattern)}
    return Source(f"hf:{folder.resolve().name}", str(folder), commit=None, revision=sha256_of_files(files))


def _newest_commit(repo: str) -> str:
    """Return the repository's newest commit, or offline the one in the cache."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    try:
        found = get_hf_file_metadata(hf_hub_url(repo, "config.json"), timeout=_PATIENCE_SECONDS)
    except errors.GatedRepoError as error:
        raise UserError(_GATED.format(repo=repo)) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise UserError(_UNKNOWN.format(repo=repo)) from error
    except errors.RemoteEntryNotFoundError as error:
        raise UserError(f"https://huggingface.co/{repo} has no config.json: not a model of transformers.") from error
    except Exception as error:  # out of reach: of which HTTP library the error is, the hub's version decides
        cached = try_to_load_from_cache(repo, "config.json")
        if not isinstance(cached, str):
            raise UserError(_UNREACHABLE.format(repo=repo, error=_first_line(error))) from error
        return Path(cached).parent.name  # .../snapshots/COMMIT/config.json
    return str(found.commit_hash)


_GATED = (
    "https://huggingface.co/{repo} is gated. Ask for access on that page, then run: hf auth login. "
    "Without any download: --encoder objects (weaker)."
)
_UNKNOWN = (
    "There is no folder {repo}, and no repository https://huggingface.co/{repo} that you may read. "
    "If it is private, run: hf auth login. Without any download: --encoder objects (weaker)."
)
_UNREACHABLE = (
    "https://huggingface.co/{repo} is not in the local cache and could not be fetched ({error}). "
    "From a folder: --encoder hf:FOLDER. Without any download: --encoder objects (weaker)."
)


@contextmanager
def _loading(name: str) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{name} cannot be loaded: {_first_line(error)}") from error


def _check_towers(name: str, config: Any) -> None:
    """Refuse what is no dual encoder before its weights are fetched."""
    from transformers import MODEL_MAPPING

    model_class = MODEL_MAPPING.get(type(config), None)
    towers = ("get_image_features", "get_text_features")
    if not all(hasattr(model_class, tower) for tower in towers) or not hasattr(config, "text_config"):
        raise UserError(not_dual(name, f"model type {config.model_type}"))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
