"""Made worlds are what their parameters say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from db.errors import UsageError
from recognizer.worlds.named import WORLDS
from recognizer.worlds.sample import sample
from recognizer.worlds.world import World

# Nothing but classes and their steps: every frame and text is one of the directions.
CLEAR = World(
    cone=0, gap=0, video_noise=0, frame_noise=0, class_noise=0, text_noise=0, label_noise=0, template_effect=0,
    template_noise=0, kind_effect=0,
)  # fmt: skip


def test_a_seed_gives_the_same_world_and_another_seed_another() -> None:
    first, again, other = (sample(World(), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.videos.frames, again.videos.frames)
    assert torch.equal(first.ensemble.texts, again.ensemble.texts)
    assert not torch.equal(first.ensemble.texts, other.ensemble.texts)


def test_shapes_kinds_and_norms() -> None:
    drawn = sample(World(classes=5, videos=7, frames=6, width=32, steps=2, group=2), seed=0)
    assert drawn.videos.frames.shape == (7, 6, 32)
    assert drawn.ensemble.texts.shape == (5, 5, 32)
    assert torch.allclose(drawn.ensemble.texts.norm(dim=-1), torch.ones(5, 5))
    assert drawn.ensemble.steps()[0].tolist() == [-1, 0, 1, -1, -1]
    assert [drawn.ensemble.kinds[k] for k in drawn.ensemble.kind[0, 1:]] == [
        "decomposition", "decomposition", "description", "context",
    ]  # fmt: skip
    assert len(set(drawn.ensemble.ids[:, 1:].flatten().tolist())) == 20


def test_frames_show_the_steps_of_their_class_in_order() -> None:
    drawn = sample(CLEAR, seed=0)
    assert torch.allclose(drawn.videos.frames, drawn.ensemble.texts[drawn.labels[:, None], drawn.steps + 1], atol=1e-6)
    assert drawn.steps[0].tolist() == [0] * 5 + [1] * 6 + [2] * 5
    shuffled = sample(replace(CLEAR, shuffled=True), seed=0).steps
    assert torch.equal(shuffled.sort(dim=1).values, drawn.steps)
    assert (shuffled.diff(dim=1) < 0).any(dim=1).all()


def test_steps_of_unequal_length_stay_in_order() -> None:
    steps = sample(replace(CLEAR, uneven_steps=2.0), seed=0).steps
    assert (steps.diff(dim=1) >= 0).all()
    counts = (steps == 0).sum(dim=1)
    assert counts.min() < 3
    assert counts.max() > 10


def test_classes_steps_and_groups_have_the_cosines_of_the_formulas() -> None:
    drawn = sample(replace(CLEAR, classes=40, videos=1, width=2048, entangled=0.6, step_share=0.36), seed=0)
    labels, steps = drawn.ensemble.texts[:, 0], drawn.ensemble.texts[:, 1:4]
    cosines = labels @ labels.T
    same = torch.arange(40) // 4 == (torch.arange(40) // 4)[:, None]
    assert torch.allclose(cosines[same & ~torch.eye(40, dtype=torch.bool)], torch.tensor(0.6), atol=0.08)
    assert torch.allclose(cosines[~same], torch.tensor(0.0), atol=0.1)
    assert torch.allclose((steps * labels[:, None]).sum(dim=-1), torch.tensor(0.8), atol=0.06)


def test_the_second_of_twins_has_the_steps_of_the_first_from_last_to_first() -> None:
    texts = sample(replace(CLEAR, twins=True), seed=0).ensemble.texts
    assert torch.allclose(texts[0::2, 0], texts[1::2, 0], atol=1e-6)
    assert torch.allclose(texts[0::2, 1:4], texts[1::2, 1:4].flip(1), atol=1e-6)


def test_the_centres_are_where_the_formulas_put_them() -> None:
    world = replace(CLEAR, cone=20, gap=10, classes=200, width=512, videos=400)
    drawn = sample(world, seed=0)
    videos, texts = (
        normalize(v, dim=0) for v in (drawn.videos.frames.mean(dim=(0, 1)), drawn.ensemble.texts.mean((0, 1)))
    )
    assert float(videos @ texts) == pytest.approx((20**2 - 5**2) / (20**2 + 5**2), abs=0.01)
    assert float(drawn.videos.frames.mean(dim=(0, 1)).norm()) == pytest.approx((20**2 + 5**2) ** 0.5, rel=0.01)


def test_noise_has_the_length_of_its_parameter() -> None:
    def added(world: World) -> torch.Tensor:
        return sample(world, seed=0).videos.frames - sample(CLEAR, seed=0).videos.frames

    of_frames, of_videos = added(replace(CLEAR, frame_noise=3.0)), added(replace(CLEAR, video_noise=2.0))
    assert float(of_frames.square().sum(dim=-1).mean()) == pytest.approx(9, rel=0.02)
    assert float(of_videos.square().sum(dim=-1).mean()) == pytest.approx(4, rel=0.05)
    assert torch.allclose(of_videos, of_videos[:, :1].expand_as(of_videos), atol=1e-5)


def test_junk_frames_of_a_video_show_one_thing_of_no_class() -> None:
    drawn = sample(replace(CLEAR, junk_frames=0.4), seed=0)
    junk = drawn.steps < 0
    assert float(junk.float().mean()) == pytest.approx(0.4, abs=0.03)
    shown = drawn.videos.frames[0][junk[0]]
    assert torch.allclose(shown, shown[:1].expand_as(shown))
    assert float((shown[0] @ drawn.ensemble.texts[:, 0].T).abs().max()) < 0.6


def test_wrong_texts_are_those_of_one_other_class_each() -> None:
    right, wrong = (sample(replace(CLEAR, wrong_texts=share), seed=0).ensemble.texts for share in (0.0, 1.0))
    assert torch.equal(right[:, 0], wrong[:, 0])
    owner = (wrong[:, 1] @ right[:, 1].T).argmax(dim=1)
    assert torch.allclose(wrong[:, 1:], right[owner, 1:])
    assert sorted(owner.tolist()) == list(range(20))
    assert (owner != torch.arange(20)).all()


def test_a_share_of_texts_is_random_or_a_hub() -> None:
    right = sample(CLEAR, seed=0).ensemble.texts
    mixed = sample(replace(CLEAR, random_texts=0.5), seed=0).ensemble.texts
    assert float(((right * mixed).sum(dim=-1)[:, 1:] < 0.9).float().mean()) == pytest.approx(0.5, abs=0.12)
    hubs = sample(replace(CLEAR, cone=1, hubs=0.2, hub_strength=1000), seed=0)
    centre = normalize(hubs.videos.frames.mean(dim=(0, 1)), dim=0)
    assert float((hubs.ensemble.texts @ centre > 0.9).float().mean()) == pytest.approx(0.2, abs=0.08)


def test_priors_and_missing_classes() -> None:
    few = sample(World(videos=2000, classes_present=3), seed=0).labels.bincount(minlength=20)
    assert few[3:].sum() == 0
    assert few[:3].tolist() == pytest.approx([667] * 3, abs=70)
    skewed = sample(World(videos=2000, prior_exponent=1.0, classes_present=4), seed=0).labels.bincount() / 2000
    assert skewed.tolist() == pytest.approx([12 / 25, 6 / 25, 4 / 25, 3 / 25], abs=0.03)


@pytest.mark.parametrize("name", [name for name in WORLDS if name != "plain"])
def test_a_named_world_is_one_effect_away_from_the_plain_one(name: str) -> None:
    plain, world = WORLDS["plain"].world, WORLDS[name].world
    assert sum(getattr(plain, field) != getattr(world, field) for field in vars(plain)) == 1


def test_a_world_that_cannot_be_is_refused_with_the_values_that_can() -> None:
    with pytest.raises(UsageError, match=r"hubs of a world is 0 to 1, not 1\.5"):
        World(hubs=1.5)
    with pytest.raises(UsageError, match="classes_present of a world is 1 to 20, not 21"):
        World(classes_present=21)
    with pytest.raises(UsageError, match="even"):
        World(classes=5, twins=True)
    with pytest.raises(UsageError, match="frames of a world is at least 1, not 0"):
        World(frames=0)
    with pytest.raises(UsageError, match=r"gap of a world is at least 0, not -1\.0"):
        World(gap=-1.0)
    with pytest.raises(UsageError, match="video_noise of a world is a number, not nan"):
        World(video_noise=float("nan"))
