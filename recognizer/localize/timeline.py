"""A long video as a picture: what it shows, how the classes' scores run, what was found and what is annotated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.records import Dataset
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.localize.localize import Timeline
from recognizer.localize.mean_ap import Annotation, Segment
from recognizer.localize.settings import Scale
from recognizer.localize.table import clock
from recognizer.video.long import pictures_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito: told apart by all
_ANNOTATED, _AMBIGUOUS, _LABEL_ONLY = "0.2", "0.88", "0.65"
_SCORES: dict[Scale, str] = {
    "softmax": "share of all classes,\nless an even one",
    "zscore": "deviations above\nthe mean class",
    "time": "deviations above\nits own mean",
}
_INCHES = 12.0  # width


def draw_timeline(timeline: Timeline, dataset: Dataset, path: Path, *, scale: Scale, top: int = 10) -> None:
    """Draw one video to a file: pictures, curves of up to six classes, and bars of segments and annotations.

    Args:
        timeline: of the video.
        dataset: gives the names of the classes.
        path: its suffix says the format, as matplotlib knows them.
        scale: what the curves are.
        top: so many of the best segments are drawn, and the classes that they are of.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    classes = _classes(timeline, top)
    strip, curves, bars = 0.9, 1.9, 0.55 * len(classes)
    figure = Figure(figsize=(_INCHES, strip + curves + bars + 1.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, 1, sharex=True, height_ratios=(strip, curves, bars))
    _draw_pictures(axes[0], timeline, _INCHES / strip)
    _draw_curves(axes[1], timeline, classes, _SCORES[scale])
    _draw_bars(axes[2], timeline, classes, [dataset.actions[label].phrase for label in classes], top)
    figure.suptitle(_title(timeline, dataset, top, len(classes)), x=0.01, ha="left", fontsize=11)
    axes[2].set_xlim(0, timeline.video.seconds)
    axes[2].xaxis.set_major_formatter(lambda seconds, _: clock(seconds).removesuffix(".00"))
    axes[2].set_xlabel("time, minutes:seconds", fontsize=9)
    _draw_legend(figure, timeline, top)
    figure.savefig(path, dpi=120)


def _classes(timeline: Timeline, top: int) -> list[int]:
    """Return the classes to draw, in label order: those annotated, then those of the best segments, six at most."""
    return sorted(_worth_drawing(timeline, top)[: len(_COLOURS)])


def _worth_drawing(timeline: Timeline, top: int) -> list[int]:
    seen = [a.label for a in timeline.annotations or () if a.label is not None]
    found = [segment.label for segment in _best_row(timeline)[:top]]
    return list(dict.fromkeys([*seen, *found]))


def _title(timeline: Timeline, dataset: Dataset, top: int, drawn: int) -> str:
    others = len(_worth_drawing(timeline, top)) - drawn
    return f"{timeline.video.path.name} · {dataset.name}" + (f" · {others} classes more" if others else "")


def _best_row(timeline: Timeline) -> Sequence[Segment]:
    return timeline.rows[WITH_DESCRIPTORS if WITH_DESCRIPTORS in timeline.rows else LABEL_ONLY].segments


def _draw_pictures(axes: Axes, timeline: Timeline, room: float) -> None:
    """Draw as many of the pictures as have room, each around its time."""
    pictures = pictures_of(timeline.video, room=0.9 * room)
    half = timeline.video.seconds / len(pictures) * 0.48
    for picture in pictures:
        extent = (picture.seconds - half, picture.seconds + half, 0, 1)
        axes.imshow(picture.pixels, extent=extent, aspect="auto")
    axes.set_ylim(0, 1)
    axes.set_axis_off()


def _draw_curves(axes: Axes, timeline: Timeline, classes: Sequence[int], scores: str) -> None:
    row = timeline.rows.get(WITH_DESCRIPTORS, timeline.rows[LABEL_ONLY])
    times = [(frame + 0.5) / timeline.video.fps for frame in range(len(row.curves))]
    for label, colour in zip(classes, _COLOURS, strict=False):
        axes.plot(times, row.curves[:, label].tolist(), color=colour, linewidth=1.4)
    axes.set_ylabel(scores, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(axis="x", color="0.92")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_bars(axes: Axes, timeline: Timeline, classes: Sequence[int], names: Sequence[str], top: int) -> None:
    """Draw three bars for each class: annotated, found with all texts (fainter: less sure), found by labels alone."""
    place = {label: number for number, label in enumerate(classes)}
    for annotation in timeline.annotations or ():
        if annotation.label is None:
            axes.axvspan(annotation.start, annotation.end, color=_AMBIGUOUS, zorder=0, linewidth=0)
        elif annotation.label in place:
            _bar(axes, annotation, place[annotation.label] - 0.27, 0.18, color=_ANNOTATED)
    _draw_found(axes, _best_row(timeline)[:top], place, timeline.video.seconds)
    if WITH_DESCRIPTORS in timeline.rows:
        for segment in timeline.rows[LABEL_ONLY].segments[:top]:
            if segment.label in place:
                _bar(axes, segment, place[segment.label] + 0.26, 0.12, color=_LABEL_ONLY)
    _frame_bars(axes, names)


def _draw_found(axes: Axes, segments: Sequence[Segment], place: Mapping[int, int], seconds: float) -> None:
    highest = max((segment.score for segment in segments), default=1.0)
    for segment in segments:
        if segment.label not in place:
            continue
        number = place[segment.label]
        _bar(axes, segment, number, 0.3, color=_COLOURS[number], alpha=0.25 + 0.5 * segment.score / highest)
        if segment.end - segment.start > seconds / 25:  # there is room
            middle = (segment.start + segment.end) / 2, number + 0.01
            axes.annotate(f"{segment.score:.2f}", middle, ha="center", va="center", fontsize=7)


def _frame_bars(axes: Axes, names: Sequence[str]) -> None:
    """Write the classes in the colours of their curves, and part them by lines."""
    axes.set_yticks(range(len(names)), names, fontsize=9)
    for text, colour in zip(axes.get_yticklabels(), _COLOURS, strict=False):
        text.set_color(colour)
        text.set_fontweight("bold")
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks([number - 0.5 for number in range(1, len(names))], minor=True)
    axes.grid(axis="y", which="minor", color="0.88")
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", which="both", length=0)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _bar(axes: Axes, item: Segment | Annotation, middle: float, height: float, **look: Any) -> None:
    axes.broken_barh([(item.start, item.end - item.start)], (middle - height / 2, height), linewidth=0, **look)


def _draw_legend(figure: Figure, timeline: Timeline, top: int) -> None:
    """Say what the bars are, for those kinds that there are."""
    from matplotlib.patches import Patch

    with_texts = WITH_DESCRIPTORS in timeline.rows
    patches = [Patch(color=_COLOURS[0], alpha=0.75, label=f"found, the best {top}, with their scores")]
    if timeline.annotations is not None:
        patches.insert(0, Patch(color=_ANNOTATED, label="annotated"))
    if any(a.label is None for a in timeline.annotations or ()):
        patches.append(Patch(color=_AMBIGUOUS, label="annotated as ambiguous"))
    if with_texts:
        patches.append(Patch(color=_LABEL_ONLY, label="found by labels alone"))
    figure.legend(handles=patches, loc="outside upper right", fontsize=8, ncols=len(patches), frameon=False)
