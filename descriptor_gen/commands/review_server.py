"""`descgen review`: descriptors in a browser."""

from __future__ import annotations

import webbrowser

import click

from db.commandline import Database, notes, resolve
from db.errors import UserError
from descriptor_gen.commands.options import dataset_option
from descriptor_gen.commands.review import reviewer_option

_TEMPERATURE = 0.8  # of texts that are written anew: greedy decoding would write the same again


@click.command()
@dataset_option
@click.option("--port", type=click.IntRange(1, 65535), help="[the first free one from 8642]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve at; others need a token.")
@click.option("--allow-host", "allowed", multiple=True, metavar="NAME", help="A further name it answers to.")
@click.option("--no-browser", is_flag=True, help="Open no browser; print the address alone.")
@click.option("--llm", "-l", "llm_name", default="smollm2", show_default=True, help="Who writes anew from a page.")
@click.option("--base-url", envvar="OPENAI_BASE_URL", show_envvar=True, help="Of an OpenAI-compatible server.")
@reviewer_option
@click.pass_obj
def review(
    database: Database,
    dataset: str,
    port: int | None,
    host: str,
    allowed: tuple[str, ...],
    no_browser: bool,
    llm_name: str,
    base_url: str | None,
    reviewer: str,
) -> None:
    """Read and decide on the descriptors of a dataset in a browser. Ctrl-C ends it; every decision is kept."""
    from descriptor_gen.llms import LLM, Sampling
    from descriptor_gen.llms.registry import LLMOptions, open_llm
    from descriptor_gen.review.app import create_app
    from descriptor_gen.review.desk import Desk
    from descriptor_gen.review.security import rules_for
    from descriptor_gen.review.server import address, bind, serve

    def opened(seed: int) -> LLM:
        return open_llm(llm_name, LLMOptions(base_url=base_url, sampling=Sampling(_TEMPERATURE, seed)))

    store = database.existing
    actions = resolve(store, dataset)
    desk = Desk(store, actions, reviewer=reviewer, open_llm=opened)
    if not desk.state().by_action:
        raise UserError(
            f"No descriptors for {actions.name} yet. Write them with: descgen build --dataset {actions.name}"
        )
    rules = rules_for(host, allowed)
    bound = bind(host, port)
    url = address(host, bound, rules.token)

    def on_ready() -> None:
        notes.print(f"{actions.name}, reviewed by {reviewer}: {url}  (Ctrl-C ends it)", soft_wrap=True)
        if not no_browser:
            webbrowser.open(url)

    try:
        serve(create_app(desk, rules), bound, on_ready=on_ready)
    finally:
        desk.close()
