"""`recognize report`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from db.commandline import console, notes, print_json, progress
from db.outputs import PAGES, check_file
from recognizer.commands.options import FILE, Session, moved_option, reading_options, tables_option


@click.command("report")
@click.argument("name", metavar="RUN")
@click.option("--output", "-o", type=FILE, help="Page to write; an existing file is replaced. [run-<RUN>.html]")
@tables_option
@moved_option
@click.option("--samples", type=click.IntRange(min=0), default=3, help="Videos to show of each of four sorts.")
@reading_options
def report_run(
    session: Session, name: str, output: Path | None, tables: Path | None, root: Path | None, samples: int
) -> None:
    """Write a page about a run: its numbers, classes, confusions, and the videos and texts behind them."""
    from recognizer.report.csv_files import write_run
    from recognizer.report.findings import build_findings
    from recognizer.report.page import write_page

    if output and not session.as_json:
        check_file(output, PAGES)
    store = session.database.existing
    run = store.run(name)
    file = output or Path(f"run-{run.id}.html")
    for path in write_run(run, tables) if tables else ():
        notes.print(f"Written: {path}", soft_wrap=True)
    with progress(f"{run.dataset}, {run.settings['encoder']}", "videos") as advance:
        findings = build_findings(
            store, run, features=session.features, root=root, samples=samples, retry=session.retry,
            decoding=session.decoding, on_progress=advance,
        )  # fmt: skip
    for line in findings.gone:
        notes.print(line)
    if session.as_json:
        print_json(replace(findings, run=replace(run, predictions=())))
        return
    shown = write_page(findings, file, decoding=session.decoding)
    size = file.stat().st_size / 1e6
    classes, videos = len(findings.classes), len(findings.samples)
    console.print(f"{file}: {size:.1f} MB, {classes} classes, {shown} of {videos} sample videos shown")
