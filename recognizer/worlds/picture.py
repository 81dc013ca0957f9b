"""The map as a picture: a coloured cell for each world and method."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from recognizer.worlds.measure import WorldMap
from recognizer.worlds.wording import points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LIMIT = 40.0  # points at which a colour is full
_DARK = 0.6  # share of the limit from which numbers are white


def draw_map(world_map: WorldMap, path: Path) -> None:
    """Draw the gains to a file; its suffix is the format, as matplotlib knows them.

    Blue helps, red hurts; a number is bold if its interval excludes zero, else grey.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = len(world_map.worlds), len(world_map.methods)
    figure = Figure(figsize=(5.2 + 0.72 * columns, 1.9 + 0.34 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    gains = [
        [100 * world_map.cells[world.name, method].gain.value for method in world_map.methods]
        for world in world_map.worlds
    ]
    image = axes.imshow(gains, cmap="RdBu", vmin=-_LIMIT, vmax=_LIMIT, aspect="auto")
    _number(axes, world_map)
    _name(axes, world_map)
    bar = figure.colorbar(image, ax=axes, extend="both", shrink=0.6, pad=0.02)
    bar.set_label("gain over labels alone, points", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    figure.suptitle(
        f"Gain in top-1 over labels alone, mean over {world_map.seeds} drawings of each world; "
        "bold: the 95% interval excludes zero",
        fontsize=9,
        x=0.01,
        ha="left",
    )
    figure.savefig(path, dpi=130)


def _number(axes: Axes, world_map: WorldMap) -> None:
    """Write the gain into each cell."""
    for y, world in enumerate(world_map.worlds):
        for x, method in enumerate(world_map.methods):
            cell = world_map.cells[world.name, method]
            clear, dark = cell.verdict != "unclear", abs(cell.gain.value) * 100 > _DARK * _LIMIT
            colour = "white" if dark else "black" if clear else "0.45"
            weight = "bold" if clear else "normal"
            axes.text(
                x, y, points(cell.gain.value), ha="center", va="center", fontsize=7.5, color=colour, weight=weight
            )


def _name(axes: Axes, world_map: WorldMap) -> None:
    """Name the methods above and the worlds, with what is special and the labels' top-1, on the left."""
    worlds = [
        f"{world.about}   $\\bf{{{world.name}}}$   {100 * world_map.label_only[world.name].value:.0f}%"
        for world in world_map.worlds
    ]
    axes.set_xticks(
        range(len(world_map.methods)),
        [m.replace("-", "-\n").replace("+", "+\n") for m in world_map.methods],
        fontsize=8,
    )
    axes.set_yticks(range(len(worlds)), worlds, fontsize=8)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_xlabel("percentages: top-1 by labels alone", fontsize=8)
    axes.spines[:].set_visible(False)
