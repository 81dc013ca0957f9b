"""A budget in USD, checked before each call: calls in flight count with the most they can cost."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable

from descriptor_gen.llms import Request
from descriptor_gen.llms.options import Prices

_TOKENS_PER_MESSAGE = 16  # role and separators; today's tokenizers use 3 or 4
_BYTES_PER_TOKEN = 4.0  # of English prose, about


def most_tokens_in(request: Request) -> int:
    """Return an upper bound of the input tokens: byte-level tokenizers make at most one token per byte."""
    texts = [message["content"] for message in request.messages]
    size = sum(len(text.encode()) for text in texts) + len(json.dumps(request.output_schema))
    return size + _TOKENS_PER_MESSAGE * (len(texts) + 1)


def likely_tokens(request: Request) -> float:
    """Estimate the tokens of a call, input and output together."""
    return most_tokens_in(request) / _BYTES_PER_TOKEN + request.max_tokens


class Budget:
    """Keeps the cost of a run below a limit.

    Attributes:
        prices: of the model; None if unknown.
    """

    def __init__(self, limit: float | None, prices: Prices | None, *, reasoning_tokens: int = 0) -> None:
        """Start with nothing spent; `reasoning_tokens` are added to the token limit of each reply."""
        self.prices = prices
        self._limit, self._reasoning_tokens = limit, reasoning_tokens
        self._spent = self._reserved = 0.0
        self._lock = threading.Lock()

    def _most_cost(self, request: Request) -> float:
        if self.prices is None:
            return 0.0
        return self.prices.cost(most_tokens_in(request), request.max_tokens + self._reasoning_tokens)

    def least(self, requests: Iterable[Request]) -> float:
        """Return the most that the cheapest of some calls can cost, in USD; 0 without any."""
        return min(map(self._most_cost, requests), default=0.0)

    def reserve(self, request: Request, *, runs_already: bool = False) -> bool:
        """Count a call as in flight and return True; return False if the calls in flight could exceed the limit.

        A call that runs already is always counted.
        """
        with self._lock:
            most = self._most_cost(request)
            fits = runs_already or self._limit is None or self._spent + self._reserved + most <= self._limit
            self._reserved += most if fits else 0.0
            return fits

    def settle(self, request: Request, cost: float | None) -> None:
        """Count a call in flight as done; a cost of None counts as the most the call can cost."""
        with self._lock:
            self._reserved -= self._most_cost(request)
            self._spent += self._most_cost(request) if cost is None else cost

    def lose(self, request: Request) -> bool:
        """Count an attempt whose answer never came but may be billed; return whether the budget allows another."""
        with self._lock:
            self._spent += self._most_cost(request)
            return self._limit is None or self._spent + self._reserved <= self._limit
