"""`descgen pack`."""

from __future__ import annotations

from pathlib import Path

import click

from db.commandline import Database, console, json_option, print_json
from db.descriptor_filter import DescriptorFilter
from descriptor_gen import tables
from descriptor_gen.commands.options import USABLE, dataset_option, usable_option, writer_option


@click.command("pack")
@click.argument("name")
@dataset_option
@click.option(
    "--licence", required=True, metavar="SPDX", help="Of the texts, such as CC-BY-4.0 or LicenseRef-My-Terms."
)
@click.option("--version", default="1.0", show_default=True, metavar="N.N", help="Of the pack.")
@click.option("--kind", "-k", "kind_names", multiple=True, metavar="KIND", help="May be given again. [all]")
@usable_option
@writer_option
@click.option("--run", "run", metavar="RUN", help="Tell the accuracies and controls of this run of the texts.")
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("dist"),
    show_default=True,
    help="Folder of the wheel.",
)
@json_option
@click.pass_obj
def pack(
    database: Database,
    name: str,
    dataset_name: str,
    licence: str,
    version: str,
    kind_names: tuple[str, ...],
    status: str,
    llm: str | None,
    run: str | None,
    output: Path,
    as_json: bool,
) -> None:
    """Write the descriptors in use as a package that pip installs: the text pack NAME.

    It holds the texts with the calls that wrote them, their review, their licence, and what lint and controls say. The
    same texts give the same file. Installed, it is used by: descgen import --pack NAME.
    """
    from descriptor_gen.packs.build import PackOptions, build_pack

    store = database.existing
    built = build_pack(
        store,
        store.resolve(dataset_name),
        output,
        chosen=DescriptorFilter(USABLE[status], tables.select_kinds(store, kind_names), llm),
        options=PackOptions(name, version, licence, run),
    )
    print_json(built) if as_json else console.print(tables.built_pack(built), soft_wrap=True)
