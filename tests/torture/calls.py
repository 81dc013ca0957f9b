"""Which calls were paid twice: each repeat is compared with what a builder had in flight when it was stopped."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from tests.fixtures.chat_server import Answer, Handler

CONCURRENCY = 4


@dataclass(frozen=True)
class Call:
    """One call that the server answered.

    Attributes:
        builder: which process made it: its API key.
        messages: what was asked, as JSON.
        at: when it came, in seconds by this machine's clock.
    """

    builder: str
    messages: str
    at: float


@dataclass(frozen=True)
class Stop:
    """A builder that was killed or suspended.

    Attributes:
        builder: which one.
        at: when it no longer ran.
        stored: the messages of all calls that the database had then.
        ends: when its claims ended, which others may take then: by messages; of a dead process, all at once.
    """

    builder: str
    at: float
    stored: frozenset[str]
    ends: Mapping[str, float] | float

    def forgives(self, call: Call, calls: Sequence[Call]) -> bool:
        """Return whether a call of this builder was in flight when it stopped, and others repeated it lawfully.

        It had come before the stop, and its reply was not stored; or it was one of the first that came afterwards,
        under a claim that the builder held at the stop: it stood still between asking for the claim and the call.
        Others came after the claim's end.

        Args:
            call: with `messages` that were asked several times.
            calls: all calls.
        """
        end = self.ends if isinstance(self.ends, float) else self.ends.get(call.messages)
        if call.builder != self.builder or call.messages in self.stored or end is None:
            return False
        later = [each for each in calls if each.builder == self.builder and each.at > self.at]
        if call.at > self.at and call not in later[:CONCURRENCY]:
            return False
        others = [each.at for each in calls if each.messages == call.messages and each.builder != self.builder]
        too_early = any(min(call.at, self.at) <= at < end for at in others)
        return not too_early and any(at >= end for at in others)


@dataclass
class CallLog:
    """The calls of all builders on one database, and the builders that were stopped."""

    calls: list[Call] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def add(self, call: Call) -> None:
        with self.lock:
            self.calls.append(call)

    def clear(self) -> None:
        with self.lock:
            self.calls.clear()
            self.stops.clear()

    def repeated(self) -> tuple[int, list[str]]:
        """Return how many repeated calls had been in flight, and a line about each one that was paid twice.

        A stopped builder has at most as many calls in flight as it has connections.
        """
        with self.lock:
            calls = sorted(self.calls, key=lambda call: call.at)
        again = {messages: same for messages, same in _by_messages(calls).items() if len(same) > 1}
        left = {stop.builder: CONCURRENCY for stop in self.stops}
        forgiven, paid_twice = 0, []
        for messages, same in again.items():
            wanted = len(same) - 1
            for stop in self.stops:
                if wanted and left[stop.builder] and any(stop.forgives(call, calls) for call in same):
                    left[stop.builder] -= 1
                    wanted -= 1
                    forgiven += 1
            made = ", ".join(f"{call.builder} at {call.at:.3f}" for call in same)
            paid_twice += [f"paid twice: {made}: {messages[-200:]}"] * wanted
        return forgiven, paid_twice


def _by_messages(calls: Sequence[Call]) -> dict[str, list[Call]]:
    found = defaultdict[str, list[Call]](list)
    for call in calls:
        found[call.messages].append(call)
    return found


class LoggingHandler(Handler):
    """Answers, and notes which builder asked."""

    log: CallLog

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionResetError, json.JSONDecodeError):  # its builder was killed in the middle of a request
            self.close_connection = True

    def payload(self, name: str, answer: Answer, body: dict[str, Any]) -> str:
        builder = self.headers["Authorization"].removeprefix("Bearer ")
        self.log.add(Call(builder, json.dumps(body["messages"], sort_keys=True), time.time()))
        return super().payload(name, answer, body)
