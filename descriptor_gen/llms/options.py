"""How API models are called and what they cost: options that never change a reply, so no part of its key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prices:
    """USD per million tokens; cached input costs what other input costs where `cached` is None.

    `batch_discount` is the part of them that the provider's Batch API saves.
    """

    input: float
    output: float
    cached: float | None = None
    batch_discount: float = 0.0

    def by_batch(self, discount: float | None = None) -> Prices:
        """Return what the Batch API takes; None is the discount that is known.

        Cached input counts in full: whether both discounts add up differs by model, and a budget must not be passed.
        """
        share = 1.0 - (self.batch_discount if discount is None else discount)
        return Prices(self.input * share, self.output * share)

    def of(self, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> float:
        """Return the cost of a call in USD; `tokens_cached` is the part of `tokens_in` that the provider had read."""
        cached = self.input if self.cached is None else self.cached
        return (self.input * (tokens_in - tokens_cached) + cached * tokens_cached + self.output * tokens_out) / 1e6


@dataclass(frozen=True)
class ApiOptions:
    """How an API model is called.

    Attributes:
        concurrency: calls in flight at a time.
        requests_per_minute: no more calls than these; None is no limit of ours.
        tokens_per_minute: no more tokens than these, in and out.
        prices: of the model; None takes those of llms.toml, where it has them.
        max_cost: USD that one run may cost; None is no limit.
        batch: hand the calls in by the provider's Batch API.
        batch_discount: the part of the prices that this saves; None is what llms.toml knows, or nothing.
    """

    concurrency: int = 8
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    prices: Prices | None = None
    max_cost: float | None = None
    batch: bool = False
    batch_discount: float | None = None
