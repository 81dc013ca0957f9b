"""What both command lines share: the database option, errors as exit codes, JSON, progress. No core code uses it."""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from db.engine import sqlite_path
from db.errors import UsageError, UserError
from db.store import Store

_WIDTH_OF_A_PIPE = 120
_SECONDS_BETWEEN_LINES = 5.0

# no markup: labels and an LLM's texts may hold [brackets]
console = Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE, highlight=False, markup=False, emoji=False)
notes = Console(
    stderr=True, width=None if sys.stderr.isatty() else _WIDTH_OF_A_PIPE, highlight=False, markup=False, emoji=False
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class _WrongUse(click.ClickException):
    exit_code = 2


class Commands(click.Group):
    """A group that shows our own errors as one message: exit code 2 for wrong use, 1 for failure."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; let nothing that a user can mend end in a traceback."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE or not error.filename:
                raise  # click ends quietly where the reader of our output has gone
            raise click.ClickException(f"{error.filename}: {error.strerror}") from error
        except UserError as error:
            raise (_WrongUse if isinstance(error, UsageError) else click.ClickException)(str(error)) from error


class Database:
    """The database of this command, opened when first needed and closed when the command ends."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._open: list[Store] = []

    @cached_property
    def store(self) -> Store:
        """The store; a SQLite file that is not there is made."""
        return self._opened(create=True)

    @cached_property
    def existing(self) -> Store:
        """The store; a SQLite file that is not there is an error that says how to make one."""
        return self._opened(create=False)

    @cached_property
    def existing_or_empty(self) -> Store:
        """The store; for a SQLite file that is not there, an empty one that leaves nothing behind."""
        path = sqlite_path(self.url)
        if path is None or path.exists():
            return self.store
        self._open.append(Store.open("sqlite://"))
        return self._open[-1]

    def _opened(self, *, create: bool) -> Store:
        self._open.append(Store.open(self.url, create=create))
        return self._open[-1]

    def close(self) -> None:
        """Close what was opened."""
        for store in self._open:
            store.close()


def database_option(command: Any) -> Any:
    """Add `--db` to a group, and put the `Database` where its commands find it."""
    return click.option(
        "--db",
        "url",
        envvar="DESCGEN_DB",
        default="descriptors.db",
        show_default=True,
        show_envvar=True,
        metavar="URL",
        help="SQLite file or SQLAlchemy URL.",
    )(command)


def print_json(value: Any) -> None:
    """Print values of ours, or lists of them, as JSON on standard output."""
    click.echo(json.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def table(*columns: str, title: str | None = None, rows: Sequence[Sequence[object]] = ()) -> Table:
    """Return a plain table; columns whose name begins with `>` are aligned to the right."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", title_style="bold")
    for column in columns:
        made.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    for row in rows:
        made.add_row(*("" if cell is None else str(cell) for cell in row))
    return made


def _lines(what: str, unit: str) -> Callable[[int, int], None]:
    """Return progress for a log: a line at the beginning, at the end, and every few seconds."""
    printed = [-_SECONDS_BETWEEN_LINES]

    def advance(done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - printed[0] >= _SECONDS_BETWEEN_LINES:
            notes.print(f"{what}: {done}/{total} {unit}")
            printed[0] = now

    return advance


@contextmanager
def progress(what: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function of (done, total) that shows a bar with rate and time left; plain lines without a terminal."""
    if not notes.is_terminal:
        yield _lines(what, unit)
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=notes,
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=None, rate="")
        first: list[int] = []

        def advance(done: int, total: int) -> None:
            first.append(done)
            elapsed = bar.tasks[0].elapsed or 0
            rate = f"{(done - first[0]) / elapsed:.2f} {unit}/s" if elapsed and done > first[0] else ""
            bar.update(task, completed=done, total=total, rate=rate)

        yield advance
