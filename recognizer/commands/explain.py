"""`recognize explain`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import Database, console, json_option, notes, print_json, progress
from db.errors import UserError
from recognizer.commands.options import (
    class_texts,
    classes_options,
    features_option,
    scoring_options,
    videos_argument,
)
from recognizer.evaluation.settings import Options


@click.command("explain")
@videos_argument
@classes_options
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to explain per video.")
@click.option("--class", "names", multiple=True, metavar="NAME", help="Explain this class too, wherever it ranks.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE|FOLDER",
    help="A picture (.png, .svg, .pdf), a page of all videos (.html), or a folder for a PNG of each.",
)
@scoring_options
@features_option
@json_option
@click.pass_obj
def explain_classes(
    database: Database,
    videos: tuple[Path, ...],
    dataset: str | None,
    labels: Path | None,
    top: int,
    names: tuple[str, ...],
    output: Path | None,
    options: Options,
    features: Path,
    as_json: bool,
) -> None:
    """Show what each text adds to the score of the best classes of videos, and which frames it fits."""
    from recognizer.evaluation.predict import clips_below
    from recognizer.explain.explain import explain
    from recognizer.explain.output import check_output, write_explanations
    from recognizer.explain.table import explanation_report
    from recognizer.explain.wording import lines_above
    from recognizer.features.caching_encoder import open_stored_encoder

    clips = clips_below(videos)
    if output:
        check_output(output, len(clips))
    texts = class_texts(database, dataset, labels, options)
    with open_stored_encoder(options.encoder, features) as encoder:
        explanations = explain(texts, clips, encoder, top=top, asked=names, bars=progress)
    if as_json:
        explained = [explanation.for_programs() for explanation in explanations]
        print_json({"settings": texts.for_programs(), "explanations": explained})
    else:
        console.print(explanation_report(explanations, said=lines_above(texts)))
    if all(explanation.unreadable for explanation in explanations):
        raise UserError("None of the videos can be read")
    if output:
        for path in write_explanations(texts, explanations, output):
            notes.print(f"Written: {path}")
    elif not as_json:
        notes.print("As a picture: --output FILE.png; as a page of all videos: --output FILE.html")
