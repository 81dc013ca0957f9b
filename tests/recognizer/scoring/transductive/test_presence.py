"""The estimated number of classes with videos, on worlds of which the truth is known; and what is refused by it."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

import pytest
import torch

from db.errors import UserError
from recognizer.scoring.methods import scores
from recognizer.scoring.transductive import TRANSDUCTIVE, Unlabelled, classes_present, transduce
from recognizer.worlds.measure import unlabelled
from recognizer.worlds.named import WORLDS
from recognizer.worlds.sample import Sample, sample
from recognizer.worlds.world import World

SEEDS = range(8)


def by_mean(world: World, method: str = "mean") -> list[tuple[Sample, Unlabelled]]:
    drawn = [sample(world, seed=seed) for seed in SEEDS]
    return [(one, unlabelled(one, scores(one.videos, one.ensemble, method=method))) for one in drawn]


def top1(scored: torch.Tensor, drawn: Sample) -> float:
    return float((scored.argmax(dim=1) == drawn.labels).double().mean())


@pytest.mark.parametrize(
    ("world", "method", "low", "high"),
    [
        (World(), "mean", 16, 20),
        (World(), "label", 15, 20),
        (World(hubs=0.1), "mean", 16, 20),  # though some texts are near to every video
        (World(junk_frames=0.6), "mean", 15, 20),  # though three of four predictions are wrong
        (World(classes_present=10), "mean", 9, 12),
        (World(classes_present=5), "mean", 4.5, 7.5),
        (World(classes_present=3), "mean", 2.5, 5),
        (World(classes_present=2), "mean", 1.5, 4),
        (World(prior_exponent=1.2), "mean", 5, 10),  # 6.1 by the inverse of Simpson's index
        (World(classes=100, videos=300), "mean", 70, 100),
        (World(classes=100, videos=300, classes_present=30), "mean", 28, 48),
    ],
)
def test_the_estimate_is_near_the_truth(world: World, method: str, low: float, high: float) -> None:
    assert low < fmean(classes_present(given.scores) for _, given in by_mean(world, method)) < high


@pytest.mark.parametrize("name", ["few", "skewed"])
def test_a_uniform_prior_is_refused_where_it_costs_accuracy(name: str) -> None:
    for drawn, given in by_mean(WORLDS[name].world):
        with pytest.raises(UserError, match=r"seem to be of about .* --transductive stata, say the shares with"):
            transduce("sinkhorn", given)
        collapsed = top1(TRANSDUCTIVE["sinkhorn"].log_predictions(given), drawn)
        assert collapsed < top1(given.scores, drawn) - 0.05


@pytest.mark.parametrize("name", ["plain", "hubs", "kinds", "junk", "uneven"])
def test_it_is_taken_where_all_classes_have_videos_and_helps_there(name: str) -> None:
    found = [(drawn, given, transduce("sinkhorn", given)) for drawn, given in by_mean(WORLDS[name].world)]
    assert fmean(top1(adapted.scores, drawn) - top1(given.scores, drawn) for drawn, given, adapted in found) > 0.03


@pytest.mark.parametrize("name", ["plain", "few", "skewed", "junk", "wrong"])
def test_stata_does_not_collapse_in_any_of_them(name: str) -> None:
    change = [
        top1(transduce("stata", given).scores, one) - top1(given.scores, one)
        for one, given in by_mean(WORLDS[name].world)
    ]
    assert min(change) > -0.03


def test_with_the_true_shares_sinkhorn_helps_where_few_classes_have_videos() -> None:
    for drawn, given in by_mean(WORLDS["skewed"].world):
        shares = drawn.labels.bincount(minlength=20) + 0.1
        adapted = transduce("sinkhorn", replace(given, prior=shares / shares.sum()))
        assert top1(adapted.scores, drawn) > top1(given.scores, drawn)
        assert adapted.cautions == ()


def test_a_given_prior_that_the_videos_do_not_fit_is_used_and_told() -> None:
    _, given = by_mean(WORLDS["few"].world)[0]
    [caution] = transduce("sinkhorn", replace(given, prior=torch.full((20,), 0.05))).cautions
    assert "the class prior is of 20.0" in caution


def test_scores_stay_in_the_units_of_cosines() -> None:
    _, given = by_mean(World())[0]
    adapted = transduce("sinkhorn", given)
    predictions = (adapted.scores * given.scale).softmax(dim=1)
    assert torch.allclose(predictions.mean(dim=0), torch.full((20,), 0.05), atol=1e-4)


@pytest.mark.parametrize(("name", "videos", "needed"), [("sinkhorn", 39, 40), ("stata", 1, 2)])
def test_too_few_videos_are_refused(name: str, videos: int, needed: int) -> None:
    _, given = by_mean(World(videos=videos))[0]
    with pytest.raises(UserError, match=f"needs at least {needed} videos.*, there are {videos}: it scores each"):
        transduce(name, given)


def test_the_estimate_of_one_video_or_class_is_one() -> None:
    assert classes_present(torch.tensor([[0.2, 0.1]])) == 1
    assert classes_present(torch.tensor([[0.2], [0.1]])) == 1
    assert classes_present(torch.eye(3)) <= 3
