"""`recognize predict`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import Database, console, json_option, print_json, progress
from db.errors import UserError
from recognizer.commands.options import (
    class_texts,
    classes_options,
    features_option,
    scoring_options,
    videos_argument,
)
from recognizer.evaluation.settings import Options


@click.command("predict")
@videos_argument
@classes_options
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show per video.")
@scoring_options
@features_option
@json_option
@click.pass_obj
def predict_videos(
    database: Database,
    videos: tuple[Path, ...],
    dataset: str | None,
    labels: Path | None,
    top: int,
    options: Options,
    features: Path,
    as_json: bool,
) -> None:
    """Rank the classes for videos: files, folders of videos, or folders of frames."""
    from recognizer.evaluation.predict import predict
    from recognizer.evaluation.tables import ranking_report
    from recognizer.features.caching_encoder import open_stored_encoder

    texts = class_texts(database, dataset, labels, options)
    with open_stored_encoder(options.encoder, features) as encoder:
        rankings = predict(texts, videos, encoder, top=top, bars=progress)
    report = {"settings": texts.for_programs(), "rankings": rankings}
    print_json(report) if as_json else console.print(ranking_report(texts, rankings))
    if all(ranking.unreadable for ranking in rankings):
        raise UserError("None of the videos can be read")
