"""What a text fires on: worlds of which the truth is known, and AUROC by its plain definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recognizer.datasets.find import Video
from recognizer.evaluation.firing import Crowd, Firing
from recognizer.scoring.intervals import newcombe
from recognizer.worlds.sample import Sample, sample
from recognizer.worlds.world import World

PHRASES = [f"class {c}" for c in range(12)]


def crowd_of(labels: list[int], classes: int = 12) -> Crowd:
    videos = [Video(f"{n}", label, Path(f"{n}"), ()) for n, label in enumerate(labels)]
    return Crowd.of(videos, classes)


def firing_of(world: Sample, text: object, own: int) -> Firing:
    cosines = world.videos.pooled.inner(text).numpy()  # type: ignore[arg-type]
    return crowd_of(world.labels.tolist()).firing(cosines, own)


@pytest.fixture(scope="module")
def world() -> Sample:
    return sample(World(classes=12, videos=600, width=512, video_noise=0.6, text_noise=0.4, class_noise=0.2), seed=3)


def test_in_a_made_world_each_text_fires_on_the_class_it_is_about(world: Sample) -> None:
    for c in range(12):
        for text in world.ensemble.texts[c]:
            firing = firing_of(world, text, c)
            assert (firing.verdict, firing.rank) == ("own", 1)
            assert firing.sentence(PHRASES) == "fires on its own class"
            assert firing.videos == int((world.labels == c).sum())
            assert firing.videos + firing.others == 600


def test_the_text_of_another_class_fires_there(world: Sample) -> None:
    for c in range(12):
        wrong = (c + 5) % 12
        firing = firing_of(world, world.ensemble.texts[wrong, 2], c)
        assert firing.sentence(PHRASES) == f"fires more on class {wrong} than on its own class"


def test_a_text_about_two_classes_names_the_other(world: Sample) -> None:
    from torch.nn.functional import normalize

    for c in range(6):
        both = normalize(world.ensemble.texts[c, 1] + 0.9 * world.ensemble.texts[c + 6, 1], dim=-1)
        assert firing_of(world, both, c).sentence(PHRASES) in (
            f"fires on its own class; also on class {c + 6}", f"fires more on class {c + 6} than on its own class",
        )  # fmt: skip


def test_random_texts_seldom_fire_on_any_class() -> None:
    random, labels = np.random.default_rng(0), [n % 12 for n in range(480)]
    verdicts = [crowd_of(labels).firing(random.normal(size=480), 4).verdict for _ in range(300)]
    assert verdicts.count("nothing") >= 290  # 5% of the intervals, of which few reach an area of 0.7


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    random, labels = np.random.default_rng(1), [0] * 7 + [1] * 9 + [2] * 4
    crowd = crowd_of(labels, classes=3)
    for _ in range(20):
        cosines = random.integers(0, 8, size=20) / 10  # with ties
        firing = crowd.firing(cosines, 1)
        pairs = [(a > b) + (a == b) / 2 for a in cosines[7:16] for b in [*cosines[:7], *cosines[16:]]]
        assert firing.area is not None
        assert firing.area.value == pytest.approx(np.mean(pairs))
        assert firing.area.low <= firing.area.value <= firing.area.high
        assert firing.means == pytest.approx([cosines[:7].mean(), cosines[7:16].mean(), cosines[16:].mean()])
        assert firing.rank == 1 + sum(mean > firing.means[1] for mean in firing.means)


def test_few_videos_are_too_few_to_say() -> None:
    crowd = crowd_of([0] * 2 + [1] * 9, classes=3)
    cosines = np.linspace(1, 0, 11)
    assert crowd.firing(cosines, 0).sentence(PHRASES) == "too few videos to say (2 of its class, 9 of others)"
    assert crowd.firing(cosines, 2).sentence(PHRASES) == "too few videos to say (0 of its class, 11 of others)"
    assert crowd_of([0] * 9 + [1] * 2, classes=2).firing(cosines, 0).verdict == "few"  # none to compare with
    assert crowd.firing(cosines[::-1].copy(), 1).rival is None  # a class of two is never named


def test_clips_of_one_source_do_not_count_as_many() -> None:
    def crowd(groups: int) -> Crowd:
        names = [f"v_Action{c}_g{1 + n % groups:02d}_c{1 + n // groups:02d}.avi" for c in "AB" for n in range(12)]
        videos = [Video(name, n // 12, Path(name), ()) for n, name in enumerate(names)]
        return Crowd.of(videos, 2)

    cosines = np.concatenate([np.linspace(0.3, 0.5, 12), np.linspace(0.2, 0.4, 12)])
    many, few = crowd(12).firing(cosines, 0).area, crowd(3).firing(cosines, 0).area
    assert many is not None
    assert few is not None
    assert many.value == few.value
    assert few.high - few.low > many.high - many.low


def test_videos_of_several_classes_count_for_each() -> None:
    videos = [Video(f"{n}", n % 2, Path("v"), (), labels=(0, 1) if n < 4 else (n % 2,)) for n in range(20)]
    crowd = Crowd.of(videos, 2)
    assert crowd.counts.tolist() == [12, 12]
    firing = crowd.firing(np.arange(20.0), 0)
    own = [n for n in range(20) if n < 4 or n % 2 == 0]
    rest = [n for n in range(20) if n not in own]
    assert firing.area is not None
    assert firing.area.value == pytest.approx(np.mean([a > b for a in own for b in rest]))


def test_the_interval_holds_the_true_area_in_19_of_20_samples() -> None:
    from statistics import NormalDist

    random = np.random.default_rng(2)
    for positive, negative, shift in ((5, 100, 1.0), (10, 10, 0.0), (20, 400, 2.0)):
        true = NormalDist().cdf(shift / 2**0.5)
        a, b = random.normal(shift, 1, (2000, positive, 1)), random.normal(0, 1, (2000, 1, negative))
        low, high = newcombe((a > b).mean(axis=(1, 2)), np.array(positive), np.array(negative))
        assert 0.93 <= ((low <= true) & (true <= high)).mean() <= 1
    low, high = newcombe(np.array([0.0, 1.0]), np.array(4), np.array(6))
    assert (low[0], high[1]) == (0, 1)
    assert 0 < high[0] < 1
    assert low[1] == pytest.approx(1 - high[0])


def test_what_is_not_firing_and_what_cannot_be_told() -> None:
    cosines = np.array([0.1, 0.5, 0.55, 0.9, *np.linspace(0, 1, 8)])
    few = crowd_of([0] * 4 + [1] * 8, classes=2).firing(cosines, 0)
    assert few.area is not None
    assert few.area.low < 0.5 < 0.7 < few.area.high
    assert few.sentence(PHRASES) == "too few videos to say (4 of its class, 8 of others)"
    many = crowd_of(([0] * 4 + [1] * 8) * 20, classes=2).firing(np.tile(cosines, 20), 0)
    assert many.area is not None
    assert many.area.value == few.area.value
    assert many.sentence(PHRASES) == "fires on nothing in particular"
