"""The command `descgen`."""

from __future__ import annotations

from typing import NoReturn

import click

from db.program import Listed, Program, database_option, open_when_needed, run

_COMMANDS = {
    "build": Listed("descriptor_gen.commands.build:build", "Write the missing descriptors of a dataset with an LLM."),
    "lock": Listed(
        "descriptor_gen.commands.lock:lock",
        "Write what a build was made of to FILE, so that descgen build --locked FILE makes it again.",
    ),
    "list": Listed(
        "descriptor_gen.commands.read:list_actions",
        "List the classes of a dataset with their phrases and numbers of descriptors.",
    ),
    "show": Listed(
        "descriptor_gen.commands.read:show_descriptors",
        "Show the descriptors of classes, which LLM wrote them, and what people edited.",
    ),
    "history": Listed(
        "descriptor_gen.commands.read:history",
        "Show all calls and decisions about classes, or the decisions on the descriptor ID.",
    ),
    "stats": Listed(
        "descriptor_gen.commands.read:stats",
        "Count descriptors, calls, tokens and time by LLM, and show how far reviewers agree.",
    ),
    "lint": Listed(
        "descriptor_gen.commands.lint:lint_descriptors",
        "Find faults in descriptors: too long, echoing the prompt, repeated, shared, not visible.",
    ),
    "similarity": Listed(
        "descriptor_gen.commands.similarity:similar_classes",
        "Show which classes are alike to a text encoder, by their labels and by their descriptors.",
    ),
    "review": Listed(
        "studio.command:review",
        "Review the descriptors of a dataset in a browser, or with --tui in the terminal.",
    ),
    "accept": Listed(
        "descriptor_gen.commands.review:accept",
        "Accept descriptors: those with the ids given, or all pending ones that match the filters.",
    ),
    "reject": Listed(
        "descriptor_gen.commands.review:reject",
        "Reject descriptors: those with the ids given, or all pending ones that match the filters.",
    ),
    "restore": Listed(
        "descriptor_gen.commands.review:restore",
        "Make descriptors pending again: those with the ids given, or all that match the filters.",
    ),
    "edit": Listed("descriptor_gen.commands.review:edit", "Replace a descriptor by TEXT."),
    "replace": Listed(
        "descriptor_gen.commands.replace:replace_words",
        "Replace OLD by NEW in all texts that match the filters, as one decision that one descgen undo restores.",
    ),
    "add": Listed("descriptor_gen.commands.review:add", "Add TEXT, accepted, to the descriptors of a class."),
    "reorder": Listed(
        "descriptor_gen.commands.review:reorder",
        "Reorder the texts of one reply, or those that people added to a class.",
    ),
    "comment": Listed(
        "descriptor_gen.commands.notes:comment",
        "Say something about the descriptor ID; descgen show and descgen review show it.",
    ),
    "guidelines": Listed(
        "descriptor_gen.commands.notes:guidelines",
        "Show what reviewers of a dataset should go by, or set it: paragraphs, and lists of lines that begin with -.",
    ),
    "undo": Listed("descriptor_gen.commands.review:undo", "Undo a whole decision."),
    "import": Listed(
        "descriptor_gen.commands.exchange:import_descriptors",
        "Add the descriptors of FILE to those in the database; importing it twice adds nothing.",
    ),
    "export": Listed("descriptor_gen.commands.exchange:export_descriptors", "Export the descriptors in use."),
    "pack": Listed(
        "descriptor_gen.commands.pack:pack",
        "Write the descriptors in use as a package that pip installs: the text pack NAME.",
    ),
    "prompts": Listed(
        "descriptor_gen.commands.prompts:prompts",
        "List, show, render and check prompt templates, built in or your own.",
    ),
    "datasets": Listed(
        "descriptor_gen.commands.datasets:datasets",
        "List the datasets, built in and your own; show, add, rename or remove one.",
    ),
    "backup": Listed("descriptor_gen.commands.backup:backup", "Copy the database to FILE while others write to it."),
    "llms": Listed(
        "descriptor_gen.commands.read:llms",
        "List the short names of LLMs, and which of them can be used without a download.",
    ),
    "config": Listed(
        "descriptor_gen.commands.config:config",
        "Show the values for options that are not given, of both programs, and where each comes from.",
    ),
}


@click.group(
    cls=Program, listed=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}
)
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
    open_when_needed(context, url)


def main() -> NoReturn:
    """Run the command `descgen` and end the process."""
    run(descgen, "descgen")
