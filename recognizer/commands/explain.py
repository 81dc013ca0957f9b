"""`recognize explain`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import Database, console, json_option, notes, print_json, progress
from db.errors import UserError
from recognizer.commands.options import (
    LISTED,
    Chosen,
    chosen_options,
    features_option,
)
from recognizer.commands.predict import to_choose_from


@click.command("explain")
@click.argument("videos", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="VIDEO...")
@click.option("--dataset", "-d", metavar="NAME|PATH", help=f"Its classes and descriptors: {LISTED}, or your own.")
@click.option("--labels", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A text file of classes.")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to explain for a video.")
@click.option("--class", "names", multiple=True, metavar="NAME", help="Explain this class too, wherever it ranks.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE|FOLDER",
    help="A picture (.png, .svg, .pdf), a page of all videos (.html), or a folder for a PNG of each.",
)
@chosen_options
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
    chosen: Chosen,
    features: Path,
    as_json: bool,
) -> None:
    """Show what each text added to the score of the best classes of videos, and which frames it goes with."""
    from recognizer.evaluation.predict import clips_below, settings_used
    from recognizer.evaluation.tables import made_with
    from recognizer.explain.explain import class_labels, explain_videos
    from recognizer.explain.output import check_output, write_explanations
    from recognizer.explain.table import explanation_report
    from recognizer.explain.wording import shown_views
    from recognizer.features.caching_encoder import open_caching_encoder

    settings = chosen.settings()
    paths = clips_below(videos)
    if output:
        check_output(output, len(paths))
    actions, descriptors = to_choose_from(database, dataset, labels, settings.choice)
    asked = class_labels(actions, names)
    what = f"{actions.name}, {chosen.encoder}"
    with open_caching_encoder(chosen.encoder, features) as opened, progress(what, "videos") as advance:
        found = explain_videos(
            actions, paths, descriptors, opened, settings=settings, top=top, asked=asked, on_progress=advance
        )
    used = settings_used(actions, settings, descriptors)
    lines = [*made_with(actions, descriptors, used), *shown_views(used)]
    if as_json:
        print_json({"settings": used, "explanations": [explanation.for_programs() for explanation in found]})
    else:
        console.print(explanation_report(found, made_with=lines))
    if all(explanation.unreadable for explanation in found):
        raise UserError("None of the videos can be read")
    if output:
        for path in write_explanations(found, output, title=f"What the texts of {actions.name} did", made_with=lines):
            notes.print(f"Written: {path}")
    elif not as_json:
        notes.print("As a picture: --output FILE.png; as a page of all videos: --output FILE.html")
