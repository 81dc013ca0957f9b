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
from encoders.weights import first_line, folder_digest, hub_commit

# What determines an embedding: weights, configuration, tokenizer, image processor.
_MODEL_FILES = (".safetensors", ".bin", ".json", ".txt", ".model")


@dataclass(frozen=True)
class Source:
    """A model's place and revision.

    Attributes:
        id: `hf:` and the repository, or the folder's own name.
        where: a folder, or a repository on the hub.
        commit: the repository's commit; None for a folder.
        revision: the commit, or the digest of the folder's files.
    """

    id: str
    where: str
    commit: str | None
    revision: str


def open_dual_encoder(source: Source) -> DualEncoder:
    """Open the model of a source; only files that are not in the cache are downloaded."""
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
    """Return what `hf:FOLDER` or `hf:OWNER/REPO` stands for.

    Raises:
        UserError: the folder holds no model, or the repository is neither in the cache nor in reach.
    """
    where = name.removeprefix("hf:")
    folder = Path(where).expanduser()
    if folder.is_dir():
        revision = folder_digest(folder, _MODEL_FILES, end="\n")
        return Source(f"hf:{folder.resolve().name}", str(folder), commit=None, revision=revision)
    commit = hub_commit(where, hint="Without any download: --encoder objects (weaker).")
    return Source(name, where, commit=commit, revision=commit)


@contextmanager
def _loading(name: str) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{name} cannot be loaded: {first_line(error)}") from error


def _check_towers(name: str, config: Any) -> None:
    """Refuse other models than dual encoders before their weights are downloaded."""
    from transformers import MODEL_MAPPING

    model_class = MODEL_MAPPING.get(type(config), None)
    towers = ("get_image_features", "get_text_features")
    if not all(hasattr(model_class, tower) for tower in towers) or not hasattr(config, "text_config"):
        raise UserError(not_dual(name, f"model type {config.model_type}"))
