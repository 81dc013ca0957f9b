"""What the map says about a stored run, in sentences that are kept with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from db.errors import UserError
from db.progress import ProgressBars, no_bars
from db.records import Run
from db.store import Store
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.scoring.metrics import Rate
from recognizer.worlds.measure import measure
from recognizer.worlds.named import WORLDS
from recognizer.worlds.place import Placement, place_run
from recognizer.worlds.wording import SHOWN, placed, with_interval

_SEEDS = 20  # drawings of each world, as on the map in docs/methods.md


@dataclass(frozen=True)
class PlacedRun:
    """A run on the map.

    Attributes:
        lines: what the map says about it, or why it says nothing.
        distances: of the nearest worlds; empty if none is near.
        gains: the gain of the run's method over labels alone in these worlds, -1 to 1.
    """

    lines: tuple[str, ...]
    distances: Mapping[str, float] = field(default_factory=dict)
    gains: Mapping[str, Rate] = field(default_factory=dict)


def with_placement(store: Store, run: Run, encoder: CachingEncoder, *, bars: ProgressBars = no_bars) -> Run:
    """Return a run with its place on the map among its results, and store it; arguments as in `place_run`.

    A run that has none, such as one of labels alone, has the reason instead.
    """
    kept = {"worlds": asdict(_placed(store, run, encoder, bars))}
    if run.id is not None and not store.read_only:
        store.save_results(run.id, kept)
    return replace(run, results={**run.results, **kept})


def _placed(store: Store, run: Run, encoder: CachingEncoder, bars: ProgressBars) -> PlacedRun:
    name = "this run" if run.id is None else f"run {run.id}"
    more = () if run.id is None else (f"More: recognize worlds --run {run.id}",)
    try:
        placement = place_run(store, run, encoder, bars=bars)
    except UserError as reason:
        return PlacedRun((f"not on the map: {reason}",))
    if placement.is_off_the_map:
        return PlacedRun((*placed(placement, name=name), *more))
    gains = _gains(placement, run.settings["method"])
    line = ", ".join(f"{world} {with_interval(gain)}" for world, gain in gains.items())
    about = f"There method {run.settings['method']} gains over labels alone, in points of top-1: {line}"
    return PlacedRun(
        (*placed(placement, name=name), about, *more), {world: placement.distances[world] for world in gains}, gains
    )


def _gains(placement: Placement, method: str) -> dict[str, Rate]:
    nearest = placement.nearest[:SHOWN]
    world_map = measure([WORLDS[name] for name in nearest], [method], seeds=_SEEDS)
    return {name: world_map.cells[name, method].gain for name in nearest}
