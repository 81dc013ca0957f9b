"""The options of `descgen review` for several reviewers, and for one who must not know what others decided."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from descriptor_gen.review.reviewers import Panel

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--reviewers",
        "names",
        metavar="NAME,NAME",
        help="Several reviewers of this server: each gets an address of their own, and a part of the classes.",
    ),
    click.option(
        "--reviewer-header",
        "header",
        metavar="HEADER",
        help="The header in which a reverse proxy names who sends a request, such as X-Forwarded-User.",
    ),
    click.option(
        "--trust-proxy",
        "proxies",
        multiple=True,
        metavar="ADDRESS",
        help="With --reviewer-header: address or network of that proxy; may be given again. [this machine]",
    ),
    click.option("--blind", is_flag=True, help="Reviewers see nothing that others decide; verdicts change no text."),
    click.option(
        "--overlap",
        type=click.FloatRange(0, 1),
        default=0.0,
        show_default=False,
        metavar="SHARE",
        help="With --reviewers: share of the classes that two of them get. [0]",
    ),
)


def reviewers_options(command: Command) -> Command:
    """Give a command these options, as one argument: `panel`, see `review.reviewers.Panel`."""

    @wraps(command)
    def with_panel(
        *arguments: Any,
        names: str | None,
        header: str | None,
        proxies: tuple[str, ...],
        blind: bool,
        overlap: float,
        **others: Any,
    ) -> Any:
        panel = _panel(names or "", header or "", proxies, blind=blind, overlap=overlap)
        return command(*arguments, panel=panel, **others)

    decorated: Any = with_panel
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def _panel(names: str, header: str, proxies: tuple[str, ...], *, blind: bool, overlap: float) -> Panel:
    from descriptor_gen.review.reviewers import Panel, parse_names

    return Panel(parse_names(names), header.strip(), proxies, blind=blind, overlap=overlap)
