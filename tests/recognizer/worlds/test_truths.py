"""What is known of methods without measuring: every method meets it, also one that is added later."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recognizer.scoring.methods import METHODS, scores
from recognizer.scoring.pooling import VideoBatch
from recognizer.worlds.measure import top1
from recognizer.worlds.named import WORLDS
from recognizer.worlds.sample import Sample, sample
from recognizer.worlds.world import World

# Noise so small that the class of every video is certain.
CLEAR = World(
    video_noise=0.05, frame_noise=0.05, class_noise=0.05, text_noise=0.05, label_noise=0.05, template_noise=0.05,
    template_effect=0.05, kind_effect=0.05, videos=60,
)  # fmt: skip
WITH_TEXTS = [name for name, method in METHODS.items() if method.uses_descriptors]
ORDERED = ("align", "dtw", "parts")  # they look at the order of frames
POOLED = ("mean", "ensemble", "max", "soft", "label", "mta")  # they do not
SEEDS = range(4)


def mean_top1(world: World, method: str) -> float:
    return sum(top1(sample(world, seed=seed), method) for seed in SEEDS) / len(SEEDS)


def backwards(drawn: Sample) -> VideoBatch:
    return VideoBatch.of(drawn.videos.frames.flip(1))


def winners(scored: Tensor) -> Tensor:
    return scored.argmax(dim=1)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_right_where_nothing_is_uncertain(method: str) -> None:
    assert top1(sample(CLEAR, seed=0), method) == 1


@pytest.mark.parametrize("method", METHODS)
def test_a_turn_of_the_whole_space_changes_no_score(method: str) -> None:
    drawn = sample(World(videos=20), seed=0)
    turn = torch.linalg.qr(torch.randn(64, 64, generator=torch.Generator().manual_seed(1))).Q
    turned = VideoBatch.of(drawn.videos.frames @ turn), replace(drawn.ensemble, texts=drawn.ensemble.texts @ turn)
    assert torch.allclose(
        scores(drawn.videos, drawn.ensemble, method=method), scores(*turned, method=method), atol=1e-5
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_the_classes_and_of_the_videos_is_of_no_matter(method: str) -> None:
    drawn = sample(World(videos=20), seed=0)
    classes, videos = (torch.randperm(20, generator=torch.Generator().manual_seed(n)) for n in (1, 2))
    moved = scores(drawn.videos.select(videos.tolist()), drawn.ensemble.select(classes), method=method)
    assert torch.allclose(moved, scores(drawn.videos, drawn.ensemble, method=method)[videos][:, classes], atol=1e-5)


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.pools])
def test_with_labels_alone_every_method_is_the_label(method: str) -> None:
    drawn = sample(World(), seed=0)
    alone = replace(drawn, ensemble=drawn.ensemble.label_only())
    assert top1(alone, method) == top1(drawn, "label")


@pytest.mark.parametrize("method", [name for name in METHODS if name not in WITH_TEXTS])
def test_methods_of_labels_are_not_touched_by_texts(method: str) -> None:
    right, wrong = sample(World(), seed=0), sample(WORLDS["wrong"].world, seed=0)
    assert torch.equal(
        scores(right.videos, right.ensemble, method=method), scores(wrong.videos, wrong.ensemble, method=method)
    )


@pytest.mark.parametrize("method", WITH_TEXTS)
def test_texts_of_other_classes_hurt_every_method_that_uses_texts(method: str) -> None:
    wrong = WORLDS["wrong"].world
    assert mean_top1(wrong, method) < min(mean_top1(World(), method), mean_top1(wrong, "label")) - 0.05


@pytest.mark.parametrize("method", ["mean", "ensemble", "align", "parts"])
def test_right_texts_help_methods_that_average_them(method: str) -> None:
    # The noise of a label and of five descriptors is independent, so the mean of all has less of it than the label.
    exact = World(label_noise=1.2, class_noise=0)
    assert mean_top1(exact, method) > mean_top1(exact, "label") + 0.1


@pytest.mark.parametrize("method", POOLED)
def test_a_method_without_order_is_not_touched_by_the_order_of_frames(method: str) -> None:
    drawn = sample(World(), seed=0)
    assert torch.allclose(
        scores(drawn.videos, drawn.ensemble, method=method), scores(backwards(drawn), drawn.ensemble, method=method),
        atol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("method", ORDERED)
def test_the_reverse_of_a_video_is_a_video_of_the_twin(method: str) -> None:
    drawn = sample(replace(CLEAR, twins=True), seed=0)
    twin = drawn.labels ^ 1  # 2i <-> 2i + 1
    assert torch.equal(winners(scores(drawn.videos, drawn.ensemble, method=method)), drawn.labels)
    assert torch.equal(winners(scores(backwards(drawn), drawn.ensemble, method=method)), twin)


@pytest.mark.parametrize("method", POOLED)
def test_without_order_twins_cannot_be_told_apart(method: str) -> None:
    drawn = sample(replace(CLEAR, twins=True, videos=400), seed=0)
    found = winners(scores(drawn.videos, drawn.ensemble, method=method))
    assert torch.equal(found // 2, drawn.labels // 2)  # the pair is certain
    assert float((found == drawn.labels).float().mean()) == pytest.approx(0.5, abs=0.1)


def test_order_is_worth_more_than_the_mean_among_twins() -> None:
    twins = WORLDS["twins"].world
    assert mean_top1(twins, "align") > mean_top1(twins, "mean") + 0.03


def test_equal_parts_lose_what_they_assume_where_steps_are_unequal() -> None:
    lost = {method: mean_top1(World(), method) - mean_top1(WORLDS["uneven"].world, method) for method in ORDERED}
    assert lost["parts"] > lost["align"] + 0.02


def test_one_hub_is_enough_for_max_and_not_for_the_mean() -> None:
    # Texts without noise: all six of a class agree, but for the hubs.
    clear = replace(CLEAR, hubs=0.1, hub_strength=3.0)
    assert mean_top1(clear, "mean") > 0.9
    assert mean_top1(clear, "max") < 0.6


def test_the_cosine_of_the_mean_text_is_fair_to_classes_whose_texts_differ() -> None:
    unequal = WORLDS["unequal"].world
    assert mean_top1(unequal, "mean") > mean_top1(unequal, "ensemble") + 0.05


def test_a_robust_mean_of_frames_is_worth_most_where_many_frames_show_no_action() -> None:
    junk = WORLDS["junk"].world
    assert mean_top1(junk, "mta") > mean_top1(junk, "mean") + 0.08
