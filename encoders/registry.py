"""Encoders by the names that users type; models load only when needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, cast, get_args

from db.errors import UsageError, unknown
from db.imports import uncollected
from db.plugins import offered_names
from encoders.clip_models import clip_traits
from encoders.imported import PREFIX as IMPORTED
from encoders.imported import imported_encoder
from encoders.multimodal_names import CONFIG as MULTIMODAL_CONFIG
from encoders.multimodal_names import PREFIX as MULTIMODAL
from encoders.openai_digests import OPENAI_CLIP as OPENAI_CLIP
from encoders.own import ENTRY_POINTS, plugged_encoder, registered_encoder, with_frames
from encoders.own import register as register
from encoders.own import unregister as unregister
from encoders.protocol import (
    ClipEncoder,
    Encoder,
    Logits,
    Precision,
    Preprocessing,
    Preprocessor,
    TextEncoder,
    Traits,
    logits_of,
    traits_of,
)
from encoders.unknown_names import OF_TEXTS, other_spelling, why_unknown
from encoders.weights import folder_digest, hub_commit, hub_file, path_of, sha256_of, split_revision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from encoders.openai_clip import OpenAIClip

# What determines an embedding: weights, configuration, tokenizer, image processor.
_MODEL_FILES = (".safetensors", ".bin", ".json", ".txt", ".model")
# How texts are changed before the tokenizer, by model type: see `lower_case` in encoders/transformers.py.
_TEXT_CHANGES = {"siglip": {"texts": "lower case"}}
_trusts_files = ContextVar("trusts_files", default=False)


@contextmanager
def trusting_files() -> Iterator[None]:
    """Within the block, let encoders run the code in their `.pt` file while it loads, whoever made it."""
    before = _trusts_files.set(True)
    try:
        yield
    finally:
        _trusts_files.reset(before)


def trusts_files() -> bool:
    """Whether this is inside `trusting_files`."""
    return _trusts_files.get()


def label_templates(name: str) -> tuple[str, ...]:
    """Return the default templates of labels of an encoder by name, without loading it; empty if it names none."""
    own = own_encoder(name)
    if own is not None:
        return traits_of(own).label_templates
    return BY_NAME[name].traits.label_templates if name in BY_NAME else ()


def own_encoder(name: str) -> Any:
    """Return your own encoder of that name: registered, of an entry point, or of `module:factory`; else None.

    Raises:
        UsageError: the name leads nowhere, or to no encoder.
    """
    registered = registered_encoder(name)
    if registered is not None or name in reserved_names() or name.startswith((*BY_PREFIX, IMPORTED)):
        return registered
    return None if path_of(name).exists() or other_spelling(name) else plugged_encoder(name)


def reserved_names() -> list[str]:
    """Return the plain names of the encoders that come with the program."""
    return [*BY_NAME, OF_TEXTS, *OPENAI_CLIP]


def find_encoder(name: str, *, precision: Precision = "float32") -> Encoder:
    """Return an encoder whose weights load at its first use.

    Args:
        name: one of `BY_NAME` or `OPENAI_CLIP`, a `.pt` file, `hf:` and a repository or a folder, one of the forms of
            `encoders.open_clip_files`, `module:factory`, what a package offers as an entry point, or `imported:NAME`.
        precision: of weights and arithmetic; those of `BY_NAME` and your own encoders have one of their own.

    Raises:
        UsageError: the name is none of these, or the precision is not possible.
        UserError: the revision of the weights cannot be determined (the repository is out of reach).
    """
    _check_precision(precision)
    own = own_encoder(name)
    if own is not None:
        return _of_one_precision(with_frames(f"The encoder {name}", own), precision)
    if name in BY_NAME:
        return _of_one_precision(BY_NAME[name].open(), precision)
    if name.startswith(IMPORTED):
        return _of_one_precision(cast(Encoder, imported_encoder(name)), precision)
    if name in OPENAI_CLIP:
        return LazyEncoder(
            lambda: _openai_clip().published(name, precision=precision),
            id=name, revision=OPENAI_CLIP[name], traits=_openai_traits(precision),
            load_images=lambda: _published_squares(name),
        )  # fmt: skip
    for prefix, encoder_of in BY_PREFIX.items():
        if name.startswith(prefix) and len(name) > len(prefix):
            return encoder_of(name, precision)
    return _at_path(name, precision)


def _at_path(name: str, precision: Precision) -> LazyEncoder:
    """Return the encoder of a file or folder that is named without a prefix."""
    path, given = path_of(name), name.partition("?")[0]  # a folder of sentence-transformers may have options
    if name.endswith(".pt") and path.is_file():
        return _file(path, precision)
    if name and (path / "open_clip_config.json").is_file():
        return _open_clip(f"open_clip:local-dir:{path}", precision)
    if given and (path_of(given) / MULTIMODAL_CONFIG).is_file():
        return _multimodal(f"{MULTIMODAL}{name}", precision)
    if name and (path / "config.json").is_file():
        return _transformers(f"hf:{path}", precision)
    raise UsageError(why_unknown(name, [*BY_NAME, *OPENAI_CLIP, *offered_names(ENTRY_POINTS)]))


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
    own: TextEncoder | None = own_encoder(name)
    if own is not None:
        return own
    if name != OF_TEXTS:
        return open_encoder(name)
    from encoders.bundled import MINILM
    from encoders.minilm import MiniLM

    return MiniLM.load(MINILM.file().parent)


class LazyEncoder:
    """An `Encoder` whose `id` and `revision` need no weights; most else loads them, once for all threads.

    Args:
        load: opens the encoder.
        id, revision, traits: as of `Encoder`.
        load_images: opens the encoder's preprocessing of frames without its weights, for processes that only decode.
            None: the weights load for that too.
    """

    def __init__(
        self,
        load: Callable[[], Encoder],
        *,
        id: str,  # noqa: A002
        revision: str,
        traits: Traits = Traits(),  # noqa: B008 - frozen
        load_images: Callable[[], Preprocessor] | None = None,
    ) -> None:
        self.id = id
        self.revision = revision
        self.traits = traits
        self._load = load
        self._load_images = load_images or self.loaded
        self._lock = RLock()  # `loaded` is called inside it
        self._loaded: Encoder | None = None
        self._images: Preprocessor | None = None

    def loaded(self) -> Encoder:
        """Return the encoder with its weights.

        Raises:
            UserError: they cannot be downloaded or read.
        """
        with self._lock:
            if self._loaded is None:
                with uncollected():  # torch and transformers
                    self._loaded = self._load()
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
        with self._lock:
            self._images = self._images or self._loaded or self._load_images()
        return self._images.preprocess(frames, preprocessing=preprocessing)

    def encode_frames(self, pixels: Tensor) -> Tensor:
        return self.loaded().encode_frames(pixels)

    def encode_clips(self, clips: Tensor) -> Tensor:
        return cast(ClipEncoder, self.loaded()).encode_clips(clips)


def _objects() -> LazyEncoder:
    from encoders.objects import Objects

    return LazyEncoder(Objects, id=Objects.id, revision=Objects.revision, traits=_OBJECTS)


@dataclass(frozen=True)
class Named:
    """An encoder that a plain name opens, in its one precision; `open` imports it, `traits` are those that it has."""

    open: Callable[[], Encoder]
    traits: Traits = field(default_factory=Traits)


# A template costs `objects` accuracy: MiniLM takes "a photo of" for a part of the meaning.
_OBJECTS = Traits(label_templates=("{}",))
BY_NAME: Mapping[str, Named] = {"objects": Named(_objects, _OBJECTS)}


def _check_precision(precision: str) -> None:
    if precision not in get_args(Precision):
        raise UsageError(unknown("precision", precision, get_args(Precision)))


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


def _published_squares(name: str) -> Preprocessor:
    from encoders.openai_clip import published_squares

    return published_squares(name)


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
        model, wanted = split_revision(model)
        id_ = f"hf:{model}"
        revision = hub_commit(model, wanted, hint="Without any download: --encoder objects (weaker).")
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

    def load_images() -> Preprocessor:
        from encoders.images import Images
        from encoders.transformers import loading, quiet_transformers

        with quiet_transformers(), loading(id_):
            return Images.load(model, revision)

    images = load_images if traits.clip_frames is None else None
    return LazyEncoder(load, id=id_, revision=revision, traits=traits, load_images=images)


def _open_clip(name: str, precision: Precision) -> LazyEncoder:
    from encoders.open_clip_files import source_of

    source, trusted = source_of(name), _trusts_files.get()
    own_precision = {} if precision == "float32" else {"precision": precision}
    traits = Traits(precision=precision, key={**source.key, **own_precision}, texts_key=source.texts_key)

    def load() -> Encoder:
        from encoders.open_clip import OpenClip

        return OpenClip.load(source, precision=precision, trusted=trusted)

    return LazyEncoder(load, id=source.id, revision=source.revision, traits=traits)


def _multimodal(name: str, precision: Precision) -> LazyEncoder:
    from encoders.multimodal_names import source_of

    source = source_of(name)

    def load() -> Encoder:
        from encoders.multimodal import MultimodalEncoder

        return cast(Encoder, MultimodalEncoder.load(source, precision=precision))  # of clips: `Traits.clip_frames`

    def load_images() -> Preprocessor:
        from encoders.towers import Squares

        return Squares(source.side)

    traits = source.traits(precision)
    return LazyEncoder(load, id=source.id, revision=source.revision, traits=traits, load_images=load_images)


BY_PREFIX: Mapping[str, Callable[[str, Precision], LazyEncoder]] = {
    "hf:": _transformers,
    "open_clip:": _open_clip,
    MULTIMODAL: _multimodal,
}


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
