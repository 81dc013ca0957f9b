"""Tiny encoders with random weights, in the files that real ones come in. Loaded by conftest.py for all tests."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

SIZE = 32  # S of the tiny models
WIDTH = 48  # D of the tiny models
WORDS = ("a", "photo", "of", "dog", "riding", "bike")  # all that the tokenizer of the tiny SigLIP knows


def tiny_clip() -> Any:
    """Return an openai-clip model with random weights that survive the archive's half precision."""
    import torch
    from clip.model import CLIP, convert_weights

    torch.manual_seed(0)
    vision = {"image_resolution": SIZE, "vision_layers": 1, "vision_width": 64, "vision_patch_size": 16}
    text = {"context_length": 77, "vocab_size": 49408}
    heads = {"transformer_width": 64, "transformer_heads": 1, "transformer_layers": 1}
    model = CLIP(embed_dim=WIDTH, **vision, **text, **heads)
    convert_weights(model)  # type: ignore[no-untyped-call]
    return model.float().eval()


@pytest.fixture(scope="session")
def tiny_clip_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TorchScript archive of `tiny_clip()`, as the authors of CLIP publish theirs."""
    import torch

    path = tmp_path_factory.mktemp("openai-clip") / "tiny.pt"
    frame, text = torch.zeros(1, 3, SIZE, SIZE), torch.zeros(1, 77, dtype=torch.int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, and the format of CLIP
        torch.jit.trace(tiny_clip(), (frame, text)).save(path)
    return path


@pytest.fixture(scope="session")
def tiny_hf_clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that transformers' save_pretrained wrote: CLIP with the tokenizer of openai-clip."""
    import torch
    from clip.simple_tokenizer import SimpleTokenizer
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("hf-clip")
    bpe = SimpleTokenizer()
    torch.manual_seed(1)
    text = {**_TOWER, "vocab_size": len(bpe.encoder), "max_position_embeddings": 77, **_SPECIAL}
    config = CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=WIDTH)
    CLIPModel(config).save_pretrained(folder)
    CLIPTokenizer(vocab=bpe.encoder, merges=list(bpe.bpe_ranks), model_max_length=77).save_pretrained(folder)
    crop = {"height": SIZE, "width": SIZE}
    CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size=crop).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_siglip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for SigLIP, with a tokenizer of whole words; like SigLIP 2 of fixed resolution in form."""
    import torch
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    folder = tmp_path_factory.mktemp("hf-siglip")
    torch.manual_seed(2)
    text = {**_TOWER, "vocab_size": 100, "max_position_embeddings": 16, "projection_size": 64}
    SiglipModel(SiglipConfig(text_config=text, vision_config=_VISION)).save_pretrained(folder)
    word_tokenizer("<pad>", "</s>", "<unk>", *WORDS).save_pretrained(folder)
    SiglipImageProcessor(size={"height": SIZE, "width": SIZE}).save_pretrained(folder)
    return folder


def word_tokenizer(*words: str) -> Any:
    """Return a tokenizer of transformers that knows these words and ends every text with `</s>`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", vocabulary["</s>"])]
    )
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


_TOWER = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
_VISION = {**_TOWER, "image_size": SIZE, "patch_size": 16}
_SPECIAL = {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
