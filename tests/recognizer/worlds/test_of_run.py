"""recognize eval --worlds: where a run is on the map, and what its method does there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from encoders.protocol import Traits
from encoders.testing import FakeEncoder, registered
from recognizer.worlds.sample import Sample, sample
from recognizer.worlds.world import World
from tests.fixtures.commands import Run

MADE = World(classes=6, group=2, videos=24, frames=4)
KINDS = ("context", "decomposition", "decomposition", "decomposition", "description")  # of the texts after the label


class WorldEncoder(FakeEncoder):
    """An encoder to which the frame of colour (v, t, 0) and the text `text c k` are those of a drawing of a world."""

    width = MADE.width
    traits = Traits(label_templates=("{}",))

    def __init__(self, drawn: Sample) -> None:
        super().__init__()
        self._drawn = drawn

    def encode_frames(self, pixels: Any) -> Tensor:
        return self._drawn.videos.frames[pixels[:, 0, 0, 0].long(), pixels[:, 1, 0, 0].long()]

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return torch.stack([self._drawn.ensemble.texts[*map(int, text.split()[1:])] for text in texts])


@pytest.fixture
def drawn() -> Iterator[Sample]:
    made = sample(MADE, seed=50)
    with registered(WorldEncoder(made), "fake"):
        yield made


@pytest.fixture
def videos(drawn: Sample, tmp_path: Path, descgen: Run) -> Path:
    """The drawing as class folders of frames, with its descriptors in the database."""
    root = tmp_path / "made"
    for v, label in enumerate(drawn.labels.tolist()):
        folder = root / f"text {label} 0" / f"video {v}"
        folder.mkdir(parents=True)
        for t in range(MADE.frames):
            Image.fromarray(np.full((8, 8, 3), (v, t, 0), np.uint8)).save(folder / f"{t}.png")
    for kind in dict.fromkeys(KINDS):
        slots = [k for k, own in enumerate(KINDS, start=1) if own == kind]
        texts = {f"text {c} 0": [f"text {c} {k}" for k in slots] for c in range(MADE.classes)}
        file = tmp_path / f"{kind}.json"
        file.write_text(json.dumps(texts))
        result = descgen("import", file, "-d", root, "-k", kind)
        assert result.exit_code == 0, result.output
    return root


def evaluated(recognize: Run, root: Path, *options: str) -> dict[str, Any]:
    result = recognize("eval", root, "-e", "fake", "--frames", "4", "--worlds", *options, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def on_the_map(world: str, method: str) -> str:
    """Return a gain of the map in the documents, such as `+8.2`."""
    lines = (Path(__file__).parents[3] / "docs" / "methods.md").read_text().splitlines()
    [heads] = [line.split(" | ") for line in lines if line.startswith("| world | what is special |")]
    cells, *_ = [line.split(" | ") for line in lines if line.startswith(f"| `{world}` |")]
    return cells[[head.strip(" |`") for head in heads].index(method)].strip(" |*")


@pytest.mark.parametrize("method", ["mean", "align"])
def test_a_run_is_told_the_worlds_it_is_like_and_what_its_method_gains_there(
    recognize: Run, videos: Path, method: str
) -> None:
    run = evaluated(recognize, videos, "--method", method)
    kept = run["results"]["worlds"]
    like, gains, more = kept["lines"]
    nearest = list(kept["distances"])
    assert like.startswith(f"run 1 is most like {nearest[0]} ({kept['distances'][nearest[0]]:.2f}), {nearest[1]} (")
    assert gains.startswith(f"There method {method} gains over labels alone, in points of top-1: {nearest[0]} ")
    said = dict(re.findall(r"(\w+) ([+-]?\d+\.\d) \[", gains))
    assert said == {world: on_the_map(world, method) for world in nearest}
    assert more == "More: recognize worlds --run 1"
    shown = " ".join(recognize("runs", 1).stdout.split())
    assert all(f"worlds: {line}" in shown for line in kept["lines"])
    page = videos.parent / "run.html"
    assert recognize("report", 1, "-o", page).exit_code == 0
    assert gains in page.read_text()


def test_the_nearest_is_that_of_the_command_for_more(recognize: Run, videos: Path) -> None:
    kept = evaluated(recognize, videos)["results"]["worlds"]
    more = json.loads(recognize("worlds", "--run", 1, "--seeds", 2, "--json").stdout)
    assert list(more["placement"]["distances"].items())[:3] == list(kept["distances"].items())


def test_labels_alone_have_the_reason_instead(recognize: Run, videos: Path) -> None:
    kept = evaluated(recognize, videos, "--method", "label")["results"]["worlds"]
    assert kept["lines"] == ["not on the map: Run 1 used no descriptors: what its texts are like cannot be told"]
    assert (kept["distances"], kept["gains"]) == ({}, {})


def test_without_the_option_nothing_is_said(recognize: Run, videos: Path) -> None:
    result = recognize("eval", videos, "-e", "fake", "--frames", 4)
    assert result.exit_code == 0
    assert "worlds" not in result.stdout
