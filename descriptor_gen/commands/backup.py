"""`descgen backup`: a copy of the database while others work on it."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import Database, notes
from db.engine import back_up


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def backup(database: Database, file: Path) -> None:
    """Copy the database to FILE while others write to it.

    Copying the file by hand loses what lies in its write-ahead log (descriptors.db-wal). FILE is a database itself:
    descgen --db FILE stats.
    """
    back_up(database.url, file)
    notes.print(f"Copied to {file}, and checked", soft_wrap=True)
