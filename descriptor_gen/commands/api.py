"""API models in `descgen build`: their options, Ctrl-C, and the end of a run whose budget is spent."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from db.commandline import notes
from db.errors import UsageError, UserError
from db.interrupts import INTERRUPTED, interrupts
from descriptor_gen.llms import LLM, Deferred, Stoppable
from descriptor_gen.llms.options import ApiOptions, Prices

if TYPE_CHECKING:
    from descriptor_gen.generate.build import BuildReport

_SECOND_CTRL_C = "Press Ctrl-C again to stop at once."
_WAITS = f"\nNo new calls; waiting for those in flight, which are paid for. {_SECOND_CTRL_C}"
_BATCHES_CONTINUE = f"\nNo new calls; submitted batches continue at the provider. {_SECOND_CTRL_C}"
_NEXT = {
    "interrupt": "Run the same command to continue",
    "handed in": "Their batches continue at the provider, and are paid for. Run the same command to pick them up",
}
_TO_RETRY = (
    "For a file of them alone: --write-batch instead of --read-batch. To ask a server: the same command with neither"
)
_TO_REFRESH = "What they had before stays in use. To go on: the same command with a further --read-batch"
_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)
_NOT_BATCH = ("concurrency", "requests_per_minute", "tokens_per_minute")  # options that the Batch API does not have

_OPTIONS = (
    click.option(
        "--concurrency",
        type=click.IntRange(1, 64),
        default=8,
        show_default=True,
        help="Calls of an API model in flight at a time.",
    ),
    click.option("--requests-per-minute", type=_ABOVE_ZERO, help="Rate limit of an API model."),
    click.option("--tokens-per-minute", type=_ABOVE_ZERO, help="Rate limit in tokens, input and output together."),
    click.option(
        "--timeout",
        "timeout_seconds",
        type=_ABOVE_ZERO,
        default=120.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for the next bytes of an answer: more for a slow local server.",
    ),
    click.option("--price-in", type=click.FloatRange(min=0), help="USD per million tokens of the prompts."),
    click.option("--price-out", type=click.FloatRange(min=0), help="USD per million tokens of the replies."),
    click.option(
        "--max-cost",
        type=_ABOVE_ZERO,
        metavar="USD",
        help="Start no call that could raise the cost of this run above this amount.",
    ),
    click.option(
        "--batch-api", "batch", is_flag=True, help="Submit all calls through OpenAI's Batch API: cheaper, slower."
    ),
    click.option(
        "--batch-discount",
        type=click.FloatRange(0, 1),
        help="Part of the price that the Batch API saves. [0.5 for gpt, else 0]",
    ),
)


_WORD = re.compile(r"[A-Za-z][\w.:/-]*")  # a value that needs no quotes


def _read_parameters(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Return `name=value` pairs as a dictionary."""
    parameters: dict[str, Any] = {}
    for pair in values:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not name:
            raise UsageError(f"--param {pair}: write NAME=JSON, such as --param top_p=0.9")
        if name in parameters:
            raise UsageError(f"--param {name} is given twice")
        parameters[name] = _read_value(pair, value)
    return parameters


def _read_value(pair: str, value: str) -> Any:
    """Return a value in JSON, or a single word as it is."""
    try:
        return json.loads(value, parse_constant=_refuse)
    except ValueError:
        if _WORD.fullmatch(value) and value not in ("NaN", "Infinity"):
            return value
        raise UsageError(
            f"--param {pair}: the value is not JSON. A text of several words needs double quotes"
        ) from None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


param_option = click.option(
    "--param",
    "parameters",
    multiple=True,
    metavar="NAME=JSON",
    callback=_read_parameters,
    help="A further parameter of an API model's requests, part of the cache key; null leaves one out.",
)


def api_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of API models to a command; it gets them as one value, `api`."""

    @wraps(command)
    def with_api(*arguments: Any, price_in: float | None, price_out: float | None, **options: Any) -> Any:
        if (price_in is None) != (price_out is None):
            raise UsageError("--price-in and --price-out go together")
        prices = None if price_in is None or price_out is None else Prices(price_in, price_out)
        names = (*_NOT_BATCH, "timeout_seconds", "max_cost", "batch", "batch_discount")
        api = ApiOptions(prices=prices, **{name: options.pop(name) for name in names})
        _check_batch(api)
        return command(*arguments, api=api, **options)

    for option in reversed(_OPTIONS):
        with_api = option(with_api)
    return with_api


def batch_file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --write-batch and --read-batch to a command that makes calls."""

    @wraps(command)
    def with_files(*arguments: Any, **options: Any) -> Any:
        given = [name for name in ("write_batch", "read_batch", "dry_run") if options[name]]
        if len(given) > 1 or (given[:1] not in ([], ["dry_run"]) and options["batch"]):
            raise UsageError(
                "--write-batch, --read-batch, --batch-api and --dry-run are four different things: give one"
            )
        return command(*arguments, **options)

    path = click.Path(path_type=Path, dir_okay=False)
    with_files = click.option(
        "--read-batch",
        type=path,
        multiple=True,
        metavar="FILE",
        help="Store the answers that such a program wrote. May be given several times.",
    )(with_files)
    return click.option(
        "--write-batch",
        type=path,
        metavar="FILE",
        help="Write the missing calls to a file, for a program such as vLLM's run-batch; make none.",
    )(with_files)


def _check_batch(api: ApiOptions) -> None:
    if not api.batch:
        if api.batch_discount is not None:
            raise UsageError("--batch-discount needs --batch-api")
        return
    source = click.get_current_context().get_parameter_source
    named = [name for name in _NOT_BATCH if source(name) is not ParameterSource.DEFAULT]
    if named:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in named)
        raise UsageError(f"{options} and --batch-api cannot be combined: the Batch API sets its own pace")


@contextmanager
def interruptible(llm: LLM) -> Iterator[None]:
    """Handle Ctrl-C, SIGTERM and SIGHUP (a closed terminal) during the block.

    The first one stops a `Stoppable` LLM, the second one ends the command. For any other LLM, the first one ends it.
    An LLM that submits batches prints their progress.
    """
    note = _BATCHES_CONTINUE if isinstance(llm, Deferred) else _WAITS
    if isinstance(llm, Deferred):
        llm.notify = lambda line: notes.print(line, soft_wrap=True)
    stop = llm.stop if isinstance(llm, Stoppable) else None
    with interrupts(lambda: "What was committed stays", stop=stop, note=note if stop else ""):
        yield


def _round_up(usd: float) -> str:
    """Return an amount with two significant digits, never below it."""
    digits = 1 - math.floor(math.log10(usd))
    return f"{math.ceil(usd * 10**digits) / 10**digits:.{max(digits, 0)}f}"


def end_if_stopped(report: BuildReport, api: ApiOptions) -> None:
    """End the command if calls are left; the message says what to do next.

    Raises:
        UserError: the budget stopped it.
        click.exceptions.Exit: Ctrl-C did.
    """
    if report.stopped == "budget" and report.least_budget > (api.max_cost or 0):
        raise UserError(
            f"The budget of {api.max_cost:g} USD is too small for any of the {report.left} calls left. The smallest "
            f"that is enough for one: --max-cost {_round_up(report.least_budget)}"
        )
    if report.stopped == "budget":
        raise UserError(
            f"The budget of {api.max_cost:g} USD stopped the build with {report.left} calls left. "
            "Run the same command to continue: --max-cost applies to each run"
        )
    if report.stopped in _NEXT:
        click.echo(f"Stopped with {report.left} calls left. {_NEXT[report.stopped]}", err=True)
        raise click.exceptions.Exit(INTERRUPTED)


def refuse_incomplete(report: BuildReport, api: ApiOptions, *, refresh: bool) -> None:
    """Raise a UserError if calls gave no descriptors; it says how many and what to do next."""
    without = {"invalid": report.invalid, "failed": report.failed, "absent": report.left}
    if not any(without.values()):
        return
    if not api.batch_files:
        raise UserError(
            f"{report.invalid + report.failed} calls gave no descriptors. Run the same command to retry them"
        )
    counts = ", ".join(f"{count} {word}" for word, count in without.items() if count)
    raise UserError(
        f"{sum(without.values())} calls have no valid answer in these files ({counts}). "
        f"{_TO_REFRESH if refresh else _TO_RETRY}"
    )
