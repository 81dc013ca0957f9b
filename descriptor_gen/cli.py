"""The command `descgen`."""

from __future__ import annotations

import click

from db.commandline import Commands, Database, database_option
from descriptor_gen.commands.backup import backup
from descriptor_gen.commands.build import build
from descriptor_gen.commands.config import config
from descriptor_gen.commands.datasets import datasets
from descriptor_gen.commands.exchange import export_descriptors, import_descriptors
from descriptor_gen.commands.lint import lint_descriptors
from descriptor_gen.commands.prompts import prompts
from descriptor_gen.commands.read import history, list_actions, llms, show_descriptors, stats
from descriptor_gen.commands.review import REVIEW_COMMANDS
from descriptor_gen.commands.review_server import review
from descriptor_gen.commands.similarity import similar_classes


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="descgen-recognize")
@database_option
@click.pass_context
def descgen(context: click.Context, url: str) -> None:
    """Write, cache, read and review descriptors of actions.

    \b
    descgen build --dataset hmdb51 --llm llama     write them (run again: only the missing ones)
    descgen list --dataset hmdb51                  count them, by class
    descgen show --dataset hmdb51 --action wave    show the texts of a class
    descgen lint --dataset hmdb51                  find faults in them
    descgen accept --dataset hmdb51 --action wave  record a reviewer's decision
    descgen config set llm llama                   the LLM when --llm is not given
    """
    context.obj = Database(url)
    context.call_on_close(context.obj.close)


_COMMANDS = (
    build,
    list_actions,
    show_descriptors,
    history,
    stats,
    lint_descriptors,
    similar_classes,
    review,
    *REVIEW_COMMANDS,
    import_descriptors,
    export_descriptors,
    prompts,
    datasets,
    backup,
    llms,
    config,
)
for command in _COMMANDS:
    descgen.add_command(command)
