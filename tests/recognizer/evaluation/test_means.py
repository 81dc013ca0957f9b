"""recognize runs 1 2: which runs have a mean."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import torch

from db.records import Prediction
from db.records import Run as StoredRun
from db.store import Store
from recognizer.scoring.metrics import accuracy
from tests.fixtures.commands import Run


def made(dataset: str, videos: tuple[str, ...] = ("a", "b"), **settings: Any) -> StoredRun:
    predictions = tuple(Prediction(video, 0, ((0, 0.5),), 1, 2) for video in videos)
    rank, labels = torch.ones(len(videos)), torch.zeros(len(videos))
    chosen = {"encoder": "fake", "protocol": "default", "method": "mean", "kinds": [],
              "layout": "HMDB51 test split 1, lists in x",
              "classes": [["wave", "waving"], ["run", "running"]], **settings}  # fmt: skip
    rows = {row: asdict(accuracy(rank, labels)) for row in ("label only", "label + descriptors")}
    counts = {"evaluated": len(videos), "listed": len(videos)}
    return StoredRun(dataset, chosen, "0" * 64, (), counts, (), {"rows": rows}, 1.0, predictions=predictions)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"dataset": "kinetics400"}, "hmdb51 and kinetics400 are different datasets"),
        ({"classes": [["wave", "a wave"], ["run", "running"]]}, "they have different classes or label texts (2 and 2"),
        ({"videos": ("a", "c")}, "they have 1 and 1 videos that the other has not"),
        ({"videos": ("a",)}, "they have 1 and 0 videos that the other has not"),
        ({"videos": ("a",), "layout": "class folders"}, "they have 1 and 0 videos"),
        ({"videos": ("a", "b", "c"), "layout": "HMDB51 test splits 1, 2, 3, lists in x"}, "they have 0 and 1 videos"),
        ({"videos": ("c", "d"), "layout": "HMDB51 test split 2, lists in x"}, ""),
        ({"method": "max"}, ""),
        ({"dataset": ("kinetics600-zs1", "kinetics600-zs2"), "classes": [["x", "x"], ["y", "y"]]}, ""),
        ({"dataset": ("kinetics600-zs1", "kinetics600")}, "kinetics600-zs1 and kinetics600 are different datasets"),
    ],
)
def test_runs_that_have_no_common_mean_are_refused(
    changed: dict[str, Any], said: str, recognize: Run, store: Store
) -> None:
    settings = dict(changed)
    names = settings.pop("dataset", "hmdb51")
    first, second = names if isinstance(names, tuple) else ("hmdb51", names)
    store.save_run(made(first))
    store.save_run(made(second, **settings))
    result = recognize("runs", "1", "2")
    assert result.exit_code == (1 if said else 0), result.output
    output = " ".join(result.output.split())
    assert (f"Run 1 and run 2 cannot be averaged: {said}" if said else "mean of 2 runs") in output
