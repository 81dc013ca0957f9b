"""Rejection on worlds: videos of classes that have no texts, against the texts of classes that have no videos."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from statistics import fmean

import numpy as np
import pytest
import torch

from recognizer.scoring.curves import Order, auroc, risk_coverage_area
from recognizer.scoring.methods import scores
from recognizer.scoring.metrics import ranks
from recognizer.scoring.rejection import log_odds
from recognizer.worlds.named import WORLDS
from recognizer.worlds.sample import sample

CLASSES, BACKGROUND, OTHERS = 20, 100, 20  # of the dataset; whose labels are background texts; which have no texts
SEEDS = range(3)


@dataclass(frozen=True)
class Outcome:
    """What rejection does in a world, the mean over seeds."""

    auroc: float
    auroc_without: float  # by the largest probability of a class, without background texts
    kept: float  # share of the videos of the dataset's classes, at even odds
    false_accepts: float  # share of the videos of other classes
    top1: float
    top1_of_kept: float
    aurc: float


@cache
def outcome(world: str, method: str, *, at_level: bool = True) -> Outcome:
    """Return the outcome; without `at_level`, the classes are not brought to the level of their labels."""
    return Outcome(*map(fmean, zip(*(_one(world, method, seed, at_level) for seed in SEEDS), strict=True)))


def _one(world: str, method: str, seed: int, at_level: bool) -> tuple[float, ...]:
    every = CLASSES + BACKGROUND + OTHERS
    drawn = sample(replace(WORLDS[world].world, classes=every, videos=5 * every), seed=seed)
    order = torch.randperm(every, generator=torch.Generator().manual_seed(seed))
    own, other = order[:CLASSES], order[CLASSES : CLASSES + BACKGROUND]
    texts, background = drawn.ensemble.select(own), drawn.ensemble.select(other).label_only()
    scored, by_label = (scores(drawn.videos, texts, method=name) for name in (method, "label"))
    odds = log_odds(scored, by_label if at_level else scored, scores(drawn.videos, background, method="label"))
    known = torch.isin(drawn.labels, own)
    tested = known | torch.isin(drawn.labels, order[CLASSES + BACKGROUND :])
    labels = (drawn.labels[known][:, None] == own).long().argmax(dim=1)
    hits, kept = ranks(scored[known], labels) == 1, odds >= 0
    largest = (100 * scored.double()).softmax(dim=1).amax(dim=1)  # MCM: Ming et al., NeurIPS 2022
    separation, without = (
        auroc(Order.of(values[tested].numpy()), known[tested].numpy())(np.ones(int(tested.sum())))
        for values in (odds, largest)
    )
    risk = risk_coverage_area(Order.of(odds[known].numpy()), ~hits.numpy())(np.ones(int(known.sum())))
    return (
        float(separation),
        float(without),
        float(kept[known].double().mean()),
        float(kept[tested & ~known].double().mean()),
        float(hits.double().mean()),
        float(hits[kept[known]].double().mean()),
        float(risk),
    )


@pytest.mark.parametrize("world", ["plain", "entangled", "kinds", "hubs"])
@pytest.mark.parametrize("method", ["label", "mean"])
def test_videos_of_other_classes_are_rejected_more_often(world: str, method: str) -> None:
    found = outcome(world, method)
    assert found.auroc > max(0.6, found.auroc_without + 0.02)
    assert found.kept > 1.5 * found.false_accepts


@pytest.mark.parametrize("method", ["label", "mean"])
def test_the_videos_that_are_kept_are_more_often_right(method: str) -> None:
    found = outcome("plain", method)
    assert found.top1_of_kept > found.top1 + 0.05
    assert found.aurc < 1 - found.top1 - 0.05  # the error rate is what a score without knowledge has


def test_right_texts_make_rejection_better() -> None:
    assert outcome("plain", "mean").auroc > outcome("plain", "label").auroc + 0.01


def test_the_level_of_the_labels_is_needed_where_descriptors_differ_from_labels_by_kind() -> None:
    at_level, as_is = outcome("kinds", "mean"), outcome("kinds", "mean", at_level=False)
    assert at_level.auroc > as_is.auroc + 0.05
    assert as_is.false_accepts > 0.8  # nearly nothing is rejected
    assert at_level.false_accepts < 0.4
