"""`recognize explain`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import notes, progress
from recognizer.commands.options import (
    COUNT,
    PATH,
    Classes,
    Session,
    classes_options,
    reading_options,
    scoring_options,
    videos_argument,
)
from recognizer.evaluation.settings import Options


@click.command("explain")
@videos_argument
@classes_options
@click.option("--top", type=COUNT, default=5, help="Classes to explain per video.")
@click.option(
    "--class", "class_names", multiple=True, metavar="NAME", help="Explain this class too, wherever it ranks."
)
@click.option(
    "--output",
    "-o",
    type=PATH,
    metavar="FILE|FOLDER",
    help="A picture (.png, .svg, .pdf), a page of all videos (.html), or a folder for a PNG of each.",
)
@scoring_options
@reading_options
def explain_classes(
    session: Session,
    videos: tuple[Path, ...],
    classes: Classes,
    top: int,
    class_names: tuple[str, ...],
    output: Path | None,
    options: Options,
) -> None:
    """Show what each text adds to the score of the best classes of videos, and which frames it fits."""
    from recognizer.datasets.given import refuse_unreadable
    from recognizer.explain.explain import explain, refuse_pictures
    from recognizer.explain.output import check_output, write_explanations
    from recognizer.explain.table import explanation_report
    from recognizer.explain.wording import lines_above

    clips = session.videos(videos)
    if output:
        check_output(output, len(clips))
    texts = classes.texts(session, options)
    with session.encoder(options.encoder, options.precision) as encoder:
        if output:
            refuse_pictures(encoder)
        pictured = encoder.clip_frames is None
        explanations = explain(texts, clips, encoder, top=top, class_names=class_names, bars=progress)
    explained = [explanation.for_programs() for explanation in explanations]
    report = {"settings": texts.for_programs(), "explanations": explained}
    session.show(report, explanation_report(explanations, made_with=lines_above(texts)))
    refuse_unreadable([(explanation.video, explanation.unreadable) for explanation in explanations])
    if output:
        for path in write_explanations(texts, explanations, output):
            notes.print(f"Written: {path}")
    elif pictured and not session.as_json:
        notes.print("As a picture: --output FILE.png; as a page of all videos: --output FILE.html")
