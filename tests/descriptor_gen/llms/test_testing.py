"""The fakes that ship for tests."""

from __future__ import annotations

import json
import threading

from descriptor_gen.llms import GREEDY, LLM, Message, Request, Sampling
from descriptor_gen.llms.registry import LLMOptions, open_llm
from descriptor_gen.llms.testing import FakeLLM, ManualClock, registered


def test_a_manual_clock_jumps_when_all_threads_wait() -> None:
    clock, times = ManualClock(), list[tuple[str, float]]()
    ended = threading.Event()

    def work(name: str, seconds: float, more: float) -> None:
        for pause in (seconds, more):
            clock.sleep(pause)
            times.append((name, clock.now()))
        if len(times) == 4:
            ended.set()

    clock.start(lambda: work("a", 10, 100))
    clock.start(lambda: work("b", 60, 3600))
    assert clock.wait(ended)
    assert times == [("a", 10), ("b", 60), ("a", 110), ("b", 3660)]
    assert clock.unix_time() - ManualClock().unix_time() == 3660


def test_a_manual_clock_stands_still_while_a_thread_works() -> None:
    clock, gate, ended = ManualClock(), threading.Event(), threading.Event()

    def work() -> None:
        gate.wait()  # not through the clock: this thread works
        ended.set()

    clock.start(work)
    threading.Timer(0.05, gate.set).start()
    assert clock.wait(ended, 3600)
    assert clock.now() == 0


def test_a_name_may_stand_for_a_function_from_options_to_a_model() -> None:
    samplings = []

    def opened(options: LLMOptions) -> LLM:
        samplings.append(options.sampling)
        return FakeLLM(model="own")

    with registered(opened, "own"):
        assert open_llm("own").identity.model == "own"
        open_llm("own", LLMOptions(sampling=Sampling(0.5)))
    assert samplings == [GREEDY, Sampling(0.5)]


def test_fields_of_a_kind_of_your_own_are_those_of_its_first_example() -> None:
    replies = ['{"description": "an example", "colour": "red"}', '{"description": "another", "colour": "blue"}']
    turns: list[Message] = [{"role": "assistant", "content": reply} for reply in replies]
    fields = {"description": {"type": "string"}, "colour": {"type": "string"}}
    [[reply]] = FakeLLM().generate([Request(tuple(turns), {"type": "object", "properties": fields}, max_tokens=10)])
    own = json.loads(reply.text)
    assert own.keys() == fields.keys()
    assert own["colour"] == "red"
