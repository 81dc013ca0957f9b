"""Every family of encoders goes the whole road: embed, eval, explain, sweep.

The vectors of those that no test of a loader has are compared with their library's here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from encoders.registry import find_encoder
from tests.fixtures.clip_models import tiny_videoprism_folder, tiny_xclip_folder
from tests.fixtures.colours import balls, described, encoder
from tests.fixtures.commands import Run
from tests.fixtures.families import open_clip_families, tiny_metaclip2_folder
from tests.fixtures.multimodal import tiny_qwen3_vl_folder

__all__ = [
    "balls", "described", "encoder", "open_clip_families", "tiny_metaclip2_folder", "tiny_qwen3_vl_folder",
    "tiny_videoprism_folder", "tiny_xclip_folder",
]  # fixtures  # fmt: skip

FAMILIES = {  # name: (fixture of its files, how it is typed, T)
    "openai-clip archive": ("tiny_clip_archive", "{}", 2),
    "open_clip": ("open_clip_files tiny-clip", "open_clip:tiny-clip/{}", 2),
    "PE-Core": ("open_clip_families tiny-pe-core", "open_clip:tiny-pe-core/{}", 2),
    "MobileCLIP2": ("open_clip_families tiny-mobileclip2", "open_clip:tiny-mobileclip2/{}", 2),
    "a tower of timm": ("open_clip_families tiny-timm", "open_clip:tiny-timm/{}", 2),
    "DFN": ("open_clip_families tiny-dfn", "open_clip:local-dir:{}", 2),
    "MetaCLIP 2": ("tiny_metaclip2_folder", "hf:{}", 2),
    "CLIP": ("tiny_hf_clip_folder", "hf:{}", 2),
    "SigLIP": ("tiny_siglip1_folder", "hf:{}", 2),
    "SigLIP 2": ("tiny_siglip2_folder", "hf:{}", 2),
    "X-CLIP": ("tiny_xclip_folder", "hf:{}", 4),
    "VideoPrism": ("tiny_videoprism_folder", "hf:{}", 3),
    "sentence-transformers": ("tiny_qwen3_vl_folder", "st:{}", 16),
    "module:factory": (None, "encoders.testing:FakeEncoder", 2),
}
_SLOW = ("openai-clip archive", "open_clip", "CLIP", "sentence-transformers", "PE-Core", "MobileCLIP2")  # over 3 s each


def opened(family: str, request: pytest.FixtureRequest) -> tuple[str, int]:
    """Return how a family is typed, and its T; its files are made first."""
    fixture, form, frames = FAMILIES[family]
    if fixture is None:
        return form, frames
    name, _, key = fixture.partition(" ")
    files = request.getfixturevalue(name)
    return form.format(files[key] if key else files), frames


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[pytest.mark.slow] if name in _SLOW else []) for name in FAMILIES]
)
@pytest.mark.usefixtures("trusted_files")
def test_the_whole_road(family: str, recognize: Run, described: Path, request: pytest.FixtureRequest) -> None:
    name, frames = opened(family, request)
    chosen = ("-d", "balls", "-e", name, "--frames", frames)
    of_dataset = (*chosen, "--root", described)

    embedded = json.loads(recognize("embed", *of_dataset, "--json").stdout)
    assert (embedded["counts"]["embedded"], embedded["counts"]["unreadable"]) == (6, 1)
    run = json.loads(recognize("eval", *of_dataset, "--method", "mean", "--json").stdout)
    assert (run["counts"]["evaluated"], run["settings"]["encoder"]) == (6, name)

    video = described / "red_ball" / "a"
    [explanation] = json.loads(recognize("explain", video, *chosen, "--json").stdout)["explanations"]
    assert all(explained["texts"] for explained in explanation["classes"])
    swept = recognize("sweep", *of_dataset, "--method", "mean", "--kinds", "every", "--json")
    assert run["results"]["rows"]["label + descriptors"]["top1"]["value"] in [
        row["top1"] for row in json.loads(swept.stdout)
    ]


TEXTS = ["riding a bike", "a photo of a dog", "dog"]
FRAMES = np.random.default_rng(0).integers(0, 256, (2, 90, 120, 3), np.uint8)


@pytest.mark.parametrize("family", ["PE-Core", "MobileCLIP2", "a tower of timm", "DFN"])
def test_vectors_are_those_of_open_clip(family: str, request: pytest.FixtureRequest) -> None:
    import open_clip

    name, _ = opened(family, request)
    encoder: Any = find_encoder(name)
    architecture, _, weights = name.removeprefix("open_clip:").partition("/")
    library = name.removeprefix("open_clip:") if family == "DFN" else architecture
    model, _, transform = open_clip.create_model_and_transforms(library, None if family == "DFN" else weights)
    with torch.no_grad():
        frames = model.eval().encode_image(torch.stack([transform(Image.fromarray(frame)) for frame in FRAMES]))
        texts = model.encode_text(open_clip.get_tokenizer(library)(TEXTS))
    torch.testing.assert_close(encoder.encode_frames(encoder.preprocess(FRAMES)), frames, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(encoder.encode_texts(TEXTS), texts, rtol=1e-4, atol=1e-4)
    assert min((frames[0] - frames[1]).abs().max(), (texts[0] - texts[1]).abs().max()) > 0.01


def test_metaclip2_has_the_vectors_of_transformers(tiny_metaclip2_folder: Path) -> None:
    from transformers import AutoImageProcessor, AutoTokenizer, MetaClip2Model

    encoder: Any = find_encoder(f"hf:{tiny_metaclip2_folder}")
    model = MetaClip2Model.from_pretrained(tiny_metaclip2_folder).eval()
    processor = AutoImageProcessor.from_pretrained(tiny_metaclip2_folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny_metaclip2_folder)
    with torch.no_grad():
        frames = model.get_image_features(**processor(list(FRAMES), return_tensors="pt")).pooler_output
        tokens = tokenizer(TEXTS, padding=True, return_tensors="pt", return_token_type_ids=False)
        texts = model.get_text_features(**tokens).pooler_output
    torch.testing.assert_close(encoder.encode_frames(encoder.preprocess(FRAMES)), frames, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(encoder.encode_texts(TEXTS), texts, rtol=1e-4, atol=1e-4)
    assert min((frames[0] - frames[1]).abs().max(), (texts[0] - texts[1]).abs().max()) > 0.01
