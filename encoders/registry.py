"""Encoders by the names that users type; models load only when needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, cast, get_args

from db.errors import UsageError
from encoders.clip_models import clip_traits
from encoders.protocol import (
    ClipEncoder,
    Encoder,
    Logits,
    Precision,
    Preprocessing,
    TextEncoder,
    Traits,
    logits_of,
    traits_of,
)
from encoders.weights import folder_digest, hub_commit, hub_file, sha256_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from encoders.openai_clip import OpenAIClip

# Name -> sha256 of the weights, for all of clip.available_models(). Copied here, so that --help, error messages and
# reading the feature store need not import torch.
OPENAI_CLIP = {
    "RN50": "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
    "RN101": "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599",
    "RN50x4": "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd",
    "RN50x16": "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa",
    "RN50x64": "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c",
    "ViT-B/32": "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    "ViT-B/16": "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
    "ViT-L/14": "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
    "ViT-L/14@336px": "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
}

# What determines an embedding: weights, configuration, tokenizer, image processor.
_MODEL_FILES = (".safetensors", ".bin", ".json", ".txt", ".model")
# How texts are changed before the tokenizer, by model type: see `lower_case` in encoders/transformers.py.
_TEXT_CHANGES = {"siglip": {"texts": "lower case"}}
# A template costs `objects` accuracy: MiniLM takes "a photo of" for a part of the meaning.
_OBJECTS = Traits(label_templates=("{}",))
_OWN: dict[str, Any] = {}  # by name; looked up before all others
_trusts_files = ContextVar("trusts_files", default=False)


def register(name: str, encoder: TextEncoder) -> None:
    """Register your own encoder under a name; it hides any other encoder of that name."""
    _OWN[name] = encoder


def unregister(name: str) -> None:
    """Undo `register`."""
    _OWN.pop(name, None)


@contextmanager
def trusting_files() -> Iterator[None]:
    """Let encoders that are found inside run the code in their `.pt` file while it loads, whoever made it."""
    before = _trusts_files.set(True)
    try:
        yield
    finally:
        _trusts_files.reset(before)


def label_templates(name: str) -> tuple[str, ...]:
    """Return the default templates of labels of an encoder by name, without opening it; empty if it names none."""
    if name in _OWN:
        return traits_of(_OWN[name]).label_templates
    return _OBJECTS.label_templates if name == "objects" else ()


def find_encoder(name: str, *, precision: Precision = "float32") -> Encoder:
    """Return an encoder whose weights load at its first use.

    Args:
        name: `objects`, one of `OPENAI_CLIP`, a `.pt` file, or `hf:` and a repository or a folder.
        precision: of weights and arithmetic; `objects` and your own encoders have one of their own.

    Raises:
        UsageError: the name is none of these, or the precision is not possible.
        UserError: the revision of the weights cannot be determined (the repository is out of reach).
    """
    if name in _OWN:
        own: Encoder = _OWN[name]
        return _of_one_precision(own, precision)
    if name == "objects":
        return _of_one_precision(_objects(), precision)
    _check_precision(precision)
    if name in OPENAI_CLIP:
        return LazyEncoder(
            lambda: _openai_clip().published(name, precision=precision),
            id=name, revision=OPENAI_CLIP[name], traits=_openai_traits(precision),
        )  # fmt: skip
    if name.startswith("hf:") and len(name) > len("hf:"):
        return _transformers(name, precision)
    if name.endswith(".pt") and Path(name).expanduser().is_file():
        return _file(Path(name).expanduser(), precision)
    raise UsageError(
        f"{f'There is no file {name}' if name.endswith('.pt') else f'Unknown encoder {name!r}'}. "
        f"Known: objects, {', '.join(OPENAI_CLIP)}, a .pt file of openai-clip, "
        "and hf:REPO or hf:FOLDER for any dual encoder of transformers, such as hf:google/siglip2-base-patch16-224"
    )


def open_encoder(name: str) -> Encoder:
    """Return the encoder of `find_encoder`, with its weights loaded.

    Raises:
        UsageError: the name is unknown.
        UserError: the weights cannot be downloaded or read.
    """
    encoder = find_encoder(name)
    return encoder.loaded() if isinstance(encoder, LazyEncoder) else encoder


def open_text_encoder(name: str) -> TextEncoder:
    """Return `minilm` (bundled; texts only), or what `open_encoder` returns; it raises the same errors."""
    if name != "minilm" or name in _OWN:
        return open_encoder(name)
    from encoders.bundled import MINILM
    from encoders.minilm import MiniLM

    return MiniLM.load(MINILM.file().parent)


class LazyEncoder:
    """An `Encoder` whose `id` and `revision` need no weights; everything else loads them, once for all threads."""

    def __init__(
        self,
        load: Callable[[], Encoder],
        *,
        id: str,  # noqa: A002
        revision: str,
        traits: Traits = Traits(),  # noqa: B008 - frozen
    ) -> None:
        self.id = id
        self.revision = revision
        self.traits = traits
        self._load = load
        self._lock = Lock()
        self._loaded: Encoder | None = None

    def loaded(self) -> Encoder:
        """Return the encoder with its weights.

        Raises:
            UserError: they cannot be downloaded or read.
        """
        with self._lock:
            self._loaded = self._loaded or self._load()
            return self._loaded

    @property
    def logits(self) -> Logits:
        return logits_of(self.loaded())

    @property
    def width(self) -> int:
        return self.loaded().width

    @property
    def context_length(self) -> int:
        return self.loaded().context_length

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return self.loaded().encode_texts(texts)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return self.loaded().token_counts(texts)

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        return self.loaded().preprocess(frames, preprocessing=preprocessing)

    def encode_frames(self, pixels: Tensor) -> Tensor:
        return self.loaded().encode_frames(pixels)

    def encode_clips(self, clips: Tensor) -> Tensor:
        return cast(ClipEncoder, self.loaded()).encode_clips(clips)


def _objects() -> LazyEncoder:
    from encoders.objects import Objects

    return LazyEncoder(Objects, id=Objects.id, revision=Objects.revision, traits=_OBJECTS)


def _check_precision(precision: str) -> None:
    if precision not in get_args(Precision):
        raise UsageError(f"Unknown precision {precision!r}. Known: {', '.join(get_args(Precision))}")


def _of_one_precision(encoder: Encoder, precision: Precision) -> Encoder:
    """Return an encoder that computes in one precision; refuse another one.

    The default, float32, opens your own encoder whatever its precision.
    """
    _check_precision(precision)
    only = traits_of(encoder).precision
    if precision not in ("float32", only):
        raise UsageError(f"Encoder {encoder.id} computes in {only} only, not in {precision}")
    return encoder


def _openai_traits(precision: Precision) -> Traits:
    # Always in the key: before there was a choice, the weights were in half precision on a GPU.
    return Traits(precision=precision, key={"precision": precision})


def _openai_clip() -> type[OpenAIClip]:
    from encoders.openai_clip import OpenAIClip

    return OpenAIClip


def _file(path: Path, precision: Precision) -> LazyEncoder:
    """Return the encoder of a file. The file of a published model gets the id of that model, and is trusted."""
    revision = sha256_of(path)
    id_ = next((name for name, digest in OPENAI_CLIP.items() if digest == revision), path.name)
    trusted = _trusts_files.get() or revision in OPENAI_CLIP.values()
    return LazyEncoder(
        lambda: _openai_clip().from_file(path, id=id_, revision=revision, precision=precision, trusted=trusted),
        id=id_, revision=revision, traits=_openai_traits(precision),
    )  # fmt: skip


def _transformers(name: str, precision: Precision) -> LazyEncoder:
    model = name.removeprefix("hf:")
    folder = Path(model).expanduser()
    if folder.is_dir():
        model, id_ = str(folder), f"hf:{folder.resolve().name}"
        revision = folder_digest(folder, _MODEL_FILES, end="\n")
        config: Path | None = folder / "config.json"
    else:
        id_, revision = name, hub_commit(model, hint="Without any download: --encoder objects (weaker).")
        config = hub_file(model, "config.json", revision)
    traits = Traits(
        precision=precision,
        key={} if precision == "float32" else {"precision": precision},
        texts_key=_TEXT_CHANGES.get(_model_type(config), {}),
        **clip_traits(_content(config)),
    )

    def load() -> Encoder:
        if traits.clip_frames is not None:
            from encoders.clips import ClipDualEncoder

            clips = ClipDualEncoder.load(model, id=id_, revision=revision, precision=precision)
            return cast(Encoder, clips)  # its frames are never encoded one by one: `Traits.clip_frames`

        from encoders.transformers import DualEncoder

        return DualEncoder.load(model, id=id_, revision=revision, precision=precision)

    return LazyEncoder(load, id=id_, revision=revision, traits=traits)


def _model_type(config: Path | None) -> str:
    """Return the model type in a `config.json`, or "" if it has none."""
    return str(_content(config).get("model_type", ""))


def _content(config: Path | None) -> dict[str, Any]:
    """Return what a `config.json` holds; empty if it is broken, which is reported when the model loads."""
    try:
        content = json.loads(config.read_bytes()) if config else None
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
