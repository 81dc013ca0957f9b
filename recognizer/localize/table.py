"""Tables of `recognize localize`: the segments of each video, and metrics if annotations are given."""

from __future__ import annotations

import shlex

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from recognizer.evaluation.ranking import LABEL_ONLY
from recognizer.evaluation.tables import WEAK, classes_scored_without, texts_cut
from recognizer.localize.annotations import Annotations
from recognizer.localize.localize import Localization, VideoSegments
from recognizer.localize.mean_ap import best_iou
from recognizer.localize.text_roles import SITUATION

_FEW = 100  # with fewer annotated actions, a table warns that they are too few


def localization_report(
    localization: Localization, *, top: int, annotations: Annotations | None = None
) -> RenderableType:
    """Show the `top` segments of each video, and the metrics."""
    parts: list[RenderableType] = [Text("\n".join(_header(localization)))]
    for video in localization.videos:
        parts += [Text(), _video(localization, video, top, annotations)]
    if localization.results:
        parts += [Text(), _metrics(localization)]
    return Group(*parts)


def _header(localization: Localization) -> list[str]:
    settings, dataset = localization.settings, localization.dataset.name
    texts = (
        f"{settings['descriptors']} descriptors ({', '.join(settings['kinds'])}) by {', '.join(settings['llms'])}"
        if settings["descriptors"]
        else "no descriptors: labels alone"
    )
    lines = [
        f"{len(settings['classes'])} classes of {dataset}, {texts}",
        f"protocol {settings['protocol']} · encoder {settings['encoder']} · {settings['fps']:g} frames a second · "
        f"scale {settings['scale']}",
    ]
    if pack := settings["texts"]:
        lines.append(f"texts of {pack}")
    lines += classes_scored_without(settings["classes_without"])
    if settings["encoder"] == "objects":
        lines.append(WEAK)
    if settings["descriptors"] and SITUATION not in settings["kinds"]:
        command = f"descgen build --dataset {shlex.quote(dataset)} --kind {SITUATION}"
        lines.append(f"no texts on the situation before and after ({command}): starts and ends go by the action alone")
    if settings["situation_texts_left_out"]:
        lines.append(f"{settings['situation_texts_left_out']} situation texts are neither the first nor the second")
    return [*lines, *texts_cut(settings)]


def _video(
    localization: Localization, video: VideoSegments, top: int, annotations: Annotations | None
) -> RenderableType:
    if video.unreadable:
        return Text(f"{video.video}\nunreadable: {video.unreadable}")
    segments = video.segments[localization.row]
    shown = segments[:top]
    more = f", the best {len(shown)} of {len(segments)} segments" if len(shown) < len(segments) else ""
    part = f" · truncated: {video.truncated}" if video.truncated else ""
    title = Text(f"{video.video} · {clock(video.seconds)}{more}{part}", style="bold")
    if not shown:
        return Group(title, Text("no class stands out anywhere"))
    phrases = [action.phrase for action in localization.dataset.actions]
    columns = [">from", ">to", "class", ">score"]
    rows = [[clock(s.start), clock(s.end), phrases[s.label], f"{s.score:.3f}"] for s in shown]
    if annotations and video.annotated_as:
        columns.append(">overlap with annotated")
        for segment, row in zip(shown, rows, strict=True):
            iou = best_iou(segment, annotations.videos[video.annotated_as])
            row.append(f"{iou:.2f}" if iou else "")
    return Group(title, table(*columns, rows=rows))


def clock(seconds: float) -> str:
    """Return a time as 12:05.25."""
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"


def _metrics(localization: Localization) -> RenderableType:
    first = localization.results[LABEL_ONLY]
    columns = ("mAP % at overlap", *(f">{overlap:g}" for overlap in first.overlaps), ">mean")
    rows = [
        (row, *(f"{100 * value:.1f}" for value in (*metrics.mean_average_precision, metrics.average)))
        for row, metrics in localization.results.items()
    ]
    counts = ", ".join(f"{count} {name}" for name, count in localization.counts.items())
    lines = [
        f"videos: {counts} ({localization.settings['annotations']})",
        f"measured on: videos {first.videos}, annotated actions {first.annotations}, classes {len(first.classes)} of "
        f"{len(localization.dataset.actions)}; segments of the other classes do not count",
    ]
    if first.annotations < _FEW:
        lines.append("too few actions to compare anything")
    return Group(Text("\n".join(lines)), Text(), table(*columns, rows=rows))
