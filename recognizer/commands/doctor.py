"""`recognize doctor`."""

from __future__ import annotations

import os

import click

from db.commandline import console
from db.errors import UserError
from recognizer.commands.options import Session, session_options


@click.command("doctor")
@session_options
def examine_machine(session: Session) -> None:
    """Show what this machine has: packages, devices, weights, database; exit code 1 if something essential is missing.

    Nothing is downloaded or changed, and of keys it only says whether they are set. For what is not there, it prints
    the command to type.
    """
    from recognizer.doctor.examine import examine
    from recognizer.doctor.findings import Surroundings
    from recognizer.doctor.table import commands, examination_report

    examination = examine(Surroundings(session.database.url, session.features, os.environ))
    report = {"usable": not examination.missing, "findings": examination.findings}
    session.show(report, examination_report(examination))
    if not session.as_json:
        console.print(commands(examination), soft_wrap=True)
    if examination.missing:
        names = ", ".join(finding.name for finding in examination.missing)
        raise UserError(f"Videos cannot be recognised before this is there: {names}")
