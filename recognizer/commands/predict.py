"""`recognize predict`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import notes, progress
from db.outputs import CSV, check_file
from recognizer.commands.options import (
    COUNT,
    FILE,
    Classes,
    Session,
    classes_options,
    full_scoring_options,
    reading_options,
    videos_argument,
)
from recognizer.evaluation.settings import Options


@click.command("predict")
@videos_argument
@classes_options
@click.option("--top", type=COUNT, default=5, help="Classes to show per video.")
@click.option("--csv", "csv_file", type=FILE, help="Write the rankings to a CSV file.")
@full_scoring_options
@reading_options
def predict_videos(
    session: Session, videos: tuple[Path, ...], classes: Classes, top: int, csv_file: Path | None, options: Options
) -> None:
    """Rank the classes for videos: files, folders of videos, or folders of frames."""
    from recognizer.datasets.given import refuse_unreadable
    from recognizer.evaluation.csv_files import write_rankings
    from recognizer.evaluation.predict import predict
    from recognizer.evaluation.tables import ranking_report

    check_file(csv_file, CSV)
    clips = session.videos(videos)
    texts = classes.texts(session, options)
    with session.encoder(options.encoder, options.precision) as encoder:
        rankings = predict(texts, clips, encoder, top=top, bars=progress)
    report = {"settings": texts.for_programs(), "rankings": rankings}
    session.show(report, ranking_report(texts, rankings))
    if csv_file:
        write_rankings(csv_file, texts, rankings)
        notes.print(f"Written: {csv_file}", soft_wrap=True)
    refuse_unreadable([(ranking.video, ranking.unreadable) for ranking in rankings])
