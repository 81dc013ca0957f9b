"""A sheet of paper for pictures that are laid out by hand, in inches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT = "0.1", "0.4"
POINTS = 8.0  # of text, where nothing else is said


class Sheet:
    """A figure on which things are placed by inches from its upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure: Figure = Figure(figsize=(width, height), facecolor="white")
        FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Return axes without any marks."""
        place = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        made = self.figure.add_axes(place)
        made.set_axis_off()
        return made

    def line(self, left: float, top: float, bottom: float) -> None:
        """Draw an upright line, behind all else."""
        from matplotlib.lines import Line2D

        ys = [1 - top / self.height, 1 - bottom / self.height]
        self.figure.add_artist(Line2D([left / self.width] * 2, ys, color="0.6", linewidth=0.8, zorder=0))

    def write(self, left: float, top: float, text: str, **look: Any) -> None:
        """Write a text; it is never read as mathematics, whatever signs are in it."""
        look = {"fontsize": POINTS, "color": INK, "va": "top", **look}
        self.figure.text(left / self.width, 1 - top / self.height, text, parse_math=False, **look)
