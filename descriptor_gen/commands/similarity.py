"""`descgen similarity`."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Group
from rich.text import Text

from db.commandline import Database, bar, console, json_option, notes, print_json, table, trust_option
from db.descriptor_filter import DescriptorFilter, filter_descriptors
from db.outputs import CSV, PICTURES, check_file
from descriptor_gen import tables
from descriptor_gen.commands.options import dataset_option, kind_option, number_option, writer_option
from descriptor_gen.lint.similarity import Pair, Similarity, most_alike, similarity
from encoders.registry import open_text_encoder, trusting_files


@click.command("similarity")
@dataset_option
@kind_option
@writer_option
@click.option("--label-only", is_flag=True, help="Compare the labels alone, without descriptors.")
@click.option(
    "--encoder",
    "-e",
    default="minilm",
    show_default=True,
    metavar="NAME",
    help="minilm (bundled), or the text tower of any encoder: ViT-B/16, hf:..., objects.",
)
@number_option("--top", default=20, about="Pairs to show.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw the matrix: .png, .svg or .pdf.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the matrix.")
@trust_option(trusting_files)
@json_option
@click.pass_obj
def similar_classes(
    database: Database,
    dataset_name: str,
    kind_names: tuple[str, ...],
    llm: str | None,
    label_only: bool,
    encoder: str,
    top: int,
    plot: Path | None,
    csv_file: Path | None,
    as_json: bool,
) -> None:
    """Show which classes are alike to a text encoder, by their labels and by their descriptors."""
    from descriptor_gen.lint.similarity_picture import draw, write_csv

    check_file(csv_file, CSV)
    check_file(plot, PICTURES)
    store = database.existing_or_empty
    dataset = store.resolve(dataset_name)
    descriptors = [] if label_only else store.descriptors(dataset)
    if kind_names or llm:
        chosen = DescriptorFilter(("pending", "accepted"), tables.select_kinds(store, kind_names), llm)
        descriptors = filter_descriptors(dataset, descriptors, chosen)
    opened = open_text_encoder(encoder)
    with bar(f"{dataset.name}, {encoder}", "texts") as advance:
        classes = similarity(dataset, descriptors, opened, on_batch=advance)
    pairs = most_alike(classes, top=top)
    if csv_file:
        write_csv(classes, csv_file)
    if plot:
        draw(classes, pairs, plot)
    for file in filter(None, (csv_file, plot)):
        notes.print(f"wrote {file}", soft_wrap=True)
    print_json(_document(classes, pairs)) if as_json else console.print(_table(classes, pairs))


def _document(classes: Similarity, pairs: list[Pair]) -> dict[str, object]:
    return {
        "dataset": classes.dataset.name,
        "encoder": classes.encoder,
        "descriptors": classes.descriptors,
        "texts_cut": classes.cut,
        "classes": [action.name for action in classes.dataset.actions],
        "pairs": pairs,
        "matrix": [[round(value, 6) for value in row] for row in classes.matrix.tolist()],
    }


def _table(classes: Similarity, pairs: list[Pair]) -> Group:
    title = f"{classes.dataset.name}, {len(classes.dataset.actions)} classes, {classes.encoder}, {classes.texts}"
    if classes.cut:
        title += f"\n{classes.cut} texts are longer than the encoder's limit and were cut"
    if classes.described is None:
        cells = {">cosine of the labels": "{0.labels:.3f}"}
    else:
        cells = {
            ">with descriptors": "{0.described:.3f}", ">labels alone": "{0.labels:.3f}", ">change": "{0.change:+.3f}"
        }  # fmt: skip
    rows = [(pair.first, pair.second, *(cell.format(pair) for cell in cells.values())) for pair in pairs]
    return Group(Text(title, style="bold"), table("class", "class", *cells, rows=rows))
