"""Encoders by the names that users type; models load only when opened."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.errors import UsageError
from encoders.lazy import LazyEncoder
from encoders.protocol import Encoder, TextEncoder

if TYPE_CHECKING:
    pass


# Name -> sha256 of the weights. Written down, so that --help, error messages and a look into the feature store need
# not import torch; clip.available_models() knows no others.
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


_OWN: dict[str, Any] = {}  # encoders of one's own, by name; they come before all others


def register(name: str, encoder: TextEncoder) -> None:
    """Let a name stand for an encoder of one's own, also where another encoder goes by that name."""
    _OWN[name] = encoder


def unregister(name: str) -> None:
    """Take back `register`."""
    _OWN.pop(name, None)


def open_encoder(name: str) -> Encoder:
    """Open an encoder by the name that users type.

    Args:
        name: `objects`, one of `OPENAI_CLIP`, a `.pt` file, or `hf:` and a repository or a folder.

    Raises:
        UsageError: nothing goes by that name.
        UserError: its weights are not here and cannot be fetched, or cannot be read.
    """
    found = _find(name)
    if found is None:
        raise UsageError(_unknown(name))
    return found.loaded() if isinstance(found, LazyEncoder) else found


def find_encoder(name: str) -> Encoder:
    """Return the encoder that `open_encoder` opens; its weights load when something is to be encoded.

    Raises:
        UsageError: nothing goes by that name.
        UserError: which weights they would be cannot be told (a repository that is out of reach).
    """
    return _find(name) or open_encoder(name)


def open_text_encoder(name: str) -> TextEncoder:
    """Open what turns texts alone into vectors: `minilm` (bundled), or the text tower of any encoder.

    Raises:
        UsageError: nothing goes by that name.
        UserError: its weights are not here and cannot be fetched, or cannot be read.
    """
    if name != "minilm" or name in _OWN:
        return open_encoder(name)
    from encoders.minilm import MiniLM, bundled_folder

    return MiniLM.load(bundled_folder())


def _objects(_name: str) -> LazyEncoder:
    from encoders.objects import Objects

    return LazyEncoder(Objects.bundled, id=Objects.id, revision=Objects.revision)


def _published(name: str) -> LazyEncoder:
    def load() -> Encoder:
        from encoders.openai_clip import OpenAIClip

        return OpenAIClip.published(name)

    return LazyEncoder(load, id=name, revision=OPENAI_CLIP[name])


def _file(name: str) -> LazyEncoder:
    """A published model goes by its authors' name, so that it is one encoder by name and by file."""
    from encoders.weights import sha256_of

    path = Path(name).expanduser()
    revision = sha256_of(path)
    known = {digest: published for published, digest in OPENAI_CLIP.items()}
    id_ = known.get(revision, path.name)

    def load() -> Encoder:
        from encoders.openai_clip import OpenAIClip

        return OpenAIClip.from_file(path, id=id_, revision=revision)

    return LazyEncoder(load, id=id_, revision=revision)


def _transformers(name: str) -> LazyEncoder:
    from encoders.hub import find_source, open_dual_encoder

    source = find_source(name)
    return LazyEncoder(partial(open_dual_encoder, source), id=source.id, revision=source.revision)


_FORMS: tuple[tuple[Callable[[str], bool], Callable[[str], LazyEncoder]], ...] = (
    (lambda name: name == "objects", _objects),
    (lambda name: name in OPENAI_CLIP, _published),
    (lambda name: len(name) > len("hf:") and name.startswith("hf:"), _transformers),
    (lambda name: name.endswith(".pt") and Path(name).expanduser().is_file(), _file),
)


def _find(name: str) -> Encoder | None:
    return _OWN.get(name) or next((found(name) for matches, found in _FORMS if matches(name)), None)


def _unknown(name: str) -> str:
    what = f"There is no file {name}" if name.endswith(".pt") else f"Unknown encoder {name!r}"
    return (
        f"{what}. Known: objects, {', '.join(OPENAI_CLIP)}, a .pt file of openai-clip, "
        "and hf:REPO or hf:FOLDER for any dual encoder of transformers, such as hf:google/siglip2-base-patch16-224"
    )
