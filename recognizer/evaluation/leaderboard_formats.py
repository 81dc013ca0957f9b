"""A leaderboard as Markdown, LaTeX, CSV, HTML and JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from html import escape
from pathlib import Path
from typing import Any

from db.local_paths import public_settings
from db.outputs import check_file
from recognizer.evaluation.html import interval
from recognizer.evaluation.leaderboard import MEASURE_NAMES, Column, Entry, Leaderboard, Row

_FOLDED = ("method", "choices")  # said once if all rows share them
_RATES = ("value", "low", "high")
_FLAT = (
    *(field.name for field in fields(Column)), "left_out", *(field.name for field in fields(Row)), "run", "run_name",
    "measure", *_RATES, *(f"label_only_{name}" for name in _RATES), "groups", "descriptors", "texts_cut", "older_runs",
)  # fmt: skip


def title(board: Leaderboard) -> str:
    """Return what the numbers of a leaderboard are, and what all of its rows share."""
    numbers = f"{MEASURE_NAMES[board.measure]} with 95% intervals; below it, by the labels alone, on the same videos"
    shared = [f"{name} {getattr(board.rows[0], name)}" for name in _FOLDED if name not in row_heads(board)]
    return " · ".join([numbers, *shared] if board.rows else [numbers])


def row_heads(board: Leaderboard) -> tuple[str, ...]:
    """Return the heads of the rows' columns; the method and other choices only if they differ."""
    differ = (name for name in _FOLDED if len({getattr(row, name) for row in board.rows}) > 1)
    return ("encoder", "texts", *differ)


def row_cells(board: Leaderboard, row: Row) -> tuple[str, ...]:
    """Return the cells of `row_heads`; encoders that share a name but not weights show their revision."""
    revisions = {other.encoder_revision for other in board.rows if other.encoder == row.encoder}
    encoder = row.encoder if len(revisions) == 1 else f"{row.encoder} ({row.encoder_revision[:8]})"
    return (encoder, *(getattr(row, name) for name in row_heads(board)[1:]))


def column_lines(board: Leaderboard, column: Column) -> tuple[str, ...]:
    """Return the head of a column: dataset, protocol and split, videos; a digest tells equal heads apart."""
    lines = _head(column)
    same = [other for other in board.columns if _head(other) == lines]
    return lines if len(same) == 1 else (*lines, f"set {same.index(column) + 1} of {len(same)}")


def _head(column: Column) -> tuple[str, ...]:
    split = f", split {column.split}" if column.split else ""
    videos = f"{column.videos} videos, {column.left_out} left out"
    return (column.dataset, f"protocol {column.protocol}{split}", videos)


def cell_lines(entry: Entry | None) -> tuple[str, ...]:
    """Return a number with its interval, and below it the baseline and the run; nothing for no entry."""
    if entry is None:
        return ()
    return (
        interval(entry.rate),
        f"labels {interval(entry.label_only)}",
        f"run {entry.run}{f' ({entry.run_name})' if entry.run_name else ''}",
    )


def flat_rows(board: Leaderboard) -> list[dict[str, Any]]:
    """Return a row for each number, column by column; rates are 0 to 1, with their 95% intervals."""
    ordered = (board.entry(row, column) for column in board.columns for row in board.rows)
    return [_flat(board, entry) for entry in ordered if entry]


def _flat(board: Leaderboard, entry: Entry) -> dict[str, Any]:
    return {
        **public_settings(asdict(entry.column)),
        "left_out": entry.column.left_out,
        **asdict(entry.row),
        "run": entry.run,
        "run_name": entry.run_name or "",
        "measure": board.measure,
        **{name: entry.rate[name] for name in _RATES},
        **{f"label_only_{name}": entry.label_only[name] for name in _RATES},
        "groups": entry.groups,
        "descriptors": entry.descriptors,
        "texts_cut": entry.texts_cut,
        "older_runs": " ".join(map(str, entry.older)),
    }


def as_json(board: Leaderboard) -> str:
    """Return the numbers as flat rows, and the notes."""
    document = {"measure": board.measure, "entries": flat_rows(board), "notes": board.notes}
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def as_csv(board: Leaderboard) -> str:
    """Return the flat rows under a header."""
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=_FLAT)
    writer.writeheader()
    writer.writerows(flat_rows(board))
    return buffer.getvalue()


def as_markdown(board: Leaderboard) -> str:
    """Return a table of GitHub's Markdown, with the notes as a list."""
    head = [*row_heads(board), *("<br>".join(map(_markdown, column_lines(board, column))) for column in board.columns)]
    rule = [*("---" for _ in row_heads(board)), *("---:" for _ in board.columns)]
    body = [
        [*map(_markdown, row_cells(board, row)), *("<br>".join(cell) for cell in _cells(board, row))]
        for row in board.rows
    ]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, rule, *body)]
    notes = ["", *(f"- {_markdown(note)}" for note in board.notes)] if board.notes else []
    return "\n".join([title(board), "", *lines, *notes]) + "\n"


def _cells(board: Leaderboard, row: Row) -> list[tuple[str, ...]]:
    return [cell_lines(board.entry(row, column)) for column in board.columns]


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_|<>\[\]])", r"\\\1", text)


_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "·": r"$\cdot$",
    "<": r"$<$", ">": r"$>$", "|": r"$|$", **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip


def as_latex(board: Leaderboard) -> str:
    """Return a tabular that needs no package, with the notes below it."""
    heads = [*row_heads(board), *(_stack(column_lines(board, column)) for column in board.columns)]
    rows = [[*map(_latex, row_cells(board, row)), *(_stack(cell) for cell in _cells(board, row))] for row in board.rows]
    body = [f"{' & '.join(cells)} \\\\" for cells in rows]
    notes = [f"\\\\ {_latex(note)}" for note in board.notes]
    return "\n".join(
        [
            f"\\begin{{tabular}}{{{'l' * len(row_heads(board))}{'r' * len(board.columns)}}}",
            r"\hline", f"{' & '.join(heads)} \\\\", r"\hline", *body, r"\hline",
            r"\end{tabular}", "", rf"\par\noindent {_latex(title(board))}", *notes,
        ]
    ) + "\n"  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def _stack(lines: Sequence[str]) -> str:
    stacked = r" \\ ".join(f"{{}}{_latex(line)}" for line in lines)  # without {}, \\[ would begin an option
    return rf"\shortstack[r]{{{stacked}}}" if lines else ""


_STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2em}table{border-collapse:collapse}"
    "th,td{padding:.4em .8em;text-align:left;vertical-align:top;border-bottom:1px solid #ccc}"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}small{color:#555;font-weight:normal}"
)


def as_html(board: Leaderboard) -> str:
    """Return a page without scripts and without other files."""
    heads = "".join(f"<th>{name}</th>" for name in row_heads(board))
    heads += "".join(f'<th class="n">{_html(column_lines(board, column))}</th>' for column in board.columns)
    body = "\n".join(
        "<tr>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row_cells(board, row))
        + "".join(f'<td class="n">{_html(cell)}</td>' for cell in _cells(board, row))
        + "</tr>"
        for row in board.rows
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in board.notes)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Leaderboard</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>Leaderboard</h1><p>{escape(title(board))}</p>\n"
        f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n<ul>{notes}</ul>\n</body></html>\n"
    )


def _html(lines: Sequence[str]) -> str:
    """Return the first line large and the others small."""
    first, *others = map(escape, lines) if lines else ("",)
    return first + "".join(f"<br><small>{line}</small>" for line in others)


FORMATS: Mapping[str, Callable[[Leaderboard], str]] = {
    "markdown": as_markdown,
    "latex": as_latex,
    "csv": as_csv,
    "html": as_html,
    "json": as_json,
}
SUFFIXES: Mapping[str, str] = {
    ".md": "markdown", ".tex": "latex", ".csv": "csv", ".html": "html", ".htm": "html", ".json": "json"
}  # fmt: skip


def write(board: Leaderboard, output: Path, layout: str | None = None) -> None:
    """Write a file, in a format of `FORMATS` or by its suffix.

    Raises:
        UsageError: its suffix is unknown and no format is given, or its folder does not exist.
    """
    check_output(output, layout)
    text = FORMATS[layout or SUFFIXES[output.suffix.lower()]](board)
    output.write_text(text, encoding="utf-8", newline="")


def check_output(output: Path | None, layout: str | None = None) -> None:
    """Check the name of a file; arguments and errors as in `write`."""
    check_file(output, [output.suffix.lower()] if output and layout else list(SUFFIXES))
