"""`recognize features`: list, verify, prune."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import console, json_option, print_json, progress
from db.errors import UserError
from recognizer.commands.options import features_option


@click.group()
def features() -> None:
    """Look after the embeddings that are kept."""


@features.command("list")
@features_option
@json_option
def list_features(features: Path, as_json: bool) -> None:
    """List what is kept: encoders, how videos were looked at, how many, how large."""
    from recognizer.features.maintenance import stock
    from recognizer.features.store import FeatureStore
    from recognizer.features.table import stock_table

    with FeatureStore.open(features, create=False) as store:
        found = stock(store)
    print_json(found) if as_json else console.print(stock_table(found, features))


@features.command("verify")
@features_option
@json_option
def verify_features(features: Path, as_json: bool) -> None:
    """Compare every record with its checksum; exit code 1 where one does not fit."""
    from recognizer.features.maintenance import verify
    from recognizer.features.store import FeatureStore
    from recognizer.features.table import check_report

    with FeatureStore.open(features, create=False) as store, progress("verify", "files") as advance:
        checks = verify(store, on_progress=advance)
    print_json(checks) if as_json else console.print(check_report(checks, features))
    damaged = sum(len(check.damaged) for check in checks)
    if damaged:
        raise UserError(
            f"{damaged} records are damaged. None of them is used: the next command that needs one makes it anew. "
            "Drop them with: recognize features prune --damaged"
        )


@features.command("prune")
@click.option("--encoder", "-e", metavar="NAME", help="Only of this encoder, as `list` names it.")
@click.option("--unused", type=click.IntRange(min=0), metavar="DAYS", help="Only what no command used for so long.")
@click.option("--gone", is_flag=True, help="Only videos whose files are not there any more.")
@click.option("--damaged", is_flag=True, help="Only records that do not fit their checksums.")
@click.option("--dry-run", is_flag=True, help="Say what would go.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@features_option
@json_option
def prune_features(
    encoder: str | None,
    unused: int | None,
    gone: bool,
    damaged: bool,
    dry_run: bool,
    yes: bool,
    features: Path,
    as_json: bool,
) -> None:
    """Drop what is not needed, and give its place on the disk back."""
    from recognizer.features.maintenance import Unwanted, plan, prune
    from recognizer.features.store import FeatureStore
    from recognizer.features.table import cut_table, size

    with FeatureStore.open(features, create=False) as store:
        cuts = plan(store, Unwanted(encoder, unused, gone, damaged))
        print_json(cuts) if as_json else console.print(cut_table(cuts) if cuts else "Nothing to drop")
        if dry_run or not cuts:
            return
        if not yes:
            click.confirm(f"Drop {size(sum(cut.bytes for cut in cuts))}?", abort=True, err=True)
        prune(store, cuts)
