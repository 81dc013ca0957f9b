"""`recognize features`: list, verify, merge, prune, export, import, texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from db.commandline import Database, json_option, notes, print_json, progress
from db.errors import UsageError, UserError
from recognizer.commands.options import (
    FILE,
    Session,
    VideoSelection,
    dataset_options,
    reading_options,
    sampling_options,
    session_options,
    texts_options,
    whole_dataset_options,
)
from recognizer.evaluation.settings import Options

if TYPE_CHECKING:
    from recognizer.features.export import Format

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def features() -> None:
    """List, verify, merge and prune the stored embeddings; export them, and import those made elsewhere."""


def _is_empty(session: Session) -> bool:
    """Return whether --json asks about a store that does not exist; it is then printed as empty."""
    from recognizer.features.store import INDEX

    if not session.as_json or (session.features / INDEX).exists():
        return False
    notes.print(f"No embeddings in {session.features}: nothing is stored yet", soft_wrap=True)
    print_json([])
    return True


@features.command("list")
@session_options
def list_features(session: Session) -> None:
    """List what is stored: encoders, sampling, number of videos and texts, size."""
    from recognizer.features.maintenance import summarize
    from recognizer.features.store import FeatureStore
    from recognizer.features.table import summary_table

    if _is_empty(session):
        return
    with FeatureStore.open(session.features, create=False) as store:
        shelves = summarize(store)
    session.show(shelves, summary_table(shelves, session.features))


@features.command("verify")
@session_options
def verify_features(session: Session) -> None:
    """Compare every record with its checksum; exit code 1 if one does not match."""
    from recognizer.features.maintenance import verify
    from recognizer.features.store import FeatureStore
    from recognizer.features.table import verify_report

    if _is_empty(session):
        return
    with FeatureStore.open(session.features, create=False) as store, progress("verify", "files") as advance:
        checks = verify(store, on_progress=advance)
    session.show(checks, verify_report(checks, session.features))
    damaged = sum(len(check.damaged) for check in checks)
    if damaged:
        raise UserError(
            f"{damaged} records are damaged and not used; commands that need them compute them again. "
            "Delete them with: recognize features prune --damaged"
        )


@features.command("merge")
@click.argument("folders", nargs=-1, required=True, type=click.Path(file_okay=False, path_type=Path))
@session_options
def merge_features(session: Session, folders: tuple[Path, ...]) -> None:
    """Copy the embeddings in other folders into this store, such as those of other machines; see embed --shard."""
    from recognizer.features.merge import merge_stores
    from recognizer.features.table import merge_report

    with progress("merge", "folders") as advance:
        merged = merge_stores(session.features, folders, on_progress=advance)
    session.show(merged, merge_report(merged, session.features))
    if damaged := sum(shelf.damaged for shelf in merged):
        raise UserError(f"{damaged} records are damaged and were left out. Embed their videos again, there or here")


@features.command("prune")
@click.option("--encoder", "-e", metavar="NAME", help="Only embeddings of this encoder, as `list` names it.")
@click.option(
    "--unused", type=click.IntRange(min=0), metavar="DAYS", help="Only what no command used for this many days."
)
@click.option("--gone", is_flag=True, help="Only videos whose files no longer exist.")
@click.option("--damaged", is_flag=True, help="Only records that do not match their checksums.")
@click.option("--dry-run", is_flag=True, help="Print what would be deleted.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@session_options
def prune_features(
    session: Session, encoder: str | None, unused: int | None, gone: bool, damaged: bool, dry_run: bool, yes: bool
) -> None:
    """Delete embeddings that are not needed, and free their disk space."""
    from recognizer.features.maintenance import PruneFilter, plan_prune, prune
    from recognizer.features.store import FeatureStore
    from recognizer.features.table import prune_table, size

    if _is_empty(session):
        return
    with FeatureStore.open(session.features, create=False) as store:
        plans = plan_prune(store, PruneFilter(encoder, unused, gone, damaged))
        session.show(plans, prune_table(plans) if plans else "Nothing to delete")
        if dry_run or not plans:
            return
        if not yes:
            click.confirm(f"Delete {size(sum(plan.bytes for plan in plans))}?", abort=True, err=True)
        prune(store, plans)


@features.command("precision")
@session_options
def precision(session: Session) -> None:
    """Compare stored embeddings in bfloat16 or float16 with those in float32 of the same videos and texts."""
    from recognizer.features.precision import precision_gaps
    from recognizer.features.store import FeatureStore
    from recognizer.features.table import precision_table

    if _is_empty(session):
        return
    with FeatureStore.open(session.features, create=False) as store:
        gaps = precision_gaps(store)
    hint = "Nothing is stored in two precisions. Run recognize embed twice: --precision float32, --precision bfloat16"
    session.show(gaps, precision_table(gaps) if gaps else hint)


@features.command("export")
@dataset_options
@click.option(
    "--to", type=click.Choice(["safetensors", "parquet", "fiftyone"]), required=True, help="Format of the file."
)
@click.option("--output", "-o", type=FILE, required=True, help="The file to write; for fiftyone .json.")
@sampling_options
@reading_options
def export_file(session: Session, selection: VideoSelection, options: Options, to: Format, output: Path) -> None:
    """Write the embeddings of videos to a file for other programs; those that are not stored are made first."""
    from recognizer.datasets.find import find_videos
    from recognizer.features.export import check_export, export_features
    from recognizer.features.table import export_report

    check_export(output, to)
    dataset, root = selection.open(session.database.catalogue)
    video_list = find_videos(dataset, root, split=selection.split).with_outside
    title = f"{dataset.name}, {options.encoder}"
    with session.encoder(options.encoder, options.precision) as encoder, progress(title, "videos") as advance:
        report = export_features(
            dataset,
            video_list,
            encoder,
            output,
            to=to,
            root=root,
            sampling=options.sampling,
            limit=selection.limit,
            on_progress=advance,
        )
    session.show(report, export_report(report))


@features.command("import")
@click.argument("file", type=EXISTING_FILE)
@whole_dataset_options
@click.option("--name", required=True, metavar="NAME", help="The encoder of the embeddings will be imported:NAME.")
@click.option("--ids", type=EXISTING_FILE, help="Ids of the videos, one a line; for .npy.")
@click.option("--texts", type=EXISTING_FILE, help="Embeddings of texts, [N, D].")
@click.option("--text-ids", type=EXISTING_FILE, help="The texts, one a line; for .npy.")
@session_options
def import_file(
    session: Session,
    selection: VideoSelection,
    file: Path,
    name: str,
    ids: Path | None,
    texts: Path | None,
    text_ids: Path | None,
) -> None:
    """Store embeddings of videos and texts that were made elsewhere: FILE is .npy or .safetensors."""
    from recognizer.datasets.find import find_videos
    from recognizer.features.arrays import read_array
    from recognizer.features.import_arrays import import_features
    from recognizer.features.store import FeatureStore
    from recognizer.features.table import import_report

    if text_ids and not texts:
        raise UsageError(f"--text-ids {text_ids} names the rows of a file that is not given: --texts FILE")
    given = read_array(file, ids=ids, ids_option="--ids")
    given_texts = read_array(texts, ids=text_ids, ids_option="--text-ids") if texts else None
    dataset, root = selection.open(session.database.catalogue)
    video_list = find_videos(dataset, root, split="listed").with_outside
    with FeatureStore.open(session.features) as store, progress(f"import {file.name}", "videos") as advance:
        report = import_features(store, name, given, video_list, texts=given_texts, on_progress=advance)
    session.show(report, import_report(report, session.features))


@features.command("texts")
@click.option("--dataset", "-d", required=True, metavar="NAME|PATH", help="Its classes and descriptors.")
@texts_options
@json_option
@click.pass_obj
def print_texts(database: Database, dataset: str, options: Options, as_json: bool) -> None:
    """Print every text that an evaluation with these options needs, one a line, to encode them elsewhere."""
    from recognizer.evaluation.background import Background
    from recognizer.scoring.ensemble import strings_of
    from recognizer.scoring.selection import choose_descriptors

    settings = options.settings.with_texts_used()
    store = database.existing_or_empty
    classes = store.resolve(dataset)
    texts = strings_of(classes, choose_descriptors(store, classes, settings.choice), settings.wording())
    if background := Background.choose(store, classes, settings):
        texts = list(dict.fromkeys([*texts, *background.strings(settings.wording())]))
    broken = [text for text in texts if "\n" in text]
    if broken and not as_json:
        raise UserError(f"{len(broken)} texts have several lines, such as {broken[0]!r}. Take --json")
    if as_json:
        print_json(texts)
        return
    for text in texts:
        click.echo(text)
