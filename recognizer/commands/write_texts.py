"""Let descgen write the descriptors that a command of recognize needs: the two programs meet in the database alone."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from db.addresses import secrets_in
from db.commandline import Database, notes
from db.errors import UserError
from db.kinds import NAME
from db.suggestions import typed_database
from recognizer.evaluation.settings import Options
from recognizer.scoring.methods import method_of

if TYPE_CHECKING:
    from db.store import Store

_STANDARD_ERROR = 2  # as a file descriptor: standard output is for the command's own result


def write_missing(database: Database, labels: Path, options: Options) -> Store:
    """Run `descgen build` for a file of labels with the LLMs of the options; return the store with the new texts.

    Its progress and messages go to standard error.

    Raises:
        UserError: it failed; its own message says why.
    """
    url = typed_database()  # repeated, so that messages of descgen repeat it too
    typed = ["--db", url] if url and not secrets_in(url) else []  # every user of the machine sees arguments
    for llm in [options.llm] if isinstance(options.llm, str) else options.llm or ():
        for kinds in _kinds(options):
            _build(database, ["build", "--dataset", str(labels), "--llm", llm, *kinds], typed)
    return database.existing


def _kinds(options: Options) -> list[list[str]]:
    """Return the options of each build: names of classes are not among the kinds that a build writes by default."""
    name = ["--kind", NAME] if options.names != "off" else []
    if not method_of(options.method).uses_descriptors:
        return [name]
    if options.kinds is None and name:
        return [[], name]
    return [[*(part for kind in options.kinds or () for part in ("--kind", kind) if kind != NAME), *name]]


def _build(database: Database, arguments: Sequence[str], typed: Sequence[str]) -> None:
    command = f"descgen {shlex.join(arguments)}"
    notes.print(f"Writing the missing descriptors: {command}", soft_wrap=True)
    program = [sys.executable, "-m", "descriptor_gen", *typed, *arguments]
    environment = {**os.environ, "DESCGEN_DB": database.url}
    if subprocess.run(program, stdout=_STANDARD_ERROR, env=environment, check=False).returncode:  # noqa: S603 - our own program
        raise UserError(f"The descriptors could not be written. The command was: {command}")
