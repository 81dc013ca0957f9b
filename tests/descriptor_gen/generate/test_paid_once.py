"""Builders that stood still while others went on: nothing is paid for twice, and no reviewed text goes out of use."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from db.store import Store
from descriptor_gen.generate.build import BuildReport, build_descriptors
from descriptor_gen.generate.calls import BuildOptions
from descriptor_gen.llms import LLM, Reply, Request
from descriptor_gen.llms.options import ApiOptions
from descriptor_gen.llms.registry import LLMOptions, open_llm
from descriptor_gen.llms.testing import FakeLLM, ManualClock
from descriptor_gen.prompting.prompt import load_prompts
from tests.fixtures.chat_server import Answer, ChatServer


class Shared:
    """A database of several builders, of which one stands still."""

    def __init__(self, url: str) -> None:
        self.url, self.store = url, Store.open(url)

    def build(self, llm: LLM, *, refresh: bool = False, at: int = -1, then: Callable[[], object] = int) -> BuildReport:
        """Build one kind of hmdb51, 51 calls; when `at` calls are done, `then` happens once in the meantime."""
        pending = [then]

        def progress(done: int, total: int) -> None:
            if done == at and pending:
                pending.pop()()

        return build_descriptors(
            self.store,
            self.store.dataset("hmdb51"),
            llm=llm,
            prompts=load_prompts(["context"]),
            options=BuildOptions(refresh=refresh),
            on_progress=progress,
        )

    def take_over(self, llm: LLM, *, refresh: bool = False) -> None:
        """Let the claims of the builder that stands still end, and another one do all calls."""
        with create_engine(self.url).begin() as connection:
            connection.execute(text("UPDATE claim SET expires_at = '2020-01-01 00:00:00'"))
        self.build(llm, refresh=refresh)

    def texts(self) -> dict[int, tuple[str, str]]:
        dataset = self.store.dataset("hmdb51")
        return {item.id: (item.text, item.status) for item in self.store.descriptors(dataset)}


@pytest.fixture
def shared_database(any_database: str) -> Iterator[Shared]:
    shared = Shared(any_database)
    yield shared
    shared.store.close()


class Late(FakeLLM):
    """Sends four calls at a time, and stands still while the replies to the third four are on their way."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__(batch_size=4)
        self._meanwhile = meanwhile

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        for replies in super().generate(requests):
            if len(self.history) == 12:
                self._meanwhile()
            yield replies


def test_a_builder_that_stood_still_makes_no_call_that_another_one_made(shared_database: Shared) -> None:
    slow, other = FakeLLM(batch_size=4), FakeLLM()
    report = shared_database.build(slow, at=12, then=lambda: shared_database.take_over(other))
    assert (len(slow.history), len(other.history)) == (12, 39)
    assert (report.generated, report.cached) == (12, 39)
    assert [(row["calls"], row["status"]) for row in shared_database.store.generation_counts()] == [(51, "ok")]


def test_two_refreshing_builders_share_the_calls_too(shared_database: Shared) -> None:
    shared_database.build(FakeLLM())
    slow, other = FakeLLM(batch_size=4), FakeLLM()
    report = shared_database.build(
        slow, refresh=True, at=12, then=lambda: shared_database.take_over(other, refresh=True)
    )
    assert (report.generated, report.cached, len(slow.history)) == (12, 39, 12)
    assert len(other.history) == 51  # it began after the first 12 were stored, so it refreshes them too


def test_a_late_reply_is_history_and_takes_no_reviewed_text_out_of_use(shared_database: Shared) -> None:
    """Four replies are on their way while another builder makes these calls and a reviewer accepts its texts."""
    store, other = shared_database.store, FakeLLM()
    before: dict[int, tuple[str, str]] = {}

    def take_over_and_accept() -> None:
        shared_database.take_over(other)
        pending = store.descriptors(store.dataset("hmdb51"))
        store.reviews().accept([item.ref for item in pending], reviewer="anna")
        before.update(shared_database.texts())

    slow = Late(take_over_and_accept)
    report = shared_database.build(slow)
    assert (report.generated, report.cached) == (8, 43)
    assert shared_database.texts() == before
    assert {status for _, status in before.values()} == {"accepted"}
    counts = {row["status"]: row["calls"] for row in store.generation_counts()}
    assert counts == {"ok": 51, "late": 4}  # the four in flight are paid twice, and kept
    assert shared_database.build(FakeLLM()).cached == 51
    assert shared_database.texts() == before


def test_a_model_behind_a_server_asks_right_before_each_attempt(server: ChatServer, shared_database: Shared) -> None:
    """The first answer is "too many requests": the calls wait, and others are made by another builder meanwhile."""
    other = open_llm("openai:tiny", LLMOptions(base_url=server.url, api=ApiOptions(clock=ManualClock())))
    server.plan = [200] * 12 + [429]
    slow = open_llm("openai:tiny", LLMOptions(base_url=server.url, api=ApiOptions(clock=ManualClock(), concurrency=1)))
    report = shared_database.build(slow, at=12, then=lambda: shared_database.take_over(other))
    assert (report.generated, report.cached) == (12, 39)
    answered = Counter(
        str(body["messages"]) for body, answer in zip(server.bodies, server.sent, strict=True) if answer.status == 200
    )
    assert (len(answered), set(answered.values())) == (51, {1})


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_builder_that_stood_still_repeats_the_calls_in_flight_at_most(
    server: ChatServer, shared_database: Shared, concurrency: int
) -> None:
    """All answers are held back while another builder makes every call."""
    gate, all_in_flight, arrived = threading.Event(), threading.Event(), []

    def held(body: dict[str, Any]) -> Answer:
        arrived.append(body)
        if len(arrived) == concurrency:
            all_in_flight.set()
        return Answer(gate=gate) if len(arrived) <= concurrency else Answer()

    server.otherwise = held
    options = LLMOptions(base_url=server.url, api=ApiOptions(concurrency=concurrency))
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(shared_database.build, open_llm("openai:tiny", options))
        assert all_in_flight.wait(30)
        shared_database.take_over(open_llm("openai:tiny", options))
        gate.set()
        report = slow.result()
    assert (report.generated, report.cached, len(server.bodies)) == (0, 51, 51 + concurrency)
    counts = {row["status"]: row["calls"] for row in shared_database.store.generation_counts()}
    assert counts == {"ok": 51, "late": concurrency}
