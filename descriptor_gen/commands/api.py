"""What `descgen build` adds for API models: their options, and how it ends when it is stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import Any

import click

from db.errors import UsageError, UserError
from descriptor_gen.build import BuildReport
from descriptor_gen.llms import LLM, Stoppable
from descriptor_gen.llms.options import ApiOptions, Prices

_INTERRUPTED = 128 + signal.SIGINT
_NOTE = b"\nNo more calls; waiting for those in flight, which are paid. Ctrl-C again ends at once.\n"
_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)

_OPTIONS = (
    click.option(
        "--concurrency",
        type=click.IntRange(1, 64),
        default=8,
        show_default=True,
        help="Calls of an API model in flight at a time.",
    ),
    click.option("--requests-per-minute", type=_ABOVE_ZERO, help="Rate limit of an API model."),
    click.option("--tokens-per-minute", type=_ABOVE_ZERO, help="The same in tokens, in and out."),
    click.option("--price-in", type=click.FloatRange(min=0), help="USD per million tokens of the prompts."),
    click.option("--price-out", type=click.FloatRange(min=0), help="USD per million tokens of the replies."),
    click.option("--max-cost", type=_ABOVE_ZERO, metavar="USD", help="Make no call that could cost this run more."),
)


def api_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of API models to a command; it gets them as one value, `api`."""

    @wraps(command)
    def collected(*arguments: Any, price_in: float | None, price_out: float | None, **options: Any) -> Any:
        if (price_in is None) != (price_out is None):
            raise UsageError("--price-in and --price-out go together")
        prices = None if price_in is None or price_out is None else Prices(price_in, price_out)
        names = ("concurrency", "requests_per_minute", "tokens_per_minute", "max_cost")
        api = ApiOptions(prices=prices, **{name: options.pop(name) for name in names})
        return command(*arguments, api=api, **options)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected


@contextmanager
def interrupts(llm: LLM) -> Iterator[None]:
    """Let the first Ctrl-C stop an LLM that awaits its calls; for others, and the second time, end at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(2, _NOTE)  # a handler may have come in the middle of a print, which is not for two at a time
        if isinstance(llm, Stoppable):
            llm.stop()

    before = signal.getsignal(signal.SIGINT)
    if isinstance(llm, Stoppable):
        signal.signal(signal.SIGINT, stop)
    try:
        yield
    except KeyboardInterrupt as interrupt:
        click.echo("Stopped. What was committed stays; run the same command to go on", err=True)
        raise click.exceptions.Exit(_INTERRUPTED) from interrupt
    finally:
        signal.signal(signal.SIGINT, before)


def end_if_stopped(report: BuildReport, api: ApiOptions) -> None:
    """End the command that was stopped, with what to do next.

    Raises:
        UserError: the budget stopped it.
    """
    if report.stopped == "budget":
        raise UserError(
            f"The budget of {api.max_cost:g} USD stopped it with {report.left} calls left. "
            "Run the same command to go on: --max-cost is for each run"
        )
    if report.stopped == "interrupt":
        click.echo(f"Stopped with {report.left} calls left. Run the same command to go on", err=True)
        raise click.exceptions.Exit(_INTERRUPTED)
