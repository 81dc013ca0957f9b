"""How API models are called and what they cost. None of these options changes a reply, so none is in its cache key."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from descriptor_gen.llms.api.clock import Clock, SystemClock


@dataclass(frozen=True)
class Prices:
    """USD per million tokens.

    Attributes:
        cached: input that the provider has cached; None: the same as other input.
        batch_discount: the part of the prices that the provider's Batch API saves, 0..1.
    """

    input: float
    output: float
    cached: float | None = None
    batch_discount: float = 0.0

    def in_batches(self, discount: float | None = None) -> Prices:
        """Return the prices of the Batch API; None is `batch_discount`.

        Cached input costs the full batch price: whether both discounts add up differs by model, and a budget must
        not be exceeded.
        """
        factor = 1.0 - (self.batch_discount if discount is None else discount)
        return Prices(self.input * factor, self.output * factor)

    def cost(self, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> float:
        """Return the cost of a call in USD; `tokens_cached` is the cached part of `tokens_in`."""
        cached = self.input if self.cached is None else self.cached
        return (self.input * (tokens_in - tokens_cached) + cached * tokens_cached + self.output * tokens_out) / 1e6


@dataclass(frozen=True)
class RetryPolicy:
    """How long a failed call is retried, in seconds.

    Attributes:
        total: from the first failure of a call to its last attempt.
        unreached: the same for a server that never answered at all, probably because its address is wrong.
        first: pause after the first failure; it doubles with each further one.
        longest: upper limit of the pause, unless the server asks for more.
    """

    total: float = 600.0
    unreached: float = 15.0
    first: float = 0.5
    longest: float = 30.0

    def backoff(self, failures: int) -> float:
        """Return the seconds to wait after a number of failures: exponential, times a random factor of 0.5 to 1."""
        pause = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        return pause * random.uniform(0.5, 1.0)


@dataclass(frozen=True)
class BatchOptions:
    """How the Batch API is used.

    Attributes:
        calls_per_file: OpenAI's limit, like `bytes_per_file`.
        replies_per_group: replies stored in one transaction; a small number, so that other writers do not wait long.
        first_poll: seconds between the first two polls of a batch; each pause is `poll_growth` times the last one, up
            to `longest_poll`.
        retry: for requests about a running batch; it continues without us, so a lost connection is waited for.
    """

    calls_per_file: int = 50_000
    bytes_per_file: int = 200_000_000
    replies_per_group: int = 100
    first_poll: float = 5.0
    longest_poll: float = 60.0
    poll_growth: float = 1.5
    retry: RetryPolicy = RetryPolicy(total=86_400.0, longest=60.0)

    def pause(self, polls: int) -> float:
        """Return the seconds to wait after a number of polls without an ended batch."""
        return min(self.longest_poll, self.first_poll * self.poll_growth ** min(polls, 30))


@dataclass(frozen=True)
class ApiOptions:
    """How an API model is called.

    Attributes:
        concurrency: calls in flight at a time.
        requests_per_minute: rate limit; None is no limit. Likewise `tokens_per_minute`, input and output together.
        prices: of the model; None uses those in llms.toml, if any.
        max_cost: USD that one run may cost; None is no limit.
        batch: use the provider's Batch API.
        batch_discount: the part of the price that the Batch API saves; None uses that in llms.toml, or 0.
        retry: retries of failed calls.
        timeout_seconds: how long to wait for the next bytes of an answer.
        connect_seconds: how long to wait for a connection.
        batches: how the Batch API is used.
        batch_files: files with the answers of another program, which makes the calls instead of this one; none yet
            while the calls are written. None: this program makes them.
        clock: the source of all times and waits; tests pass a `ManualClock` (descriptor_gen.llms.testing).
    """

    concurrency: int = 8
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    prices: Prices | None = None
    max_cost: float | None = None
    batch: bool = False
    batch_discount: float | None = None
    retry: RetryPolicy = RetryPolicy()
    timeout_seconds: float = 120.0
    connect_seconds: float = 10.0
    batches: BatchOptions = BatchOptions()
    batch_files: tuple[Path, ...] | None = None
    clock: Clock = field(default_factory=SystemClock)
