"""`descgen lock`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from db.commandline import Database, console
from db.errors import UserError
from descriptor_gen.commands.build import build
from descriptor_gen.commands.planning import RECORDED, planned, recorded_options

_OPTIONS = {*RECORDED, "dataset_name", "name", "templates", "base_url"}


@click.command("lock", params=[option for option in build.params if option.name in _OPTIONS])
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def lock(database: Database, /, file: Path, **asked: Any) -> None:
    """Write what a build was made of to FILE, so that descgen build --locked FILE makes it again.

    It takes the options of the build: templates, model, parameters and the sha256 of the texts of each call go into
    FILE.
    """
    from descriptor_gen.generate.calls import plan
    from descriptor_gen.generate.lock import lock_text, make_lock

    store = database.existing
    dataset, llm, prompts, options = planned(database, **asked)
    calls, recorded = plan(llm, dataset, prompts, options), recorded_options(asked, prompts)
    made = make_lock(store, dataset, llm, prompts, calls, options=recorded)
    try:
        file.write_text(lock_text(made), encoding="utf-8", newline="")
    except OSError as error:
        raise UserError(f"Cannot write {file}: {error.strerror}") from error
    kinds = ", ".join(f"{template.kind} {template.version}" for template in made.templates)
    line = f"{file}: {len(made.calls)} calls of {made.llm.model} about {len(made.classes)} classes of {made.dataset}"
    console.print(f"{line}; templates {kinds}", soft_wrap=True)
