"""Servers that refuse a part of the request: asked again without it, once for all calls, or told in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from descriptor_gen.llms import Request, fold_system
from descriptor_gen.llms.batch.files import endpoint
from descriptor_gen.llms.testing import registered
from tests.fixtures.api import open_tiny, stored
from tests.fixtures.chat_server import Answer, ChatServer
from tests.fixtures.commands import Run

CLASSES = 6
Asked = dict[str, Any]
Build = Callable[..., dict[str, Any]]


@pytest.fixture
def build(descgen: Run, server: ChatServer) -> Build:
    """Build a few classes, one call at a time; the report, with `exit_code` and `stderr`."""

    def run(*options: str, llm: str = "tiny") -> dict[str, Any]:
        command = ("build", "-d", "hmdb51", "-k", "context", "--llm", llm, "--base-url", server.url)
        with registered(open_tiny(clock=server.clock), "tiny"):
            result = descgen(*command, "--limit", str(CLASSES), "--concurrency", "1", "--json", *options)
        assert "Traceback" not in result.output
        report = json.loads(result.stdout) if result.stdout else {}
        return {**report, "exit_code": result.exit_code, "stderr": result.stderr}

    return run


def error(status: int, value: Any) -> Answer:
    return Answer(status, body=json.dumps(value))


def says(text: str, status: int = 400, **fields: Any) -> Answer:
    return error(status, {"error": {"message": text, **fields}})


def schema_of(asked: Asked) -> str:
    return json.dumps(asked.get("response_format", {}).get("json_schema", {}))


def has_system(asked: Asked) -> bool:
    return any(message["role"] == "system" for message in asked["messages"])


REFUSED = {  # name -> (whether the server refuses a request, its answer, refused calls)
    "max_tokens": (
        lambda asked: "max_tokens" in asked,
        says("'max_tokens' is not supported, use 'max_completion_tokens'", param="max_tokens"),
        1,
    ),
    "temperature": (
        lambda asked: "temperature" in asked,
        says("Unsupported value: 'temperature' does not support 0 with this model. Only the default (1)", code="x"),
        1,
    ),
    "system role": (has_system, says("System role not supported"), 1),
    "developer instruction": (has_system, says("Developer instruction is not enabled: unsupported"), 1),
    "roles must alternate": (
        has_system,
        error(400, {"object": "error", "message": "Conversation roles must alternate user/assistant/user"}),
        1,
    ),
    "minItems": (
        lambda asked: "minItems" in schema_of(asked),
        says("invalid JSON schema for response_format: 'minItems' is not permitted"),
        1,
    ),
    "schema by another word": (
        lambda asked: "response_format" in asked,
        says('Unknown name "additionalProperties" at generation_config.response_schema'),
        3,
    ),
    "no reason at all": (
        lambda asked: "response_format" in asked,
        error(400, [{"error": {"code": 400, "message": "Request contains an invalid argument."}}]),
        2,
    ),
    "an error that is a text": (lambda asked: "response_format" in asked, error(422, {"error": "bad field"}), 2),
    "FastAPI's detail": (
        lambda asked: "response_format" in asked,
        error(422, {"detail": [{"loc": ["body"], "msg": "extra inputs are not permitted"}]}),
        2,
    ),
    "two at once": (
        lambda asked: "max_tokens" in asked or has_system(asked),
        says("max_tokens is not supported, and the role system is unsupported"),
        2,
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_a_server_refuses_is_left_out_once_for_all_calls(build: Build, server: ChatServer, name: str) -> None:
    refuses, answer, refusals = REFUSED[name]
    server.otherwise = lambda asked: answer if refuses(asked) else Answer(text=valid(asked))
    report = build()
    assert (report["exit_code"], report["generated"]) == (0, CLASSES), report
    assert len(server.bodies) == CLASSES + refusals
    again = build(*(f"--param={name}=null" for name in report["not_sent"]))
    assert (again["cached"], len(server.bodies)) == (CLASSES, CLASSES + refusals)  # the keys are those of what was sent


def valid(asked: Asked) -> str:
    return '{"setting": "a wide green field", "objects": ["a ball", "a wooden bat"]}'


def test_without_the_option_a_rerun_asks_once_and_pays_nothing(build: Build, server: ChatServer, db_url: str) -> None:
    refuses, answer, _ = REFUSED["temperature"]
    server.otherwise = lambda asked: answer if refuses(asked) else Answer()
    assert build()["not_sent"] == ["temperature"]
    report = build()
    assert (report["cached"], report["generated"], report["not_sent"]) == (CLASSES, 0, ["temperature"])
    assert len(server.paid) == CLASSES
    assert all("temperature" not in row["parameters"] for row in stored(db_url))


def test_a_temperature_that_was_asked_for_is_not_dropped(build: Build, server: ChatServer) -> None:
    server.otherwise = lambda asked: REFUSED["temperature"][1] if "temperature" in asked else Answer()
    report = build("--temperature", "0.5")
    assert report["exit_code"] == 1
    assert "Leave out --temperature" in report["stderr"]


def test_a_seed_that_is_refused_is_not_sent(build: Build, server: ChatServer) -> None:
    server.otherwise = lambda asked: says("unknown field 'seed'") if "seed" in asked else Answer()
    report = build("--temperature", "0.5")
    assert (report["generated"], report["not_sent"]) == (CLASSES, ["seed"])


FATAL = {
    "no balance": (says("Insufficient Balance", 402), "402: Insufficient Balance"),
    "no memory": (
        says("model requires more system memory (5.5 GiB) than is available (3.1 GiB)", 500),
        "requires more system memory",
    ),
    "out of memory": (error(503, {"error": "CUDA out of memory"}), "CUDA out of memory"),
    "no such key": (error(401, [{"error": {"message": "API key not valid."}}]), "API key not valid."),
    "half a surrogate pair": (Answer(403, body='{"error": {"message": "no \\ud83d"}}'), "no \ufffd"),
}


@pytest.mark.parametrize("name", list(FATAL))
def test_what_no_call_survives_ends_the_build_at_once(build: Build, server: ChatServer, name: str) -> None:
    answer, words = FATAL[name]
    server.otherwise = lambda asked: Answer() if len(server.bodies) < 3 else answer
    report = build()
    assert report["exit_code"] == 1
    assert words in report["stderr"]
    assert len(server.bodies) == 3
    assert server.clock.now() == 0
    server.otherwise = lambda asked: Answer()
    assert build()["cached"] == 2  # what was stored is kept


def test_a_call_that_is_refused_in_every_form_fails_with_the_first_reason_and_changes_nothing(
    build: Build, server: ChatServer
) -> None:
    refused = 0

    def answer(asked: Asked) -> Answer:
        nonlocal refused
        is_first = "brushing hair" in asked["messages"][-1]["content"]
        refused += is_first
        return error(400, {"message": f"no. {refused}"}) if is_first else Answer()

    server.otherwise = answer
    report = build("--attempts", "1")
    assert (report["failed"], report["generated"]) == (1, CLASSES - 1)
    assert report["problems"][0]["reason"] == "400: no. 1"
    assert refused == 3
    assert {asked["response_format"]["type"] for asked in server.bodies[refused:]} == {"json_schema"}


def test_parameters_are_sent_and_are_part_of_the_key(build: Build, server: ChatServer) -> None:
    more = (
        "--param",
        "top_p=0.9",
        "--param",
        'chat_template_kwargs={"enable_thinking": false}',
        "--param",
        "tier=flex",
    )
    assert build(*more, llm="openai:tiny")["generated"] == CLASSES
    sent = server.bodies[0]
    assert (sent["top_p"], sent["chat_template_kwargs"], sent["tier"]) == (0.9, {"enable_thinking": False}, "flex")
    assert build(*more, llm="openai:tiny")["cached"] == CLASSES
    assert build(llm="openai:tiny")["cached"] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--param", "top_p"), "write NAME=JSON"),
        (("--param", "model=x"), "cannot set model"),
        (("--param", "max_tokens=5"), "cannot set max_tokens"),
    ],
)
def test_a_parameter_that_cannot_be_set_is_refused(build: Build, options: tuple[str, ...], words: str) -> None:
    report = build(*options, llm="openai:tiny")
    assert report["exit_code"] == 2
    assert words in report["stderr"]


def test_a_local_model_has_no_parameters_of_a_server(descgen: Run) -> None:
    result = descgen("build", "-d", "hmdb51", "--llm", "smollm2", "--param", "top_p=1")
    assert result.exit_code == 2
    assert "leave out --param" in result.stderr


def test_thoughts_that_use_up_the_reply_get_room(build: Build, server: ChatServer) -> None:
    thinking = Answer(text="<think>well", finish_reason="length")
    server.otherwise = lambda asked: thinking if asked.get("max_tokens", 2000) < 1000 else Answer(text=valid(asked))
    report = build("--limit", "1")
    assert report["generated"] == 1
    assert [asked["max_tokens"] for asked in server.bodies] == [90, 90 + 4096]
    assert build("--limit", "2", "--reasoning-tokens", "2000", llm="openai:tiny")["generated"] == 2
    assert server.bodies[-1]["max_completion_tokens"] == 2090


def test_texts_in_another_language_have_their_letters_and_a_key_of_their_own(build: Build, server: ChatServer) -> None:
    german = '{"setting": "eine grüne Wiese mit 2 Bäumen", "objects": ["ein Ball", "草原"]}'
    server.otherwise = lambda asked: Answer(text=german) if "German" in asked["messages"][0]["content"] else Answer()
    assert build("--language", "German")["generated"] == CLASSES
    assert "pattern" in schema_of(server.bodies[0])
    assert build()["generated"] == CLASSES
    assert build("--language", "German")["cached"] == CLASSES


def test_a_system_message_is_folded_into_the_first_question() -> None:
    messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"})
    assert fold_system(messages) == ({"role": "user", "content": "Be brief.\n\nHi"},)
    assert fold_system(messages[1:]) == messages[1:]
    assert Request(messages, {}, 5).messages[0]["role"] == "system"


def test_azure_names_the_address_of_its_batches_without_a_version() -> None:
    assert endpoint("https://x.openai.azure.com/openai/v1/") == "/chat/completions"
    assert endpoint("https://api.openai.com/v1/") == "/v1/chat/completions"
