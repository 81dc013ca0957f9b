"""Models of open_clip (https://github.com/mlfoundations/open_clip): CLIP, SigLIP, CoCa, MobileCLIP, PE ..."""

from __future__ import annotations

import logging
import pickle
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from db.errors import UserError
from encoders.checks import check_encoder
from encoders.open_clip_files import Source, import_open_clip
from encoders.openai_clip import is_torchscript
from encoders.openai_digests import OPENAI_CLIP
from encoders.protocol import Logits
from encoders.towers import (
    Transform,
    best_device,
    encode_frames_in_batches,
    encode_in_batches,
    normalizer,
    tear_transform,
    transform_frames,
)
from encoders.transformers import quiet_transformers
from encoders.weights import first_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from encoders.protocol import Precision, Preprocessing

# open_clip interpolates these without a word if the file's have another shape than the model's.
_POSITIONS = ("visual.positional_embedding", "positional_embedding", "text.positional_embedding")


class OpenClip:
    """One model of open_clip; see the protocol `Encoder`."""

    def __init__(self, model: Any, tokenizer: Any, source: Source, *, precision: Precision = "float32") -> None:
        from open_clip.transform import PreprocessCfg, image_transform_v2
        from torchvision.transforms import Compose

        self.id = source.id
        self.revision = source.revision
        bias = 0.0 if model.logit_bias is None else float(model.logit_bias.detach())
        self.logits = Logits(scale=float(model.logit_scale.detach().exp()), bias=bias, calibrated=True)
        self.context_length = int(tokenizer.context_length)
        self._device = best_device()
        # After the logits, which need all digits. As open_clip's own precisions `pure_bf16` and `pure_fp16`.
        self._model = model.eval().to(self._device, getattr(torch, precision))
        self._dtype = getattr(torch, precision)
        self._tokenizer = tokenizer
        config = PreprocessCfg(**model.visual.preprocess_cfg)
        *steps, _to_tensor, _normalize = image_transform_v2(config, is_train=False).transforms
        self._transforms: dict[Preprocessing, Transform] = {
            "own": Compose(steps),
            "tear": tear_transform(crop=_side(self.id, config.size)),
        }
        self._normalize = normalizer(mean=config.mean, std=config.std)
        with torch.no_grad():
            self.width = int(self._encode(["a"]).shape[1])
        check_encoder(self)

    @classmethod
    def load(cls, source: Source, *, precision: Precision = "float32", trusted: bool = False) -> OpenClip:
        """Open a model.

        Args:
            source: its files.
            precision: of weights and arithmetic.
            trusted: whether code in its file of weights may run while it loads.

        Raises:
            UserError: a file cannot be fetched or read, does not fit the architecture, or could run code.
        """
        with _loading(source.id):
            name, path = source.name(), source.fetch() if source.fetch else None
            weights = path or _weights_in(source.id, Path(name.removeprefix("local-dir:")))
            trusted = trusted or source.revision in OPENAI_CLIP.values()
            _refuse_format(weights, trusted=trusted)
            _refuse_text_tower_with_code(source.config)
            model = import_open_clip().create_model(
                name,
                str(path) if path else None,
                force_preprocess_cfg=dict(source.preprocessing),
                pretrained_text=False,
                weights_only=not trusted,
            )
            _check_fit(source.id, model, _shapes(weights, trusted=trusted))
            tokenizer = _tokenizer(name, source)
        return cls(model, tokenizer, source, precision=precision)

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        return transform_frames(frames, self._transforms[preprocessing])

    def encode_frames(self, pixels: Tensor) -> Tensor:
        def encode(batch: Tensor) -> Tensor:
            vectors: Tensor = self._model.encode_image(batch.to(self._dtype), normalize=False)
            return vectors

        return encode_frames_in_batches(pixels, encode, device=self._device, normalize=self._normalize)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return encode_in_batches(texts, self._encode, width=self.width)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [self._token_count(text) for text in texts]

    def _encode(self, texts: list[str]) -> Tensor:
        vectors: Tensor = self._model.encode_text(self._tokenizer(texts).to(self._device), normalize=False)
        return vectors

    def _token_count(self, text: str) -> int:
        inner = getattr(self._tokenizer, "tokenizer", None)
        if inner is None:
            return len(self._tokenizer.encode(text)) + 2
        text = self._tokenizer.clean_fn(text)
        if self._tokenizer.tokenizer_mode == "clips":  # begin, end and class tokens are added by open_clip
            return len(inner(text, add_special_tokens=False, verbose=False)["input_ids"]) + 3
        return len(inner(text, verbose=False)["input_ids"])


def _side(name: str, size: Any) -> int:
    """Return the side of the square frames that the image tower takes."""
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise UserError(f"{name} takes frames of {width} x {height}, recognize only squares. Take another encoder")
    return int(height)


def _tokenizer(name: str, source: Source) -> Any:
    """Return the tokenizer as `open_clip.get_tokenizer` makes it, from a fixed commit and without code of its own."""
    text = source.config["text_cfg"]
    if source.tokenizer is None:
        hf_tokenizer = bool(text.get("hf_tokenizer_name"))
        return import_open_clip().get_tokenizer(name, **({"trust_remote_code": False} if hf_tokenizer else {}))
    from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer

    repository, commit = source.tokenizer
    options = {**text.get("tokenizer_kwargs", {}), "revision": commit, "trust_remote_code": False}
    length = text.get("context_length", DEFAULT_CONTEXT_LENGTH)
    return HFTokenizer(repository, context_length=length, tokenizer_mode=text.get("tokenizer_mode"), **options)


def _weights_in(name: str, folder: Path) -> Path:
    from open_clip.factory import _find_checkpoint_in_dir

    checkpoint = _find_checkpoint_in_dir(folder)
    if checkpoint is None:
        raise UserError(f"{name} has no weights: {folder} holds no .safetensors, .bin or .pth file")
    return Path(checkpoint)


def _refuse_format(path: Path, *, trusted: bool) -> None:
    """Refuse a file that torch would run code of, and one that open_clip would convert, resizing positions."""
    if path.suffix in (".npz", ".npy"):
        raise UserError(f"{path} is a file of numpy. Take the published weights (open_clip:ARCH/TAG), or a state dict")
    if not trusted and path.suffix != ".safetensors" and is_torchscript(path):
        raise UserError(
            f"{path} is a TorchScript archive and none of those that OpenAI published: it can run any code while it "
            "loads. If you know who made it, add --trust-file. A .safetensors file needs no trust"
        )


def _refuse_text_tower_with_code(config: Mapping[str, Any]) -> None:
    """Have transformers refuse the text tower's configuration if it names code of its own, instead of asking."""
    if name := config["text_cfg"].get("hf_model_name"):
        from transformers import AutoConfig

        AutoConfig.from_pretrained(name, trust_remote_code=False)


def _shapes(path: Path, *, trusted: bool) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor in a file of weights, without reading the tensors where the format allows it."""
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no dict
    from open_clip.factory import load_state_dict

    device = "cpu" if is_torchscript(path) else "meta"
    state = load_state_dict(str(path), device=device, weights_only=not trusted)
    return {name: tuple(tensor.shape) for name, tensor in state.items() if isinstance(tensor, Tensor)}


def _check_fit(name: str, model: Any, stored: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse weights that open_clip has changed to fit the model: interpolated positions, a bias that it made up."""
    expected = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    for key in _POSITIONS:
        if key in stored and key in expected and stored[key] != expected[key]:
            raise UserError(
                f"{name}: the weights have {stored[key][0]} positions ({key}), the architecture {expected[key][0]}: "
                "they would have to be interpolated. Take the architecture that they were trained as"
            )
    if model.logit_bias is not None and "logit_bias" not in stored:
        raise UserError(
            f"{name}: the architecture has a logit bias (SigLIP), the weights have none: they belong to another"
        )


@contextmanager
def _loading(name: str) -> Iterator[None]:
    """Turn what open_clip raises into a UserError; hide its warnings, whose reasons are checked here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), quiet_transformers():
            warnings.filterwarnings("ignore", message=".*torch.jit.load.*")
            warnings.filterwarnings("ignore", message=".*looks like a TorchScript archive.*")
            warnings.filterwarnings("ignore", message="QuickGELU mismatch")
            yield
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{name} cannot be loaded: its file holds Python objects besides tensors, which can run any code. If you "
            "know who made it, add --trust-file; better ask for a .safetensors file"
        ) from error
    except (OSError, ValueError, ImportError, RuntimeError, LookupError, TypeError, AttributeError, EOFError) as error:
        raise UserError(f"{name} cannot be loaded: {first_line(error)}") from error
    finally:
        logging.disable(before)
