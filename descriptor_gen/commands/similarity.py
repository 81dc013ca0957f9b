"""`descgen similarity`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Group
from rich.text import Text

from db.commandline import Database, console, json_option, notes, print_json, table
from db.errors import UserError
from db.records import Descriptor
from descriptor_gen.commands.options import dataset_option, kind_option
from descriptor_gen.lint.rules import writer
from descriptor_gen.lint.similarity import Pair, Similarity, most_alike, similarity
from encoders.registry import open_text_encoder


@click.command("similarity")
@dataset_option
@kind_option
@click.option("--llm", "-l", metavar="NAME", help="Part of the name of the model, or file, that wrote. [any]")
@click.option("--label-only", is_flag=True, help="Compare the labels alone, though there are descriptors.")
@click.option(
    "--encoder",
    "-e",
    default="minilm",
    show_default=True,
    metavar="NAME",
    help="minilm (bundled), or the text tower of any encoder: ViT-B/16, hf:..., objects.",
)
@click.option("--top", type=click.IntRange(min=1), default=20, show_default=True, help="Pairs to show.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw the matrix: .png, .svg or .pdf.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the matrix.")
@json_option
@click.pass_obj
def similar_classes(
    database: Database,
    dataset: str,
    wanted: tuple[str, ...],
    llm: str | None,
    label_only: bool,
    encoder: str,
    top: int,
    plot: Path | None,
    csv_file: Path | None,
    as_json: bool,
) -> None:
    """Show which classes a text encoder takes for alike, by their labels and by their descriptors."""
    from descriptor_gen.lint.similarity_picture import draw, write_csv

    store = database.existing_or_empty
    actions = store.resolve(dataset)
    described = [] if label_only else _chosen(store.descriptors(actions, kinds=wanted or None), llm)
    if not described and (wanted or llm):
        raise UserError(f"No such descriptors for {actions.name}. What there is: descgen list --dataset {actions.name}")
    found = similarity(actions, described, open_text_encoder(encoder))
    pairs = most_alike(found, top=top)
    if csv_file:
        write_csv(found, csv_file)
    if plot:
        draw(found, pairs, plot)
    for file in filter(None, (csv_file, plot)):
        notes.print(f"wrote {file}", soft_wrap=True)
    print_json(_document(found, pairs)) if as_json else console.print(_table(found, pairs))


def _chosen(descriptors: list[Descriptor], llm: str | None) -> list[Descriptor]:
    return [d for d in descriptors if llm is None or llm.lower() in writer(d).lower()]


def _document(found: Similarity, pairs: list[Pair]) -> dict[str, object]:
    matrix = found.labels if found.described is None else found.described
    return {
        "dataset": found.dataset.name,
        "encoder": found.encoder,
        "descriptors": found.descriptors,
        "texts_cut": found.cut,
        "classes": [action.name for action in found.dataset.actions],
        "pairs": pairs,
        "matrix": [[round(value, 6) for value in row] for row in matrix.tolist()],
    }


def _table(found: Similarity, pairs: list[Pair]) -> Group:
    texts = "labels alone" if found.described is None else f"labels and {found.descriptors} descriptors"
    title = f"{found.dataset.name}, {len(found.dataset.actions)} classes, {found.encoder}, {texts}"
    if found.cut:
        title += f"\n{found.cut} texts are longer than it reads, and were cut"
    if found.described is None:
        rows = [(pair.first, pair.second, f"{pair.labels:.3f}") for pair in pairs]
        return Group(Text(title, style="bold"), table("class", "class", ">cosine of the labels", rows=rows))
    both = [(p.first, p.second, f"{p.described:.3f}", f"{p.labels:.3f}", f"{p.change:+.3f}") for p in pairs]
    columns = ("class", "class", ">with descriptors", ">labels alone", ">change")
    return Group(Text(title, style="bold"), table(*columns, rows=both))
