"""Segments of long videos for people: by video, and how good they are where annotations are given."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from recognizer.evaluation.ranking import LABEL_ONLY
from recognizer.evaluation.tables import WEAK
from recognizer.localize.annotations import Annotated
from recognizer.localize.localize import Localization, VideoSegments
from recognizer.localize.mean_ap import Annotation, Segment, overlap_with
from recognizer.localize.text_roles import SITUATION

_FEW = 100  # annotated actions below which a table says that it shows no more than that everything works


def localization_report(localization: Localization, *, top: int, annotated: Annotated | None = None) -> RenderableType:
    """Return the `top` segments of each video, and the measure."""
    parts: list[RenderableType] = [Text("\n".join(_made_with(localization)))]
    for video in localization.videos:
        parts += [Text(), _video(localization, video, top, annotated)]
    if localization.results:
        parts += [Text(), _measure(localization)]
    return Group(*parts)


def _made_with(localization: Localization) -> list[str]:
    settings = localization.settings
    texts = (
        f"{settings['descriptors']} descriptors ({', '.join(settings['kinds'])}) by {', '.join(settings['llms'])}"
        if settings["descriptors"]
        else "no descriptors: labels alone"
    )
    lines = [
        f"{len(settings['classes'])} classes of {localization.dataset.name}, {texts}",
        f"protocol {settings['protocol']} · encoder {settings['encoder']} · {settings['fps']:g} frames a second · "
        f"scale {settings['scale']}",
    ]
    if settings["encoder"] == "objects":
        lines.append(WEAK)
    if settings["descriptors"] and SITUATION not in settings["kinds"]:
        command = f"descgen build --dataset {localization.dataset.name} --kind {SITUATION}"
        lines.append(f"no texts of what is seen before and after ({command}): starts and ends go by the action alone")
    if settings["situation_texts_left_out"]:
        lines.append(f"{settings['situation_texts_left_out']} situation texts are neither the first nor the second")
    if settings["texts_cut"]:
        lines.append(
            f"{len(settings['texts_cut'])} texts are longer than the encoder's {settings['context_length']} tokens and "
            f"were cut, such as: {settings['texts_cut'][0]}"
        )
    return lines


def _video(localization: Localization, video: VideoSegments, top: int, annotated: Annotated | None) -> RenderableType:
    if video.unreadable:
        return Text(f"{video.video}\nunreadable: {video.unreadable}")
    segments = video.segments[localization.row]
    shown = segments[:top]
    more = f", the best {len(shown)} of {len(segments)} segments" if len(shown) < len(segments) else ""
    title = Text(f"{video.video} · {clock(video.seconds)}{more}", style="bold")
    if not shown:
        return Group(title, Text("no class stands out anywhere"))
    actions = localization.dataset.actions
    seen = annotated.videos[video.annotated_as] if annotated and video.annotated_as else None
    body = [
        (clock(s.start), clock(s.end), actions[s.label].phrase, f"{s.score:.3f}", *_overlap(s, seen)) for s in shown
    ]
    columns = (">from", ">to", "class", ">score", *(() if seen is None else (">overlap with annotated",)))
    return Group(title, table(*columns, rows=body))


def _overlap(segment: Segment, seen: Sequence[Annotation] | None) -> tuple[str, ...]:
    """Return its best overlap with an annotated action of its class, as a cell; none without annotations."""
    if seen is None:
        return ()
    best = overlap_with(segment, seen)
    return (f"{best:.2f}" if best else "",)


def clock(seconds: float) -> str:
    """Return a time as 12:05.25."""
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"


def _measure(localization: Localization) -> RenderableType:
    first = localization.results[LABEL_ONLY]
    columns = ("mAP % at overlap", *(f">{overlap:g}" for overlap in first.overlaps), ">mean")
    body = [
        (row, *(f"{100 * value:.1f}" for value in result.mean_average_precision), f"{100 * result.average:.1f}")
        for row, result in localization.results.items()
    ]
    counts = ", ".join(f"{count} {name}" for name, count in localization.counts.items())
    lines = [
        f"videos: {counts} ({localization.settings['annotations']})",
        f"measured on: videos {first.videos}, annotated actions {first.annotations}, classes {len(first.classes)} of "
        f"{len(localization.dataset.actions)}; segments of the other classes do not count",
    ]
    if first.annotations < _FEW:
        lines.append("so few actions compare nothing")
    return Group(Text("\n".join(lines)), Text(), table(*columns, rows=body))
