"""`descgen build --write-batch` and `--read-batch`: another program makes the calls."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descriptor_gen.llms.api.completion import Completion
from descriptor_gen.llms.batch.files import CallError, read_call, read_lines, read_result
from descriptor_gen.llms.batch.openai_batch import OpenAIBatch
from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.api import stored
from tests.fixtures.commands import Run

LLM = ("--llm", "openai:some/model", "--base-url", "http://cluster/v1")
BUILD = ("build", "-d", "hmdb51", "-k", "context", *LLM, "--limit", 4)
NAMES = (  # of what stands in the lines of the files
    *("custom_id", "response", "error", "status_code", "body", "choices", "message", "content", "code", "usage"),
    *("messages", "response_format", "type", "role", "tool_calls", "function", "arguments", "prompt_tokens", "index"),
    *("finish_reason", "native_finish_reason", "refusal", "completion_tokens_details", "reasoning_tokens", "text"),
)
VALID = json.dumps({"setting": "a green field", "objects": ["a ball", "a bat"]})


def answer(call: Mapping[str, Any], text: str = VALID, **changes: Any) -> str:
    """A line as vLLM's run-batch writes it."""
    message = {"role": "assistant", "content": text}
    body = {
        "id": "chat-1",
        "model": call["body"]["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
    }
    response = {"status_code": 200, "request_id": "vllm-batch-1", "body": body}
    return json.dumps({"id": "vllm-1", "custom_id": call["custom_id"], "response": response, "error": None} | changes)


def failed(call: Mapping[str, Any]) -> str:
    return answer(call, response={"status_code": 400, "body": {"error": {"message": "too long"}}})


@pytest.fixture
def calls(descgen: Run, tmp_path: Path) -> list[dict[str, Any]]:
    """The calls of a build, written to a file."""
    result = descgen(*BUILD, "--write-batch", tmp_path / "calls.jsonl")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]


def write(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_the_file_is_what_the_server_would_be_asked(descgen: Run, calls: list[dict[str, Any]], db_url: str) -> None:
    assert len({call["custom_id"] for call in calls}) == 4
    assert {(call["method"], call["url"]) for call in calls} == {("POST", "/v1/chat/completions")}
    body = calls[0]["body"]
    assert (body["model"], body["temperature"]) == ("some/model", 0.0)
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["setting", "objects"]
    assert body["max_tokens"] > 0
    assert [message["role"] for message in body["messages"]][:: len(body["messages"]) - 1] == ["system", "user"]
    assert stored(db_url) == []


@pytest.mark.parametrize(
    ("llm", "is_hosted"),
    [
        (("--llm", "gpt"), True),
        (("--llm", "gpt", "--base-url", "https://api.openai.com/v1"), True),
        (("--llm", "openai:our-gpt", "--base-url", "https://us.openai.azure.com/openai/v1"), True),
        (("--llm", "openai:some/model", "--base-url", "http://cluster/v1"), False),
    ],
)
def test_vllm_is_named_only_for_models_that_it_can_run(
    descgen: Run, tmp_path: Path, llm: tuple[str, ...], is_hosted: bool
) -> None:
    result = descgen("build", "-d", "hmdb51", "-k", "context", *llm, "--write-batch", tmp_path / "calls.jsonl")
    assert ("vllm run-batch" in result.stdout, "the provider's Batch API" in result.stdout) == (
        not is_hosted,
        is_hosted,
    )
    assert "--read-batch answers.jsonl" in result.stdout


def test_answers_in_any_order_become_the_same_rows(
    descgen: Run, calls: list[dict[str, Any]], db_url: str, tmp_path: Path
) -> None:
    foreign = answer({"custom_id": "0" * 64, "body": {"model": "other"}})
    path = write(tmp_path / "answers.jsonl", [foreign, *(answer(call) for call in reversed(calls))])
    report = json.loads(descgen(*BUILD, "--read-batch", path, "--json").stdout)
    assert (report["cached"], report["generated"], report["left"]) == (0, 4, 0)
    rows = stored(db_url)
    assert {row["cache_key"] for row in rows} == {call["custom_id"] for call in calls}
    assert {row["environment"]["api"] for row in rows} == {"batch file"}
    assert all(row["environment"]["batch"].startswith("file:") for row in rows)
    again = descgen(*BUILD, "--json")  # without any file or server: all is cached
    assert json.loads(again.stdout)["cached"] == 4
    written = descgen(*BUILD, "--write-batch", tmp_path / "none.jsonl")
    assert "every reply is cached" in written.stdout
    assert not (tmp_path / "none.jsonl").exists()


def test_what_is_not_answered_is_counted_and_written_again(
    descgen: Run, calls: list[dict[str, Any]], db_url: str, tmp_path: Path
) -> None:
    first = write(
        tmp_path / "first.jsonl", [answer(calls[0]), failed(calls[1]), answer(calls[2], "no json"), '{"cut off']
    )
    result = descgen(*BUILD, "--read-batch", first)
    assert result.exit_code == 1
    assert "1 generated, 1 invalid, 1 failed" in result.stdout
    assert "too long" in result.stdout
    assert "1 lines are no answers in JSON" in result.stderr
    assert "3 calls have no valid answer in these files (1 invalid, 1 failed, 1 absent)" in result.stderr
    assert "--write-batch" in result.stderr
    again = descgen(*BUILD, "--read-batch", first)
    assert "1 cached, 0 generated, 1 invalid, 1 failed" in again.stdout
    assert "3 calls have no valid answer in these files (1 invalid, 1 failed, 1 absent)" in again.stderr
    assert len(stored(db_url)) == 3  # the failed and the invalid answer are not stored twice
    rest = tmp_path / "rest.jsonl"
    assert descgen(*BUILD, "--write-batch", rest).exit_code == 0
    left = [json.loads(line) for line in rest.read_text().splitlines()]
    assert [call["custom_id"] for call in left] == [call["custom_id"] for call in calls[1:]]
    second = write(tmp_path / "second.jsonl", map(answer, left))
    report = json.loads(descgen(*BUILD, "--read-batch", first, "--read-batch", second, "--json").stdout)
    assert (report["cached"], report["generated"], report["invalid"]) == (1, 3, 0)


def test_a_file_that_is_read_again_says_how_many_calls_it_leaves(
    descgen: Run, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    half = write(tmp_path / "half.jsonl", map(answer, calls[:2]))
    for said in (
        "2 calls have no valid answer in these files (2 absent)",
        "answers one of the 2 missing calls. If it was read before",
    ):
        result = descgen(*BUILD, "--read-batch", half)
        assert (result.exit_code, said in result.stderr) == (1, True), result.stderr


def test_answers_are_read_beyond_any_number_of_calls_without_one(
    descgen: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenAIBatch, "calls_at_a_time", 3)
    descgen(*BUILD[:-1], 6, "--write-batch", tmp_path / "calls.jsonl")
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    path = write(tmp_path / "answers.jsonl", map(answer, calls[3:]))
    report = json.loads(descgen(*BUILD[:-1], 6, "--read-batch", path, "--json").stdout)
    assert (report["generated"], report["left"]) == (3, 3)


@pytest.mark.parametrize("option", ["--write-batch", "--read-batch"])
def test_an_llm_of_ones_own_is_not_called_instead(descgen: Run, llm: FakeLLM, tmp_path: Path, option: str) -> None:
    result = descgen("build", "-d", "hmdb51", "-k", "context", "--llm", "fake", option, tmp_path / "x.jsonl")
    assert (result.exit_code, llm.history) == (2, [])
    assert "fake is not asked by files" in result.stderr


def test_the_first_valid_answer_to_a_call_counts(
    descgen: Run, calls: list[dict[str, Any]], db_url: str, tmp_path: Path
) -> None:
    other = VALID.replace("green field", "narrow street")
    cut_off = json.loads(answer(calls[3]))
    cut_off["response"]["body"]["choices"][0]["finish_reason"] = "length"
    lines = [
        *(answer(calls[0], other), answer(calls[1], "no json"), failed(calls[2]), json.dumps(cut_off)),
        *(answer(call) for call in calls),
        *(answer(call, "no json") for call in calls),
    ]
    result = descgen(*BUILD, "--read-batch", write(tmp_path / "answers.jsonl", lines))
    assert (result.exit_code, "0 cached, 4 generated, 0 invalid, 0 failed" in result.stdout) == (0, True)
    replies = {row["cache_key"]: row["reply"] for row in stored(db_url)}
    assert replies == {call["custom_id"]: other if call is calls[0] else VALID for call in calls}
    assert len(stored(db_url)) == 4


@pytest.mark.parametrize("at_a_time", ["bad first", "good first", "bad before", "both before"])
def test_the_order_of_reading_changes_nothing_but_the_history(
    descgen: Run, calls: list[dict[str, Any]], db_url: str, tmp_path: Path, at_a_time: str
) -> None:
    bad = write(tmp_path / "bad.jsonl", [answer(calls[0], "no json"), *map(failed, calls[1:])])
    good = write(tmp_path / "good.jsonl", [answer(calls[0], "no json"), *map(answer, calls)])
    if at_a_time in ("bad before", "both before"):
        assert "4 calls have no valid answer" in descgen(*BUILD, "--read-batch", bad).stderr
    if at_a_time == "both before":
        descgen(*BUILD, "--read-batch", bad)
    files = [good, bad] if at_a_time == "good first" else [bad, good]
    report = json.loads(descgen(*BUILD, "--read-batch", files[0], "--read-batch", files[1], "--json").stdout)
    assert (report["generated"], report["invalid"], report["failed"], report["left"]) == (4, 0, 0, 0)
    valid = {row["cache_key"]: row["reply"] for row in stored(db_url) if row["status"] == "ok"}
    assert valid == dict.fromkeys((call["custom_id"] for call in calls), VALID)
    assert len(stored(db_url)) == (8 if "before" in at_a_time else 4)  # the bad ones are stored once


def test_what_is_left_is_told_and_is_what_the_next_file_holds(descgen: Run, db_url: str, tmp_path: Path) -> None:
    of_six = (*BUILD[:-1], 6)
    descgen(*of_six, "--write-batch", tmp_path / "calls.jsonl")
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    lines = [*map(answer, calls[:2]), answer(calls[2], "no json"), failed(calls[3])]
    path = write(tmp_path / "answers.jsonl", lines)
    for cached in (0, 2):
        result = descgen(*of_six, "--read-batch", path, "--json")
        report = json.loads(result.stdout)
        assert (result.exit_code, report["cached"], report["left"]) == (1, cached, 2)
        assert [problem["reason"] for problem in report["problems"]][1:] == ["400: too long"]
        assert "4 calls have no valid answer in these files (1 invalid, 1 failed, 2 absent)" in result.stderr
    assert len(stored(db_url)) == 4
    descgen(*of_six, "--write-batch", tmp_path / "rest.jsonl")
    rest = [json.loads(line)["custom_id"] for line in (tmp_path / "rest.jsonl").read_text().splitlines()]
    assert rest == [call["custom_id"] for call in calls[2:]]


def test_a_refresh_goes_on_with_the_same_file(
    descgen: Run, calls: list[dict[str, Any]], db_url: str, tmp_path: Path
) -> None:
    descgen(*BUILD, "--read-batch", write(tmp_path / "old.jsonl", map(answer, calls)))
    new = VALID.replace("green field", "narrow street")
    half = write(tmp_path / "half.jsonl", [answer(call, new) for call in calls[:2]])
    result = descgen(*BUILD, "--refresh", "--read-batch", half)
    assert "0 cached, 2 generated" in result.stdout
    assert "2 calls have no valid answer in these files (2 absent)" in result.stderr
    assert "--write-batch" not in result.stderr  # it would write all calls again
    rest = write(tmp_path / "rest.jsonl", [answer(call, new) for call in calls])
    refresh = (*BUILD, "--refresh", "--read-batch", half, "--read-batch", rest)
    for counts in ("2 cached, 2 generated", "4 cached, 0 generated"):
        result = descgen(*refresh)
        assert (result.exit_code, counts in result.stdout) == (0, True), result.output
    assert len(stored(db_url)) == 8


def test_a_file_that_is_not_there_is_told_when_every_reply_is_cached(
    descgen: Run, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    descgen(*BUILD, "--read-batch", write(tmp_path / "answers.jsonl", map(answer, calls)))
    result = descgen(*BUILD, "--read-batch", tmp_path / "gone.jsonl")
    assert (result.exit_code, "No such file" in result.stderr) == (1, True), result.output


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--read-batch", "calls.jsonl"), "a file of calls"),
        (("--read-batch", "other.jsonl"), "None of the 1 lines of"),
        (("--read-batch", "gone.jsonl"), "No such file"),
        (("--write-batch", "calls.jsonl"), "exists"),
        (("--write-batch", "no/folder.jsonl"), "No such file"),
        (("--write-batch", "x.jsonl", "--dry-run"), "give one"),
        (("--write-batch", "x.jsonl", "--batch-api"), "give one"),
        (("--write-batch", "x.jsonl", "--read-batch", "calls.jsonl"), "give one"),
        (("--write-batch", "x.jsonl", "--llm", "smollm2"), "runs on this machine"),
    ],
)
def test_other_files_and_options_are_refused(
    descgen: Run,
    calls: list[dict[str, Any]],
    db_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    error: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "other.jsonl", [answer({"custom_id": "0" * 64, "body": {"model": "other"}})])
    result = descgen(*BUILD, *options)
    assert result.exit_code in (1, 2)
    assert error in result.stderr
    assert "Traceback" not in result.output
    assert stored(db_url) == []
    assert not (tmp_path / "x.jsonl").exists()


def test_the_answers_of_another_address_are_not_taken_for_these(
    descgen: Run, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = write(tmp_path / "answers.jsonl", map(answer, calls))
    result = descgen(*BUILD, "--base-url", "http://elsewhere/v1", "--read-batch", path)
    assert result.exit_code == 1
    assert "--base-url" in result.stderr


DEEP = "[" * 400 + "]" * 400
ODD_ANSWERS = {  # what stands beside the custom_id -> a part of the reason that is told
    '"response": "oops"': "oops",
    '"response": [1, 2]': "[1, 2]",
    '"response": 7': "7",
    '"response": true': "rue",
    '"response": null, "error": null': "no reason was given",
    '"response": {}, "error": 5': "5",
    '"error": ["one", "two"]': "two",
    '"error": {"message": {"deep": 1}}': "deep",
    '"response": {"status_code": "none", "body": {}}': "no reason was given",
    '"response": {"status_code": {"a": 1}, "body": [3, 4]}': "[3, 4]",
    '"response": {"status_code": 200, "body": [5]}': "no chat completion",
    '"response": {"status_code": 200, "body": null}': "no chat completion",
    '"response": {"status_code": 200, "body": {"choices": {}}}': "no chat completion",
    '"response": {"status_code": "500", "body": "worn out"}': "500: worn out",
    '"response": {"status_code": 1e999, "body": NaN}': "NaN",
    f'"response": {{"status_code": 200, "body": {DEEP}}}': "no chat completion",
}
DAMAGED = (
    *('{"custom_id": [1], "response": {}}', '{"custom_id": {}, "response": {}}', '{"custom_id": null, "error": {}}'),
    *('{"custom_id": 5, "error": 5}', '{"response": {}}', "{}", "[]", "7", "null", '{"cut off', "\\udc80", DEEP),
)


def test_odd_lines_are_failed_or_damaged_and_the_others_are_stored(descgen: Run, db_url: str, tmp_path: Path) -> None:
    of_all = (*BUILD[:-1], 2 * len(ODD_ANSWERS))
    descgen(*of_all, "--write-batch", tmp_path / "calls.jsonl")
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    lines = [answer(call) for call in calls[len(ODD_ANSWERS) :]]
    for call, odd, damaged in zip(calls, ODD_ANSWERS, [*DAMAGED, *[""] * len(ODD_ANSWERS)], strict=False):
        lines += [f'{{"custom_id": "{call["custom_id"]}", {odd}}}', damaged]
    path = write(tmp_path / "answers.jsonl", lines)
    result = descgen(*of_all, "--read-batch", path, "--json")
    assert "Traceback" not in result.output
    report = json.loads(result.stdout)
    assert (report["generated"], report["failed"]) == (len(ODD_ANSWERS), len(ODD_ANSWERS))
    reasons = [problem["reason"] for problem in report["problems"]]
    missing = [(part, said) for part, said in zip(ODD_ANSWERS.values(), reasons, strict=True) if part not in said]
    assert missing == []
    assert f"{len(DAMAGED)} lines are no answers in JSON" in result.stderr  # blank lines are none
    assert len(stored(db_url)) == len(calls)


REFUSED = {"message": "The prompt is too long", "type": "BadRequestError", "param": None, "code": 400}


@pytest.mark.parametrize(
    ("response", "error", "reason"),
    [
        ({"status_code": 400, "body": None}, {"error": REFUSED}, "400: The prompt is too long"),  # vLLM's run-batch
        ({"status_code": 400, "body": None}, {"object": "error", **REFUSED}, "400: The prompt is too long"),  # older
        ({"status_code": 400, "body": None}, "list index out of range", "400: list index out of range"),  # any fault
        ({"status_code": 200, "body": None}, {"error": REFUSED}, "400: The prompt is too long"),
        ({"status_code": 400, "body": {"error": REFUSED}}, None, "400: The prompt is too long"),  # OpenAI
        ({"status_code": 422, "body": {"detail": [{"msg": "too long"}]}}, None, "422: too long"),  # FastAPI
        (None, {"code": "batch_expired", "message": "too late"}, "batch_expired: too late"),  # OpenAI
    ],
)
def test_the_reason_of_a_failed_call_is_told(
    descgen: Run, calls: list[dict[str, Any]], tmp_path: Path, response: Any, error: Any, reason: str
) -> None:
    lines = [*map(answer, calls[:3]), answer(calls[3], response=response, error=error)]
    result = descgen(*BUILD, "--read-batch", write(tmp_path / "answers.jsonl", lines), "--json")
    assert [problem["reason"] for problem in json.loads(result.stdout)["problems"]] == [reason]


def test_a_line_of_a_call_among_the_answers_is_passed_over(
    descgen: Run, calls: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = write(tmp_path / "answers.jsonl", [*map(json.dumps, calls), *map(answer, calls)])
    result = descgen(*BUILD, "--read-batch", path)
    assert (result.exit_code, "4 lines are no answers" in result.stderr) == (0, True), result.output


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([200, "200", 400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_any_object_is_read(line: dict[str, Any]) -> None:
    """Also where the lines come from a server's Batch API, which has the same reader."""
    lines = read_lines(json.dumps(line).encode() + b"\n")
    assert len(lines) == isinstance(line.get("custom_id"), str)
    result = read_result(line)
    assert isinstance(result, Completion | CallError)
    if isinstance(result, CallError):
        assert str(result)
        assert result.status_code is None or 100 <= result.status_code < 600
    call = read_call(line)
    assert all(isinstance(message, dict) for message in call.messages or ())
