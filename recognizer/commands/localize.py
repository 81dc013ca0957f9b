"""`recognize localize`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from db.commandline import progress
from db.outputs import check_file
from recognizer.commands.options import (
    COUNT,
    EXISTING,
    FILE,
    FOLDER,
    SHARED,
    Classes,
    Session,
    long_options,
    reading_options,
    videos_argument,
)
from recognizer.evaluation.settings import Options

if TYPE_CHECKING:
    from recognizer.localize.localize import Timeline

_ANNOTATIONS = "Annotations to evaluate against: ActivityNet's JSON file, or THUMOS14's folder of <Class>_test.txt."
_SET = "Change a setting, such as smooth=2 or nms=soft; an unknown name is answered with all of them."


@click.command("localize")
@videos_argument
@SHARED["dataset"]
@click.option("--annotations", type=EXISTING, help=_ANNOTATIONS)
@click.option("--subset", metavar="NAME", help="Part of the annotations, such as test. [the only one]")
@click.option("--fps", type=click.FloatRange(0, 60, min_open=True), default=4.0, help="Frames per second.")
@click.option("--top", type=COUNT, default=10, help="Segments to show per video.")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help=_SET)
@click.option("--plot", type=FOLDER, metavar="FOLDER", help="Draw a timeline of each video, in this folder.")
@click.option("--predictions", type=FILE, help="Write all segments to a result file in ActivityNet's format.")
@long_options
@reading_options
def localize_actions(
    session: Session,
    videos: tuple[Path, ...],
    dataset: str,
    annotations: Path | None,
    subset: str | None,
    fps: float,
    top: int,
    values: tuple[str, ...],
    plot: Path | None,
    predictions: Path | None,
    options: Options,
) -> None:
    """Find when in long videos the actions of a dataset happen; with annotations, compute mAP."""
    from recognizer.datasets.given import refuse_same_names, refuse_unreadable
    from recognizer.localize.annotations import read_annotations
    from recognizer.localize.export import as_activitynet
    from recognizer.localize.export import as_json as for_programs
    from recognizer.localize.localize import find_actions
    from recognizer.localize.settings import LocalizeSettings, with_values
    from recognizer.localize.table import localization_report
    from recognizer.localize.timeline import draw_timeline

    settings = with_values(LocalizeSettings(), values)
    clips = session.videos(videos)
    refuse_same_names(clips)
    check_file(predictions, (".json",))
    if plot:
        plot.mkdir(parents=True, exist_ok=True)
    texts = Classes(dataset).texts(session, options)
    annotated = read_annotations(annotations, texts.dataset, subset=subset) if annotations else None

    def draw(timeline: Timeline) -> None:
        if plot:
            picture = plot / f"{timeline.video.path.stem}.png"
            draw_timeline(timeline, texts.dataset, picture, scale=settings.scale, top=top, decoding=session.decoding)

    with session.encoder(options.encoder, options.precision) as encoder:
        localization = find_actions(
            texts, clips, encoder, fps=fps, settings=settings, annotations=annotated, on_video=draw, bars=progress
        )
    if predictions:
        predictions.write_text(json.dumps(as_activitynet(localization)), encoding="utf-8")
    session.show(for_programs(localization), localization_report(localization, top=top, annotations=annotated))
    refuse_unreadable([(video.video, video.unreadable) for video in localization.videos])
