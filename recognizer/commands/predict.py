"""`recognize predict`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import progress
from db.errors import UserError
from recognizer.commands.options import (
    COUNT,
    Classes,
    Session,
    classes_options,
    reading_options,
    scoring_options,
    videos_argument,
)
from recognizer.evaluation.settings import Options


@click.command("predict")
@videos_argument
@classes_options
@click.option("--top", type=COUNT, default=5, help="Classes to show per video.")
@scoring_options
@reading_options
def predict_videos(session: Session, videos: tuple[Path, ...], classes: Classes, top: int, options: Options) -> None:
    """Rank the classes for videos: files, folders of videos, or folders of frames."""
    from recognizer.evaluation.predict import predict
    from recognizer.evaluation.tables import ranking_report

    clips = session.videos(videos)
    texts = classes.texts(session, options)
    with session.encoder(options.encoder, options.precision) as encoder:
        rankings = predict(texts, clips, encoder, top=top, bars=progress)
    report = {"settings": texts.for_programs(), "rankings": rankings}
    session.show(report, ranking_report(texts, rankings))
    if all(ranking.unreadable for ranking in rankings):
        raise UserError("None of the videos can be read")
