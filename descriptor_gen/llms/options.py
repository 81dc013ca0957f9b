"""How API models are called and what they cost. None of these options changes a reply, so none is in its cache key."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

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
        unreached: the same for a server that never answered anything; its address is probably wrong.
        first: pause after the first failure; it doubles with each further one.
        longest: upper limit of the pause, unless the server asks for more.
    """

    total: float = 600.0
    unreached: float = 15.0
    first: float = 0.5
    longest: float = 30.0

    def backoff(self, failures: int) -> float:
        """Return the seconds to wait after so many failures: exponential, with jitter down to half of it."""
        pause = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        return pause * random.uniform(0.5, 1.0)  # noqa: S311


@dataclass(frozen=True)
class BatchOptions:
    """How the Batch API is used.

    Attributes:
        calls_per_file: OpenAI's limit, as is `bytes_per_file`.
        replies_per_group: replies stored in one transaction; few, so that other writers do not wait long.
        first_poll: seconds from the first look at a batch to the second; each pause is `poll_growth` times the one
            before, up to `longest_poll`.
        retry: for requests about a batch that runs; it goes on without us, so a lost network is waited out.
    """

    calls_per_file: int = 50_000
    bytes_per_file: int = 200_000_000
    replies_per_group: int = 100
    first_poll: float = 5.0
    longest_poll: float = 60.0
    poll_growth: float = 1.5
    retry: RetryPolicy = RetryPolicy(total=86_400.0, longest=60.0)

    def pause(self, looks: int) -> float:
        """Return the seconds to wait after so many looks in which no batch had ended."""
        return min(self.longest_poll, self.first_poll * self.poll_growth ** min(looks, 30))


@dataclass(frozen=True)
class ApiOptions:
    """How an API model is called.

    Attributes:
        concurrency: calls in flight at a time.
        requests_per_minute: our own limit; None is none. Likewise `tokens_per_minute`, input and output together.
        prices: of the model; None takes those of llms.toml, if it has any.
        max_cost: USD that one run may cost; None is no limit.
        batch: use the provider's Batch API.
        batch_discount: the part of the prices that it saves; None takes that of llms.toml, or 0.
        retry: of calls that failed.
        timeout_seconds: for an answer to begin or to continue.
        connect_seconds: for a connection.
        batches: how the Batch API is used.
        clock: all waits and times; tests pass a `ManualClock` (descriptor_gen.llms.testing).
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
    clock: Clock = field(default_factory=SystemClock)
