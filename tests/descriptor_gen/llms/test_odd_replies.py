"""Replies in all the forms in which servers and models were seen to send them: read rightly, or refused with a reason.

Each row is one class of one build, and its expected texts are written by hand: a text that the model did not give as
its final answer must never be stored, and no reply may end the build.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest

from descriptor_gen.llms.api.completion import read_completion
from descriptor_gen.llms.reply_json import InvalidReplyError
from descriptor_gen.llms.testing import registered
from descriptor_gen.prompting.prompt import load_prompts
from descriptor_gen.prompting.reply import parse_reply
from tests.fixtures.api import PRICED, open_tiny, stored
from tests.fixtures.chat_server import Answer, ChatServer, completion
from tests.fixtures.commands import Run
from tests.fixtures.odd_replies import ODD_REPLIES

FINAL = '{"setting": "a wide green field", "objects": ["a ball", "a wooden bat"]}'
DRAFT = '{"setting": "a draft place", "objects": ["draft one", "draft two"]}'
TEXTS = ("a wide green field", "a ball", "a wooden bat")
CUT = FINAL[:40]
BROKEN = "{'setting': 'a wide green field', 'objects': ['a ball', 'a wooden bat',],}"


@dataclass(frozen=True)
class Row:
    """One reply. Without a reason, the texts are `TEXTS`; else there are none, and the reason holds these words."""

    name: str
    answer: Answer
    reason: str = ""
    stored: dict[str, Any] = field(default_factory=dict)  # of the environment of the call


def says(name: str, text: str, reason: str = "", *, finish: str = "stop", **stored: Any) -> Row:
    return Row(name, Answer(text=text, finish_reason=finish), reason, stored)


def message(
    name: str, reason: str = "", *, finish: str = "stop", stored: dict[str, Any] | None = None, **m: Any
) -> Row:
    return Row(name, Answer(message={"content": None, **m}, finish_reason=finish), reason, stored or {})


def body(name: str, text: str, reason: str = "", **stored: Any) -> Row:
    return Row(name, Answer(body=text), reason, stored)


def usage(name: str, value: Any) -> Row:
    return Row(name, Answer(body=json.dumps({**COMPLETION, "usage": value})))


COMPLETION: dict[str, Any] = {
    "id": "x", "model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": FINAL}}]
}  # fmt: skip
LIVE = {"index": 0, "finish_reason": "stop", "message": {"content": "{}"}}


def stream(*deltas: str, end: str = "data: [DONE]\n\n", finish: str | None = None) -> str:
    chunks = [{"choices": [{"index": 0, "delta": {"content": delta}}]} for delta in deltas]
    if finish:
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end


TEXT = {"type": "text", "text": FINAL}
REASONING = [
    says("think", f"<think>maybe {DRAFT}</think>{FINAL}", read_as="braces"),
    says("thinking", f"<thinking>maybe {DRAFT}</thinking>\n{FINAL}"),
    says("thought", f"<thought>{DRAFT}</thought>{FINAL}"),
    says("reasoning", f"<reasoning>\n{DRAFT}\n</reasoning>\n{FINAL}"),
    says("capital tags", f"<THINK>{DRAFT}</THINK>{FINAL}"),
    says("tag of a vendor", f"<seed:think>{DRAFT}</seed:think>{FINAL}"),
    says("square tags", f"[THINK]{DRAFT}[/THINK]{FINAL}"),
    says("kimi", f"◁think▷{DRAFT}◁/think▷{FINAL}"),
    says("tokens", f"<|begin_of_thought|>{DRAFT}<|end_of_thought|>{FINAL}"),
    says("no opening tag", f"maybe {DRAFT} no wait\n</think>\n\n{FINAL}"),
    says("no closing tag", f"<think>maybe {DRAFT} hmm", "ends within its thoughts"),
    says("no closing tag, answer inside", f"<think>so it is {FINAL}", "ends within its thoughts"),
    says("thoughts alone", f"<think>{DRAFT}</think>", "there is no JSON object in it"),
    says("thoughts in thoughts", f"<think>a <think>b</think> {DRAFT}</think>{FINAL}"),
    says("thoughts last", f"{FINAL}<think>{DRAFT}</think>", "there is no JSON object in it"),
    says("thoughts twice", f"<think>{DRAFT}</think>Well. <think>{DRAFT}</think>{FINAL}"),
    says("closed after the draft", f"{DRAFT}</think>", "there is no JSON object in it"),
    says(
        "harmony",
        f"<|channel|>analysis<|message|>maybe {DRAFT}<|end|><|start|>assistant"
        f"<|channel|>final<|message|>{FINAL}<|return|>",
    ),
    says("harmony without final", f"<|channel|>analysis<|message|>maybe {DRAFT}<|end|>", "ends within its thoughts"),
    says("harmony, tokens removed", f"analysisWe need a place: {DRAFT}assistantfinal{FINAL}"),
    says("harmony, tokens removed, no final", f"analysisWe need a place: {DRAFT}", "ends within its thoughts"),
    says("draft, then final", f"First: {DRAFT}\nBetter:\n{FINAL}"),
    says("draft in a fence, then final", f"```json\n{DRAFT}\n```\nBetter:\n```json\n{FINAL}\n```"),
    says("draft, then final that breaks off", f"{DRAFT}\n{CUT}", "not JSON"),
    says("draft, then final of another form", f'{DRAFT}\n{{"setting": "a lawn"}}', "'objects' is a required property"),
    says("a list of two", f"[{DRAFT}, {FINAL}]", "is not of type 'object'"),
    says("broken draft, then final that breaks off", f"{BROKEN.replace('wide', 'draft')}\n{CUT}", "not JSON"),
    says("broken draft and broken final", f"{BROKEN.replace('ball', 'draft')}\n{BROKEN}", read_as="braces, repaired"),
]
FORMS = [
    says("json", FINAL, read_as="json"),
    says("fence", f"Sure!\n```json\n{FINAL}\n```\nAnything else?", read_as="fence"),
    says("fence without a name", f"```\n{FINAL}\n```"),
    says("between words", f"Of {{this}} kind: {FINAL} [1]"),
    says("byte order mark", f"\ufeff{FINAL}"),
    says("spaces around", f"\n\n  {FINAL}  \n"),
    says("in a string", json.dumps(FINAL), read_as="json, unwrapped"),
    says("in a string twice", json.dumps(json.dumps(FINAL))),
    says("in a list of one", f"[{FINAL}]"),
    says("in one key", f'{{"answer": {FINAL}}}'),
    says("in one key, as a string", json.dumps({"result": FINAL})),
    says("single quotes", BROKEN, read_as="braces, repaired"),
    says(
        "no quotes at keys",
        '{setting: "a wide green field", objects: ["a ball", "a wooden bat"]}',
        read_as="braces, repaired",
    ),
    says("a comma at the end", FINAL.replace("]}", ",]}"), read_as="braces, repaired"),
    says("broken in a fence", f"```json\n{BROKEN}\n```", read_as="fence, repaired"),
    says("breaks off, said to be whole", CUT, "not JSON"),
    says("breaks off in the list", FINAL[:-6], "not JSON"),
    says("a closing brace in a text that breaks off", '{"setting": "a field}", "objects": ["a ball', "not JSON"),
    says("empty", "", "empty"),
    says("blank", " \n ", "empty"),
    says("chatter", "1. a ball\n2. a bat", "not JSON"),
    says("a number", "42", "is not of type 'object'"),
    says("null", "null", "is not of type 'object'"),
    says("NaN", FINAL.replace('"a ball"', "NaN"), "is not of type"),
    says("a number of 10,000 digits", f'{{"setting": {"9" * 10_000}, "objects": []}}', "is not of type"),
    says("half a surrogate pair", FINAL.replace("field", "field \\ud83d"), "of the schema"),
    says("NUL", FINAL.replace("field", "field\\u0000"), "of the schema"),
    says("NUL around", f"\x00{FINAL}"),
    says("200,000 braces", "{" * 200_000, "not JSON"),
    says("200,000 braces and quotes", '{"a":' * 40_000, "not JSON"),
    says("200,000 brackets", "[" * 200_000, "not JSON"),
    says("deep", '{"setting": ' + "[" * 900 + "]" * 900 + "}", "too many brackets inside each other"),
]
MESSAGES = [
    message("parts", content=[TEXT]),
    message("parts with thoughts", content=[{"type": "thinking", "thinking": [{"type": "text", "text": DRAFT}]}, TEXT]),
    message("parts with a reasoning part", content=[{"type": "reasoning", "text": DRAFT}, TEXT]),
    message("two parts", content=[{"type": "text", "text": FINAL[:20]}, {"type": "text", "text": FINAL[20:]}]),
    message("parts that are strings", content=[FINAL[:20], FINAL[20:]]),
    message("output_text", content=[{"type": "output_text", "text": FINAL}]),
    message("one part", content=TEXT),
    message("no parts", "empty", content=[]),
    message("only an image", "empty", content=[{"type": "image_url", "image_url": {"url": "x"}}]),
    message("an object", content=json.loads(FINAL)),
    message("a number", "is not of type 'object'", content=3),
    message("nothing", "empty"),
    message("reasoning_content", reasoning_content=FINAL, stored={"read_from": "reasoning"}),
    message("reasoning", reasoning=FINAL, content=""),
    message("thoughts in reasoning_content", "empty", reasoning_content=f"maybe {DRAFT}"),
    message("both", content=FINAL, reasoning_content=DRAFT),
    message(
        "tool call",
        finish="tool_calls",
        tool_calls=[{"type": "function", "function": {"name": "descriptors", "arguments": FINAL}}],
        stored={"read_from": "tool call"},
    ),
    message("tool call with an object", tool_calls=[{"function": {"name": "d", "arguments": json.loads(FINAL)}}]),
    message("two tool calls", "empty", tool_calls=[{"function": {"arguments": t}} for t in (DRAFT, FINAL)]),
    message("tool calls of another form", "empty", tool_calls=["x"]),
    message("refusal", "refused: I cannot", refusal="I cannot"),
    message("refusal that is no text", "refused", refusal={"why": "no"}),
]
FINISHES = [
    says(word, CUT, "cut off after 20 tokens", finish=word)
    for word in ("length", "MAX_TOKENS", "max_output_tokens", "model_length", "Max-Tokens")
] + [
    says("a whole draft, cut off", f"<think>a</think>{DRAFT}\n{CUT}", "cut off", finish="MAX_TOKENS"),
    says("a whole draft in words, cut off", f"First: {DRAFT}", "cut off", finish="length"),
    says("safety", "", "content filter", finish="SAFETY"),
    says("blocked", "", "content filter", finish="PROHIBITED_CONTENT"),
    says("malformed", "", "failed while writing", finish="MALFORMED_FUNCTION_CALL"),
    says("an unknown word", FINAL, finish="eos_token"),
    body("no finish reason", json.dumps({"choices": [{"message": {"content": FINAL}}]})),
    body(
        "a list as finish reason", json.dumps({"choices": [{"message": {"content": FINAL}, "finish_reason": ["stop"]}]})
    ),
]
BODIES = [
    usage("usage of strings", {"prompt_tokens": "100", "completion_tokens": "20"}),
    usage("usage of floats", {"prompt_tokens": 100.0, "completion_tokens": 20.5}),
    usage("usage of lists", {"prompt_tokens": [1], "completion_tokens": {}}),
    usage("usage beyond 64 bit", {"prompt_tokens": 10**20, "completion_tokens": 1}),
    usage("usage of 1e30", {"prompt_tokens": 1e30, "completion_tokens": float("nan")}),
    usage("usage of infinity", {"prompt_tokens": float("inf"), "completion_tokens": -5}),
    usage("negative usage", {"prompt_tokens": -(10**9), "completion_tokens": -(10**9)}),
    usage("usage that is a list", [1, 2]),
    usage("usage details that are a number", {"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": 3}),
    usage("more cached than sent", {"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 10**6}}),
    body("byte order mark of the body", "\ufeff" + json.dumps(COMPLETION)),
    body("half a surrogate pair in the body", json.dumps(COMPLETION).replace('"x"', '"\\ud83d"')),
    body("numbers as names", json.dumps({**COMPLETION, "id": 7, "model": ["m"]})),
    body("a web page", "<!DOCTYPE html><html><title>Gateway</title></html>", "the server sent a web page (Gateway)"),
    body("two values", json.dumps(COMPLETION) * 2, "no chat completion: Extra data"),
    body("nothing at all", "", "It begins: nothing"),
    body("a list", "[]", "it has no choices"),
    body("choices that are no list", '{"choices": {}}', "it has no choices"),
    body("a choice that is no object", '{"choices": [1]}', "it has no choices"),
    body("a completion of old", json.dumps({"choices": [{"text": FINAL, "finish_reason": "stop"}]})),
    body("an error of this call", '{"error": "prompt was blocked"}', "the server sent an error: prompt was blocked"),
    body("an error without a message", '{"error": {"kind": 3}}', 'the server sent an error: {"kind": 3}'),
    body("a stream", stream(FINAL[:9], FINAL[9:])),
    body("a stream with an event name", "event: message\n" + stream(FINAL)),
    body("a stream without its end mark", stream(FINAL, end="", finish="stop")),
    body("a stream that breaks off", stream(FINAL, end=""), "a stream of events that breaks off"),
    body("a stream with an error", 'data: {"error": {"message": "out of luck"}}\n\n', "out of luck"),
    body("a stream of the longest reply", stream(CUT, finish="length"), "cut off, so it must be shorter"),
]
ROWS = [*FORMS, *REASONING, *MESSAGES, *FINISHES, *BODIES]
ONCE = {  # answered once, then rightly: another attempt helps
    "no choices": Answer(body='{"choices": []}'),
    "502 as a success": Answer(body='{"error": {"message": "Provider returned error", "code": 502}}'),
    "429 as a success": Answer(body='{"error": {"message": "slow down", "code": "429"}}'),
    "overloaded": Answer(body='{"error": {"message": "the model is overloaded"}}'),
}


def test_odd_replies_are_read_rightly_or_refused_and_none_ends_the_build(
    descgen: Run, server: ChatServer, db_url: str, tmp_path: Path
) -> None:
    names = [f"case {first}{second}" for first in "abcde" for second in ascii_lowercase][: len(ROWS)]
    (tmp_path / "odd.txt").write_text("\n".join(names))

    def answer(asked: dict[str, Any]) -> Answer:
        return ROWS[names.index(re.findall(r"case \w\w", asked["messages"][-1]["content"])[-1])].answer

    server.otherwise = answer
    command = ("build", "-d", str(tmp_path / "odd.txt"), "-k", "context", "--llm", "tiny", "--base-url", server.url)
    # attempts 1: what a reply gives by itself. The mode is fixed by the first reply, which is JSON.
    with registered(open_tiny(clock=server.clock), "tiny"):
        result = descgen(*command, "--attempts", "1", "--concurrency", "1", "--json")
        again = descgen(*command, "--attempts", "1", "--concurrency", "1", "--json", "--dry-run")
    assert "Traceback" not in result.output
    report = json.loads(result.stdout)
    assert len(server.bodies) == len(ROWS)
    reasons = {problem["action"]: problem["reason"] for problem in report["problems"]}
    shown = json.loads(descgen("show", "-d", "odd", "--json").stdout)
    texts = {name: tuple(d["text"] for d in shown if d["action"] == name) for name in names}
    calls = {call["messages"]: call["environment"] for call in map(_with_case, stored(db_url))}
    wrong = [
        (row.name, texts[name], reasons.get(name), calls[name])
        for name, row in zip(names, ROWS, strict=True)
        if texts[name] != (() if row.reason else TEXTS)
        or row.reason not in reasons.get(name, "")
        or not row.stored.items() <= calls[name].items()
    ]
    assert wrong == []
    valid = sum(not row.reason for row in ROWS)
    assert report["generated"] == valid
    assert json.loads(again.stdout)["cached"] == valid  # what was stored is not paid for again


def _with_case(call: dict[str, Any]) -> dict[str, Any]:
    return {**call, "messages": re.findall(r"case \w\w", json.dumps(call["messages"]))[-1]}


@pytest.mark.parametrize("name", list(ONCE))
def test_an_error_sent_as_a_success_is_tried_again(descgen: Run, server: ChatServer, name: str) -> None:
    server.plan = [Answer(text=FINAL), ONCE[name]]
    server.otherwise = lambda asked: Answer(text=FINAL)
    with registered(open_tiny(clock=server.clock), "tiny"):
        build = ("build", "-d", "hmdb51", "-k", "context", "--llm", "tiny", "--base-url", server.url, "--json")
        report = json.loads(descgen(*build, "--limit", "3", "--concurrency", "1").stdout)
    assert (report["generated"], report["failed"], len(server.bodies)) == (3, 0, 4)


def test_a_count_that_is_none_is_paid_as_the_most_it_can_cost(descgen: Run, server: ChatServer) -> None:
    server.otherwise = lambda asked: Answer(
        body=json.dumps({**COMPLETION, "usage": {"prompt_tokens": -(10**9), "completion_tokens": -(10**9)}})
    )
    build = ("build", "-d", "hmdb51", "-k", "context", "--llm", "tiny", "--base-url", server.url, *PRICED)
    with registered(open_tiny(clock=server.clock), "tiny"):
        result = descgen(*build, "--max-cost", "8", "--concurrency", "1")
    assert result.exit_code == 1
    assert "The budget of 8 USD stopped the build" in result.stderr
    assert 1 <= len(server.bodies) <= 8


def test_a_reply_that_is_cut_off_gets_more_room(descgen: Run, server: ChatServer) -> None:
    server.otherwise = lambda asked: Answer(text=CUT, finish_reason="MAX_TOKENS")
    build = ("build", "-d", "hmdb51", "-k", "context", "--llm", "tiny", "--base-url", server.url, "--limit", "1")
    with registered(open_tiny(clock=server.clock), "tiny"):
        descgen(*build)
        limits = [asked["max_tokens"] for asked in server.bodies]
        descgen(*build, "--max-tokens", "50")
    assert limits == [90, 180, 360]
    assert [asked["max_tokens"] for asked in server.bodies[3:]] == [50, 50, 50]  # a limit of the user's stays


@pytest.mark.parametrize("text", ["{", '{"a":', "[{", '{"a": [', "{'", '{"a": "', "<think>", "</think>", '{"a":1}'])
def test_the_work_grows_no_faster_than_the_reply(text: str) -> None:
    """Searching starts at most a fixed number of times, so a reply ten times as long takes about ten times as long."""
    steps = [_steps(text * count) for count in (2_000, 20_000)]
    assert steps[1] <= 15 * steps[0] + 2_000


def _steps(reply: str) -> int:
    """Return how many lines of Python are run to read a reply."""
    import sys

    count = 0

    def trace(*_: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse_reply(reply, {"type": "object", "required": ["setting"]})
    except InvalidReplyError:
        pass
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", [name for name, odd in ODD_REPLIES.items() if odd.answers[-1].status == 200])
def test_the_text_of_an_odd_reply_is_the_final_answer_or_none(name: str) -> None:
    """A second table, by another hand: what is read of each body, without a server."""
    odd, [prompt] = ODD_REPLIES[name], load_prompts(["context"])
    answer, asked = odd.answers[-1], {"model": "m", "messages": [{}, {}, {"content": FINAL}]}
    read = read_completion(answer.body if answer.body is not None else completion("x", answer, asked))
    texts: tuple[str, ...] = ()
    if not read.error and read.finish_reason != "length":
        with suppress(InvalidReplyError):
            texts = parse_reply(read.text, prompt.output_schema).texts
    assert texts == odd.texts
