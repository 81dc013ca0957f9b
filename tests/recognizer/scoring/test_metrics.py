"""Ranks, accuracies and their intervals, against numbers worked out by hand or by other code."""

from __future__ import annotations

import math

import pytest
import torch

from recognizer.scoring.metrics import accuracy, log_loss, ranks, wilson


def test_rank_counts_the_classes_that_score_as_high() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.2, 0.2], [0.1, 0.3, 0.2], [float("nan"), 0.1, 0.2]])
    assert ranks(scores, torch.tensor([0, 1, 2, 0])).tolist() == [1, 3, 2, 3]


def test_log_loss_is_what_the_true_classes_got() -> None:
    probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    assert log_loss(probabilities.log(), torch.tensor([0, 1])) == pytest.approx(-(math.log(0.5) + math.log(0.8)) / 2)
    assert str(log_loss(torch.tensor([[0.0, -1e4]]), torch.tensor([0]))) == "0.0"


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_interval(hits: int, trials: int, low: float, high: float) -> None:
    """The last row is the example of Newcombe (Statistics in Medicine 17, 1998)."""
    rate = wilson(hits, trials)
    assert (rate.value, rate.low, rate.high) == pytest.approx((hits / trials, low, high), abs=5e-5)


def test_mean_per_class_weighs_classes_alike() -> None:
    rank = torch.tensor([1, 1, 1, 1, 2, 9])
    labels = torch.tensor([4, 4, 4, 4, 7, 7])
    found = accuracy(rank, labels)
    assert (found.videos, found.classes) == (6, 2)
    assert found.top1.value == pytest.approx(4 / 6)
    assert found.top5.value == pytest.approx(5 / 6)
    assert found.mean_per_class.value == pytest.approx(0.5)
    assert 0 < found.mean_per_class.low < 0.5 < found.mean_per_class.high < 1


def test_the_interval_of_the_mean_per_class_holds_the_truth_about_as_often_as_it_says() -> None:
    generator = torch.Generator().manual_seed(3)
    truth = torch.rand(20, generator=generator)
    labels = torch.arange(20).repeat_interleave(8)
    held = 0
    for _ in range(300):
        hit = torch.rand(160, generator=generator) < truth.repeat_interleave(8)
        found = accuracy(torch.where(hit, 1, 2), labels).mean_per_class
        held += found.low <= float(truth.mean()) <= found.high
    assert 0.90 < held / 300 <= 1.0
