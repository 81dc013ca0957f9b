"""Weights and architecture must agree: activations, positions, lengths of texts."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from db.errors import UserError
from encoders.registry import open_encoder
from tests.fixtures.encoders import SIZE, WIDTH, tiny_clip

pytestmark = pytest.mark.usefixtures("trusted_files")


def copy(source: Path, folder: Path, file: str, change: Any) -> str:
    """Copy a model's folder with one JSON file changed; return its `--encoder` name."""
    folder.mkdir()
    for each in source.iterdir():
        (folder / each.name).write_bytes(each.read_bytes())
    content = json.loads((folder / file).read_bytes())
    change(content)
    (folder / file).write_text(json.dumps(content))
    return f"hf:{folder}"


def with_gelu(config: Any) -> None:
    config["text_config"]["hidden_act"] = config["vision_config"]["hidden_act"] = "gelu"


def test_weights_of_openai_with_gelu_are_refused(tiny_hf_clip_folder: Path, tmp_path: Path) -> None:
    name = copy(tiny_hf_clip_folder, tmp_path / "openai-clip-vit-base-patch16", "config.json", with_gelu)
    with pytest.raises(UserError, match=r"trained with quick_gelu, but its config.json has hidden_act gelu"):
        open_encoder(name)
    open_encoder(copy(tiny_hf_clip_folder, tmp_path / "clip-laion", "config.json", with_gelu))
    open_encoder(copy(tiny_hf_clip_folder, tmp_path / "openai-clip-vit-base", "config.json", lambda config: None))


def test_images_that_do_not_fit_the_positions_are_refused(tiny_siglip_folder: Path, tmp_path: Path) -> None:
    def larger(config: Any) -> None:
        config["size"] = {"height": 2 * SIZE, "width": 2 * SIZE}

    with pytest.raises(UserError, match=r"positions for images of 32 x 32, but its preprocessor_config.json makes 64"):
        open_encoder(copy(tiny_siglip_folder, tmp_path / "model", "preprocessor_config.json", larger))


def archive(model: Any, path: Path, *, context: int = 77) -> str:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is deprecated, and the format of CLIP
        torch.jit.trace(model, (torch.zeros(1, 3, SIZE, SIZE), torch.zeros(1, context, dtype=torch.int))).save(path)
    return str(path)


def test_an_archive_with_gelu_is_refused(tmp_path: Path) -> None:
    model = tiny_clip()
    for transformer in (model.transformer, model.visual.transformer):
        for block in transformer.resblocks:
            block.mlp.gelu = torch.nn.GELU()
    with pytest.raises(UserError, match=r"made of a model with GELU"):
        open_encoder(archive(model, tmp_path / "model.pt"))


@pytest.mark.parametrize("context", [32, 64])
def test_an_archive_with_a_shorter_context_cuts_texts_there(tmp_path: Path, context: int) -> None:
    import clip
    from clip.model import CLIP

    torch.manual_seed(3)
    model = CLIP(
        embed_dim=WIDTH, image_resolution=SIZE, vision_layers=1, vision_width=64, vision_patch_size=16,
        context_length=context, vocab_size=49408, transformer_width=64, transformer_heads=1, transformer_layers=1,
    ).half().float().eval()  # fmt: skip
    encoder = open_encoder(archive(model, tmp_path / "model.pt", context=context))
    texts = ["a dog", "a dog riding a bike " * 40]
    assert encoder.context_length == context
    with torch.no_grad():
        expected = model.encode_text(clip.tokenize(texts, context_length=context, truncate=True))
    torch.testing.assert_close(encoder.encode_texts(texts), expected, rtol=1e-4, atol=1e-5)
