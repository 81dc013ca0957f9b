"""A program as a group of commands: each is imported when it is used, and its errors are shown as one message.

This is all that `--help` of a program imports: click and the profile, no database, no table, no model.
"""

from __future__ import annotations

import atexit
import errno
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import click
from click.shell_completion import CompletionItem

from db.addresses import hide, secrets_in
from db.errors import UsageError, UserError
from db.imports import uncollected
from db.interrupts import interrupts
from db.profile_defaults import default_map
from db.texts import clean

# Read when torch loads. Else its threads wait for each other in busy loops, and take the processor from the processes
# that decode, and from everybody else on a shared machine: a sweep took 24 s instead of 12 beside other work.
WAITING = "OMP_WAIT_POLICY", "passive"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class Listed(NamedTuple):
    """A command of a program: what is needed to list it, and where it is.

    Attributes:
        place: its module and its name in there, such as `recognizer.commands.runs:runs`.
        about: the first sentence of its help.
    """

    place: str
    about: str


def _short(listed: Listed, limit: int = 45) -> str:
    """Return what a list of commands says about one, in at most so many characters."""
    return click.Command(None, help=listed.about).get_short_help_str(limit)


class _OnDemand(MutableMapping[str, click.Command]):
    """The commands of a program by name; each is imported when it is looked up."""

    def __init__(self, listed: Mapping[str, Listed]) -> None:
        self._listed = listed
        self._added: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._added:
            module, _, attribute = self._listed[name].place.partition(":")
            with uncollected():
                self._added[name] = getattr(import_module(module), attribute)
        return self._added[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._added[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError(f"The command {name} stays")

    def __contains__(self, name: object) -> bool:
        return name in self._listed or name in self._added

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self._listed, *self._added))

    def __len__(self) -> int:
        return len(dict.fromkeys((*self._listed, *self._added)))


class _WrongUse(click.ClickException):
    exit_code = 2


def _shown(error: UserError, secrets: Sequence[str] = ()) -> click.ClickException:
    from db.suggestions import with_database

    return (_WrongUse if isinstance(error, UsageError) else click.ClickException)(
        clean(with_database(hide(str(error), secrets)))
    )


def _tell(line: str) -> None:
    from db.commandline import notes

    notes.print(line, soft_wrap=True)


class Program(click.Group):
    """A group that shows our own errors as one message: exit code 2 for wrong use, 1 for failure.

    Ctrl-C, SIGTERM and SIGHUP end any command with one line and exit code 130; what a command does that takes long says
    itself what is kept of it.
    """

    def __init__(self, name: str | None = None, *, listed: Mapping[str, Listed], **settings: Any) -> None:
        super().__init__(name, _OnDemand(listed), **settings)
        self.listed = listed

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands for `--help`, without importing them."""
        limit = formatter.width - 6 - max(map(len, self.listed))
        with formatter.section("Commands"):
            formatter.write_dl([(name, _short(self.listed[name], limit)) for name in sorted(self.listed)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the names of commands and options that begin with a word, without importing the commands."""
        begun = [name for name in sorted(self.listed) if name.startswith(incomplete)]
        names = [CompletionItem(name, help=_short(self.listed[name])) for name in begun]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the options; those that are not given take the values of the profile, but not to complete a word."""
        if parent is None and not extra.get("resilient_parsing"):
            try:
                extra.setdefault("default_map", default_map(self, _tell))
            except UserError as error:
                raise _shown(error) from error
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; show errors that a user can fix without a traceback."""
        os.environ.setdefault(*WAITING)
        try:
            with interrupts(lambda: "What was stored stays"):
                return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE or not error.filename:
                raise  # click exits quietly if the reader of our output is gone
            raise click.ClickException(clean(f"{error.filename}: {error.strerror}")) from error
        except click.ClickException as error:
            vars(error)["message"] = clean(error.message)  # it repeats what was typed; click declares it final
            raise
        except UserError as error:
            database = ctx.find_root().params.get("url")
            raise _shown(error, secrets_in(database) if isinstance(database, str) else ()) from error


def run(program: click.Command, name: str) -> NoReturn:
    """Run a program as all that its process does, and end the process.

    Python's modules are not taken apart, which takes half a second once torch is loaded. What is to be done at the end
    is done: threads are waited for, functions of `atexit` run, output is written; the system frees the memory.
    """
    codes = list[int]()
    atexit.register(_end, codes)  # the first to register is the last to run
    try:
        _call(program, name)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            codes.append(error.code or 0)
        raise
    raise AssertionError("a program of click ends with SystemExit")


def _call(program: click.Command, name: str) -> None:
    """Call a program; a full disk is told in one line, be it of the output or of a file whose name is not known."""
    try:
        program(prog_name=name)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        _tell_no_room(error)
        sys.exit(1)


def _tell_no_room(error: OSError) -> None:
    click.echo(f"Error: Not all could be written: {error.strerror}. Make room, then run the same again", err=True)


def _end(codes: Sequence[int]) -> None:
    """End the process with an exit code, unless there is none: after other errors, Python says what it has to say."""
    if not codes:
        return
    code = codes[0]
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except OSError as error:
        if error.errno not in _NO_ROOM:  # nobody reads any more; Python has an exit code of its own for that
            return
        if not code:  # else the command has said already that it failed
            _tell_no_room(error)
        code = code or 1
    except ValueError:  # closed
        return
    os._exit(code & 0xFF)


def database_option(command: Any) -> Any:
    """Add `--db` to a group."""
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


def open_when_needed(context: click.Context, url: str) -> None:
    """Give the commands of a program its database, which is closed when they end."""
    from db.commandline import Database

    context.obj = Database(url)
    context.call_on_close(context.obj.close)
