"""The table of stored runs for the terminal: at 80 columns no number, name or setting is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import RenderableType

from db.commandline import table
from recognizer.evaluation.html import interval
from recognizer.evaluation.run_list import RunSummary


def run_table(runs: Sequence[RunSummary]) -> RenderableType:
    """Return a row for each run, with what it is in lines below its name."""
    shown = table(
        *(">run", "name, settings", ">videos", ">label only,\ntop-1 %", ">top-1 %"),
        rows=[
            (
                run.id,
                "\n".join(_lines(run)),
                f"{run.counts['evaluated']}/{run.counts['listed']}",
                _main_number(run, run.label_only),
                _main_number(run, run.with_descriptors) if run.with_descriptors else "",
            )
            for run in runs
        ],
    )
    for column in shown.columns:
        column.overflow = "fold"
    for column in (shown.columns[0], *shown.columns[2:]):
        column.no_wrap = True
    return shown


def _lines(run: RunSummary) -> list[str]:
    """Return the name and tags of a run if it has any, its settings, and its note if it has one."""
    called = " ".join([*([run.name] if run.name else []), *(f"[{tag}]" for tag in run.tags)])
    when = f"{run.created_at:%Y-%m-%d %H:%M}" if run.created_at else ""
    split = f" split {run.split}" if run.split else ""
    together = f"transductive {run.transductive}" if run.transductive else ""
    settings = (f"{run.dataset}{split}", run.encoder, run.protocol, run.method, together, run.short_texts, when)
    note = run.note.splitlines()[0] if run.note else ""
    return [*([called] if called else []), " · ".join(filter(None, settings)), *([note] if note else [])]


def _main_number(run: RunSummary, rate: Mapping[str, float]) -> str:
    return ("mAP " if run.measure == "map" else "") + interval(rate)
