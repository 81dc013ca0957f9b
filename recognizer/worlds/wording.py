"""The map in plain sentences: where a method helps, and where it collapses."""

from __future__ import annotations

from recognizer.scoring.metrics import Rate
from recognizer.worlds.measure import WorldMap
from recognizer.worlds.place import FAR, Placement

_PHRASES = {
    "helps": "helps in {}",
    "hurts": "costs accuracy in {}",
    "collapses": "collapses in {}",
    "unclear": "cannot be told from the labels in {}",
}


def sentences(world_map: WorldMap) -> list[str]:
    """Return one sentence for each method; in each list the world with the largest change comes first."""
    return [f"{method} {_sentence(world_map, method)}." for method in world_map.methods]


SHOWN = 3  # nearest worlds


def placed(placement: Placement, *, name: str) -> list[str]:
    """Return which worlds a run is most like, and how far that holds."""
    near = ", ".join(f"{world} ({placement.distances[world]:.2f})" for world in placement.nearest[:SHOWN])
    lines = [f"{name} is most like {near}; at 0 all of this is equal."]
    if placement.is_off_the_map:
        lines.append(f"No world is near (within {FAR}): what the map says may not hold for {name}.")
    return lines


def rules(world_map: WorldMap) -> str:
    """Return what the numbers and the verdicts are, for the line below a table."""
    return (
        f"Gain in points of top-1 over labels alone on the same videos, mean over {world_map.seeds} drawings of each "
        "world. *: the 95% interval excludes zero. Collapse: less than half of the labels' top-1 is left."
    )


def _sentence(world_map: WorldMap, method: str) -> str:
    cells = [(world.name, world_map.cells[world.name, method]) for world in world_map.worlds]
    if all(not any(cell.by_seed) for _, cell in cells):
        return "is the same as the labels alone in every world"
    parts = []
    for verdict, phrase in _PHRASES.items():
        own = [(name, cell) for name, cell in cells if cell.verdict == verdict]
        own.sort(key=lambda pair: -abs(pair[1].gain.value))
        if own:
            parts.append(phrase.format(", ".join(name for name, _ in own)))
    return "; ".join(parts)


def points(gain: float) -> str:
    """Return a gain, -1 to 1, in signed points of a percent."""
    rounded = round(100 * gain, 1)
    return f"{rounded:+.1f}" if rounded else "0.0"


def with_interval(gain: Rate) -> str:
    """Return a gain, -1 to 1, in signed points with its 95% interval."""
    return f"{points(gain.value)} [{points(gain.low)}, {points(gain.high)}]"


def marked(world_map: WorldMap, world: str, method: str) -> str:
    """Return the gain of a cell in points, with a star if its interval excludes zero, else a blank."""
    cell = world_map.cells[world, method]
    return points(cell.gain.value) + (" " if cell.verdict == "unclear" else "*")
