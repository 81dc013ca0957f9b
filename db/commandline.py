"""What the commands of both programs share: the database, JSON, tables, progress."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from db.imports import uncollected
from db.progress import Progress, no_bars
from db.suggestions import SuggestingConsole
from db.texts import clean, escaped

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.table import Table

    from db.catalogue import Catalogue
    from db.store import Store

_PIPE_WIDTH = 120
_SECONDS_BETWEEN_LINES = 5.0
_Command = TypeVar("_Command", bound=Callable[..., Any])

_plain = partial(SuggestingConsole, highlight=False, markup=False, emoji=False)  # labels and texts may hold [brackets]
console = _plain(width=None if sys.stdout.isatty() else _PIPE_WIDTH)
notes = _plain(width=None if sys.stderr.isatty() else _PIPE_WIDTH, stderr=True)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Database:
    """The database of a command, opened when first needed and closed when the command ends."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._stores = ExitStack()

    @cached_property
    def store(self) -> Store:
        """The store; a missing SQLite file is created."""
        return self._open(self.url, create=True)

    @cached_property
    def existing(self) -> Store:
        """The store; a missing SQLite file is a UserError that says how to create one."""
        return self._open(self.url, create=False)

    @cached_property
    def existing_or_empty(self) -> Store:
        """The store; for a missing SQLite file, an empty one in memory."""
        path = self.path
        return self.store if path is None or path.exists() else self._open("sqlite://", create=True)

    @property
    def catalogue(self) -> Catalogue:
        """Datasets and descriptors for a command that lists: a missing SQLite file is not opened, which is faster."""
        from db.catalogue import NoDatabase

        path = self.path
        return self.existing_or_empty if path is None or path.exists() else NoDatabase()

    def reading(self, *, as_json: bool) -> Store:
        """The store for a command that reads; without a database, --json reads an empty one, which a note says."""
        path = self.path
        if as_json and path and not path.exists():
            notes.print(f"No database at {path}: nothing is stored yet", soft_wrap=True)
        return self.existing_or_empty if as_json else self.existing

    @property
    def path(self) -> Path | None:
        """The SQLite file; None for another database."""
        if "://" not in self.url and not self.url.startswith("~"):
            return Path(self.url)  # without SQLAlchemy, which takes longer to import than all else
        from db.engine import sqlite_path

        return sqlite_path(self.url)

    def _open(self, url: str, *, create: bool) -> Store:
        with uncollected():
            from db.store import Store

        return self._stores.enter_context(closing(Store.open(url, create=create)))

    def close(self) -> None:
        """Close what was opened."""
        self._stores.close()


def trust_option(trusting: Callable[[], AbstractContextManager[None]]) -> Callable[[_Command], _Command]:
    """Return the option `--trust-file`, which has no value: the command runs inside `trusting()`."""

    def trust(ctx: click.Context, _parameter: click.Parameter, chosen: bool) -> None:
        if chosen:
            ctx.with_resource(trusting())

    about = "Run the code in a .pt file that OpenAI did not publish; it can do anything that you can."
    return click.option("--trust-file", is_flag=True, expose_value=False, callback=trust, help=about)


def print_json(value: Any) -> None:
    """Print dataclasses, or lists of them, as JSON on standard output."""
    click.echo(escaped(json.dumps(value, default=_jsonable, ensure_ascii=False, indent=2)))


def _jsonable(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def table(*columns: str, title: str | None = None, rows: Sequence[Sequence[object]] = ()) -> Table:
    """Return a plain table; columns whose name begins with `>` are aligned to the right."""
    from rich.table import Table

    result = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", title_style="bold")
    for column in columns:
        result.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    for row in rows:
        result.add_row(*("" if cell is None else clean(str(cell)) for cell in row))
    return result


def _lines(title: str, unit: str) -> Progress:
    """Return progress for a log: a line at the start, at the end, and every few seconds."""
    printed = -_SECONDS_BETWEEN_LINES

    def advance(done: int, total: int) -> None:
        nonlocal printed
        now = time.monotonic()
        if done == total or now - printed >= _SECONDS_BETWEEN_LINES:
            notes.print(f"{title}: {done}/{total} {unit}")
            printed = now

    return advance


def bar(title: str, unit: str) -> AbstractContextManager[Progress]:
    """Show progress as `progress` does on a terminal, and nothing without one: for what mostly takes seconds."""
    return progress(title, unit) if notes.is_terminal else no_bars(title, unit)


@contextmanager
def progress(title: str, unit: str) -> Iterator[Progress]:
    """Show a bar with rate and time left, or plain lines without a terminal; yields a function of (done, total).

    A bar that is opened within another one stands below it.
    """
    if not notes.is_terminal:
        yield _lines(title, unit)
        return
    with _bars() as bars:
        task = bars.add_task(title, total=None, rate="")
        first: int | None = None

        def advance(done: int, total: int) -> None:
            nonlocal first
            first = done if first is None else first
            elapsed = next(shown.elapsed for shown in bars.tasks if shown.id == task) or 0
            rate = f"{(done - first) / elapsed:.2f} {unit}/s" if elapsed and done > first else ""
            bars.update(task, completed=done, total=total, rate=rate)

        yield advance
        if len(bars.tasks) > 1:  # the last one goes with the bars, which show its end first
            bars.remove_task(task)


_shown: list[Bars] = []  # the bars that are on the terminal now, if any: a terminal has one place for them


@contextmanager
def _bars() -> Iterator[Bars]:
    """Return the bars on the terminal, or new ones, which go with the block."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    if _shown:
        yield _shown[0]
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=notes, transient=True) as bars:
        _shown.append(bars)
        try:
            yield bars
        finally:
            _shown.clear()
