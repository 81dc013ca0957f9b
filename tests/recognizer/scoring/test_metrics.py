"""Ranks, accuracies and their intervals, against numbers worked out by hand or by other code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recognizer.scoring.metrics import accuracies, accuracy, gain, gains, log_loss, ranks


def test_rank_counts_the_classes_that_score_as_high() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.2, 0.2], [0.1, 0.3, 0.2], [float("nan"), 0.1, 0.2]])
    assert ranks(scores, torch.tensor([0, 1, 2, 0])).tolist() == [1, 3, 2, 3]


def test_log_loss_is_what_the_true_classes_got() -> None:
    probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    assert log_loss(probabilities.log(), torch.tensor([0, 1])) == pytest.approx(-(math.log(0.5) + math.log(0.8)) / 2)
    assert str(log_loss(torch.tensor([[0.0, -1e4]]), torch.tensor([0]))) == "0.0"


def test_mean_per_class_weighs_classes_alike() -> None:
    rank = torch.tensor([1, 1, 1, 1, 2, 9])
    labels = torch.tensor([4, 4, 4, 4, 7, 7])
    found = accuracy(rank, labels)
    assert (found.videos, found.classes) == (6, 2)
    assert found.top1.value == pytest.approx(4 / 6)
    assert found.top5.value == pytest.approx(5 / 6)
    assert found.mean_per_class.value == pytest.approx(0.5)
    assert 0 < found.mean_per_class.low < 0.5 < found.mean_per_class.high < 1


def test_clips_of_one_source_are_one_group() -> None:
    rank, labels = torch.tensor([1, 1, 2, 2, 1, 1, 2, 1]), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    alone, grouped = accuracy(rank, labels), accuracy(rank, labels, list("aabbccdd"))
    assert (alone.groups, grouped.groups) == (8, 4)
    assert alone.top1.value == grouped.top1.value == 5 / 8
    assert grouped.top1.low < alone.top1.low < 5 / 8 < alone.top1.high < grouped.top1.high


def test_the_gain_is_the_difference_of_the_accuracies() -> None:
    before, after, labels = torch.tensor([1, 6, 2, 1]), torch.tensor([2, 1, 1, 1]), torch.tensor([0, 0, 0, 1])
    found, first, second = gain(before, after, labels), accuracy(before, labels), accuracy(after, labels)
    for key in ("top1", "top5", "mean_per_class"):
        one, other, rate = (getattr(each, key) for each in (first, second, found))
        assert rate.value == pytest.approx(other.value - one.value)
        assert -1 <= rate.low < rate.value < rate.high <= 1


@pytest.mark.parametrize("videos", [1, 7, 300])
def test_many_sets_of_ranks_have_the_numbers_that_each_has_by_itself(videos: int) -> None:
    random = np.random.default_rng(videos)
    before, after = random.integers(1, 9, size=(2, 5, videos))
    after[0] = before[0]  # no change at all
    labels = random.integers(0, 4, size=videos)
    for groups in (
        None,
        [f"{label} {number}" for label, number in zip(labels, random.integers(0, 20, videos), strict=True)],
    ):
        assert accuracies(after, labels, groups) == [accuracy(row, labels, groups) for row in after]
        pairs = zip(before, after, strict=True)
        assert gains(before, after, labels, groups) == [gain(*pair, labels, groups) for pair in pairs]


def test_the_numbers_of_many_sets_are_those_of_their_hits() -> None:
    found = accuracies([[1, 2, 6, 1], [9, 9, 9, 9]], [0, 0, 5, 5])
    assert [(each.top1.value, each.top5.value, each.mean_per_class.value) for each in found] == [
        (0.5, 0.75, 0.5),
        (0, 0, 0),
    ]
    assert [(each.videos, each.classes, each.groups) for each in found] == [(4, 2, 4)] * 2
    [change] = gains([[1, 2, 6, 1]], [[1, 1, 1, 6]], [0, 0, 0, 5])
    assert (change.top1.value, change.top5.value) == (0.25, 0)
    assert change.mean_per_class.value == pytest.approx((2 / 3 - 1) / 2)
