"""The Batch API against a real server on loopback; its log shows what was submitted and paid for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from db.store import Store
from descriptor_gen.llms import Priced
from descriptor_gen.llms.options import ApiOptions, BatchOptions, RetryPolicy
from descriptor_gen.llms.registry import LLMOptions, open_llm
from descriptor_gen.llms.testing import registered
from tests.fixtures.api import NO_SCHEMA, PRICED, open_tiny, stored
from tests.fixtures.batch_server import EXPIRED, BatchServer
from tests.fixtures.chat_server import Answer
from tests.fixtures.commands import Run

BUILD = ("build", "-d", "hmdb51", "-k", "context", "--llm", "openai:tiny", "--batch-api")
LOST = Answer(cut=True)
ROOT = Path(__file__).parents[3]
Build = Callable[..., dict[str, Any]]


@pytest.fixture
def build(descgen: Run, batches: BatchServer) -> Build:
    """Build by batch, with further batch options; the report, with `exit_code` and `stderr` of the command."""
    return built_by(descgen, batches)


def built_by(descgen: Run, batches: BatchServer) -> Build:

    def run(*options: str | int, **changes: Any) -> dict[str, Any]:
        tiny = open_tiny(clock=batches.clock, batches=BatchOptions(**changes))
        with registered(tiny, "tiny"):
            result = descgen(*BUILD, "--llm", "tiny", "--base-url", batches.url, "--json", *options)
        assert "Traceback" not in result.output, result.output
        assert isinstance(result.exception, SystemExit | None)
        report = json.loads(result.stdout) if result.stdout else {}
        return {**report, "exit_code": result.exit_code, "stderr": result.stderr}

    return run


def in_batch(db_url: str) -> Counter[str]:
    """How many stored replies came by each batch."""
    return Counter(row["environment"]["batch"] for row in stored(db_url))


def counts(report: dict[str, Any]) -> tuple[int, int, int, int]:
    return report["cached"], report["generated"], report["invalid"], report["failed"]


def interrupt_at(times: int, request: str) -> Callable[[str, str], None]:
    """Return a hook that presses Ctrl-C when a request comes for the n-th time."""
    requests = Counter[str]()

    def press(method: str, path: str) -> None:
        requests[f"{method} {path.split('/')[0]}"] += 1
        if requests[request] == times:
            os.kill(os.getpid(), signal.SIGINT)

    return press


def test_all_classes_go_in_one_batch_and_come_back_by_their_keys(
    build: Build, batches: BatchServer, db_url: str, store: Store
) -> None:
    batches.otherwise = lambda body: Answer(
        text=json.dumps({"setting": f"where {_plain(asked_about(body))}", "objects": ["a ball", "a bat"]})
    )
    report = build()
    assert (counts(report), report["exit_code"]) == ((0, 51, 0, 0), 0)
    assert [len(keys) for keys in batches.submitted] == [51]
    assert set(batches.calls_paid.values()) == {1}
    assert "batch batch_0: 51 calls submitted, validating" in report["stderr"]
    assert "batch batch_0: completed, 51 of 51 done, 0 failed" in report["stderr"]
    dataset = store.dataset("hmdb51")
    phrases = {action.name: action.phrase for action in dataset.actions}
    texts = [d for d in store.descriptors(dataset) if d.position == 0]
    assert len(texts) == 51
    assert all(d.text == f"where {_plain(phrases[d.action])}" for d in texts)
    assert counts(build()) == (51, 0, 0, 0)
    assert len(batches.submitted) == 1


def _plain(phrase: str) -> str:
    return phrase.replace("(", "").replace(")", "")  # the schema takes none


def asked_about(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"]).rsplit(": ", 1)[-1]


def test_a_reply_is_the_same_reply_and_says_that_it_came_by_batch(
    build: Build, descgen: Run, batches: BatchServer, db_url: str
) -> None:
    build("--limit", 2)
    one_by_one = descgen(
        *BUILD[:-1], "--base-url", batches.url, "--limit", 3, "--json", "--price-in", 1, "--price-out", 1
    )
    report = json.loads(one_by_one.stdout)
    assert (report["cached"], report["generated"]) == (2, 1)
    first, _, third = stored(db_url)
    assert first["parameters"] == third["parameters"]
    by_batch, alone = first["environment"], third["environment"]
    assert (by_batch["api"], by_batch["batch"], by_batch["served_by"]) == ("batch", "batch_0", "tiny-served")
    assert (by_batch["response_format"], by_batch["read_as"], by_batch["id"]) == ("json_schema", "json", "chat-0")
    assert "batch" not in alone
    assert alone["concurrency"] == 8
    assert first["seconds"] == 150  # the batch took 300 for two
    assert batches.bodies[0].keys() == batches.bodies[-1].keys()


@pytest.mark.parametrize(
    ("limits", "sizes"), [({"calls_per_file": 20}, [20, 20, 11]), ({"bytes_per_file": 120_000}, None)]
)
def test_a_large_job_is_split_by_count_and_by_bytes(
    build: Build, batches: BatchServer, limits: dict[str, int], sizes: list[int] | None
) -> None:
    assert counts(build(**limits)) == (0, 51, 0, 0)
    assert [len(keys) for keys in batches.submitted] == sizes or sizes is None
    assert sum(map(len, batches.submitted)) == len(batches.calls_paid) == 51
    files = [batches.files[batch["input_file_id"]] for batch in batches.batches]
    assert len(files) > 1
    assert all(len(content) <= limits.get("bytes_per_file", 200_000_000) for content in files)
    submitted = batches.requests.index("GET batches/batch_0")
    assert batches.requests[:submitted].count("POST batches") == len(files)  # all under way before the first look


def test_failed_calls_are_reported_by_class_and_repeated_by_the_next_run(
    build: Build, batches: BatchServer, db_url: str
) -> None:
    batches.otherwise = lambda body: (
        Answer(400, error={"code": "content_policy", "message": "not this"})
        if "brushing hair" in asked_about(body)
        else Answer()
    )
    report = build("--limit", 4)
    assert (counts(report), report["exit_code"]) == ((0, 3, 0, 1), 1)
    assert report["problems"] == [
        {"action": "brush_hair", "kind": "context", "reason": "400: content_policy: not this"}
    ]
    assert in_batch(db_url) == {"batch_0": 4}
    batches.otherwise = lambda body: Answer()
    assert counts(build("--limit", 4)) == (3, 1, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [4, 1]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (EXPIRED, "batch_expired: This request could not be executed before the window expired."),
        (LOST, "the batch ended (expired) without an answer to it"),
    ],
)
def test_an_expired_batch_gives_what_it_has(
    build: Build, batches: BatchServer, db_url: str, answer: Answer, reason: str
) -> None:
    batches.course, batches.plan = ["in_progress", "expired"], [answer] * 20  # those last in the file
    report = build()
    assert (counts(report), report["exit_code"]) == ((0, 31, 0, 20), 1)
    assert {problem["reason"] for problem in report["problems"]} == {reason}
    batches.course = ["completed"]
    assert counts(build()) == (31, 20, 0, 0)
    assert set(batches.calls_paid.values()) == {1}
    assert in_batch(db_url) == {"batch_0": 51, "batch_1": 20}


def test_an_invalid_reply_is_corrected_in_a_following_batch(build: Build, batches: BatchServer, db_url: str) -> None:
    batches.plan = [Answer(), Answer(text="Sure!"), Answer(finish_reason="length", text='{"a')]
    report = build("--limit", 5)
    assert (counts(report), report["retries"]) == ((0, 5, 0, 0), 2)
    assert [len(keys) for keys in batches.submitted] == [5, 2]
    assert set(batches.submitted[1]) < set(batches.submitted[0])
    corrections = [body["messages"][-1]["content"] for body in batches.bodies[5:]]
    assert any("not JSON" in text for text in corrections)
    assert any("cut off after 20 tokens" in text for text in corrections)


def test_attempts_end(build: Build, batches: BatchServer) -> None:
    batches.otherwise = lambda body: Answer(text="Sure!")
    report = build("--limit", 2, "--attempts", 2)
    assert (counts(report), report["exit_code"]) == ((0, 0, 2, 0), 1)
    assert [len(keys) for keys in batches.submitted] == [2, 2]
    assert counts(build("--limit", 2, "--attempts", 1)) == (0, 0, 2, 0)  # stored replies are not fetched again
    assert [len(keys) for keys in batches.submitted] == [2, 2, 2]


def test_a_format_that_is_refused_is_left_out_of_the_next_batch(
    build: Build, batches: BatchServer, db_url: str
) -> None:
    batches.otherwise = lambda body: (
        NO_SCHEMA if body.get("response_format", {}).get("type") == "json_schema" else Answer()
    )
    assert counts(build("--limit", 6)) == (0, 6, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [6, 6]
    assert {row["environment"]["response_format"] for row in stored(db_url)} == {"json_object"}


def test_a_system_message_that_is_refused_is_folded_in_the_next_batch(
    build: Build, batches: BatchServer, db_url: str
) -> None:
    refusal = Answer(400, error={"message": "System role not supported"})
    text = '{"setting": "a wide green field", "objects": ["a ball", "a wooden bat"]}'
    batches.otherwise = lambda body: refusal if body["messages"][0]["role"] == "system" else Answer(text=text)
    assert counts(build("--limit", 6)) == (0, 6, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [6, 6]
    assert {row["environment"]["system_message"] for row in stored(db_url)} == {"in the first question"}


def test_a_temperature_that_is_refused_is_left_out_of_the_next_batch_and_its_keys(
    build: Build, batches: BatchServer, db_url: str
) -> None:
    """The refused calls no longer count against the budget, which has room for one batch alone."""
    refusal = Answer(400, error={"message": "'temperature' does not support 0 with this model", "param": "temperature"})
    batches.otherwise = lambda body: refusal if "temperature" in body else Answer()
    report = build("--limit", 6, *PRICED, "--max-cost", 20)
    assert (counts(report), report["not_sent"]) == ((0, 6, 0, 0), ["temperature"])
    first, second = batches.submitted
    assert (len(first), len(second), set(first) & set(second)) == (6, 6, set())
    assert all("temperature" not in row["parameters"] for row in stored(db_url))
    assert counts(build("--limit", 6, "--param", "temperature=null")) == (6, 0, 0, 0)
    assert len(batches.submitted) == 2


def test_one_call_that_is_refused_among_valid_ones_changes_nothing_for_the_others(
    build: Build, batches: BatchServer
) -> None:
    refusal = Answer(400, error={"message": "blocked"})
    batches.otherwise = lambda body: refusal if "brushing hair" in body["messages"][-1]["content"] else Answer()
    assert counts(build("--limit", 6)) == (0, 5, 0, 1)
    assert [len(keys) for keys in batches.submitted] == [6]


def test_ctrl_c_leaves_and_the_same_command_picks_up(
    build: Build, batches: BatchServer, db_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    batches.course, batches.at = ["in_progress"], interrupt_at(4, "GET batches")
    left = build()
    assert (left["exit_code"], left["stopped"], left["left"]) == (130, "handed in", 51)
    assert "submitted batches continue at the provider" in capfd.readouterr().err
    assert "Run the same command to pick them up" in left["stderr"]
    assert not stored(db_url)
    batches.courses["batch_0"] = ["in_progress", "completed"]
    report = build()
    assert (counts(report), report["exit_code"]) == ((0, 51, 0, 0), 0)
    assert "batch batch_0: 51 calls picked up, in_progress" in report["stderr"]
    assert [len(keys) for keys in batches.submitted] == [51]
    assert set(batches.calls_paid.values()) == {1}


def test_ctrl_c_before_anything_was_submitted_is_reported_as_such(build: Build, batches: BatchServer) -> None:
    batches.at = interrupt_at(1, "GET batches")
    left = build()
    assert (left["exit_code"], left["stopped"], batches.submitted) == (130, "interrupt", [])


def test_a_retry_that_was_left_under_way_is_picked_up_with_what_was_asked(
    build: Build, batches: BatchServer, db_url: str
) -> None:
    batches.plan, batches.course = ["Sure!"], ["completed"]

    def hold_the_second(method: str, path: str) -> None:
        if (method, path) == ("POST", "batches") and len(batches.batches) == 1:
            batches.course, batches.at = ["in_progress"], interrupt_at(3, "GET batches")

    batches.at = hold_the_second  # type: ignore[assignment]
    left = build("--limit", 1)
    assert (left["exit_code"], left["stopped"]) == (130, "handed in")
    batches.courses["batch_1"] = ["completed"]
    assert counts(build("--limit", 1)) == (0, 1, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [1, 1]
    first, second = ([*row["messages"]] for row in stored(db_url))
    assert second[: len(first)] == first
    assert second[-2]["content"] == "Sure!"


def test_several_left_batches_are_picked_up_and_only_the_rest_is_submitted(build: Build, batches: BatchServer) -> None:
    batches.course, batches.page, batches.at = ["in_progress"], 2, interrupt_at(9, "GET batches")
    assert build("--limit", 45, calls_per_file=10)["exit_code"] == 130
    batches.courses = {name: ["completed"] for name in batches.courses}
    batches.course = ["completed"]
    assert counts(build()) == (0, 51, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [10, 10, 10, 10, 5, 6]
    assert set(batches.calls_paid.values()) == {1}


def test_an_interrupted_refresh_is_picked_up_and_stored_replies_are_not(build: Build, batches: BatchServer) -> None:
    build("--limit", 3)
    batches.course, batches.at = ["in_progress"], interrupt_at(6, "GET batches")
    assert build("--limit", 3, "--refresh")["exit_code"] == 130
    batches.courses["batch_1"] = ["completed"]
    assert counts(build("--limit", 3, "--refresh")) == (0, 3, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [3, 3]
    batches.course = ["completed"]
    assert counts(build("--limit", 3, "--refresh")) == (0, 3, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [3, 3, 3]


def test_batches_of_other_programs_are_ignored(build: Build, batches: BatchServer) -> None:
    left_under_way(build, batches)["metadata"] = {"program": "another"}
    batches.course = ["completed"]
    assert counts(build("--limit", 3)) == (0, 3, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [3, 3]
    assert batches.requests.count("GET files/file-0/content") == 0


def test_what_another_database_submitted_serves_this_one_too(
    build: Build, descgen: Run, batches: BatchServer, other_db_url: str
) -> None:
    build("--limit", 3)
    elsewhere = built_by(lambda *arguments: descgen("--db", other_db_url, *arguments), batches)
    assert counts(elsewhere("--limit", 5)) == (0, 5, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [3, 2]


def test_if_several_batches_hold_a_call_the_newest_counts(build: Build, batches: BatchServer) -> None:
    refuse = lambda body: NO_SCHEMA if body["response_format"]["type"] == "json_schema" else Answer()  # noqa: E731

    def hold_the_second(method: str, path: str) -> None:
        if (method, path) == ("POST", "batches") and len(batches.batches) == 1:
            batches.course, batches.at = ["in_progress"], interrupt_at(3, "GET batches")

    batches.otherwise, batches.at = refuse, hold_the_second  # type: ignore[assignment]
    assert build("--limit", 6)["stopped"] == "handed in"
    batches.courses["batch_1"] = ["completed"]
    assert counts(build("--limit", 6)) == (0, 6, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [6, 6]


def left_under_way(build: Build, batches: BatchServer) -> dict[str, Any]:
    """Hand three calls in and leave; return the batch."""
    batches.course, batches.at = ["in_progress"], interrupt_at(4, "GET batches")
    assert build("--limit", 3)["stopped"] == "handed in"
    return batches.batches[0]


def test_a_server_that_keeps_no_metadata_and_has_one_page_will_do(build: Build, batches: BatchServer) -> None:
    batch = left_under_way(build, batches)
    batch["metadata"], batches.courses["batch_0"], batches.pages = None, ["completed"], False
    assert counts(build("--limit", 3)) == (0, 3, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [3]


def test_a_batch_whose_file_is_gone_is_awaited_and_then_known_by_its_answers(
    build: Build, batches: BatchServer
) -> None:
    batch = left_under_way(build, batches)
    del batches.files[batch["input_file_id"]]
    report = build("--limit", 3)
    assert report["exit_code"] == 1
    assert "Batch batch_0 is running, and its file was deleted from http" in report["stderr"]
    batch["status"], batches.courses["batch_0"] = "completed", ["completed"]
    assert counts(build("--limit", 3)) == (0, 3, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [3]


def test_results_that_are_gone_are_reported(build: Build, batches: BatchServer) -> None:
    batch = left_under_way(build, batches)
    batches.courses["batch_0"] = batches.course = ["completed"]
    del batches.files[batch["output_file_id"]]
    report = build("--limit", 3)
    assert counts(report) == (0, 0, 0, 3)
    assert (
        report["problems"][0]["reason"] == f"its result file {batch['output_file_id']} no longer exists on the server"
    )
    assert counts(build("--limit", 3)) == (0, 3, 0, 0)


def test_odd_lines_of_its_files_fail_alone(build: Build, batches: BatchServer) -> None:
    batch = left_under_way(build, batches)
    batches.courses["batch_0"] = batches.course = ["completed"]
    odd_call, odd_answer = {"body": [{"messages": 1}]}, {"response": "oops"}
    for kind, odd in (("input", odd_call), ("output", odd_answer)):
        first, *others = batches.files[batch[f"{kind}_file_id"]].splitlines()
        named = json.dumps({"custom_id": json.loads(first)["custom_id"], **odd}).encode()
        nameless = [b'{"custom_id": [1]}', b'{"custom_id": 5, "response": 5}', b"7"]
        batches.files[batch[f"{kind}_file_id"]] = b"\n".join([*nameless, named, *others])
    report = build("--limit", 3)
    assert counts(report) == (0, 2, 0, 1)
    assert report["problems"][0]["reason"] == "oops"


def test_batches_of_two_months_ago_are_not_waited_for_nor_listed_to_the_end(build: Build, batches: BatchServer) -> None:
    old = left_under_way(build, batches)
    old["created_at"] -= 60 * 86_400
    batches.batches += [{**old, "id": f"batch_of_{days}", "created_at": old["created_at"] - days} for days in range(50)]
    batches.course, batches.page = ["completed"], 5
    batches.requests.clear()
    assert counts(build("--limit", 3)) == (0, 3, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [3, 3]
    assert batches.requests.count("GET batches") == 1


def test_a_batch_is_looked_at_less_and_less_often(build: Build, batches: BatchServer) -> None:
    looks: list[float] = []

    def note(method: str, path: str) -> None:
        if path == "batches/batch_0":
            looks.append(batches.clock.now())

    batches.course, batches.at = [*["in_progress"] * 9, "completed"], note  # type: ignore[assignment]
    assert counts(build("--limit", 2)) == (0, 2, 0, 0)
    pauses = [later - earlier for earlier, later in pairwise(looks)]
    assert pauses == pytest.approx([5.0, 7.5, 11.25, 16.875, 25.3125, 37.96875, 56.953125, 60.0, 60.0])
    assert BatchOptions().pause(10_000) == 60.0


APART = """
import sys
from descriptor_gen.cli import descgen
from descriptor_gen.llms.registry import register
from tests.fixtures.api import open_killed, open_tiny
from tests.fixtures.chat_server import manual_clock

register("tiny", open_killed if sys.argv.pop(1) == "killed" else open_tiny(clock=manual_clock()))
descgen()
"""


def run_apart(batches: BatchServer, db_url: str, how: str = "whole") -> subprocess.Popen[str]:
    """Run the command as a process of its own, which may be killed."""
    arguments = ["--db", db_url, *BUILD, "--llm", "tiny", "--base-url", batches.url]
    return subprocess.Popen([sys.executable, "-c", APART, how, *arguments], stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.parametrize(
    ("moment", "happened", "files"),
    [("POST batches", False, 2), ("POST batches", True, 1), ("GET batches/batch_0", True, 1)],
    ids=["before it is submitted", "before the answer", "before the first look"],
)
def test_a_killed_run_is_continued_and_nothing_is_paid_twice(
    build: Build, batches: BatchServer, db_url: str, moment: str, happened: bool, files: int
) -> None:
    running: list[subprocess.Popen[str]] = []

    def kill(method: str, path: str) -> Answer | None:
        if f"{method} {path}" != moment:
            return None
        running[0].kill()
        running[0].wait()
        return None if happened else Answer(500)

    batches.at = kill
    running.append(run_apart(batches, db_url))
    _, err = running[0].communicate(timeout=240)
    assert running[0].returncode == -signal.SIGKILL, err
    assert not stored(db_url)
    batches.at = lambda method, path: None
    assert counts(build()) == (0, 51, 0, 0)
    assert batches.requests.count("POST files") == files
    assert [len(keys) for keys in batches.submitted] == [51]
    assert set(batches.calls_paid.values()) == {1}


def test_a_run_that_is_killed_while_it_stores_goes_on_with_the_rest(
    build: Build, batches: BatchServer, db_url: str
) -> None:
    batches.plan = ["Sure!"] * 25
    running = run_apart(batches, db_url, "killed")
    running.communicate(timeout=240)
    assert running.returncode == -signal.SIGKILL
    assert Counter(row["status"] for row in stored(db_url)) == {"invalid": 25, "ok": 5}
    report = build()
    assert counts(report) == (5, 46, 0, 0)
    assert "batch batch_0: 21 calls picked up" in report["stderr"]
    assert [len(keys) for keys in batches.submitted] == [51, 25]
    assert Counter(batches.calls_paid.values()) == {1: 26, 2: 25}  # those whose first reply was invalid


def test_an_answer_that_is_lost_on_the_way_begins_no_second_batch(build: Build, batches: BatchServer) -> None:
    lost = [LOST]
    batches.at = lambda method, path: lost.pop() if lost and (method, path) == ("POST", "batches") else None
    assert counts(build("--limit", 4)) == (0, 4, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [4]
    assert batches.requests.count("POST batches") == 1


def test_transient_faults_are_waited_out(build: Build, batches: BatchServer) -> None:
    faults = [Answer(429, headers={"Retry-After": "30"}), Answer(503), Answer(cut=True)] * 3
    turn = [0]

    def every_other(method: str, path: str) -> Answer | None:
        turn[0] += 1
        return faults.pop() if faults and turn[0] % 2 else None

    batches.at = every_other
    assert counts(build("--limit", 4)) == (0, 4, 0, 0)
    assert len(faults) < 3
    assert len(batches.submitted) == 1
    assert set(batches.calls_paid.values()) == {1}


def test_a_server_that_goes_away_is_reported_with_the_batches_that_continue(build: Build, batches: BatchServer) -> None:
    batches.at = lambda method, path: Answer(502) if path == "batches/batch_0" else None
    report = build("--limit", 2, retry=RetryPolicy(total=900.0))
    assert 850 < batches.clock.now() < 900
    assert report["exit_code"] == 1
    assert "did not show batch batch_0: planned 502 (" in report["stderr"]
    assert "still trying" in report["stderr"]
    assert "Submitted batches continue there; run the same command to continue" in report["stderr"]
    batches.at = lambda method, path: None
    assert counts(build("--limit", 2)) == (0, 2, 0, 0)
    assert len(batches.submitted) == 1


@pytest.mark.parametrize("status", [404, 405])
def test_a_server_without_batches_is_reported(build: Build, batches: BatchServer, status: int) -> None:
    batches.at = lambda method, path: Answer(status)
    report = build("--limit", 2)
    assert report["exit_code"] == 1
    assert "has no Batch API" in report["stderr"]
    assert "Leave out --batch-api" in report["stderr"]
    assert not batches.files


@pytest.mark.parametrize("body", ["{}", "[]", '{"data": [{}]}', '"on"', '{"object": "list", "data": 3}'])
def test_an_invalid_answer_is_reported(build: Build, batches: BatchServer, body: str) -> None:
    batches.at = lambda method, path: Answer(body=body) if path == "batches" else None
    report = build("--limit", 2)
    assert report["exit_code"] == 1
    assert "its answer is invalid" in report["stderr"]


def test_a_batch_that_is_refused_ends_with_the_servers_words(build: Build, batches: BatchServer) -> None:
    fault = {"code": "model_not_found", "message": "The model `tiny` has no batch tier.", "line": 1, "param": None}
    batches.failing = [[fault]]
    report = build("--limit", 2)
    assert report["exit_code"] == 1
    assert "refused batch batch_0: The model `tiny` has no batch tier. (line 1)" in report["stderr"]
    assert "None of its calls was made or billed" in report["stderr"]
    assert counts(build("--limit", 2)) == (0, 2, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [2, 2]


TOO_MUCH = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached for tiny."}]


def test_what_the_providers_queue_does_not_take_is_submitted_later_or_in_parts(
    build: Build, batches: BatchServer
) -> None:
    batches.failing = [None, None, TOO_MUCH]
    assert counts(build(calls_per_file=20)) == (0, 51, 0, 0)
    assert [len(keys) for keys in batches.submitted] == [20, 20, 11, 11]
    log = batches.requests
    fourth = [place for place, request in enumerate(log) if request == "POST batches"][3]
    assert any(request.startswith("GET files/") for request in log[:fourth])  # something had ended first
    batches.failing = [TOO_MUCH, TOO_MUCH]
    assert counts(build("--limit", 8, "--refresh")) == (0, 8, 0, 0)
    assert [len(keys) for keys in batches.submitted[4:]] == [8, 4, 4, 4]
    batches.failing = [TOO_MUCH] * 2
    report = build("--limit", 2, "--refresh", "-a", "wave")
    assert "Enqueued token limit reached for tiny" in report["stderr"]


def test_the_cost_is_that_of_batches(build: Build, batches: BatchServer, descgen: Run) -> None:
    assert build("--limit", 5, *PRICED, "--batch-discount", 0.5)["cost"] == pytest.approx(0.3)
    assert build("--limit", 6, *PRICED)["cost"] == pytest.approx(0.12)
    assert build("--limit", 7)["cost"] is None
    batches.plan = [EXPIRED]
    assert build("--limit", 9, *PRICED, "--batch-discount", 0.5)["cost"] == pytest.approx(0.06)


def test_gpt_has_a_batch_price() -> None:
    gpt = open_llm("gpt", LLMOptions(api=ApiOptions(batch=True)))
    dearer = open_llm("gpt", LLMOptions(api=ApiOptions(batch=True, batch_discount=0.25)))
    prices = [llm.prices for llm in (gpt, dearer) if isinstance(llm, Priced)]
    assert [each.cost(1_000_000, 1_000_000) for each in prices if each] == pytest.approx([1.0, 1.5])
    assert [each.cost(1_000_000, 0, 1_000_000) for each in prices if each] == pytest.approx([0.2, 0.3])
    assert (gpt.identity, gpt.parameters) == (open_llm("gpt").identity, open_llm("gpt").parameters)


def test_a_budget_trims_the_batch_before_it_is_submitted(build: Build, batches: BatchServer, db_url: str) -> None:
    report = build("--max-cost", 20, *PRICED, "--batch-discount", 0.5)
    assert (report["exit_code"], report["stopped"]) == (1, "budget")
    [submitted] = batches.submitted
    assert 0 < len(submitted) == report["generated"] == 51 - report["left"] < 51
    assert f"the budget allows {len(submitted)} of 51 calls, at their highest possible cost" in report["stderr"]
    assert f"The budget of 20 USD stopped the build with {report['left']} calls left" in report["stderr"]
    assert report["cost"] == pytest.approx(0.06 * len(submitted))
    more = build("--max-cost", 0.001, *PRICED)
    assert (more["stopped"], more["generated"], len(batches.submitted)) == ("budget", 0, 1)
    assert build("--max-cost", 1000, *PRICED)["cached"] == len(submitted)


def test_what_is_under_way_counts_against_the_budget(build: Build, batches: BatchServer) -> None:
    room = ("--max-cost", 6, *PRICED)  # for two calls or three, at the most that they can cost
    fresh = build(*room)["generated"]
    assert 0 < fresh <= 3
    batches.course, batches.at = ["in_progress"], interrupt_at(9, "GET batches")
    assert build("--limit", fresh + 3)["stopped"] == "handed in"
    batches.courses["batch_1"] = ["completed"]
    report = build(*room)
    assert (counts(report), report["stopped"]) == ((fresh, 3, 0, 0), "budget")
    assert "0 of" in report["stderr"]
    assert len(batches.submitted) == 2


def test_a_dry_run_talks_to_nobody(build: Build, batches: BatchServer) -> None:
    estimate = build("--dry-run", *PRICED)
    assert (estimate["calls"], estimate["exit_code"], batches.requests) == (51, 0, [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--llm", "smollm2", "--batch-api"], "smollm2 runs on this machine and has no Batch API"),
        (["--llm", "openai:tiny", "--batch-discount", "0.5"], "--batch-discount needs --batch-api"),
        (
            ["--llm", "openai:tiny", "--batch-api", "--concurrency", "8"],
            "--concurrency and --batch-api cannot be combined",
        ),
        (["--llm", "openai:tiny", "--batch-api", "--tokens-per-minute", "9"], "--tokens-per-minute and --batch-api"),
        (["--llm", "openai:tiny", "--batch-api", "--max-cost", "1"], "--max-cost needs the prices of openai:tiny"),
    ],
)
def test_wrong_options_are_refused(descgen: Run, options: list[str], message: str) -> None:
    result = descgen("build", "-d", "hmdb51", *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_two_builders_submit_no_call_twice(batches: BatchServer, db_url: str) -> None:
    builders = [run_apart(batches, db_url) for _ in range(2)]
    assert [builder.communicate(timeout=240) and builder.returncode for builder in builders] == [0, 0]
    assert sum(map(len, batches.submitted)) == 51
    assert set(batches.calls_paid.values()) == {1}
    assert sum(row["status"] == "ok" for row in stored(db_url)) == 51


def test_more_claims_are_taken_at_a_time_than_a_statement_holds(store: Store) -> None:
    keys = [f"{number:064x}" for number in range(1_203)]
    with store.claims() as mine, store.claims() as others:
        assert mine.take(keys[:700], at_most=1_000_000) == set(keys[:700])
        assert others.take(keys, at_most=501) == set(keys[700:1_201])
