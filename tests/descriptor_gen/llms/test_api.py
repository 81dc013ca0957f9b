"""API models against a real server on loopback that fails as planned; its log is the witness of what was paid."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from db.vocabulary import load
from descriptor_gen.llms import Stoppable, StoppedEarlyError
from descriptor_gen.llms.api.rate_limit import Patience
from descriptor_gen.llms.registry import LLMOptions, open_llm
from descriptor_gen.llms.reply_json import reading_of
from descriptor_gen.prompting.prompt import load_prompts
from descriptor_gen.prompting.reply import InvalidReplyError, texts_of
from tests.fixtures.api import NO_SCHEMA, PRICED, stored
from tests.fixtures.chat_server import Answer, ChatServer, valid_text
from tests.fixtures.commands import Run

BUILD = ("build", "-d", "hmdb51", "-k", "context", "--llm", "openai:tiny")
ALL = ("--limit", "51")
SOME = ("--limit", "12")  # classes, where all 51 would show no more


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rules on a faster clock."""
    patience = Patience(total=5.0, unreached=0.3, first=0.02, longest=0.1)
    monkeypatch.setattr("descriptor_gen.llms.api.call.PATIENCE", patience)
    for module in ("openai", "call"):
        monkeypatch.setattr(f"descriptor_gen.llms.api.{module}.TIMEOUT_SECONDS", 0.5)


Build = Callable[..., Any]


@pytest.fixture
def build(descgen: Run, server: ChatServer) -> Build:
    """Build from the server; the report, with `exit_code` and `stderr` of the command."""

    def run(*options: str | int) -> dict[str, Any]:
        result = descgen(*BUILD, *SOME, "--base-url", server.url, "--json", *options)
        told = json.loads(result.stdout) if result.stdout else {}
        assert "Traceback" not in result.output
        return {**told, "exit_code": result.exit_code, "stderr": result.stderr}

    return run


def ids(database: Path) -> Counter[str]:
    return Counter(row["environment"]["id"] for row in stored(database) if "id" in row["environment"])


FAULTS: dict[str, Answer] = {
    "429": Answer(429, headers={"Retry-After": "0.05"}),
    "500": Answer(500),
    "503": Answer(503, headers={"Retry-After-Ms": "30"}),
    "cut": Answer(cut=True),
    "late": Answer(seconds=0.8, late=True),
    "chatter": Answer(text="Sure! Here are the objects: a ball"),
    "half": Answer(text='{"setting": "a wide green'),
    "empty": Answer(text=""),
    "no completion": Answer(body='{"id": "x", "choi'),
}


def test_with_a_third_of_all_answers_faulty_every_class_is_valid_and_each_paid_call_stored_once(
    build: Build, server: ChatServer, database: Path
) -> None:
    faults = cycle(FAULTS.values())
    server.otherwise = lambda body: next(faults) if len(server.asked) % 10 in (2, 5, 9) else Answer()
    reports = [build(*ALL)]
    while reports[-1]["exit_code"] and len(reports) < 5:
        reports.append(build(*ALL))
    assert reports[-1]["cached"] + reports[-1]["generated"] == 51
    kinds = Counter(name for answer in server.sent for name, fault in FAULTS.items() if answer is fault)
    assert kinds.keys() == FAULTS.keys()
    assert sum(kinds.values()) == pytest.approx(0.3 * len(server.sent), abs=1)
    rows = stored(database)
    assert len(rows) == len(server.paid)
    assert sum(report["generated"] for report in reports) == 51
    assert ids(database).keys() <= set(server.paid)
    assert len(server.paid) - ids(database).total() == kinds["no completion"]
    assert max(ids(database).values()) == 1


def test_no_more_calls_are_in_flight_than_allowed(build: Build, server: ChatServer) -> None:
    server.otherwise = lambda body: Answer(seconds=0.2)
    assert build("--concurrency", 3)["generated"] == 12
    assert server.busiest == 3


def test_one_rate_limit_holds_all_calls_back(build: Build, server: ChatServer) -> None:
    server.plan = [*[200] * 4, Answer(429, headers={"Retry-After": "0.6"})]
    assert (build("--concurrency", 4)["failed"], len(server.asked)) == (0, 13)
    limited = server.times[4]
    assert sum(limited + 0.1 < moment < limited + 0.55 for moment in server.times) == 0
    assert sum(moment > limited + 0.55 for moment in server.times) >= 5


def test_a_storm_of_rate_limits_fails_no_class(build: Build, server: ChatServer) -> None:
    server.plan = [429] * 40
    report = build()
    assert (report["generated"], report["failed"], len(server.paid)) == (12, 0, 12)


@pytest.mark.parametrize("value", ["7200", formatdate(time.time() + 7200, usegmt=True)], ids=["seconds", "date"])
def test_a_server_that_wants_a_long_rest_ends_the_build_at_once(build: Build, server: ChatServer, value: str) -> None:
    server.otherwise = lambda body: Answer(429, headers={"Retry-After": value})
    report = build()
    assert report["exit_code"] == 1
    assert "asks to wait 7" in report["stderr"]
    assert len(server.asked) <= 8


def test_no_credit_is_not_a_rate_limit(build: Build, server: ChatServer) -> None:
    server.otherwise = lambda body: Answer(429, error={"code": "insufficient_quota", "type": "insufficient_quota"})
    report = build()
    assert report["exit_code"] == 1
    assert "openai@http" in report["stderr"]
    assert len(server.asked) <= 8


def test_what_is_in_flight_when_a_key_is_refused_is_stored(build: Build, server: ChatServer, database: Path) -> None:
    server.plan = [Answer(seconds=0.2), Answer(seconds=0.2), 401]
    assert build("--concurrency", 3)["exit_code"] == 1
    assert len(stored(database)) == len(server.paid) == 2


def test_requests_and_tokens_per_minute_are_kept(build: Build, server: ChatServer) -> None:
    start = time.monotonic()
    assert build("--limit", 7, "--requests-per-minute", 1200)["generated"] == 7
    gaps = [later - earlier for earlier, later in zip(server.times, server.times[1:], strict=False)]
    assert sum(gaps) >= 6 * 0.05 - 0.02
    server.times.clear()
    assert build("--tokens-per-minute", 120 * 60 * 20, "--limit", 14)["generated"] == 7
    assert server.times[-1] - server.times[0] >= 6 * 0.05 - 0.1
    assert time.monotonic() - start < 10


def test_a_server_that_dies_ends_the_build_and_says_how_to_go_on(
    build: Build, server: ChatServer, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("descriptor_gen.llms.api.call.PATIENCE", Patience(0.3, 0.3, 0.02, 0.1))
    server.plan, server.otherwise = [200] * 5, lambda body: Answer(502)
    report = build()
    assert report["exit_code"] == 1
    assert "no longer answers: " in report["stderr"]
    assert "Run the same command to go on" in report["stderr"]
    assert sum(row["status"] == "ok" for row in stored(database)) == len(server.paid) == 5


def test_a_call_that_alone_fails_again_and_again_is_given_up_alone(
    build: Build, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("descriptor_gen.llms.api.call.PATIENCE", Patience(0.3, 0.3, 0.02, 0.1))
    fails = lambda body: "brushing hair" in body["messages"][-1]["content"]  # noqa: E731
    server.otherwise = lambda body: Answer(500) if fails(body) else Answer(seconds=0.03)
    report = build("--concurrency", 2)
    assert [problem["action"] for problem in report["problems"]] == ["brush_hair"]
    assert "planned 500" in report["problems"][0]["reason"]
    assert len(server.paid) == report["generated"] == 11


def test_an_address_where_nobody_listens_is_told_soon(descgen: Run, server: ChatServer) -> None:
    result = descgen(*BUILD, "--base-url", "http://127.0.0.1:9/v1")
    assert result.exit_code == 1
    assert "Cannot reach http://127.0.0.1:9/v1" in result.stderr


def test_a_late_answer_is_asked_for_again(build: Build, server: ChatServer, database: Path) -> None:
    server.plan = [Answer(seconds=0.8, late=True)]
    assert build("--limit", 1)["generated"] == 1
    assert [row["environment"]["attempts"] for row in stored(database)] == [2]
    server.otherwise = lambda body: Answer(seconds=0.8, late=True)
    assert "no answer within 0.5 seconds (" in build("--limit", 2)["stderr"]


def test_the_cost_of_a_run_is_told(descgen: Run, build: Build, server: ChatServer) -> None:
    assert build("--limit", 5, *PRICED)["cost"] == pytest.approx(0.6)
    assert build("--limit", 5)["cost"] == 0
    assert build("--limit", 6)["cost"] is None
    result = descgen(*BUILD, "--base-url", server.url, "--limit", 8, *PRICED)
    assert result.stdout.rstrip().endswith("seconds, 0.2400 USD")


def test_gpt_has_its_price_and_another_server_does_not() -> None:
    from descriptor_gen.llms.api.openai import OpenAILLM

    gpt, elsewhere = open_llm("gpt"), open_llm("gpt", LLMOptions(base_url="http://127.0.0.1:9/v1"))
    assert isinstance(gpt, OpenAILLM)
    assert isinstance(elsewhere, OpenAILLM)
    assert gpt._budget.prices
    assert gpt._budget.prices.of(1_000_000, 1_000_000) == pytest.approx(2.0)
    assert gpt._budget.prices.of(1_000_000, 0, 1_000_000) == pytest.approx(0.1)
    assert elsewhere._budget.prices is None


def test_a_budget_stops_before_it_is_passed_and_keeps_what_is_paid(
    build: Build, server: ChatServer, database: Path
) -> None:
    server.otherwise = lambda body: Answer(seconds=0.01)
    report = build("--max-cost", 3, *PRICED)
    assert report["exit_code"] == 1
    assert report["stopped"] == "budget"
    assert 0.1 < report["cost"] <= 3.0
    assert report["generated"] == len(server.paid) == len(stored(database)) == 12 - report["left"]
    assert f"The budget of 3 USD stopped it with {report['left']} calls left" in report["stderr"]
    assert "Run the same command to go on" in report["stderr"]
    assert build()["cached"] == 12 - report["left"]


def test_answers_that_were_lost_count_against_the_budget(build: Build, server: ChatServer) -> None:
    server.otherwise = lambda body: Answer(cut=True)
    report = build("--max-cost", 10, *PRICED)
    assert (report["stopped"], report["generated"], report["cost"]) == ("budget", 0, 0)
    assert 2 <= len(server.asked) <= 8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--llm", "openai:tiny", "--max-cost", "1"], "--max-cost needs the prices of openai:tiny"),
        (["--llm", "openai:tiny", "--price-in", "1"], "--price-in and --price-out go together"),
        (["--llm", "smollm2", "--max-cost", "1"], "smollm2 runs on this machine and has no price"),
        (["--llm", "openai:tiny", "--concurrency", "0"], "0 is not in the range"),
    ],
)
def test_wrong_options_are_told(descgen: Run, options: list[str], said: str) -> None:
    result = descgen("build", "-d", "hmdb51", *options)
    assert result.exit_code == 2
    assert said in result.stderr


NO_FORMAT = Answer(422, error={"message": "Extra inputs are not permitted: response_format"})


@pytest.mark.parametrize(
    ("refused", "mode"),
    [({}, "json_schema"), ({"json_schema"}, "json_object"), ({"json_schema", "json_object"}, "none")],
)
def test_a_server_is_asked_for_the_best_json_that_it_takes(
    build: Build, server: ChatServer, database: Path, refused: set[str], mode: str
) -> None:
    def answer(body: dict[str, Any]) -> Answer:
        asked = body.get("response_format", {}).get("type", "none")
        return Answer() if asked not in refused else NO_SCHEMA if asked == "json_schema" else NO_FORMAT

    server.otherwise = answer
    assert build("--concurrency", 4)["generated"] == 12
    assert {row["environment"]["response_format"] for row in stored(database)} == {mode}
    assert len(server.asked) <= 12 + 4 * len(refused)


def test_a_server_that_ignores_the_format_is_asked_without(build: Build, server: ChatServer, database: Path) -> None:
    server.otherwise = lambda body: Answer(text=f"Sure!\n```json\n{valid_text(body)}\n```\nAnything else?")
    assert build("--concurrency", 1)["generated"] == 12
    made = Counter((row["environment"]["response_format"], row["environment"]["read_as"]) for row in stored(database))
    assert made == {("json_schema", "fence"): 3, ("json_object", "fence"): 3, ("none", "fence"): 6}


def test_one_bad_reply_does_not_change_the_format(build: Build, server: ChatServer, database: Path) -> None:
    server.plan = ["chatter", 200, "chatter", "chatter", "chatter", "chatter"]
    build("--concurrency", 1)
    assert {row["environment"]["response_format"] for row in stored(database)} == {"json_schema"}


@pytest.mark.parametrize(
    ("answer", "finish", "reason"),
    [
        (Answer(finish_reason="length", text='{"setting": "a'), "length", "cut off after 20 tokens"),
        (Answer(finish_reason="content_filter", text=""), "filter", "stopped by the provider's content filter"),
        (Answer(message={"content": None, "refusal": "I cannot"}), "refusal", "refused: I cannot"),
        (Answer(body='{"choices": []}'), "error", "the server's answer is no chat completion"),
        (Answer(body="<html>busy</html>"), "error", "the server's answer is no chat completion"),
    ],
)
def test_an_answer_that_is_no_reply_is_kept_with_its_reason(
    build: Build, server: ChatServer, database: Path, answer: Answer, finish: str, reason: str
) -> None:
    server.plan = [answer]
    report = build("--limit", 1, "--attempts", 1)
    assert report["exit_code"] == 1
    assert reason in report["problems"][0]["reason"]
    assert [row["finish_reason"] for row in stored(database)] == [finish]
    assert len(server.asked) == 1


SCHEMA = {"type": "object", "properties": {"texts": {"type": "array"}}, "required": ["texts"]}


@pytest.mark.parametrize(
    ("reply", "reading", "texts"),
    [
        ('{"texts": ["A ball."]}', "json", ("a ball",)),
        ('Sure!\n```json\n{"texts": ["a ball"]}\n```\nMore?', "fence", ("a ball",)),
        ('```\n{"texts": ["a ball"]}\n```', "fence", ("a ball",)),
        ('Of {this} kind: {"texts": ["a ball"]} and {"texts": ["a bat"]}', "braces", ("a ball",)),
        ('<think>{"texts": ["a draft"]}?</think>{"texts": ["a ball"]}', "braces", ("a ball",)),
        ("1. a ball\n2. a bat", "none", None),
        ('["a ball", "a bat"]', "json", None),
        ('Here: {"texts": ["a ball", ', "none", None),
        ("  ", "empty", None),
    ],
)
def test_json_is_found_in_chatter_and_nothing_else_is(reply: str, reading: str, texts: tuple[str, ...] | None) -> None:
    assert reading_of(reply) == reading
    if texts is None:
        with pytest.raises(InvalidReplyError):
            texts_of(reply, SCHEMA)
    else:
        assert texts_of(reply, SCHEMA) == texts


def test_models_that_think_get_room_and_no_temperature(build: Build, descgen: Run, server: ChatServer) -> None:
    for model in ("o4-mini", "vendor/gpt-5-mini"):
        descgen(
            "build", "-d", "hmdb51", "-k", "context", "--limit", 1, "--llm", f"openai:{model}", "--base-url", server.url
        )
        assert server.asked[-1].keys() & {"temperature", "max_tokens", "reasoning_tokens"} == set()
        assert server.asked[-1]["max_completion_tokens"] > 4096
    server.otherwise = lambda body: Answer(
        400, error={"code": "unsupported_value", "message": "Unsupported: temperature"}
    )
    report = build()
    assert report["exit_code"] == 1
    assert "Unsupported: temperature" in report["stderr"]
    assert len(server.asked) <= 2 + 8


@contextmanager
def process(server: ChatServer, database: Path) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own, of which a Ctrl-C can be asked; killed if it does not end."""
    code = "from descriptor_gen.cli import descgen; descgen()"
    arguments = ["--db", str(database), *BUILD, "--base-url", server.url, "--concurrency", "4"]
    running = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_waits_for_what_is_paid(server: ChatServer, database: Path) -> None:
    server.otherwise = lambda body: Answer(seconds=0.3)
    with process(server, database) as running:
        until(lambda: len(server.paid) >= 4 and server.in_flight == 4)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=10)
    assert running.returncode == 130
    assert "waiting for those in flight" in err
    assert "Traceback" not in err
    assert 8 <= len(server.paid) == len(server.asked) < 51
    assert ids(database) == Counter(server.paid)
    assert f"stopped by Ctrl-C: {51 - len(server.paid)} calls left" in out


def test_a_second_ctrl_c_ends_at_once(descgen: Run, server: ChatServer, database: Path) -> None:
    server.otherwise = lambda body: Answer(seconds=20.0 if len(server.asked) > 4 else 0.0)

    def press_twice() -> None:
        until(lambda: len(server.paid) == 4 and server.in_flight == 4)
        for _ in range(2):
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_twice, daemon=True).start()
    start = time.monotonic()
    result = descgen(*BUILD, "--base-url", server.url, "--concurrency", 4)
    assert result.exit_code == 130
    assert "run the same command to go on" in result.stderr
    assert time.monotonic() - start < 10
    assert len(stored(database)) == 4


def test_a_stop_wakes_calls_that_wait_for_a_rate_limit(server: ChatServer) -> None:
    server.plan, server.otherwise = [200] * 2, lambda body: Answer(429, headers={"Retry-After": "4"})
    llm, [prompt] = open_llm("openai:tiny", LLMOptions(base_url=server.url)), load_prompts(["context"])
    assert isinstance(llm, Stoppable)
    groups = llm.generate([prompt.request(action) for action in load("hmdb51").actions])
    replies, start = [*next(groups)], time.monotonic()
    threading.Timer(0.5, llm.stop).start()
    with pytest.raises(StoppedEarlyError, match="interrupt"):
        replies.extend(reply for group in groups for reply in group)
    assert len(replies) == len(server.paid) == 2
    assert time.monotonic() - start < 3
