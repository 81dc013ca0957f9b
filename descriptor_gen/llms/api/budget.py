"""What calls cost, and what they could cost at worst: a budget is kept before it is spent, not after."""

from __future__ import annotations

import json
import threading

from descriptor_gen.llms import Request
from descriptor_gen.llms.options import Prices

_TOKENS_OF_A_MESSAGE = 16  # role and separators; 3 or 4 with the tokenizers of today
_BYTES_OF_A_TOKEN = 4.0  # English prose, about


def most_tokens_in(request: Request) -> int:
    """Return what the request cannot exceed: byte-level tokenizers make at most one token of each byte."""
    texts = [message["content"] for message in request.messages]
    size = sum(len(text.encode()) for text in texts) + len(json.dumps(request.output_schema))
    return size + _TOKENS_OF_A_MESSAGE * (len(texts) + 1)


def likely_tokens(request: Request) -> float:
    """Return about what the request takes, in and out."""
    return most_tokens_in(request) / _BYTES_OF_A_TOKEN + request.max_tokens


class Budget:
    """Keeps a run below a limit in USD. Calls in flight count with the most they can cost.

    Attributes:
        prices: of the model; None where they are unknown.
    """

    def __init__(self, limit: float | None, prices: Prices | None, *, room: int = 0) -> None:
        """Begin with nothing spent; `room` is added to the tokens that a request allows for its reply."""
        self.prices = prices
        self._limit, self._room = limit, room
        self._spent = self._reserved = 0.0
        self._lock = threading.Lock()

    def _worst(self, request: Request) -> float:
        return self.prices.of(most_tokens_in(request), request.max_tokens + self._room) if self.prices else 0.0

    def fits(self, request: Request) -> bool:
        """Return whether the limit holds even if this call and all in flight cost the most they can."""
        return self._limit is None or self._spent + self._reserved + self._worst(request) <= self._limit

    def reserve(self, request: Request) -> None:
        """Count a call as in flight."""
        with self._lock:
            self._reserved += self._worst(request)

    def settle(self, request: Request, cost: float | None) -> None:
        """Count a call as done; None counts as the most it can have cost."""
        with self._lock:
            self._reserved -= self._worst(request)
            self._spent += self._worst(request) if cost is None else cost

    def lose(self, request: Request) -> bool:
        """Count an attempt whose answer never came but may be billed; return whether another one fits."""
        with self._lock:
            self._spent += self._worst(request)
            return self._limit is None or self._spent + self._reserved <= self._limit
