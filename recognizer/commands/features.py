"""`recognize features`: list, verify, prune."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import console, json_option, print_json, progress
from db.errors import UserError
from recognizer.commands.options import features_option


@click.group()
def features() -> None:
    """Manage the stored embeddings."""


@features.command("list")
@features_option
@json_option
def list_features(features: Path, as_json: bool) -> None:
    """List the stored embeddings: encoders, sampling, how many, how large."""
    from recognizer.features.maintenance import summarize
    from recognizer.features.store import FeatureStore
    from recognizer.features.table import summary_table

    with FeatureStore.open(features, create=False) as store:
        shelves = summarize(store)
    print_json(shelves) if as_json else console.print(summary_table(shelves, features))


@features.command("verify")
@features_option
@json_option
def verify_features(features: Path, as_json: bool) -> None:
    """Compare every record with its checksum; exit code 1 if one does not match."""
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
@click.option("--unused", type=click.IntRange(min=0), metavar="DAYS", help="Only what was not used for so many days.")
@click.option("--gone", is_flag=True, help="Only videos whose files do not exist any more.")
@click.option("--damaged", is_flag=True, help="Only records that do not match their checksums.")
@click.option("--dry-run", is_flag=True, help="Only show what would be dropped.")
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
    """Drop what is not needed, and free its disk space."""
    from recognizer.features.maintenance import PruneFilter, plan, prune
    from recognizer.features.store import FeatureStore
    from recognizer.features.table import prune_table, size

    with FeatureStore.open(features, create=False) as store:
        plans = plan(store, PruneFilter(encoder, unused, gone, damaged))
        print_json(plans) if as_json else console.print(prune_table(plans) if plans else "Nothing to drop")
        if dry_run or not plans:
            return
        if not yes:
            click.confirm(f"Drop {size(sum(each.bytes for each in plans))}?", abort=True, err=True)
        prune(store, plans)
