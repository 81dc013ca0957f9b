"""recognize impact: what a run is without each of its descriptors, against evaluations that never had them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from db.records import Dataset, Descriptor
from db.store import Store
from db.vocabulary import load
from encoders.testing import FakeEncoder
from recognizer.evaluation.impact import leave_one_out
from recognizer.scoring.ensemble import Ensemble, build_ensemble
from recognizer.scoring.methods import METHODS, scores
from recognizer.scoring.metrics import ranks
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.protocols import PROTOCOLS
from tests.fixtures.colours import COLOURS, balls, encoder
from tests.fixtures.commands import Run
from tests.fixtures.texts import dataset, descriptors, ensemble, frames

__all__ = ["balls", "dataset", "descriptors", "encoder", "ensemble", "frames"]  # fixtures


@pytest.mark.parametrize("method", METHODS)
def test_leaving_one_out_is_never_having_had_it(
    method: str, frames: object, dataset: Dataset, descriptors: list[Descriptor], ensemble: Ensemble,
    fake_encoder: FakeEncoder,
) -> None:  # fmt: skip
    import torch

    videos, labels = VideoBatch.of(frames), torch.tensor([0, 1, 2, 3, 4, 0])  # type: ignore[arg-type]

    def margins(texts: Ensemble) -> torch.Tensor:
        scored = scores(videos, texts, method=method, temperature=20.0)
        return torch.stack(
            [row[c] - row[[o for o in range(5) if o != c]].max() for row, c in zip(scored, labels, strict=True)]
        )

    found = leave_one_out(
        lambda texts: scores(videos, texts, method=method, temperature=20.0),
        ensemble, labels, apart=METHODS[method].classes_apart,
    )  # fmt: skip
    before = margins(ensemble)
    ids = ensemble.ids.tolist()
    for left_out in descriptors:
        others = [descriptor for descriptor in descriptors if descriptor.id != left_out.id]
        after = margins(build_ensemble(dataset, others, fake_encoder, PROTOCOLS["default"]))
        c = next(row for row, of_class in enumerate(ids) if left_out.id in of_class)
        k = ids[c].index(left_out.id)
        assert float(found.margin[c, k]) == pytest.approx(float((after - before).mean()), abs=1e-6)
        assert int(found.gained[c, k]) == int(((after > 0) & ~(before > 0)).sum())
        assert int(found.lost[c, k]) == int((~(after > 0) & (before > 0)).sum())
    assert not found.margin[~ensemble.present].any()
    assert not found.margin[:, 0].any()


@pytest.fixture
def misled(descgen: Run, balls: Path) -> Path:
    """The balls, of which one text says the colour of another ball."""
    said = {"blue_ball": ["a blue thing", "the sky"], "green_ball": ["a green thing", "a red thing, a red thing"],
            "red_ball": ["a red thing", "a fire"]}  # fmt: skip
    file = balls.parent / "context.json"
    file.write_text(json.dumps(said))
    assert descgen("import", file, "-d", balls, "-k", "context").exit_code == 0
    return balls


def evaluated(recognize: Run, root: Path, *arguments: object) -> int:
    result = recognize("eval", "-d", "balls", "--root", root, "-e", "fake", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return int(json.loads(result.stdout)["id"])


def test_the_text_that_misleads_is_the_worst_and_the_review_knows(
    recognize: Run, descgen: Run, misled: Path, store: Store
) -> None:
    for name in ("green_ball", "red_ball"):  # videos between red and green, which that text decides
        folder = misled / name / "between"
        folder.mkdir()
        colour = (130, 120, 10) if name == "red_ball" else (124, 130, 10)
        Image.fromarray(np.full((20, 30, 3), colour, np.uint8)).save(folder / "frame_1.png")
    run = evaluated(recognize, misled, "--method", "max")
    shown = recognize("impact", run)
    assert shown.exit_code == 0, shown.output
    assert "8 videos, top-1 % " in shown.output
    assert "by labels alone" in shown.output
    assert "on these they look better than they are" in shown.output
    assert "descgen review --dataset balls" in shown.output
    found = json.loads(recognize("impact", run, "--json").stdout)
    worst = found["texts"][0]
    assert worst["descriptor"]["text"] == "a red thing, a red thing"
    assert worst["top1_change"] == (worst["gained"] - worst["lost"]) / 8 > 0
    assert found["ranked_otherwise"] == 0
    assert len(found["texts"]) == 6
    kept = store.review_queries().impacts(store.dataset("balls"))
    assert {id_: (i.top1_change, i.margin_change) for id_, i in kept.items()} == {
        t["descriptor"]["id"]: (t["top1_change"], t["margin_change"]) for t in found["texts"]
    }
    assert descgen("reject", worst["descriptor"]["id"]).exit_code == 0
    without = store.run(evaluated(recognize, misled, "--method", "max"))
    right = [sum(p.rank == 1 for p in each.predictions) for each in (store.run(run), without)]
    assert right[1] - right[0] == worst["gained"] - worst["lost"]


def test_it_decodes_and_encodes_nothing(recognize: Run, misled: Path, encoder: FakeEncoder) -> None:
    run = evaluated(recognize, misled)
    before = (list(encoder.frames), list(encoder.encoded))
    assert recognize("impact", run).exit_code == 0
    assert (encoder.frames, encoder.encoded) == before


def test_a_run_whose_makings_are_gone_is_refused_with_what_to_do(
    recognize: Run, descgen: Run, misled: Path, encoder: FakeEncoder, store: Store
) -> None:
    run = evaluated(recognize, misled)
    [text] = [d for d in store.descriptors(store.dataset("balls")) if d.text == "a fire"]
    assert descgen("edit", text.id, "an ember").exit_code == 0
    assert recognize("impact", run).exit_code == 0, "the text of the run is still there, out of use"

    moved = misled.parent / "elsewhere"
    shutil.move(misled, moved)
    gone = recognize("impact", run)
    assert (gone.exit_code, "--root" in gone.output or "Give the folder" in gone.output) == (1, True)
    assert recognize("impact", run, "--root", moved).exit_code == 0
    shutil.rmtree(moved / "red_ball" / "a")
    lost = recognize("impact", run, "--root", moved)
    assert lost.exit_code == 1
    assert "1 of the 6 videos" in lost.output
    assert "red_ball/a" in lost.output

    encoder.revision = "2"
    other = recognize("impact", run, "--root", moved)
    assert "other weights of fake" in other.output
    assert "recognize eval --dataset balls" in other.output


def test_labels_alone_have_nothing_to_leave_out(recognize: Run, misled: Path) -> None:
    recognize("sweep", "-d", "balls", "--root", misled, "-e", "fake", "--kinds", "label", "--store")
    result = recognize("impact", 1)
    assert result.exit_code == 1
    assert "used no descriptors" in result.output


def test_a_benchmark_is_no_place_to_choose_texts(recognize: Run, descgen: Run, tmp_path: Path) -> None:
    file = tmp_path / "context.json"
    file.write_text(json.dumps({action.name: ["a red thing"] for action in load("hmdb51").actions}))
    assert descgen("import", file, "-d", "hmdb51", "-k", "context").exit_code == 0
    for number, name in enumerate(("wave", "walk")):
        folder = tmp_path / "videos" / name / "take"
        folder.mkdir(parents=True)
        Image.fromarray(np.full((20, 30, 3), 100 * number, np.uint8)).save(folder / "frame_1.png")
    run = recognize("eval", "-d", "hmdb51", "--root", tmp_path / "videos", "-e", "fake", "--json")
    result = recognize("impact", json.loads(run.stdout)["id"])
    assert "WARNING: these videos are the test set of hmdb51" in result.output


def test_a_sweep_of_labels_again_is_repeated_as_it_was(recognize: Run, misled: Path, store: Store) -> None:
    """Under protocol tear the label stands again where labels alone are swept: no descriptor, and yet two texts."""
    import torch

    from recognizer.evaluation.replay import replay
    from recognizer.features.caching_encoder import open_caching_encoder

    arguments = ("--kinds", "label", "--protocol", "tear", "--method", "max", "--store")
    recognize("sweep", "-d", "balls", "--root", misled, "-e", "fake", *arguments)
    run = store.run(1)
    with open_caching_encoder("fake", misled.parent / "features") as opened:
        again = replay(store, run, opened)
    assert again.ensemble.present.sum().item() == 6
    labels = [video.label for video in again.features.videos]
    stored = {prediction.video: prediction.rank for prediction in run.predictions}
    now = ranks(again.scores(), torch.tensor(labels)).tolist()
    assert [stored[video.id] for video in again.features.videos] == now
    assert set(COLOURS) == {video.id.split("/")[0] for video in again.features.videos}


def test_a_run_of_unit_frames_is_repeated_with_unit_frames(recognize: Run, misled: Path, store: Store) -> None:
    import torch

    from recognizer.evaluation.replay import replay
    from recognizer.features.caching_encoder import open_caching_encoder

    evaluated(recognize, misled, "--unit-frames")
    with open_caching_encoder("fake", misled.parent / "features") as opened:
        again = replay(store, store.run(1), opened)
    lengths = again.batch.frames.norm(dim=-1)
    assert torch.allclose(lengths, torch.ones_like(lengths), atol=1e-5)
    assert not torch.allclose(again.features.frames.norm(dim=-1), lengths, atol=0.1)
