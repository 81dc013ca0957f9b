"""`recognize leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import Database, console, notes, table
from db.errors import UsageError, UserError
from recognizer.commands.options import FILE

if TYPE_CHECKING:
    from recognizer.evaluation.leaderboard import Leaderboard, Measure


@click.command("leaderboard")
@click.argument("names", nargs=-1, metavar="[RUN]...")
@click.option("--dataset", "-d", "datasets", multiple=True, metavar="NAME", help="Only runs on this dataset. [all]")
@click.option(
    "--measure",
    type=click.Choice(("top1", "top5", "mean_per_class", "map")),
    default="top1",
    help="Number shown; map: of videos with several labels.",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(("table", "markdown", "latex", "csv", "html", "json")),
    show_default=False,
    help="[by the suffix of --output, else table]",
)
@click.option("--json", "layout", flag_value="json", help="The same as --format json.")
@click.option("--output", "-o", type=FILE, help="File to write: .md, .tex, .csv, .html, .json. [standard output]")
@click.pass_obj
def show_leaderboard(
    database: Database,
    names: tuple[str, ...],
    datasets: tuple[str, ...],
    measure: Measure,
    layout: str | None,
    output: Path | None,
) -> None:
    """Show encoders and texts by datasets in one table, from stored runs; those that cannot be compared stay apart."""
    from recognizer.evaluation.leaderboard import leaderboard
    from recognizer.evaluation.leaderboard_formats import FORMATS, check_output, write

    if output and layout == "table":
        raise UsageError("--format table is for the terminal. Leave it out: the suffix of --output says the format")
    check_output(output, layout)
    board = leaderboard(database.reading(as_json=layout == "json"), runs=names, datasets=datasets, measure=measure)
    if not board.entries and layout != "json":
        make_one = "Make one with: recognize eval --dataset hmdb51 --root FOLDER --encoder objects"
        raise UserError(". ".join(board.notes) or f"No runs yet. {make_one}")
    if output:
        write(board, output, layout)
        notes.print(f"Written: {output}, {len(board.entries)} numbers", soft_wrap=True)
    elif layout and layout != "table":
        click.echo(FORMATS[layout](board), nl=False)
    else:
        console.print(_table(board))


def _table(board: Leaderboard) -> RenderableType:
    from recognizer.evaluation.leaderboard_formats import cell_lines, column_lines, row_cells, row_heads, title

    heads = (*row_heads(board), *(">" + "\n".join(column_lines(board, column)) for column in board.columns))
    rows = [
        (*row_cells(board, row), *("\n".join(cell_lines(board.entry(row, column))) for column in board.columns))
        for row in board.rows
    ]
    numbers = table(*heads, rows=rows)
    for column in numbers.columns:
        column.overflow = "fold"  # never cut a number or a name
    return Group(Text(title(board), style="bold"), Text(), numbers, Text(), *map(Text, board.notes))
