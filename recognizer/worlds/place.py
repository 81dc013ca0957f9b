"""Name the worlds that videos and texts are most like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from math import isfinite, sqrt
from pathlib import Path
from statistics import fmean, stdev

from db.errors import UserError
from db.progress import ProgressBars, no_bars
from db.records import Run
from db.store import Store
from recognizer.evaluation.replay import replay
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.worlds.named import WORLDS
from recognizer.worlds.sample import sample
from recognizer.worlds.traits import Labelled, traits
from recognizer.worlds.world import World

_SEEDS = 5  # of each world, for its mean traits
FAR = 1.5  # worlds at this distance or more are no guide; drawings of a world are 0.1 to 1.0 away from it
_MOST = 3.0  # deviations; a larger difference of a trait counts as this
_MOST_CLASSES, _MOST_VIDEOS, _MOST_STEPS = 200, 1000, 6


@dataclass(frozen=True)
class Placement:
    """Where videos and texts are on the map.

    Attributes:
        traits: value by name; None if it is undefined, such as the order of steps without steps.
        worlds: the mean traits of each world, drawn in about the same sizes.
        distances: by world, nearest first: the root mean square, over traits, of the difference in standard deviations
            of the trait over worlds; a trait counts at most 3.
    """

    traits: Mapping[str, float | None]
    worlds: Mapping[str, Mapping[str, float]]
    distances: Mapping[str, float]

    @property
    def nearest(self) -> tuple[str, ...]:
        """All worlds, nearest first."""
        return tuple(self.distances)

    @property
    def is_off_the_map(self) -> bool:
        """Whether no world is near."""
        return self.distances[self.nearest[0]] > FAR


def place_run(
    store: Store, run: Run, encoder: CachingEncoder, *, root: Path | None = None, bars: ProgressBars = no_bars
) -> Placement:
    """Return where a stored run is on the map; arguments as in `replay`.

    Raises:
        UserError: the run has no descriptors or one class only, or as in `replay`.
    """
    with bars(f"run {run.id}", "videos") as advance:
        replayed = replay(store, run, encoder, root=root, on_progress=advance)
    if not run.descriptor_ids or not (replayed.ensemble.kind >= 0).any():  # names that stand for labels do not count
        raise UserError(f"Run {run.id} used no descriptors: what its texts are like cannot be told")
    labels = replayed.features.labels.repeat_interleave(replayed.features.views)
    return place(Labelled(replayed.batch, replayed.ensemble, labels))


def place(labelled: Labelled) -> Placement:
    """Return where videos and texts are on the map.

    Raises:
        UserError: there is one class only.
    """
    if len(labelled.ensemble.present) == 1:
        raise UserError("There is one class only: no world is like it")
    own = traits(labelled)
    worlds = world_traits(Sizes.of(labelled))
    scale = {name: _deviation([values[name] for values in worlds.values()]) for name in own}
    distances = {name: _distance(own, values, scale) for name, values in worlds.items()}
    return Placement(
        traits={name: value if isfinite(value) else None for name, value in own.items()},
        worlds=worlds,
        distances=dict(sorted(distances.items(), key=lambda pair: pair[1])),
    )


@dataclass(frozen=True)
class Sizes:
    """How much of everything there is; worlds of other sizes have other traits."""

    classes: int
    videos: int
    frames: int
    steps: int

    @classmethod
    def of(cls, labelled: Labelled) -> Sizes:
        """Return sizes of worlds to compare with: those of the videos and texts, limited so that it takes seconds."""
        classes, videos = len(labelled.ensemble.present), len(labelled.labels)
        steps = int(labelled.ensemble.steps().max()) + 1
        return cls(
            classes=2 * min(-(-classes // 2), _MOST_CLASSES // 2),  # even, so that twins can be made
            videos=min(videos, _MOST_VIDEOS),
            frames=labelled.videos.frames.shape[1],
            steps=min(steps, _MOST_STEPS) or World.steps,
        )

    def resize(self, world: World) -> World:
        """Return a world in these sizes, with the same share of classes that have videos."""
        present = max(1, round(world.present / world.classes * self.classes))
        return replace(world, **asdict(self), classes_present=present)


@cache
def world_traits(sizes: Sizes) -> Mapping[str, Mapping[str, float]]:
    """Return the mean traits of every named world in some sizes, over a few seeds; NaN where none is defined."""
    means = {}
    for name, named in WORLDS.items():
        drawn = [sample(sizes.resize(named.world), seed=seed) for seed in range(_SEEDS)]
        per_seed = [traits(Labelled(one.videos, one.ensemble, one.labels)) for one in drawn]
        means[name] = {trait: fmean(values[trait] for values in per_seed) for trait in per_seed[0]}
    return means


def _distance(own: Mapping[str, float], world: Mapping[str, float], scale: Mapping[str, float]) -> float:
    """Return the distance over the traits that both have; no single one decides alone."""
    differences = ((own[name] - world[name]) / scale[name] for name in own if scale[name] > 0)
    return sqrt(fmean(min(abs(difference), _MOST) ** 2 for difference in differences if isfinite(difference)))


def _deviation(values: Sequence[float]) -> float:
    """Return the deviation of a trait over the worlds that have it; 0 if they do not differ in it."""
    known = [value for value in values if isfinite(value)]
    return stdev(known) if len(known) > 1 else 0.0
