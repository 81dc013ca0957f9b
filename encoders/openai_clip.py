"""CLIP as its authors publish it (Radford et al., 2021; https://github.com/openai/CLIP)."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from db.errors import UserError
from encoders.bundled import module_alone
from encoders.checks import check_encoder
from encoders.clip_towers import keep_class_token, text_features
from encoders.openai_digests import OPENAI_CLIP, published_file
from encoders.protocol import Logits
from encoders.towers import (
    Squares,
    best_device,
    encode_frames_in_batches,
    encode_in_batches,
    normalizer,
)
from encoders.weights import sha256_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from encoders.protocol import Precision, Preprocessing

# From clip.clip._transform, like the resizing; the same for all published models.
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
# S of the published models, from their names and section 3.2 of the paper; the others have 224.
_SIDES = {"RN50x4": 288, "RN50x16": 384, "RN50x64": 448, "ViT-L/14@336px": 336}
_TEXTS_TO_REMEMBER = 4096  # in groups of 2048, texts are encoded and then counted
_WORDS_TO_REMEMBER = 2**16
_PLAIN = re.compile(r"[ -%'-~]*")  # printable ASCII but for &: the tokenizer's cleaning leaves it as it is


def published_squares(name: str) -> Squares:
    """Return the preprocessing of a published model, by its name; it needs no weights."""
    return Squares(_SIDES.get(name, 224))


class OpenAIClip:
    """One model of the package `clip`; see the protocol `Encoder`."""

    def __init__(
        self,
        model: Any,
        *,
        id: str,  # noqa: A002
        revision: str,
        precision: Precision = "float32",
    ) -> None:
        self.id = id
        self.revision = revision
        self.logits = Logits(scale=float(model.logit_scale.detach().float().exp()), calibrated=True)
        self.width = int(model.text_projection.shape[1])
        self.context_length = int(model.context_length)
        self._model = _in_precision(model, precision)
        self._tokenizer = module_alone("clip", "simple_tokenizer").SimpleTokenizer()
        self._tokens = lru_cache(maxsize=_TEXTS_TO_REMEMBER)(by_words(self._tokenizer))
        self._squares = Squares(model.visual.input_resolution)
        self._normalize = normalizer(mean=MEAN, std=STD)
        check_encoder(self)

    @classmethod
    def published(cls, name: str, *, precision: Precision = "float32") -> OpenAIClip:
        """Open a published model by name, such as `ViT-B/16`; downloads it the first time.

        Raises:
            UserError: it is not on this machine, and cannot be downloaded.
        """
        file = published_file(name)
        if not file.is_file() or sha256_of(file) != OPENAI_CLIP[name]:
            _download(name, file)
        return cls(_load(file), id=name, revision=OPENAI_CLIP[name], precision=precision)

    @classmethod
    def from_file(
        cls,
        path: Path,
        *,
        id: str,  # noqa: A002
        revision: str,
        precision: Precision = "float32",
        trusted: bool = False,
    ) -> OpenAIClip:
        """Open a TorchScript archive, the format of the published models.

        Args:
            path: the file.
            id: its name.
            revision: its sha256.
            precision: of weights and arithmetic.
            trusted: whether its code may run: an archive can do anything while it loads.

        Raises:
            UserError: it is no such archive, or is not trusted.
        """
        try:
            _refuse_code(path, trusted=trusted)
            _refuse_gelu(path)
            model = _load(path)
        except (EOFError, RuntimeError, KeyError, IndexError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
            raise UserError(
                f"{path} is not a TorchScript archive of a CLIP model, the one format that the package `clip` reads. "
                "If it is a state dict, name the architecture, which says the activation that it was trained with: "
                f"--encoder {quote(f'open_clip:ViT-B-32-quickgelu/{path}')} (QuickGELU, as OpenAI's weights) or "
                f"{quote(f'open_clip:ViT-B-32/{path}')} (GELU); or convert it: "
                "--encoder hf:FOLDER. If it is a broken download, fetch it again."
            ) from error
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error}") from error
        return cls(model, id=id, revision=revision, precision=precision)

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        return self._squares.preprocess(frames, preprocessing=preprocessing)

    def encode_frames(self, pixels: Tensor) -> Tensor:
        device = self._model.text_projection.device
        return encode_frames_in_batches(pixels, self._model.encode_image, device=device, normalize=self._normalize)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return encode_in_batches(texts, self._encode, width=self.width)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [len(self._tokens(text)) + 2 for text in texts]

    def _encode(self, texts: list[str]) -> Tensor:
        return text_features(self._model, self._tokenized(texts).to(self._model.text_projection.device))

    def _tokenized(self, texts: Sequence[str]) -> Tensor:
        """Return what `clip.tokenize` does with `truncate`, but padded to the longest text: int32 [K, L]."""
        from torch.nn.utils.rnn import pad_sequence

        start, end = (self._tokenizer.encoder[f"<|{word}oftext|>"] for word in ("start", "end"))
        rows = [[start, *self._tokens(text)[: self.context_length - 2], end] for text in texts]
        return pad_sequence([torch.tensor(row, dtype=torch.int) for row in rows], batch_first=True)


def by_words(tokenizer: Any) -> Callable[[str], list[int]]:
    """Return `encode` of the tokenizer of `clip`, with the tokens of each word remembered.

    Cleaning a text and splitting its words again takes as long as a small tower. Texts that cleaning may change go
    through the tokenizer's own.
    """
    of_word = lru_cache(maxsize=_WORDS_TO_REMEMBER)(tokenizer.encode)

    def encode(text: str) -> list[int]:
        if not _PLAIN.fullmatch(text):
            return tokenizer.encode(text)  # type: ignore[no-any-return]
        return [token for word in tokenizer.pat.findall(text.lower()) for token in of_word(word)]

    return encode


def is_torchscript(path: Path) -> bool:
    """Return whether a file is an archive of TorchScript; torch does not open it for that."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name or name.endswith("constants.pkl") for name in archive.namelist())


def _refuse_code(path: Path, *, trusted: bool) -> None:
    """Refuse a file that torch would run code of, unless it is trusted; nothing of it is opened by torch before.

    Raises:
        EOFError: it is no TorchScript archive.
        UserError: it is one, and not trusted.
    """
    if trusted:
        return
    if not is_torchscript(path):
        raise EOFError
    raise UserError(
        f"{path} is a TorchScript archive and none of those that OpenAI published: it can run any code while it loads. "
        "If you know who made it, add --trust-file. A transformers folder needs no trust: --encoder hf:FOLDER"
    )


def _refuse_gelu(path: Path) -> None:
    """Refuse an archive of a model with GELU: `clip` takes its weights alone and builds every model with QuickGELU."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        code = (archive.read(name) for name in archive.namelist() if "/code/" in name and name.endswith(".py"))
        if any(b"torch.gelu(" in source for source in code):
            raise UserError(
                f"{path} was made of a model with GELU; the package `clip` would run its weights with QuickGELU and "
                "give worse embeddings. Convert it to a transformers folder with hidden_act gelu: --encoder hf:FOLDER"
            )


def _in_precision(model: Any, precision: Precision) -> Any:
    """Return a model of `clip` in a precision; `clip.load` leaves half precision on a GPU, where TEAR calls `.float()`.

    The statistics of layer and batch norms stay in float32, as in `clip.model.convert_weights`.
    """
    model.to(getattr(torch, precision))
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm | torch.nn.BatchNorm2d):
            module.float()
    return model


def _download(name: str, file: Path) -> None:
    """Have the package `clip` download the weights of a published model, whose digest it checks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        from clip import clip
    url: str = clip._MODELS[name]
    try:
        clip._download(url, str(file.parent))
    except (OSError, RuntimeError, HTTPException, TypeError) as error:  # TypeError: a reply without a length
        raise UserError(
            f"The weights of {name} are not in {file.parent} and could not be fetched from {url} ({error}). "
            f"With a copy of that file: --encoder /path/{file.name}. "
            "Without any download: --encoder objects (weaker)."
        ) from error


def _load(file: Path) -> Any:
    """Return the model of a file as `clip.load` makes it on a CPU, on the best device.

    The random values that a new model gets first are left out: each of them would be overwritten by the file's. They
    take as long as the rest.
    """
    with _NoRandomValues():
        model = module_alone("clip", "model").build_model(_state(file))
    keep_class_token(model)
    return model.to(best_device()).float()  # half precision until here; TEAR calls float too


def _state(file: Path) -> dict[str, Tensor]:
    """Return the weights of an archive, or of a file that holds these alone."""
    with warnings.catch_warnings(), file.open("rb") as opened:
        # The warning is about the format of the published weights.
        warnings.filterwarnings("ignore", message="`torch.jit.load` is deprecated")
        try:
            state: dict[str, Tensor] = torch.jit.load(opened, map_location="cpu").state_dict()
        except RuntimeError:
            state = torch.load(opened, map_location="cpu")
    return state


class _NoRandomValues(TorchFunctionMode):
    """Within its block, the functions that fill a tensor with random values leave it as it is."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (torch.Tensor.normal_, torch.Tensor.uniform_):
            return args[0]
        return func(*args, **(kwargs or {}))
