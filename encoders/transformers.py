"""Any dual encoder of transformers: CLIP, SigLIP, SigLIP 2 (fixed resolution), MetaCLIP, ALIGN ..."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from db.errors import UserError
from encoders.checks import check_encoder
from encoders.images import Images
from encoders.multimodal_names import CONFIG as SENTENCE_TRANSFORMERS
from encoders.protocol import Logits
from encoders.towers import best_device, encode_frames_in_batches, encode_in_batches
from encoders.weights import first_line, hub_file
from encoders.whole import OPTIONS as WHOLE
from encoders.whole import whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from encoders.protocol import Precision, Preprocessing


# How text towers were trained on batches of texts of different lengths. SigLIP's tower attends to padding and
# pools the last position: always 64 tokens, and no mask (google-research/big_vision), though the tokenizers of
# transformers 5 return one.
_PADDED = {"padding": "max_length", "return_attention_mask": False}
_MASKED = {"padding": "longest", "return_attention_mask": True}
_TEXT_INPUTS = {"siglip": _PADDED, "siglip2": _PADDED}
_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")  # each enough for one family of tokenizers
_TOKENIZER_PACKAGES = ("sentencepiece", "protobuf")


class DualEncoder:
    """A model of transformers with an image and a text tower; see the protocol `Encoder`."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        image_processor: Any,
        *,
        id: str,  # noqa: A002
        revision: str,
        precision: Precision = "float32",
    ) -> None:
        self.id = id
        self.revision = revision
        # A tokenizer without a limit says 1e30; a RoBERTa tower has two more positions than it can use.
        positions = int(model.config.text_config.max_position_embeddings)
        self._text_input = _TEXT_INPUTS.get(model.config.model_type, _MASKED)
        # Texts that are padded in full must fill all positions: the tower pools the last one.
        limit = positions if self._text_input is _PADDED else int(tokenizer.model_max_length)
        self.context_length = min(positions, limit)
        self.logits = _logits(model)
        self._model = model.to(getattr(torch, precision))  # after the logits, which need all digits
        self._tokenizer = lower_case(tokenizer) if self._text_input is _PADDED else tokenizer
        self._images = Images(image_processor)
        self.width = self._checked_width(self._images.black)
        check_encoder(self)

    @classmethod
    def load(
        cls,
        model: str,
        *,
        id: str,  # noqa: A002
        revision: str,
        precision: Precision = "float32",
    ) -> DualEncoder:
        """Open a folder, or a repository of the hub at a commit; only files that are not in the cache are downloaded.

        Raises:
            UserError: it is not a dual encoder, or cannot be loaded.
        """
        import transformers

        # The revision is ignored for a folder. Code in a repository never runs, and nobody is asked whether it may.
        location = {"pretrained_model_name_or_path": model, "revision": revision, "trust_remote_code": False}
        with quiet_transformers(), loading(id):
            config = transformers.AutoConfig.from_pretrained(**location)
            _check_towers(id, config, model, revision)
            _check_activation(id, config)
            check_tokenizer_files(id, Path(model))
            tokenizer = transformers.AutoTokenizer.from_pretrained(**location)
            image_processor = transformers.AutoImageProcessor.from_pretrained(**location)
            # Without a dtype, checkpoints in half precision would stay so.
            loaded = transformers.AutoModel.from_pretrained(**location, dtype=torch.float32, **WHOLE)
            towers = whole(id, loaded).eval().to(best_device())
            return cls(towers, tokenizer, image_processor, id=id, revision=revision, precision=precision)

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> Tensor:
        return self._images.preprocess(frames, preprocessing=preprocessing)

    def encode_frames(self, pixels: Tensor) -> Tensor:

        def encode(batch: Tensor) -> Tensor:
            return _embeddings(self._model.get_image_features(pixel_values=batch.to(self._model.dtype)))

        return encode_frames_in_batches(pixels, encode, device=self._model.device, normalize=self._images.normalize)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return encode_in_batches(texts, self._encode, width=self.width)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        counted = self._tokenizer(list(texts), truncation=False, padding=False, verbose=False)
        return [len(ids) for ids in counted["input_ids"]]

    def _encode(self, texts: list[str]) -> Tensor:
        tokens = self._tokenizer(
            texts,
            **self._text_input,
            return_token_type_ids=False,
            truncation=True,
            max_length=self.context_length,
            return_tensors="pt",
        ).to(self._model.device)
        return _embeddings(self._model.get_text_features(**tokens))

    def _checked_width(self, black: Tensor) -> int:
        """Return D.

        Raises:
            UserError: its input is not square, or its towers do not share one space.
        """
        if black.ndim != 4 or black.shape[-1] != black.shape[-2]:
            raise UserError(
                f"{self.id} takes images of varying shape (NaFlex), recognize only squares. "
                "Use a fixed resolution, such as hf:google/siglip2-base-patch16-224"
            )
        trained = getattr(self._model.config.vision_config, "image_size", black.shape[-1])
        if trained != black.shape[-1]:
            raise UserError(
                f"{self.id} has positions for images of {trained} x {trained}, but its preprocessor_config.json makes "
                f"{black.shape[-1]} x {black.shape[-1]}: positions would have to be interpolated. Set its size and "
                f"crop_size to {trained}"
            )
        frame = self.encode_frames(black)
        with torch.no_grad():
            text = self._encode(["a"])
        if frame.shape != text.shape or text.ndim != 2:
            raise UserError(_not_dual(self.id, f"frame {tuple(frame.shape)}, text {tuple(text.shape)}"))
        return text.shape[1]


def _logits(model: Any) -> Logits:
    """Return scale and bias of a model: CLIP and SigLIP learn the log of the scale, ALIGN the temperature.

    AIMv2's forward pass keeps the scale between 1 and a limit of its configuration.
    """
    if hasattr(model, "logit_scale"):
        bias = float(model.logit_bias.detach()) if hasattr(model, "logit_bias") else 0.0
        log = model.logit_scale.detach()
        if hasattr(model, "max_log_logit_scale"):
            log = log.clamp(0, model.max_log_logit_scale)
        return Logits(scale=float(log.exp()), bias=bias, calibrated=True)
    if isinstance(temperature := getattr(model, "temperature", None), Tensor):
        return Logits(scale=1 / float(temperature.detach()), calibrated=True)
    return Logits()


def lower_case(tokenizer: Any) -> Any:
    """Return a tokenizer that puts texts into lower case first, as SigLIP and SigLIP 2 were trained.

    SigLIP 2 of fixed resolution comes with Gemma's tokenizer, which does not; transformers' `Siglip2Tokenizer`, which
    only the NaFlex models name, does it in this way. The tokenizer of SigLIP, which has no backend, does it itself.
    """
    from tokenizers import normalizers

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        own = [backend.normalizer] if backend.normalizer else []
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
    return tokenizer


_EXAMPLES = (
    "Dual encoders are, for example, hf:openai/clip-vit-base-patch16, hf:google/siglip2-base-patch16-224, "
    "hf:facebook/metaclip-b16-400m"
)


def _not_dual(name: str, reason: str) -> str:
    return f"{name} does not embed frames and texts in one space ({reason}). {_EXAMPLES}"


def _embeddings(output: Any) -> Tensor:
    # transformers 4 returned the tensor itself
    embeddings: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return embeddings


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hide transformers' progress bar and load report during the block; downloads keep their bar."""
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


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Raise UserError for what goes wrong while a model loads."""
    from safetensors import SafetensorError

    try:
        yield
    except (AttributeError, TypeError, LookupError) as error:  # the files are whole, but of another form
        cause = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(
            f"{name} cannot be read as an encoder ({cause}). It is of another form than its config.json says, or than "
            "the installed version of transformers reads. Take another encoder with --encoder"
        ) from error
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        absent = [package for package in _TOKENIZER_PACKAGES if package in str(error).lower()]
        reason = _PACKAGES_ABSENT.format(packages=" ".join(absent)) if absent else first_line(error)
        raise UserError(f"{name} cannot be loaded: {reason}") from error


_PACKAGES_ABSENT = "its tokenizer needs packages that are not installed. Run: pip install {packages}"


def check_tokenizer_files(name: str, folder: Path) -> None:
    """Refuse a folder without a tokenizer: transformers would make an empty one, and all texts would be alike."""
    if folder.is_dir() and not any(file for pattern in _TOKENIZER_FILES for file in folder.glob(pattern)):
        raise UserError(
            f"{name} has no tokenizer: {folder} holds none of {', '.join(_TOKENIZER_FILES)}. Copy the tokenizer's "
            f"files from the repository of the model, or save them: AutoTokenizer.from_pretrained(...)."
            f"save_pretrained({str(folder)!r})"
        )


# Names in which OpenAI's weights are published or converted; their towers were trained with QuickGELU.
_OPENAI_NAME = re.compile(r"openai[/_-]+clip-", re.IGNORECASE)


def _check_activation(name: str, config: Any) -> None:
    """Refuse OpenAI's weights under GELU: the scores look plausible and are several points worse.

    The weights themselves do not show how they were trained, so this goes by the names of the model.
    """
    if config.model_type != "clip" or not _OPENAI_NAME.search(f"{name} {config._name_or_path}"):
        return
    used = {config.text_config.hidden_act, config.vision_config.hidden_act}
    if used != {"quick_gelu"}:
        raise UserError(
            f"{name} is named as OpenAI's CLIP, which was trained with quick_gelu, but its config.json has hidden_act "
            f"{', '.join(sorted(used))}. Set hidden_act to quick_gelu in text_config and vision_config, or rename it"
        )


def _check_towers(name: str, config: Any, model: str, revision: str) -> None:
    """Refuse models that are not dual encoders before their weights are downloaded."""
    from transformers import MODEL_MAPPING

    model_class = MODEL_MAPPING.get(type(config), None)
    towers = ("get_image_features", "get_text_features")
    if all(hasattr(model_class, tower) for tower in towers) and hasattr(config, "text_config"):
        return _check_images(name, config)
    reason = f"model type {config.model_type}"
    if _has_file(model, SENTENCE_TRANSFORMERS, revision):
        raise UserError(
            f"{name} is no dual encoder ({reason}), but a model of sentence-transformers: --encoder st:{model}"
        )
    _check_video(name, config.model_type, model_class)
    raise UserError(_not_dual(name, reason))


# Video models with text features that transformers' class does not give one by one, by model type.
_TOGETHER = {
    "pe_video": "gives the vectors of videos and of texts only together, in its forward pass: transformers defines "
    "get_video_features and get_text_features inside its constructor, where nothing can call them",
    "pe_audio_video": "has no get_video_features and get_text_features, but methods of its own, for sound too",
}


def _check_video(name: str, model_type: str, model_class: Any) -> None:
    """Refuse video models that are not among those of encoders/clips.py, each with its reason."""
    reason = _TOGETHER.get(model_type)
    if reason is None and hasattr(model_class, "get_video_features"):
        reason = "has features of videos, but none of texts alone: it reads both in one prompt"
    if reason:
        title = getattr(model_class, "__name__", model_type)
        raise UserError(
            f"{name} is not read as an encoder of clips: {title} {reason}. Encoders of clips are, for example, "
            "hf:microsoft/xclip-base-patch32, hf:google/videoprism-lvt-base-f16r288 and st:Qwen/Qwen3-VL-Embedding-2B"
        )


def _check_images(name: str, config: Any) -> None:
    """Refuse FLAVA and its like: their image features are one vector for each patch, not one for the image."""
    if not hasattr(config, "vision_config"):
        raise UserError(
            f"{name} is not read: its {type(config).__name__} has no vision_config, and features of such models are of "
            f"single patches and tokens, not of whole images and texts. {_EXAMPLES}"
        )


def _has_file(model: str, file: str, revision: str) -> bool:
    """Return whether a folder, or a repository of the hub at a commit, has a file; False if the hub does not answer."""
    from huggingface_hub import file_exists

    if Path(model).is_dir():
        return (Path(model) / file).is_file()
    try:
        return hub_file(model, file, revision) is not None or file_exists(model, file, revision=revision)
    except Exception:  # the version of the hub's client decides which HTTP library raises
        return False
