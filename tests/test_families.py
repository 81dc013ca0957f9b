"""Every family of encoders goes the whole road: embed, eval, explain, sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.clip_models import tiny_videoprism_folder, tiny_xclip_folder
from tests.fixtures.colours import balls, described, encoder
from tests.fixtures.commands import Run
from tests.fixtures.multimodal import tiny_qwen3_vl_folder

__all__ = [
    "balls", "described", "encoder", "tiny_qwen3_vl_folder", "tiny_videoprism_folder", "tiny_xclip_folder"
]  # fixtures  # fmt: skip

FAMILIES = {  # name: (fixture of its files, how it is typed, T)
    "openai-clip archive": ("tiny_clip_archive", "{}", 2),
    "open_clip": ("open_clip_files", "open_clip:tiny-clip/{}", 2),
    "CLIP": ("tiny_hf_clip_folder", "hf:{}", 2),
    "SigLIP": ("tiny_siglip1_folder", "hf:{}", 2),
    "SigLIP 2": ("tiny_siglip2_folder", "hf:{}", 2),
    "X-CLIP": ("tiny_xclip_folder", "hf:{}", 4),
    "VideoPrism": ("tiny_videoprism_folder", "hf:{}", 3),
    "sentence-transformers": ("tiny_qwen3_vl_folder", "st:{}", 16),
    "module:factory": (None, "encoders.testing:FakeEncoder", 2),
}
_SLOW = ("openai-clip archive", "open_clip", "CLIP", "sentence-transformers")  # over 3 s each


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=[pytest.mark.slow] if name in _SLOW else []) for name in FAMILIES]
)
@pytest.mark.usefixtures("trusted_files")
def test_the_whole_road(family: str, recognize: Run, described: Path, request: pytest.FixtureRequest) -> None:
    fixture, form, frames = FAMILIES[family]
    files = request.getfixturevalue(fixture) if fixture else None
    name = form.format(files["tiny-clip"] if isinstance(files, dict) else files)
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
