"""A timeline of a long video: small pictures, class scores, and bars for segments and annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from db.records import Dataset
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.localize.localize import Timeline
from recognizer.localize.mean_ap import AnnotatedAction, Segment
from recognizer.localize.segments import Segmentation
from recognizer.localize.settings import Scale
from recognizer.localize.table import clock
from recognizer.video.long import pictures_of
from recognizer.video.pool import Decoding, Pool

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito: safe for colour-blind
_ANNOTATED, _AMBIGUOUS, _LABEL_ONLY = "0.2", "0.88", "0.65"
_SCORES: dict[Scale, str] = {
    "softmax": "probability\nminus 1 / classes",
    "zscore": "deviations above\nthe mean class",
    "time": "deviations above\nits own mean",
}
_INCHES = 12.0  # width
_LANE = 0.24  # inches, the height of a lane
_BETWEEN = 0.6  # of two classes, in lanes
Item = TypeVar("Item", "AnnotatedAction", "Segment")


def draw_timeline(
    timeline: Timeline,
    dataset: Dataset,
    path: Path,
    *,
    scale: Scale,
    top: int = 10,
    decoding: Decoding = Decoding(),  # noqa: B008 - frozen
) -> None:
    """Draw one video to a file: pictures, scores of up to six classes, and bars of segments and annotations.

    Args:
        path: its suffix is the format, as matplotlib knows them.
        scale: of the class scores.
        top: number of best segments to draw, with their classes.
        decoding: how the video is read again for the pictures.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    annotated = [action.label for action in timeline.annotations or () if action.label is not None]
    candidates = list(dict.fromkeys([*annotated, *(s.label for s in _shown(timeline).segments[:top])]))
    classes = sorted(candidates[: len(_COLOURS)])
    rows = _rows(timeline, classes, top)
    heights = pictures, _, _ = 0.9, 1.9, _LANE * max(1.0, sum(row.height for row in rows.values()))
    figure = Figure(figsize=(_INCHES, sum(heights) + 1.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    _draw_pictures(axes[0], timeline, _INCHES / pictures, decoding)
    _draw_scores(axes[1], timeline, classes, _SCORES[scale])
    _draw_rows(axes[2], list(rows.values()), [dataset.actions[label].phrase for label in classes], timeline, top)
    others = len(candidates) - len(classes)
    title = f"{timeline.video.path.name} · {dataset.name}" + (f" · {others} classes more" if others else "")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    axes[2].set_xlim(0, timeline.video.seconds)
    axes[2].xaxis.set_major_formatter(lambda seconds, _: clock(seconds).removesuffix(".00"))
    axes[2].set_xlabel("time, minutes:seconds", fontsize=9)
    _draw_legend(figure, timeline, top)
    figure.savefig(path, dpi=120)


def _shown(timeline: Timeline) -> Segmentation:
    return timeline.rows.get(WITH_DESCRIPTORS, timeline.rows[LABEL_ONLY])


def _draw_pictures(axes: Axes, timeline: Timeline, room: float, decoding: Decoding) -> None:
    """Draw as many pictures as fit, each centred at its time."""
    video = timeline.video
    with Pool(decoding) as pool:
        pictures = pool.call(
            pictures_of, video.path.absolute(), size=video.path.stat().st_size, fps=video.fps, seconds=video.seconds,
            truncated=bool(video.truncated), room=0.9 * room,
        )  # fmt: skip
    half = timeline.video.seconds / len(pictures) * 0.48
    for picture in pictures:
        axes.imshow(picture.pixels, extent=(picture.seconds - half, picture.seconds + half, 0, 1), aspect="auto")
    axes.set_ylim(0, 1)
    axes.set_axis_off()


def _draw_scores(axes: Axes, timeline: Timeline, classes: Sequence[int], name: str) -> None:
    scores = _shown(timeline).scores
    times = [(frame + 0.5) / timeline.video.fps for frame in range(len(scores))]
    for label, colour in zip(classes, _COLOURS, strict=False):
        axes.plot(times, scores[:, label].tolist(), color=colour, linewidth=1.4)
    axes.set_ylabel(name, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(axis="x", color="0.92")
    axes.spines[["top", "right"]].set_visible(False)


@dataclass(frozen=True)
class _Row:
    """The lanes of one class, from top to bottom: annotated, predicted, predicted by labels alone.

    Items of one lane never overlap, so that each is seen with its own ends.
    """

    colour: str
    top: float  # of its first lane, in lanes
    annotated: Sequence[Sequence[AnnotatedAction]]
    predicted: Sequence[Sequence[Segment]]
    label_only: Sequence[Sequence[Segment]]

    @property
    def height(self) -> float:
        """In lanes, with room between two classes."""
        return len(self.annotated) + len(self.predicted) + len(self.label_only) + _BETWEEN


def _rows(timeline: Timeline, classes: Sequence[int], top: int) -> dict[int, _Row]:
    """Return the row of each class."""
    rows, begin = dict[int, _Row](), 0.0
    label_only = timeline.rows[LABEL_ONLY].segments[:top] if WITH_DESCRIPTORS in timeline.rows else ()
    for label, colour in zip(classes, _COLOURS, strict=False):
        annotated = _lanes([action for action in timeline.annotations or () if action.label == label])
        predicted, alone = (
            _lanes([segment for segment in segments if segment.label == label])
            for segments in (_shown(timeline).segments[:top], label_only)
        )
        rows[label] = _Row(colour, begin, annotated, predicted, alone)
        begin += rows[label].height
    return rows


def _lanes(items: Sequence[Item]) -> list[list[Item]]:
    """Return items in lanes without overlap: each in turn, the best first, goes to the first lane that has room."""
    lanes: list[list[Item]] = []
    for item in items:
        room = (lane for lane in lanes if all(item.end <= other.start or other.end <= item.start for other in lane))
        lane = next(room, None)
        if lane is None:
            lanes.append(lane := [])
        lane.append(item)
    return lanes


def _draw_rows(axes: Axes, rows: Sequence[_Row], names: Sequence[str], timeline: Timeline, top: int) -> None:
    _draw_ambiguous(axes, timeline.annotations or ())
    highest = max((segment.score for segment in _shown(timeline).segments[:top]), default=1.0)
    for row in rows:
        _draw_row(axes, row, highest, timeline.video.seconds)
    _label_rows(axes, names, rows)


def _draw_ambiguous(axes: Axes, actions: Sequence[AnnotatedAction]) -> None:
    for action in actions:
        if action.label is None:
            axes.axvspan(action.start, action.end, color=_AMBIGUOUS, zorder=0, linewidth=0)


def _draw_row(axes: Axes, row: _Row, highest: float, seconds: float) -> None:
    """Draw the lanes of a class; segments are fainter for lower scores."""
    middle = row.top + (1 + _BETWEEN) / 2
    for actions in row.annotated:
        for action in actions:
            _bar(axes, action, middle, 0.5, color=_ANNOTATED)
        middle += 1
    for segments in row.predicted:
        for segment in segments:
            _draw_segment(axes, segment, middle, row.colour, highest, seconds)
        middle += 1
    for segments in row.label_only:
        for segment in segments:
            _bar(axes, segment, middle, 0.4, color=_LABEL_ONLY)
        middle += 1


def _draw_segment(axes: Axes, segment: Segment, middle: float, colour: str, highest: float, seconds: float) -> None:
    _bar(axes, segment, middle, 0.8, color=colour, alpha=0.25 + 0.5 * segment.score / highest)
    if segment.end - segment.start > seconds / 25:  # the score fits
        place = (segment.start + segment.end) / 2, middle + 0.02
        axes.annotate(f"{segment.score:.2f}", place, ha="center", va="center", fontsize=7)


def _bar(axes: Axes, item: Segment | AnnotatedAction, middle: float, height: float, **style: Any) -> None:
    axes.broken_barh([(item.start, item.end - item.start)], (middle - height / 2, height), linewidth=0, **style)


def _label_rows(axes: Axes, names: Sequence[str], rows: Sequence[_Row]) -> None:
    """Write the classes in the colours of their scores, with lines between them."""
    axes.set_yticks([row.top + row.height / 2 for row in rows], names, fontsize=9)
    for text, row in zip(axes.get_yticklabels(), rows, strict=True):
        text.set(color=row.colour, fontweight="bold")
    axes.set_ylim(rows[-1].top + rows[-1].height if rows else 1, 0)
    axes.set_yticks([row.top for row in rows[1:]], minor=True)
    axes.grid(axis="y", which="minor", color="0.88")
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", which="both", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_legend(figure: Figure, timeline: Timeline, top: int) -> None:
    """Explain the kinds of bars that are drawn."""
    from matplotlib.patches import Patch

    patches = [Patch(color=_COLOURS[0], alpha=0.75, label=f"predicted, the best {top}, with their scores")]
    if timeline.annotations is not None:
        patches.insert(0, Patch(color=_ANNOTATED, label="annotated"))
    if any(action.label is None for action in timeline.annotations or ()):
        patches.append(Patch(color=_AMBIGUOUS, label="annotated as ambiguous"))
    if WITH_DESCRIPTORS in timeline.rows:
        patches.append(Patch(color=_LABEL_ONLY, label="predicted by labels alone"))
    figure.legend(handles=patches, loc="outside upper right", fontsize=8, ncols=len(patches), frameon=False)
