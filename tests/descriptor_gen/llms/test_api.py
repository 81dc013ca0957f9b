"""API models against a real server on loopback that fails as planned; its log shows what was paid for.

Waiting takes no time: client and server share a `ManualClock`, so the times at which calls start are exact.
"""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from itertools import cycle, pairwise
from typing import Any

import pytest

from db.vocabulary import load
from descriptor_gen.llms import Priced, Stoppable, StoppedEarlyError
from descriptor_gen.llms.options import ApiOptions, RetryPolicy
from descriptor_gen.llms.registry import LLMOptions, open_llm
from descriptor_gen.llms.testing import registered
from descriptor_gen.prompting.prompt import load_prompts
from tests.fixtures.api import NO_SCHEMA, PRICED, open_tiny, stored
from tests.fixtures.chat_server import Answer, ChatServer, valid_text
from tests.fixtures.commands import Run

BUILD = ("build", "-d", "hmdb51", "-k", "context", "--llm", "openai:tiny")
ALL = ("--limit", "51")
SOME = ("--limit", "12")  # classes, where all 51 would show no more
Build = Callable[..., Any]


@pytest.fixture
def build(descgen: Run, server: ChatServer) -> Build:
    """Build from the server, with further API options; the report, with `exit_code` and `stderr` of the command."""

    def run(*options: str | int, **changes: Any) -> dict[str, Any]:
        with registered(open_tiny(clock=server.clock, **changes), "tiny"):
            result = descgen(*BUILD, "--llm", "tiny", *SOME, "--base-url", server.url, "--json", *options)
        report = json.loads(result.stdout) if result.stdout else {}
        assert "Traceback" not in result.output
        return {**report, "exit_code": result.exit_code, "stderr": result.stderr}

    return run


def ids(db_url: str) -> Counter[str]:
    return Counter(row["environment"]["id"] for row in stored(db_url) if "id" in row["environment"])


FAULTS: dict[str, Answer] = {
    "429": Answer(429, headers={"Retry-After": "20"}),
    "500": Answer(500),
    "503": Answer(503, headers={"Retry-After-Ms": "30"}),
    "cut": Answer(cut=True),
    "chatter": Answer(text="Sure! Here are the objects: a ball"),
    "half": Answer(text='{"setting": "a wide green'),
    "empty": Answer(text=""),
    "no completion": Answer(body='{"id": "x", "choi'),
}


def test_with_a_third_of_all_answers_faulty_every_class_is_valid_and_each_paid_call_stored_once(
    build: Build, server: ChatServer, db_url: str
) -> None:
    faults = cycle(FAULTS.values())
    server.otherwise = lambda body: next(faults) if len(server.bodies) % 10 in (2, 5, 9) else Answer()
    reports = [build(*ALL)]
    while reports[-1]["exit_code"] and len(reports) < 5:
        reports.append(build(*ALL))
    assert reports[-1]["cached"] + reports[-1]["generated"] == 51
    kinds = Counter(name for answer in server.sent for name, fault in FAULTS.items() if answer is fault)
    assert kinds.keys() == FAULTS.keys()
    assert sum(kinds.values()) == pytest.approx(0.3 * len(server.sent), abs=1)
    rows = stored(db_url)
    assert len(rows) == len(server.paid)
    assert sum(report["generated"] for report in reports) == 51
    assert ids(db_url).keys() <= set(server.paid)
    assert len(server.paid) - ids(db_url).total() == kinds["no completion"]
    assert max(ids(db_url).values()) == 1


def test_no_more_calls_are_in_flight_than_allowed(build: Build, server: ChatServer) -> None:
    server.otherwise = lambda body: Answer(seconds=2.0)
    assert build("--concurrency", 3)["generated"] == 12
    assert server.most_in_flight == 3
    assert server.times == [0, 0, 0, 2, 2, 2, 4, 4, 4, 6, 6, 6]


def test_one_rate_limit_holds_all_calls_back(build: Build, server: ChatServer) -> None:
    answer = Answer(seconds=5.0)
    server.plan = [Answer(429, seconds=1.0, headers={"Retry-After": "60"}), answer, answer, answer]
    server.otherwise = lambda body: answer
    assert (build("--concurrency", 4)["failed"], len(server.bodies)) == (0, 13)
    assert server.times[:4] == [0, 0, 0, 0]
    assert all(61 <= moment <= 62 for moment in server.times[4:8])  # with up to a second of jitter
    assert min(server.times[8:]) >= 66


def test_a_failed_call_alone_waits_longer_each_time(build: Build, server: ChatServer) -> None:
    server.plan = [500] * 8
    assert build("--limit", 1)["generated"] == 1
    pauses = [later - earlier for earlier, later in pairwise(server.times)]
    for pause, longest in zip(pauses, [0.5, 1, 2, 4, 8, 16, 30, 30], strict=True):
        assert longest / 2 <= pause <= longest


def test_a_storm_of_rate_limits_fails_no_class(build: Build, server: ChatServer) -> None:
    server.plan = [429] * 40
    report = build()
    assert (report["generated"], report["failed"], len(server.paid)) == (12, 0, 12)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_server_that_asks_for_a_long_wait_ends_the_build_at_once(build: Build, server: ChatServer, form: str) -> None:
    value = "7200" if form == "seconds" else formatdate(server.clock.unix_time() + 7200, usegmt=True)
    server.otherwise = lambda body: Answer(429, headers={"Retry-After": value})
    report = build()
    assert report["exit_code"] == 1
    assert "asks to wait 7200 seconds" in report["stderr"]
    assert len(server.bodies) <= 8
    assert server.clock.now() == 0


def test_no_credit_is_not_a_rate_limit(build: Build, server: ChatServer) -> None:
    server.otherwise = lambda body: Answer(429, error={"code": "insufficient_quota", "type": "insufficient_quota"})
    report = build()
    assert report["exit_code"] == 1
    assert "openai@http" in report["stderr"]
    assert len(server.bodies) <= 8


def test_what_is_in_flight_when_a_key_is_refused_is_stored(build: Build, server: ChatServer, db_url: str) -> None:
    server.plan = [Answer(seconds=1.0), Answer(seconds=1.0), 401]
    assert build("--concurrency", 3)["exit_code"] == 1
    assert len(stored(db_url)) == len(server.paid) == 2


def test_requests_and_tokens_per_minute_are_kept(build: Build, server: ChatServer) -> None:
    assert build("--limit", 7, "--requests-per-minute", 60)["generated"] == 7
    assert server.times == [0, 1, 2, 3, 4, 5, 6]
    server.times.clear()
    build("--limit", 14, "--tokens-per-minute", 120 * 60, "--concurrency", 1)  # a call takes 120
    assert [moment - server.times[0] for moment in server.times] == pytest.approx([0, 1, 2, 3, 4, 5, 6])


def test_a_server_that_dies_ends_the_build_and_says_how_to_go_on(build: Build, server: ChatServer, db_url: str) -> None:
    server.plan, server.otherwise = [200] * 5, lambda body: Answer(502, seconds=60.0)
    report = build()
    assert report["exit_code"] == 1
    assert "no longer answers: " in report["stderr"]
    assert "Run the same command to continue" in report["stderr"]
    assert sum(row["status"] == "ok" for row in stored(db_url)) == len(server.paid) == 5
    assert 600 < server.clock.now() < 720


IN_A_SUCCESS = {  # one that pauses its own call, and one that pauses all
    "502": '{"error": {"message": "Provider returned error", "code": 502}}',
    "429": '{"error": {"message": "slow down", "code": "429"}}',
}


@pytest.mark.parametrize("body", IN_A_SUCCESS.values(), ids=list(IN_A_SUCCESS))
def test_an_error_sent_as_a_success_is_tried_again_for_ten_minutes(build: Build, server: ChatServer, body: str) -> None:
    server.otherwise = lambda asked: Answer(body=body)
    report = build("--limit", 1)
    assert report["exit_code"] == 1
    assert "no longer answers: " in report["stderr"]
    pauses = [after - before for before, after in pairwise(server.times)]
    assert 0.25 <= pauses[0] <= 1 < 15 <= pauses[-1] <= 31  # 30 seconds at most; a pause of all has a second of jitter
    assert 569 <= server.times[-1] - server.times[0] <= 601


def test_a_call_that_alone_fails_again_and_again_is_given_up_alone(build: Build, server: ChatServer) -> None:
    fails = lambda body: "brushing hair" in body["messages"][-1]["content"]  # noqa: E731
    server.otherwise = lambda body: Answer(500) if fails(body) else Answer(seconds=1.0)
    report = build("--concurrency", 2)
    assert [problem["action"] for problem in report["problems"]] == ["brush_hair"]
    assert "planned 500" in report["problems"][0]["reason"]
    assert len(server.paid) == report["generated"] == 11


def test_an_address_where_nobody_listens_ends_the_build_soon(build: Build, server: ChatServer) -> None:
    report = build("--base-url", "http://127.0.0.1:9/v1")
    assert report["exit_code"] == 1
    assert "Cannot reach http://127.0.0.1:9/v1" in report["stderr"]
    assert server.clock.now() < 15


def test_a_late_answer_is_asked_for_again(build: Build, server: ChatServer, db_url: str) -> None:
    server.plan = [Answer(late=True)]
    assert build("--limit", 1, timeout_seconds=2.0)["generated"] == 1
    [row] = stored(db_url)
    assert row["environment"]["attempts"] == len(server.bodies) >= 2
    assert [row["environment"]["id"]] == server.paid[-1:]


def test_a_server_that_never_answers_in_time_ends_the_build(build: Build, server: ChatServer) -> None:
    server.otherwise = lambda body: Answer(late=True)
    report = build("--limit", 2, timeout_seconds=0.2, retry=RetryPolicy(unreached=1.0))
    assert "no answer within 0.2 seconds (" in report["stderr"]


def test_the_cost_of_a_run_is_shown(descgen: Run, build: Build, server: ChatServer) -> None:
    assert build("--limit", 5, *PRICED)["cost"] == pytest.approx(0.6)
    assert build("--limit", 5)["cost"] == 0
    assert build("--limit", 6)["cost"] is None
    result = descgen(*BUILD, "--base-url", server.url, "--limit", 8, *PRICED)
    assert result.stdout.rstrip().endswith("seconds, 0.2400 USD")


def test_gpt_has_its_price_and_another_server_does_not() -> None:
    gpt, elsewhere = open_llm("gpt"), open_llm("gpt", LLMOptions(base_url="http://127.0.0.1:9/v1"))
    assert isinstance(gpt, Priced)
    assert isinstance(elsewhere, Priced)
    assert gpt.prices
    assert gpt.prices.cost(1_000_000, 1_000_000) == pytest.approx(2.0)
    assert gpt.prices.cost(1_000_000, 0, 1_000_000) == pytest.approx(0.1)
    assert elsewhere.prices is None


def test_a_budget_stops_before_it_is_passed_and_keeps_what_is_paid(
    build: Build, server: ChatServer, db_url: str
) -> None:
    server.otherwise = lambda body: Answer(seconds=1.0)
    report = build("--max-cost", 3, *PRICED)
    assert report["exit_code"] == 1
    assert report["stopped"] == "budget"
    assert 0.1 < report["cost"] <= 3.0
    assert report["generated"] == len(server.paid) == len(stored(db_url)) == 12 - report["left"]
    assert f"The budget of 3 USD stopped the build with {report['left']} calls left" in report["stderr"]
    assert "Run the same command to continue" in report["stderr"]
    assert build()["cached"] == 12 - report["left"]


def test_a_budget_too_small_for_one_call_names_the_smallest_that_is_enough(build: Build, server: ChatServer) -> None:
    report = build("--max-cost", "0.000001", "--price-in", 1000, "--price-out", 1000)
    assert (report["exit_code"], report["generated"], len(server.bodies)) == (1, 0, 0)
    enough = report["stderr"].strip().rpartition("--max-cost ")[2]
    below = str(float(enough) * 0.9)
    assert build("--max-cost", below, "--price-in", 1000, "--price-out", 1000)["generated"] == 0
    assert build("--max-cost", enough, "--price-in", 1000, "--price-out", 1000)["generated"] >= 1


def test_answers_that_were_lost_count_against_the_budget(build: Build, server: ChatServer) -> None:
    server.otherwise = lambda body: Answer(cut=True)
    report = build("--max-cost", 10, *PRICED)
    assert (report["stopped"], report["generated"], report["cost"]) == ("budget", 0, 0)
    assert 2 <= len(server.bodies) <= 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--llm", "openai:tiny", "--max-cost", "1"], "--max-cost needs the prices of openai:tiny"),
        (["--llm", "openai:tiny", "--price-in", "1"], "--price-in and --price-out go together"),
        (["--llm", "smollm2", "--max-cost", "1"], "smollm2 runs on this machine and has no price"),
        (["--llm", "openai:tiny", "--concurrency", "0"], "0 is not in the range"),
    ],
)
def test_wrong_options_are_refused(descgen: Run, options: list[str], message: str) -> None:
    result = descgen("build", "-d", "hmdb51", *options)
    assert result.exit_code == 2
    assert message in result.stderr


NO_FORMAT = Answer(422, error={"message": "Extra inputs are not permitted: response_format"})


@pytest.mark.parametrize(
    ("refused", "mode"),
    [({}, "json_schema"), ({"json_schema"}, "json_object"), ({"json_schema", "json_object"}, "none")],
)
def test_a_server_is_asked_for_the_best_json_that_it_takes(
    build: Build, server: ChatServer, db_url: str, refused: set[str], mode: str
) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        asked = body.get("response_format", {}).get("type", "none")
        return Answer() if asked not in refused else NO_SCHEMA if asked == "json_schema" else NO_FORMAT

    server.otherwise = answer
    assert build("--concurrency", 4)["generated"] == 12
    assert {row["environment"]["response_format"] for row in stored(db_url)} == {mode}
    assert len(server.bodies) <= 12 + 4 * len(refused)


def test_a_server_that_ignores_the_format_is_asked_without(build: Build, server: ChatServer, db_url: str) -> None:
    server.otherwise = lambda body: Answer(text=f"Sure!\n```json\n{valid_text(body)}\n```\nAnything else?")
    assert build("--concurrency", 1)["generated"] == 12
    made = Counter((row["environment"]["response_format"], row["environment"]["read_as"]) for row in stored(db_url))
    assert made == {("json_schema", "fence"): 3, ("json_object", "fence"): 3, ("none", "fence"): 6}


def test_one_bad_reply_does_not_change_the_format(build: Build, server: ChatServer, db_url: str) -> None:
    server.plan = ["chatter", 200, "chatter", "chatter", "chatter", "chatter"]
    build("--concurrency", 1)
    assert {row["environment"]["response_format"] for row in stored(db_url)} == {"json_schema"}


@pytest.mark.parametrize(
    ("answer", "finish", "reason"),
    [
        (Answer(finish_reason="length", text='{"setting": "a'), "length", "cut off after 20 tokens"),
        (Answer(finish_reason="content_filter", text=""), "filter", "stopped by the provider's content filter"),
        (Answer(message={"content": None, "refusal": "I cannot"}), "refusal", "refused: I cannot"),
        (Answer(body='{"choices": 1}'), "error", "the server's answer is no chat completion"),
        (Answer(body="<html><title>Busy</title></html>"), "error", "the server sent a web page (Busy)"),
    ],
)
def test_an_answer_that_is_no_reply_is_kept_with_its_reason(
    build: Build, server: ChatServer, db_url: str, answer: Answer, finish: str, reason: str
) -> None:
    server.plan = [answer]
    report = build("--limit", 1, "--attempts", 1)
    assert report["exit_code"] == 1
    assert reason in report["problems"][0]["reason"]
    assert [row["finish_reason"] for row in stored(db_url)] == [finish]
    assert len(server.bodies) == 1


def test_models_that_think_get_room_and_no_temperature(build: Build, descgen: Run, server: ChatServer) -> None:
    for model in ("o4-mini", "vendor/gpt-5-mini"):
        descgen(
            "build", "-d", "hmdb51", "-k", "context", "--limit", 1, "--llm", f"openai:{model}", "--base-url", server.url
        )
        assert server.bodies[-1].keys() & {"temperature", "max_tokens", "reasoning_tokens"} == set()
        assert server.bodies[-1]["max_completion_tokens"] > 4096
    server.otherwise = lambda body: Answer(
        400, error={"code": "unsupported_value", "message": "Unsupported: temperature"}
    )
    report = build()
    assert report["exit_code"] == 1
    assert "Unsupported: temperature" in report["stderr"]
    assert len(server.bodies) <= 2 + 8 * 4  # with it; then without it, in each of the three modes


@contextmanager
def process(server: ChatServer, db_url: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own, which can be sent Ctrl-C; killed if it does not end."""
    code = "from descriptor_gen.cli import descgen; descgen()"
    arguments = ["--db", db_url, *BUILD, "--base-url", server.url, "--concurrency", "4"]
    pipe = subprocess.PIPE
    running = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=pipe, stderr=pipe, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that no speed can miss: once true, it stays true."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def hold_after(server: ChatServer, calls: int) -> threading.Event:
    """Answer so many calls, and hold the others until the returned event is set."""
    gate = threading.Event()
    server.otherwise = lambda body: Answer(gate=gate if len(server.bodies) > calls else None)
    return gate


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_waits_for_paid_calls(server: ChatServer, db_url: str, number: signal.Signals) -> None:
    gate = hold_after(server, 4)
    with process(server, db_url) as running:
        assert running.stdout
        assert running.stderr
        until(lambda: len(server.paid) == 4 and server.in_flight == 4)
        running.send_signal(number)
        lines = iter(running.stderr.readline, "")
        assert any("waiting for those in flight" in line for line in lines)
        gate.set()
        err, out = running.stderr.read(), running.stdout.read()
        assert running.wait(120) == 130
    assert "Traceback" not in err
    assert len(server.paid) == len(server.bodies) == 8
    assert ids(db_url) == Counter(server.paid)
    assert "stopped by Ctrl-C: 43 calls left" in out


def test_a_closed_terminal_waits_for_paid_calls(server: ChatServer, db_url: str) -> None:
    """The terminal is gone, so that nothing can be printed; what is in flight is stored all the same."""
    gate = hold_after(server, 4)
    process_id, terminal = pty.fork()
    if process_id == 0:
        code = "from descriptor_gen.cli import descgen; descgen()"
        arguments = ["--db", db_url, *BUILD, "--base-url", server.url, "--concurrency", "4"]
        os.execv(sys.executable, [sys.executable, "-c", code, *arguments])  # noqa: S606
    until(lambda: len(server.paid) == 4 and server.in_flight == 4)
    os.close(terminal)  # the kernel sends SIGHUP
    threading.Timer(1.0, gate.set).start()
    os.waitpid(process_id, 0)
    assert len(server.paid) == len(server.bodies) == 8
    assert ids(db_url) == Counter(server.paid)


def test_a_second_ctrl_c_ends_at_once(descgen: Run, server: ChatServer, db_url: str) -> None:
    hold_after(server, 4)

    def press_twice() -> None:
        until(lambda: len(server.paid) == 4 and server.in_flight == 4)
        first = signal.getsignal(signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: signal.getsignal(signal.SIGINT) is not first)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_twice, daemon=True).start()
    result = descgen(*BUILD, "--base-url", server.url, "--concurrency", 4)
    assert result.exit_code == 130
    assert "run the same command to continue" in result.stderr
    assert server.in_flight == 4  # they were not awaited
    assert len(stored(db_url)) == 4


def test_a_stop_wakes_calls_that_wait_for_a_rate_limit(server: ChatServer) -> None:
    server.plan, server.otherwise = [200] * 2, lambda body: Answer(429, headers={"Retry-After": "10000"})
    api = ApiOptions(retry=RetryPolicy(total=20_000.0))  # on the system clock: only a stop ends this wait
    llm, [prompt] = open_llm("openai:tiny", LLMOptions(base_url=server.url, api=api)), load_prompts(["context"])
    assert isinstance(llm, Stoppable)
    groups = llm.generate([prompt.request(action) for action in load("hmdb51").actions])

    def stop_when_limited() -> None:
        until(lambda: len(server.bodies) > 2)
        llm.stop()

    threading.Thread(target=stop_when_limited, daemon=True).start()
    replies = [*next(groups)]
    with pytest.raises(StoppedEarlyError, match="interrupt"):
        replies.extend(reply for group in groups for reply in group)
    assert len(replies) == len(server.paid) == 2
