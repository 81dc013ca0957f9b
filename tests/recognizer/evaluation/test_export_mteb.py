"""recognize runs --export mteb: result files of MTEB where it has a task with the same videos."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from db.records import Prediction
from db.records import Run as StoredRun
from db.store import Store
from db.vocabulary import load
from recognizer.evaluation.export_mteb import measures
from tests.fixtures.commands import Run

SETTINGS: dict[str, Any] = {
    "encoder": "ViT-B/16", "encoder_revision": "5806e77c", "protocol": "default", "method": "mean",
    "kinds": ["context"], "llms": ["fake"], "statuses": {}, "frames": 16, "context_length": 77,
    "layout": "HMDB51 test split 1, lists in testTrainMulti_7030_splits", "split": "1", "texts_cut": [],
}  # fmt: skip


def made(videos: int = 1530, **changes: Any) -> StoredRun:
    """Return a run on HMDB51 in which every third video is taken for the next class."""
    names = [action.name for action in load("hmdb51").actions]
    predictions = tuple(
        Prediction(f"v{n:04}", n % 51, (((n + (n % 3 == 0)) % 51, 0.3),), 1 + (n % 3 == 0), 2) for n in range(videos)
    )
    settings = {**SETTINGS, "classes": [[name, name] for name in names]}
    run = StoredRun("hmdb51", settings, "ab" * 32, (7,), {"evaluated": videos}, (), {"rows": {}}, 2.5)
    return replace(run, predictions=predictions, **changes)


def test_the_files_are_those_of_mteb(recognize: Run, store: Store, tmp_path: Path) -> None:
    number = store.save_run(made())
    result = recognize("runs", number, "--export", "mteb", "--output", tmp_path / "results")
    assert result.exit_code == 0, result.output
    scores_file, meta_file = map(Path, result.stdout.split())
    place = tmp_path / "results" / "descgen-recognize__ViT-B-16_default_mean_context_by-fake" / ("ab" * 20)
    assert (scores_file, meta_file) == (place / "HMDB51ZeroShot.json", place / "model_meta.json")
    found = json.loads(scores_file.read_text())
    [scores] = found["scores"]["test"]
    assert (found["task_name"], scores["hf_subset"], scores["languages"]) == ("HMDB51ZeroShot", "default", ["eng-Latn"])
    assert scores["accuracy"] == scores["main_score"] == round(1020 / 1530, 6)
    assert found["evaluation_time"] == 2.5
    assert found["date"] == store.run(number).created_at.timestamp()  # type: ignore[union-attr]
    assert found["made_by"]["settings"]["method"] == "mean"
    assert found["made_by"]["descriptors_sha256"] == "ab" * 32
    meta = json.loads(meta_file.read_text())
    assert (meta["name"], meta["revision"]) == (place.parent.name.replace("__", "/"), place.name)
    assert "experiment_kwargs" not in meta, "mteb would read it as an experiment with another model"


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (made(1529), "run 1 has 1529 of HMDB51 test split 1"),
        (made(settings={**SETTINGS, "layout": "class folders"}), "1530 of class folders"),
        (made(dataset="ucf101"), "the 51 classes with sound"),
        (made(dataset="kinetics600"), "about 16 videos"),
        (made(dataset="mine"), "your own dataset"),
    ],
)
def test_other_videos_are_not_that_task(run: StoredRun, why: str, recognize: Run, store: Store, tmp_path: Path) -> None:
    store.save_run(run)
    result = recognize("runs", 1, "--export", "mteb", "--output", tmp_path / "results")
    assert result.exit_code == 1
    assert why in result.output
    assert not (tmp_path / "results").exists()


def test_which_runs_must_be_said(recognize: Run, store: Store) -> None:
    store.save_run(made())
    assert recognize("runs", "--export", "mteb").exit_code == 2


def test_the_measures_are_those_of_their_definitions() -> None:
    """Three classes: 0 is true twice, 1 once, 2 never but predicted, because it ties with the true class."""
    seen = [
        Prediction("right", 0, ((0, 0.5), (2, 0.4)), 1, 1),
        Prediction("tie", 0, ((0, 0.5), (2, 0.5)), 2, 1),
        Prediction("wrong", 1, ((0, 0.5), (1, 0.4)), 2, 1),
    ]
    assert measures(seen) == {
        "accuracy": pytest.approx(1 / 3),
        "precision": pytest.approx((1 / 2 + 0 + 0) / 3),
        "precision_weighted": pytest.approx((2 * 1 / 2) / 3),
        "recall": pytest.approx((1 / 2 + 0 + 0) / 3),
        "recall_weighted": pytest.approx((2 * 1 / 2) / 3),
        "f1": pytest.approx((1 / 2 + 0 + 0) / 3),
        "f1_weighted": pytest.approx((2 * 1 / 2) / 3),
    }
