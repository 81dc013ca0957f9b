"""`recognize features`: list, verify, merge, prune."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import notes, print_json, progress
from db.errors import UserError
from recognizer.commands.options import Session, session_options


@click.group()
def features() -> None:
    """List, verify, merge and prune the stored embeddings."""


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
    from recognizer.features.store import FeatureStore
    from recognizer.features.table import merge_report

    with FeatureStore.open(session.features) as store, progress("merge", "folders") as advance:
        merged = merge_stores(store, folders, on_progress=advance)
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
