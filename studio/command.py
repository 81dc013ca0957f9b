"""`descgen review` and `recognize serve`: the application in a browser, or the review in a terminal."""

from __future__ import annotations

import sys
import webbrowser
from typing import TYPE_CHECKING

import click

from db.addresses import hide, secrets_in
from db.commandline import Database, console, notes
from db.errors import UsageError, UserError
from db.records import STATUSES
from db.texts import clean
from descriptor_gen.commands.options import dataset_option
from descriptor_gen.commands.review import reviewer_option
from descriptor_gen.commands.reviewers import reviewers_options

if TYPE_CHECKING:
    from descriptor_gen.review.reviewers import Panel
    from descriptor_gen.review.session import ReviewSession

_TEMPERATURE = 0.8  # of regenerated texts: greedy decoding would write the same texts again


@click.command()
@dataset_option
@click.option("--port", type=click.IntRange(1, 65535), help="[the first free one from 8642]")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to serve at; an address other than loopback needs a token.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Another host name to answer to; may be given again.",
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--llm", "-l", "llm_name", default="smollm2", show_default=True, help="The LLM that regenerates texts.")
@click.option("--base-url", envvar="OPENAI_BASE_URL", show_envvar=True, help="Address of an OpenAI-compatible server.")
@click.option("--tui", is_flag=True, help="Review in this terminal, without a browser.")
@click.option("--kind", "-k", metavar="KIND", default="", help="With --tui: only texts of this kind. [all]")
@click.option("--status", type=click.Choice(STATUSES), help="With --tui: only texts of this status. [all]")
@reviewer_option
@reviewers_options
@click.pass_obj
def review(
    database: Database,
    dataset_name: str,
    port: int | None,
    host: str,
    allowed_hosts: tuple[str, ...],
    no_browser: bool,
    llm_name: str,
    base_url: str | None,
    tui: bool,
    kind: str,
    status: str | None,
    reviewer: str,
    panel: Panel,
) -> None:
    """Review the descriptors of a dataset in a browser, or with --tui in the terminal.

    Ctrl-C quits; every decision is kept.
    """
    from descriptor_gen.llms import LLM, Sampling
    from descriptor_gen.llms.registry import LLMOptions, open_llm
    from descriptor_gen.review.session import ReviewSession

    def open_with_seed(seed: int) -> LLM:
        return open_llm(llm_name, LLMOptions(base_url=base_url, sampling=Sampling(_TEMPERATURE, seed)))

    if tui and panel.header:
        raise UsageError("--reviewer-header is for browsers. With --tui give --reviewer NAME")
    store = database.existing
    dataset = store.resolve(dataset_name)

    def report(line: str) -> None:
        notes.print(clean(hide(line, secrets_in(database.url))), soft_wrap=True)

    is_blind = panel.blind and (tui or not panel.several)  # else the server's starter, who settles
    session = ReviewSession(
        store,
        dataset,
        reviewer=reviewer,
        open_llm=open_with_seed,
        blind=is_blind,
        classes=panel.classes_of(" ".join(reviewer.split()), dataset) if tui else None,
        report=report,
    )
    if is_blind and not session.snapshot().by_action and store.descriptors(dataset, statuses=STATUSES):
        raise UserError(f"No text of {dataset.name} is for {reviewer} to judge blind: not what people added")
    if not session.snapshot().by_action:
        raise UserError(
            f"No descriptors for {dataset.name} yet. Write them with: descgen build --dataset {dataset.argument}"
        )
    try:
        if tui:
            _in_terminal(session, kind=kind, status=status or "")
        else:
            _in_browser(session, panel, host=host, port=port, allowed_hosts=allowed_hosts, browser=not no_browser)
    finally:
        session.close()


def _in_terminal(session: ReviewSession, *, kind: str, status: str) -> None:
    from descriptor_gen.review.filters import Filter
    from descriptor_gen.review.terminal import Terminal

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--tui needs a terminal. For scripts: descgen accept, reject, edit")
    shown = Filter(kind=kind, status=status)

    def read_text(label: str, text: str) -> str:
        return str(click.prompt(label, default=clean(text)))

    Terminal(session, shown, console, click.getchar, read_text).run()


def _in_browser(
    session: ReviewSession,
    panel: Panel,
    *,
    host: str,
    port: int | None,
    allowed_hosts: tuple[str, ...],
    browser: bool,
) -> None:
    from descriptor_gen.review.app import create_app
    from descriptor_gen.review.reviewers import Reviewers
    from descriptor_gen.review.security import access_rules
    from descriptor_gen.review.server import address, bind, serve

    reviewers = Reviewers(panel, session) if panel.several else None
    rules = access_rules(host, allowed_hosts, identities=reviewers.identities(host) if reviewers else None)
    listener = bind(host, port)
    url = address(host, listener, rules.token)

    def on_ready() -> None:
        if reviewers is not None:
            notes.print(reviewers.announced(lambda secret: address(host, listener, secret)), soft_wrap=True)
            return
        notes.print(f"{session.dataset.name}, reviewed by {session.reviewer}: {url}  (Ctrl-C quits)", soft_wrap=True)
        if browser:
            webbrowser.open(url)

    serve(create_app(session, rules, reviewers=reviewers), listener, on_ready=on_ready)
