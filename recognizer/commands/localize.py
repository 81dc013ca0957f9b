"""`recognize localize`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from db.commandline import Database, console, json_option, print_json, progress
from db.errors import UsageError, UserError
from recognizer.commands.options import (
    LISTED,
    STATUSES,
    encoder_option,
    features_option,
    kind_option,
    llm_option,
    protocol_option,
    status_option,
)
from recognizer.commands.predict import descriptors_if_any

if TYPE_CHECKING:
    from recognizer.localize.localize import Timeline


@click.command("localize")
@click.argument("videos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="VIDEO...")
@click.option(
    "--dataset", "-d", required=True, metavar="NAME|PATH", help=f"The classes to look for: {LISTED}, or your own."
)
@click.option(
    "--annotations",
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="Measure against these: a JSON file as ActivityNet's, or THUMOS14's folder of <Class>_test.txt.",
)
@click.option("--subset", metavar="NAME", help="Part of the annotations, such as test. [the only one]")
@click.option(
    "--fps",
    type=click.FloatRange(0, 60, min_open=True),
    default=4.0,
    show_default=True,
    help="Frames a second to look at.",
)
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Segments of a video to show.")
@click.option(
    "--set",
    "values",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another setting, such as smooth=2 or nms=soft: docs/localize.md.",
)
@click.option(
    "--plot",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Draw a timeline of each video there.",
)
@click.option(
    "--predictions",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write all segments there, as ActivityNet's result files.",
)
@encoder_option
@protocol_option
@kind_option
@llm_option
@status_option
@features_option
@json_option
@click.pass_obj
def localize_actions(
    database: Database,
    videos: tuple[Path, ...],
    dataset: str,
    annotations: Path | None,
    subset: str | None,
    fps: float,
    top: int,
    values: tuple[str, ...],
    plot: Path | None,
    predictions: Path | None,
    encoder: str,
    protocol: str,
    kinds: tuple[str, ...],
    llm: str | None,
    status: str,
    features: Path,
    as_json: bool,
) -> None:
    """Find where in long videos the actions of a dataset are, and measure it where annotations are given."""
    from recognizer.evaluation.predict import clips_below
    from recognizer.features.caching_encoder import open_stored_encoder
    from recognizer.localize.annotations import read_annotations
    from recognizer.localize.export import as_activitynet
    from recognizer.localize.export import as_json as for_programs
    from recognizer.localize.localize import Query, localize_videos
    from recognizer.localize.settings import LocalizeSettings, with_values
    from recognizer.localize.table import localization_report
    from recognizer.localize.timeline import draw_timeline
    from recognizer.scoring.selection import Choice

    settings = with_values(LocalizeSettings(), values)
    store = database.existing_or_empty
    actions = store.resolve(dataset)
    annotated = read_annotations(annotations, actions, subset=subset) if annotations else None
    descriptors = descriptors_if_any(store, actions, Choice(kinds or None, STATUSES[status], llm))
    paths = clips_below(videos)
    _check_outputs(paths, plot, predictions)
    query = Query(encoder, protocol, fps, settings)

    def draw(timeline: Timeline) -> None:
        if plot:
            picture = plot / f"{timeline.video.path.stem}.png"
            draw_timeline(timeline, actions, picture, scale=settings.scale, top=top)

    what = f"{actions.name}, {encoder}"
    with open_stored_encoder(encoder, features) as opened, progress(what, "seconds of video") as advance:
        found = localize_videos(
            actions, paths, descriptors, opened,
            query=query, annotated=annotated, on_video=draw, on_progress=advance,
        )  # fmt: skip
    if predictions:
        predictions.write_text(json.dumps(as_activitynet(found)), encoding="utf-8")
    print_json(for_programs(found)) if as_json else console.print(
        localization_report(found, top=top, annotated=annotated)
    )
    if not found.counts["searched"]:
        raise UserError("None of the videos can be read")


def _check_outputs(paths: Sequence[Path], plot: Path | None, predictions: Path | None) -> None:
    """Refuse before the work what would fail after it, and videos that could not be told apart."""
    twice = [name for name, count in Counter(path.stem for path in paths).items() if count > 1]
    if twice:
        raise UsageError(f"Several videos are named {', '.join(twice)}: they go by their names. Give each alone")
    if predictions and not predictions.parent.is_dir():
        raise UsageError(f"There is no folder {predictions.parent} to write {predictions.name} to")
    if plot:
        plot.mkdir(parents=True, exist_ok=True)
