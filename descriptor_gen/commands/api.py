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
from click.core import ParameterSource

from db.commandline import notes
from db.errors import UsageError, UserError
from descriptor_gen.generate.build import BuildReport
from descriptor_gen.llms import LLM, Deferred, Stoppable
from descriptor_gen.llms.options import ApiOptions, Prices

_INTERRUPTED = 128 + signal.SIGINT
_NOTE = b"\nNo more calls; waiting for those in flight, which are paid. Ctrl-C again ends at once.\n"
_NOTE_BY_BATCH = b"\nNo more calls; batches that were handed in go on at the provider. Ctrl-C again ends at once.\n"
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
    click.option(
        "--batch-api", "batch", is_flag=True, help="Hand all calls in by OpenAI's Batch API: cheaper, slower."
    ),
    click.option(
        "--batch-discount",
        type=click.FloatRange(0, 1),
        help="Part of the prices that the Batch API saves.  [0.5 for gpt, else 0]",
    ),
)
_NEXT = {
    "interrupt": "Run the same command to go on",
    "handed in": "Their batches go on at the provider, and are paid for. Run the same command to pick them up",
}
_ONE_BY_ONE = ("concurrency", "requests_per_minute", "tokens_per_minute")


def api_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of API models to a command; it gets them as one value, `api`."""

    @wraps(command)
    def collected(*arguments: Any, price_in: float | None, price_out: float | None, **options: Any) -> Any:
        if (price_in is None) != (price_out is None):
            raise UsageError("--price-in and --price-out go together")
        prices = None if price_in is None or price_out is None else Prices(price_in, price_out)
        names = (*_ONE_BY_ONE, "max_cost", "batch", "batch_discount")
        api = ApiOptions(prices=prices, **{name: options.pop(name) for name in names})
        _check_batch(api)
        return command(*arguments, api=api, **options)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected


def _check_batch(api: ApiOptions) -> None:
    if not api.batch:
        if api.batch_discount is not None:
            raise UsageError("--batch-discount is for --batch-api: add it")
        return
    source = click.get_current_context().get_parameter_source
    given = [name for name in _ONE_BY_ONE if source(name) is not ParameterSource.DEFAULT]
    if given:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(
            f"{options}: for calls one by one. The Batch API keeps its own pace: leave out one or the other"
        )


@contextmanager
def interrupts(llm: LLM) -> Iterator[None]:
    """Let the first Ctrl-C stop an LLM that awaits its calls; for others, and the second time, end at once.

    An LLM that hands its calls in tells of its batches meanwhile.
    """
    note = _NOTE_BY_BATCH if isinstance(llm, Deferred) else _NOTE

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(2, note)  # a handler may have come in the middle of a print, which is not for two at a time
        if isinstance(llm, Stoppable):
            llm.stop()

    if isinstance(llm, Deferred):
        llm.tell = lambda line: notes.print(line, soft_wrap=True)
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
    if report.stopped:
        click.echo(f"Stopped with {report.left} calls left. {_NEXT[report.stopped]}", err=True)
        raise click.exceptions.Exit(_INTERRUPTED)
