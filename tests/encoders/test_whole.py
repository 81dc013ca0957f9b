"""Files that lack weights are refused: transformers would fill in random numbers, and all scores would mean nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from db.errors import UserError
from encoders.registry import find_encoder
from tests.fixtures.clip_models import tiny_videoprism_folder, tiny_xclip_folder
from tests.fixtures.colours import balls, described, encoder
from tests.fixtures.commands import Run
from tests.fixtures.multimodal import tiny_qwen3_vl_folder

__all__ = [
    "balls", "described", "encoder", "tiny_qwen3_vl_folder", "tiny_videoprism_folder", "tiny_xclip_folder"
]  # fixtures  # fmt: skip

FAMILIES = {  # fixture: (prefix, class, beginnings of the names of one tower and of the other)
    "tiny_hf_clip_folder": ("hf:", "CLIPModel", "text_", "vi"),
    "tiny_siglip1_folder": ("hf:", "SiglipModel", "text_", "vi"),
    "tiny_xclip_folder": ("hf:", "XCLIPModel", "text_", "vi"),
    "tiny_videoprism_folder": ("hf:", "VideoPrismClipModel", "text_model.layers", "vi"),
    "tiny_qwen3_vl_folder": ("st:", "Qwen3VLModel", "language_model", "visual"),
}


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies a folder, with its tensors changed by a function of all of them."""
    from safetensors.torch import load_file, save_file

    def change(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> Path:
        copy = shutil.copytree(folder, tmp_path / folder.name)
        save_file(change(load_file(copy / "model.safetensors")), copy / "model.safetensors", metadata={"format": "pt"})
        return copy

    return change


def message(name: str) -> str:
    with pytest.raises(UserError) as caught:
        find_encoder(name).encode_texts(["a"])
    return str(caught.value)


def vectors(name: str) -> Tensor:
    return find_encoder(name).encode_texts(["a", "a photo of a dog"])


@pytest.mark.parametrize("tower", [0, 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_files_without_a_tower_are_refused(
    family: str, tower: int, changed: Callable[..., Path], request: pytest.FixtureRequest
) -> None:
    prefix, model, *towers = FAMILIES[family]
    dropped: list[str] = []

    def without(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        dropped.extend(sorted(name for name in tensors if name.startswith(towers[tower])))
        return {name: tensor for name, tensor in tensors.items() if name not in dropped}

    folder = changed(request.getfixturevalue(family), without)
    reason = message(f"{prefix}{folder}")
    assert f"of {model}, its files lack {len(dropped)} ({', '.join(dropped[:3])} and {len(dropped) - 3} more)" in reason
    assert reason.endswith(f"Take a folder or repository with all weights of {model}")


def test_nothing_is_stored_of_files_without_a_tower(
    recognize: Run, described: Path, tiny_hf_clip_folder: Path, changed: Callable[..., Path]
) -> None:
    half = changed(tiny_hf_clip_folder, lambda tensors: {k: v for k, v in tensors.items() if not k.startswith("text_")})
    told = recognize("embed", "-d", "balls", "--root", described, "-e", f"hf:{half}", "--frames", 2)
    assert told.exit_code == 1
    assert "its files lack" in told.stderr
    assert "hf-clip" not in recognize("features", "list").stdout


def test_files_of_another_class_are_refused_by_its_name(tiny_hf_clip_folder: Path, tmp_path: Path) -> None:
    from transformers import CLIPForImageClassification

    shutil.copytree(tiny_hf_clip_folder, tmp_path, dirs_exist_ok=True)
    CLIPForImageClassification.from_pretrained(tiny_hf_clip_folder).save_pretrained(tmp_path)
    assert "config.json names the class CLIPForImageClassification, which has other weights" in message(
        f"hf:{tmp_path}"
    )


def test_weights_of_another_shape_are_refused(tiny_hf_clip_folder: Path, changed: Callable[..., Path]) -> None:
    folder = changed(tiny_hf_clip_folder, lambda tensors: {**tensors, "text_projection.weight": torch.zeros(3, 64)})
    assert "its files hold 1 in another shape (text_projection.weight: 3 x 64 for 48 x 64)" in message(f"hf:{folder}")


def test_old_files_with_positions_open(tiny_hf_clip_folder: Path, tmp_path: Path) -> None:
    """As OpenAI's CLIP is on the hub: a .bin file, with the positions that transformers once stored."""
    from safetensors.torch import load_file

    old = shutil.copytree(tiny_hf_clip_folder, tmp_path / "old")
    tensors = load_file(old / "model.safetensors")
    tensors |= {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    torch.save(tensors, old / "pytorch_model.bin")
    (old / "model.safetensors").unlink()
    assert torch.equal(vectors(f"hf:{old}"), vectors(f"hf:{tiny_hf_clip_folder}"))


UNREAD = {  # fixture: (prefix, what its names begin with)
    "tiny_xclip_folder": ("hf:", "prompts_"),
    "tiny_videoprism_folder": ("hf:", "text_model.embeddings.position_"),
}


@pytest.mark.parametrize("family", UNREAD)
def test_files_without_what_no_embedding_reads_open(
    family: str, changed: Callable[..., Path], request: pytest.FixtureRequest
) -> None:
    prefix, unread = UNREAD[family]
    whole: Any = request.getfixturevalue(family)
    part = changed(whole, lambda tensors: {k: v for k, v in tensors.items() if not k.startswith(unread)})
    assert torch.equal(vectors(f"{prefix}{part}"), vectors(f"{prefix}{whole}"))


def test_files_of_the_generating_class_open(tiny_qwen3_vl_folder: Path, changed: Callable[..., Path]) -> None:
    """As Qwen3-VL-Embedding-8B is published: its names have a prefix, and its head, which is not tied, is absent."""
    folder = changed(tiny_qwen3_vl_folder, lambda tensors: {f"model.{name}": value for name, value in tensors.items()})
    assert torch.equal(vectors(f"st:{folder}"), vectors(f"st:{tiny_qwen3_vl_folder}"))


def test_files_of_a_class_with_a_head_open(tiny_hf_clip_folder: Path, tmp_path: Path) -> None:
    """Detectors and segmenters keep a whole CLIP under a prefix."""
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPSegModel

    tower = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    ends = {"bos_token_id": 49406, "eos_token_id": 49407, "pad_token_id": 49407}
    config = CLIPSegConfig(
        text_config={**tower, **ends, "vocab_size": 49408, "max_position_embeddings": 77},
        vision_config={**tower, "image_size": 32, "patch_size": 16}, projection_dim=48,
        reduce_dim=16, decoder_num_attention_heads=2, decoder_intermediate_size=16, extract_layers=[0],
    )  # fmt: skip
    torch.manual_seed(0)
    segmenter = CLIPSegForImageSegmentation(config).eval()
    head, base = (shutil.copytree(tiny_hf_clip_folder, tmp_path / name) for name in ("head", "base"))
    segmenter.save_pretrained(head)
    assert isinstance(segmenter.clip, CLIPSegModel)
    segmenter.clip.save_pretrained(base)
    assert torch.equal(vectors(f"hf:{head}"), vectors(f"hf:{base}"))
