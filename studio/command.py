"""`descgen review` and `recognize serve`: the application in a browser, or the review in a terminal."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from db.addresses import hide, secrets_in
from db.commandline import Database, console, notes, trust_option
from db.errors import UsageError, UserError
from db.records import STATUSES
from db.texts import clean
from descriptor_gen.commands.options import dataset_option
from descriptor_gen.commands.review import reviewer_option
from descriptor_gen.commands.reviewers import reviewers_options
from encoders.registry import trusting_files
from recognizer.commands.options import features_option

if TYPE_CHECKING:
    from fastapi import FastAPI

    from db.records import Dataset
    from db.store import Store
    from descriptor_gen.review.reviewers import Panel, Reviewers
    from descriptor_gen.review.security import AccessRules
    from descriptor_gen.review.session import ReviewSession
    from studio.evidence import Videos

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
@click.option(
    "--videos",
    type=click.Path(exists=True, path_type=Path),
    metavar="ROOT",
    help="Show frames of these videos beside the texts: a folder or CSV file, as `recognize eval` takes it, with its "
    "default settings. Embed them first: recognize embed. [those of the newest run]",
)
@click.option(
    "--encoder", "-e", metavar="NAME", help="With --videos: the encoder. [ViT-B/16] Else: of the newest run with it."
)
@click.option(
    "--what-if-on-test",
    is_flag=True,
    help="Say what an edit does on the videos of a published test set too. Their accuracy is no valid estimate then.",
)
@trust_option(trusting_files)
@features_option
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
    videos: Path | None,
    encoder: str | None,
    what_if_on_test: bool,
    features: Path,
    reviewer: str,
    panel: Panel,
    page: str = "/",
) -> None:
    """Review the descriptors of a dataset in a browser, or with --tui in the terminal.

    Ctrl-C quits; every decision is kept.
    """
    if tui:
        _refuse_browser(videos=videos or encoder, what_if_on_test=what_if_on_test, header=panel.header)
    store = database.existing
    dataset = store.resolve(dataset_name)

    def report(line: str) -> None:
        notes.print(clean(hide(line, secrets_in(database.url))), soft_wrap=True)

    session = _session(store, dataset, panel, reviewer, tui=tui, llm=(llm_name, base_url), report=report)
    try:
        if page == "/":
            _refuse_empty(session)
        if tui:
            _in_terminal(session, kind=kind, status=status or "")
        else:
            shown = videos_of(store, dataset, videos=videos, encoder=encoder, features=features, report=report)
            _in_browser(
                session, shown, panel, page=page, host=host, port=port, allowed_hosts=allowed_hosts,
                open_browser=not no_browser, what_if_on_test=what_if_on_test,
            )  # fmt: skip
    finally:
        session.close()


def _refuse_browser(*, videos: object, what_if_on_test: bool, header: object) -> None:
    """Refuse options for the browser together with --tui."""
    if videos:
        raise UsageError("--videos and --encoder show frames in a browser: leave out either --tui or them")
    if what_if_on_test:
        raise UsageError("--what-if-on-test is for the browser: leave out either --tui or it")
    if header:
        raise UsageError("--reviewer-header is for browsers. With --tui give --reviewer NAME")


def _session(
    store: Store,
    dataset: Dataset,
    panel: Panel,
    reviewer: str,
    *,
    tui: bool,
    llm: tuple[str, str | None],
    report: Callable[[str], None],
) -> ReviewSession:
    """Open the session of a reviewer; `llm`: name and address of the model that regenerates texts."""
    from descriptor_gen.llms import LLM, Sampling
    from descriptor_gen.llms.registry import LLMOptions, open_llm
    from descriptor_gen.review.session import ReviewSession

    def open_with_seed(seed: int) -> LLM:
        return open_llm(llm[0], LLMOptions(base_url=llm[1], sampling=Sampling(_TEMPERATURE, seed)))

    return ReviewSession(
        store,
        dataset,
        reviewer=reviewer,
        open_llm=open_with_seed,
        blind=panel.blind
        and (tui or not panel.several),  # otherwise it is of the person who started the server, who settles
        classes=panel.classes_of(" ".join(reviewer.split()), dataset) if tui else None,
        report=report,
    )


def _refuse_empty(session: ReviewSession) -> None:
    """Refuse a session without a text to review, and say why there is none."""
    dataset = session.dataset
    if session.snapshot().by_action:
        return
    if session.blind and session.store.descriptors(dataset, statuses=STATUSES):
        raise UserError(
            f"{dataset.name} has no text for {session.reviewer} to judge blind: texts that people added are left out"
        )
    raise UserError(
        f"No descriptors for {dataset.name} yet. Write them with: descgen build --dataset {dataset.argument}"
    )


def _serve(dataset_name: str | None, **options: Any) -> None:
    """Show runs with their videos and texts in a browser: the application of `descgen review`, opened at the runs.

    Ctrl-C quits.
    """
    context = click.get_current_context()
    dataset = dataset_name or _dataset_of_newest_run(context.obj.existing)
    context.invoke(review, dataset_name=dataset, page="/runs", **options)


def _dataset_of_newest_run(store: Store) -> str:
    run = store.run_changes().newest()
    if run is None:
        raise UsageError("No runs yet, so say which dataset: recognize serve --dataset NAME")
    return run.dataset


_OF_REVIEW_ALONE = ("dataset_name", "tui", "kind", "status")
serve = click.Command(
    "serve",
    callback=_serve,
    params=[
        click.Option(["--dataset", "-d", "dataset_name"], metavar="NAME|PATH", help="[that of the newest run]"),
        *(option for option in review.params if option.name not in _OF_REVIEW_ALONE),
    ],
    help=_serve.__doc__,
)


def _in_terminal(session: ReviewSession, *, kind: str, status: str) -> None:
    from descriptor_gen.review.filters import Filter
    from descriptor_gen.review.terminal import Terminal

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("--tui needs a terminal. For scripts: descgen accept, reject, edit")
    shown = Filter(kind=kind, status=status)

    def read_text(label: str, text: str) -> str:
        return str(click.prompt(label, default=clean(text)))

    Terminal(session, shown, console, click.getchar, read_text).run()


def videos_of(
    store: Store,
    dataset: Dataset,
    *,
    videos: Path | None,
    encoder: str | None,
    features: Path,
    report: Callable[[str], None],
) -> Videos:
    """Return the videos of an application; they load when a page first asks for them. Options as of the command."""
    from studio.evidence import Videos, load_evidence

    load = partial(load_evidence, store, dataset, videos=videos, encoder=encoder, features=features)
    return Videos(load, report)


def make_app(
    session: ReviewSession,
    rules: AccessRules,
    videos: Videos,
    *,
    what_if_on_test: bool = False,
    reviewers: Reviewers | None = None,
) -> FastAPI:
    """Return the whole application: the review and the sites of this package."""
    from descriptor_gen.review.app import create_app
    from studio.frames_site import frames_site
    from studio.pictures import Pictures
    from studio.runs_site import runs_site
    from studio.what_if_site import what_if_site

    pictures = Pictures()
    frames = partial(frames_site, videos=videos, pictures=pictures)
    what_if = partial(what_if_site, videos=videos, on_test=what_if_on_test)
    runs = partial(runs_site, store=session.store, pictures=pictures)
    return create_app(session, rules, sites=[frames, what_if, runs], reviewers=reviewers)


def _in_browser(
    session: ReviewSession,
    videos: Videos,
    panel: Panel,
    *,
    page: str,
    host: str,
    port: int | None,
    allowed_hosts: tuple[str, ...],
    open_browser: bool,
    what_if_on_test: bool,
) -> None:
    from descriptor_gen.review import server
    from descriptor_gen.review.reviewers import Reviewers
    from descriptor_gen.review.security import access_rules

    reviewers = Reviewers(panel, session) if panel.several else None
    rules = access_rules(host, allowed_hosts, identities=reviewers.identities(host) if reviewers else None)
    listener = server.bind(host, port)
    first = "/" if panel.blind else page  # runs are closed to blind reviewers
    url = server.address(host, listener, rules.token, page=first)

    def on_ready() -> None:
        if reviewers is not None:
            announced = reviewers.announced(lambda secret: server.address(host, listener, secret, page=first))
            notes.print(announced, soft_wrap=True)
            return
        notes.print(f"{session.dataset.name}, reviewed by {session.reviewer}: {url}  (Ctrl-C quits)", soft_wrap=True)
        if open_browser:
            webbrowser.open(url)

    try:
        app = make_app(session, rules, videos, what_if_on_test=what_if_on_test, reviewers=reviewers)
        server.serve(app, listener, on_ready=on_ready)
    finally:
        videos.close()
