"""Encoders of clips on the whole road: embed, eval, predict, explain, sweep, impact, compare; and what they refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from db.errors import UsageError
from recognizer import Recognizer
from recognizer.features.store import FeatureStore
from tests.fixtures.clip_models import tiny_videoprism_folder, tiny_xclip_folder
from tests.fixtures.colours import balls, described, encoder
from tests.fixtures.commands import Run

__all__ = ["balls", "described", "encoder", "tiny_videoprism_folder", "tiny_xclip_folder"]  # fixtures

FRAMES = {"tiny_xclip_folder": 4, "tiny_videoprism_folder": 3}
both = pytest.mark.parametrize("model", FRAMES)


@pytest.fixture
def rolling(described: Path) -> Path:
    """The described balls, as folders of 12 frames that differ; `broken.mp4` cannot be read."""
    for number, video in enumerate(sorted(path.parent for path in described.rglob("frame_1.png"))):
        shutil.rmtree(video)
        video.mkdir()
        pixels = np.random.default_rng(number).integers(0, 256, (12, 40, 60, 3), np.uint8)
        for frame, picture in enumerate(pixels):
            Image.fromarray(picture).save(video / f"frame_{frame:02}.png")
    return described


def frames_of(video: Path, numbers: list[int]) -> list[Any]:
    return [np.asarray(Image.open(video / f"frame_{number:02}.png")) for number in numbers]


@both
def test_the_whole_road(model: str, recognize: Run, rolling: Path, request: pytest.FixtureRequest) -> None:
    folder, frames = request.getfixturevalue(model), FRAMES[model]
    chosen = ("-e", f"hf:{folder}", "--frames", frames, "--clips", 2, "--crops", 3)
    videos = ("-d", "balls", "--root", rolling)
    embedded = json.loads(recognize("embed", *videos, *chosen, "--json").stdout)
    assert (embedded["counts"]["embedded"], embedded["counts"]["unreadable"]) == (6, 1)
    shelves = recognize("features", "list", "--json").stdout
    assert f"{frames} frames x 2 clips x 3 crops, own, a vector a clip" in shelves

    shown = recognize("eval", *videos, *chosen, "--method", "ensemble")
    assert shown.exit_code == 0, shown.output
    assert ("note: X-CLIP's own score changes each text" in shown.output) == (model == "tiny_xclip_folder")
    run = json.loads(recognize("eval", *videos, *chosen, "--method", "ensemble", "--json").stdout)
    assert (run["counts"]["evaluated"], run["settings"]["clip_frames"]) == (6, frames)
    of_run = run["results"]["rows"]["label + descriptors"]["top1"]["value"]

    swept = recognize(
        "sweep", *videos, *chosen, "--method", "ensemble", "--method", "soft", "--kinds", "every", "--json"
    )
    assert swept.exit_code == 0, (swept.output, swept.exception)
    [row] = [row for row in json.loads(swept.stdout) if row["method"] == "ensemble"]
    assert row["top1"] == of_run
    assert recognize("impact", run["id"]).exit_code == 0
    assert recognize("compare", run["id"], run["id"] - 1).exit_code == 0
    assert recognize("report", run["id"], "-o", rolling.parent / "run.html").exit_code == 0
    video = rolling / "red_ball" / "a"
    [ranking] = json.loads(recognize("predict", video, "-d", "balls", *chosen, "--json").stdout)["rankings"]
    explained = recognize("explain", video, "-d", "balls", *chosen, "--json")
    [explanation] = json.loads(explained.stdout)["explanations"]
    for candidate, explained_class in zip(ranking["candidates"], explanation["classes"], strict=False):
        texts = explained_class["texts"]
        assert sum(text["attribution"] for text in texts) == pytest.approx(candidate["score"], abs=1e-5)
        assert explained_class["path"] is None
        assert all(text["frames"] == [] for text in texts)
    assert "--output" not in recognize("explain", video, "-d", "balls", *chosen).output


def test_a_view_has_one_frame_of_each_equal_part_of_the_video(
    recognize: Run, rolling: Path, tiny_xclip_folder: Path, tmp_path: Path
) -> None:
    """12 frames, T = 4: the centres of four equal parts; with two clips, the centres of eight, in turn."""
    from transformers import AutoProcessor, XCLIPModel

    video, store = rolling / "green_ball" / "b", tmp_path / "store"
    model, processor = (
        XCLIPModel.from_pretrained(tiny_xclip_folder).eval(),
        AutoProcessor.from_pretrained(tiny_xclip_folder),
    )
    expected = {1: [[1, 4, 7, 10]], 2: [[0, 3, 6, 9], [2, 5, 8, 11]]}
    for clips, views in expected.items():
        chosen = ("-e", f"hf:{tiny_xclip_folder}", "--frames", 4, "--clips", clips, "--features", store)
        assert recognize("predict", video, "-d", "balls", *chosen).exit_code == 0
        with FeatureStore.open(store) as features:
            [row] = [row for row in features.shelves() if row.key["what"] == "clips" and row.key["clips"] == clips]
            stored = torch.from_numpy(features.arrays(row)[0].copy())  # [W, 1, D]
        assert (row.key["frames"], row.key["stride"]) == (4, "spread")
        for view, numbers in zip(stored, views, strict=True):
            inputs = processor(videos=frames_of(video, numbers), return_tensors="pt")
            with torch.no_grad():
                vector = model.get_video_features(**inputs).pooler_output
            torch.testing.assert_close(view, vector, atol=1e-5, rtol=0)


REFUSED = {
    ("eval", "--method", "align"): "Method align compares texts with single frames",
    (
        "eval",
        "--method",
        "parts",
    ): "Methods that work with it: autoclip, ensemble, ensemble-published, label, max, mean, rerank, soft",
    ("eval", "--pooling", "max"): "--pooling max is over single frames",
    ("eval", "--unit-frames"): "--unit-frames is about single frames",
    ("eval", "--frames", 8): "takes clips of 4 frames, not of 8. Give --frames 4",
    ("embed", "--frames", 8): "takes clips of 4 frames, not of 8. Give --frames 4",
    ("sweep", "--method", "mean", "--method", "align"): "Method align compares texts with single frames",
}


@pytest.mark.parametrize("arguments", REFUSED, ids=lambda arguments: " ".join(map(str, arguments)))
def test_what_needs_single_frames_is_refused(
    arguments: tuple[object, ...], recognize: Run, rolling: Path, tiny_xclip_folder: Path
) -> None:
    command, *options = arguments
    frames = () if "--frames" in options else ("--frames", 4)
    result = recognize(command, "-d", "balls", "--root", rolling, "-e", f"hf:{tiny_xclip_folder}", *frames, *options)
    assert result.exit_code == 2
    assert REFUSED[arguments] in " ".join(result.stderr.split())


def test_localize_and_pictures_are_refused(
    recognize: Run, rolling: Path, tiny_xclip_folder: Path, tmp_path: Path
) -> None:
    video, chosen = rolling / "red_ball" / "a", ("-d", "balls", "-e", f"hf:{tiny_xclip_folder}")
    localized = recognize("localize", video, *chosen)
    assert localized.exit_code == 2
    assert "recognize localize scores single frames, but hf:tiny-xclip gives one vector for a clip of 4" in " ".join(
        localized.stderr.split()
    )
    for output in ("explained.png", "explained.html"):
        drawn = recognize("explain", video, *chosen, "--frames", 4, "-o", tmp_path / output)
        assert drawn.exit_code == 2
        assert "A picture shows how each text fits each frame" in drawn.stderr
        assert not (tmp_path / output).exists()


def test_python_refuses_the_same(rolling: Path, tiny_xclip_folder: Path, tmp_path: Path) -> None:
    video = rolling / "red_ball" / "a"
    recognizer = Recognizer(rolling, encoder=f"hf:{tiny_xclip_folder}", frames=4, features=tmp_path, progress=False)
    assert recognizer.predict(video)[0].candidates
    with pytest.raises(UsageError, match="A picture shows how each text fits each frame"):
        recognizer.explain(video, output=tmp_path / "explained.png")
    with pytest.raises(UsageError, match="recognize localize scores single frames"):
        recognizer.localize(video)
