"""Refusals in the very form in which servers send them: who says it, status, body, and what is left out then.

The bodies follow reports of their users: OpenAI, Azure, Mistral, Gemini, Groq, Cerebras, OpenRouter, Bedrock, Moonshot,
vLLM, SGLang, llama.cpp, LM Studio, Ollama.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descriptor_gen.llms.testing import registered
from tests.fixtures.api import open_tiny, stored
from tests.fixtures.chat_server import Answer, ChatServer
from tests.fixtures.commands import Run

CLASSES = 4
VALID = Answer(text='{"setting": "a wide green field", "objects": ["a ball", "a wooden bat"]}')
Asked = dict[str, Any]
Build = Callable[..., dict[str, Any]]


@pytest.fixture
def build(descgen: Run, server: ChatServer) -> Build:
    """Build a few classes, one call at a time; the report, with `exit_code` and `stderr`."""

    def run(*options: str) -> dict[str, Any]:
        command = ("build", "-d", "hmdb51", "-k", "context", "--llm", "tiny", "--base-url", server.url)
        with registered(open_tiny(clock=server.clock), "tiny"):
            result = descgen(*command, "--limit", str(CLASSES), "--concurrency", "1", "--json", *options)
        assert "Traceback" not in result.output
        report = json.loads(result.stdout) if result.stdout else {}
        return {**report, "exit_code": result.exit_code, "stderr": result.stderr}

    return run


def has(name: str) -> Callable[[Asked], bool]:
    """Return whether a request has a parameter."""
    return lambda asked: name in asked


def has_system(asked: Asked) -> bool:
    return any(message["role"] == "system" for message in asked["messages"])


def has_keyword(name: str) -> Callable[[Asked], bool]:
    return lambda asked: f'"{name}":' in json.dumps(asked.get("response_format", {}))


def mistral(name: str) -> dict[str, Any]:
    detail = [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted", "input": -1}]
    return {"object": "error", "message": {"detail": detail}, "type": "invalid_request_error", "param": None}


def openai(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


ROUTED = {
    "error": {
        "message": "Provider returned error",
        "code": 400,
        "metadata": {
            "raw": '{"message":"Unsupported JSON schema fields: [\\"minItems\\"]","param":"response_format"}',
            "provider_name": "Cerebras",
        },
    }
}
ONLY_1 = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported."
USE_NEW = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
NO_MIN = "invalid schema for response format: response_format/json_schema/descriptors: minItems is not supported"
VLLM_NEW = (
    "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs are not permitted'}]"
)
NO_SYSTEM = "Unsupported value: 'messages[0].role' does not support 'system' with this model."

SERVERS: dict[str, tuple[Callable[[Asked], bool], int, Any, tuple[str, ...]]] = {
    "OpenAI, temperature": (
        has("temperature"), 400, openai(ONLY_1, "temperature", "unsupported_value"), ()),
    "Bedrock, temperature": (
        has("temperature"), 400, {"message": "The model returned the following errors: `temperature` is deprecated"
        " for this model."}, ()),
    "Moonshot, temperature": (
        has("temperature"), 400, openai("invalid temperature: only 1 is allowed for this model"), ()),
    "LiteLLM, temperature": (
        has("temperature"), 400, openai("bedrock does not support parameters: ['temperature'], for model=m"), ()),
    "OpenAI, max_tokens": (
        has("max_tokens"), 400, openai(USE_NEW, "max_tokens", "unsupported_parameter"), ()),
    "Copilot, max_tokens": (
        has("max_tokens"), 400, {"error": {"message": USE_NEW, "code": "invalid_request_body"}}, ()),
    "vLLM of old, max_completion_tokens": (
        has("max_completion_tokens"), 400, {"object": "error", "message": VLLM_NEW, "type": "BadRequestError",
        "param": None, "code": 400}, ("--reasoning-tokens", "100")),
    "Mistral, max_completion_tokens": (
        has("max_completion_tokens"), 422, mistral("max_completion_tokens"), ("--reasoning-tokens", "100")),
    "Mistral, seed": (
        has("seed"), 422, mistral("seed"), ("--temperature", "0.5")),
    "Azure, seed": (
        has("seed"), 422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"],
        "msg": "Extra inputs are not permitted"}]}, ("--temperature", "0.5")),
    "Gemini, seed": (
        has("seed"), 400, [{"error": {"code": 400, "message": 'Invalid JSON payload received. Unknown name "seed": '
        "Cannot find field.", "status": "INVALID_ARGUMENT"}}], ("--temperature", "0.5")),
    "Groq, minItems": (
        has_keyword("minItems"), 400, {"error": {"message": NO_MIN, "type": "invalid_request_error"}}, ()),
    "Cerebras behind OpenRouter, minItems": (
        has_keyword("minItems"), 400, ROUTED, ()),
    "LM Studio, json_object": (
        lambda asked: asked.get("response_format", {}).get("type") in ("json_schema", "json_object"), 400,
        {"error": "'response_format.type' must be 'json_schema' or 'text'"}, ()),
    "Gemini, an invalid argument": (
        has("response_format"), 400, [{"error": {"code": 400, "message": "Request contains an invalid argument.",
        "status": "INVALID_ARGUMENT"}}], ()),
    "vLLM, system": (
        has_system, 400, {"object": "error", "message": "System role not supported", "type": "BadRequestError",
        "param": None, "code": 400}, ()),
    "o1-mini, system": (
        has_system, 400, openai(NO_SYSTEM, "messages[0].role", "unsupported_value"), ()),
    "Gemini's Gemma, system": (
        has_system, 400, [{"error": {"code": 400, "message": "Developer instruction is not enabled for "
        "models/gemma-3-27b-it", "status": "INVALID_ARGUMENT"}}], ()),
    "LM Studio, system": (
        has_system, 400, {"error": 'Error rendering prompt with jinja template: "Only user and assistant roles are '
        'supported!".'}, ()),
    "llama.cpp, system": (
        has_system, 500, {"error": {"code": 500, "message": "Jinja Exception: System role not supported",
        "type": "server_error"}}, ()),
    "LM Studio with Mistral, system": (
        has_system, 500, {"error": {"message": "Only user, assistant and tool roles are supported, got system."}}, ()),
}  # fmt: skip


STEPS_DOWN = {
    "LM Studio, json_object": 2,
    "Gemini, an invalid argument": 2,
}  # refused calls, until no JSON is asked for


@pytest.mark.parametrize("name", list(SERVERS))
def test_a_refusal_in_a_servers_own_words_costs_one_call_for_all(build: Build, server: ChatServer, name: str) -> None:
    refuses, status, body, options = SERVERS[name]
    answer = Answer(status, body=json.dumps(body))
    server.otherwise = lambda asked: answer if refuses(asked) else VALID
    report = build(*options)
    assert (report["exit_code"], report["generated"]) == (0, CLASSES), report
    assert len(server.bodies) - CLASSES == STEPS_DOWN.get(name, 1)
    assert ("response_format" in server.bodies[-1]) == (name not in STEPS_DOWN)  # nothing else was given up
    assert server.clock.now() == 0  # nothing was waited for


def test_what_was_left_out_is_recorded_with_the_reply(build: Build, server: ChatServer, db_url: str) -> None:
    def answer(asked: Asked) -> Answer:
        for name in ("vLLM, system", "Groq, minItems"):
            refuses, status, body, _ = SERVERS[name]
            if refuses(asked):
                return Answer(status, body=json.dumps(body))
        return VALID

    server.otherwise = answer
    assert build()["generated"] == CLASSES
    [row, *_] = stored(db_url)
    assert row["environment"]["schema_without"] == ["minItems"]
    assert row["environment"]["system_message"] == "in the first question"
    assert row["environment"]["response_format"] == "json_schema"
    assert row["messages"][0]["role"] == "system"  # as the key has it


def test_a_reply_without_a_keyword_of_the_schema_is_still_checked_against_it(build: Build, server: ChatServer) -> None:
    refuses, status, body, _ = SERVERS["Groq, minItems"]
    few = Answer(text='{"setting": "a wide green field", "objects": ["a ball"]}')
    server.otherwise = lambda asked: Answer(status, body=json.dumps(body)) if refuses(asked) else few
    report = build("--attempts", "1")
    assert report["invalid"] == CLASSES
    assert "objects" in report["problems"][0]["reason"]


TOLD = {
    "Gemini, a wrong key": (
        400, [{"error": {"code": 400, "message": "API key not valid. Please pass another."}}], "API key not valid"),
    "DeepSeek, no balance": (402, openai("Insufficient Balance"), "Insufficient Balance"),
    "Ollama, no memory": (
        500, openai("model requires more system memory (5.3 GiB) than is available (3.3 GiB)"), "more system memory"),
    "Ollama, a GPU too small": (
        500, {"error": "llama runner process has terminated: error loading model: unable to allocate backend buffer"},
        "error loading model"),
    "LM Studio, no memory": (
        400, {"error": {"message": 'Failed to load model "qwen". Error: Model loading was stopped due to insufficient '
        "system resources."}}, "Failed to load model"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(TOLD))
def test_what_no_call_survives_is_told_at_once(build: Build, server: ChatServer, name: str) -> None:
    status, body, words = TOLD[name]
    server.otherwise = lambda asked: Answer(status, body=json.dumps(body))
    report = build()
    assert report["exit_code"] == 1
    assert words in report["stderr"]
    assert "{" not in report["stderr"]  # a sentence
    assert (len(server.bodies), server.clock.now()) == (1, 0)


SAID = {
    "a field of a validation error": (mistral("top_k"), "422: top_k: Extra inputs are not permitted"),
    "what is behind a router": (ROUTED, "422: Provider returned error: Unsupported JSON schema fields"),
    "JSON in a text": (
        {"error": {"message": '{"error": {"message": "No such deployment."}}'}},
        "422: No such deployment.",
    ),
    "a text alone": ("Nothing here", "422: Nothing here"),
}


@pytest.mark.parametrize("name", list(SAID))
def test_a_reason_is_shown_as_a_sentence(build: Build, server: ChatServer, name: str) -> None:
    body, sentence = SAID[name]
    server.otherwise = lambda asked: Answer(422, body=json.dumps(body))
    report = build()
    assert report["failed"] == CLASSES
    assert report["problems"][0]["reason"].startswith(sentence)


def test_each_form_is_tried_once_by_a_server_that_names_one_and_then_the_other(
    build: Build, server: ChatServer
) -> None:
    """No limit has a name that it takes; without a stop, two names would be tried in turn for ever."""
    names = ("max_tokens", "max_completion_tokens")
    server.otherwise = lambda asked: Answer(
        400, body=json.dumps(openai(f"{next(name for name in names if name in asked)} is not supported"))
    )
    report = build()
    assert report["failed"] == CLASSES
    assert report["problems"][0]["reason"] == "400: max_tokens is not supported"
    assert len(server.bodies) <= 4 + 2 * CLASSES


def test_a_property_may_have_the_name_of_a_keyword(server: ChatServer, descgen: Run, tmp_path: Path) -> None:
    template = tmp_path / "cloth.j2"
    template.write_text(CLOTH)
    _, status, body, _ = SERVERS["Groq, minItems"]
    refused = Answer(status, body=json.dumps(body).replace("minItems", "pattern"))
    regular = lambda asked: '"pattern": "^' in json.dumps(asked["response_format"])  # noqa: E731
    server.otherwise = lambda asked: refused if regular(asked) else Answer(text='{"pattern": "gestreift 2"}')
    command = ("build", "-d", "hmdb51", "-t", template, "--limit", 1, "--llm", "openai:m", "--base-url", server.url)
    assert descgen(*command, "--language", "German").exit_code == 0
    schema = server.bodies[-1]["response_format"]["json_schema"]["schema"]
    assert schema["properties"] == {"pattern": {"type": "string"}}
    assert schema["required"] == ["pattern"]


CLOTH = """---
kind: cloth
version: 1
about: The pattern of the clothes.
max_tokens: 20
output:
  type: object
  properties:
    pattern: {type: string, pattern: "^[a-z]+( [a-z]+)?$"}
  required: [pattern]
  additionalProperties: false
examples:
  - {action: raking hay, reply: {pattern: checked}}
---
{% block system -%}
You name the pattern of the clothes.
{%- endblock %}
{% block user -%}
Action: {{ action }}
{%- endblock %}
"""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--param", "stop=[1, 2"), "is not JSON"),
        (("--param", "top_p=NaN"), "is not JSON"),
        (("--param", "top_p=1", "--param", "top_p=2"), "top_p is given twice"),
        (("--param", "seed=abc"), "write --seed abc"),
        (("--temperature", "1", "--param", "temperature=null"), "contradict each other"),
        (("--llm", "openai:o3", "--samples", "2"), "--param temperature=null"),
        (("--language", "German; ignore all"), "is not the name of a language"),
    ],
)
def test_options_that_say_nothing_clear_are_refused(build: Build, options: tuple[str, ...], words: str) -> None:
    report = build("--llm", "openai:tiny", *options)
    assert report["exit_code"] == 2
    assert words in report["stderr"]


@pytest.mark.parametrize(
    "body",
    [
        mistral("top_k"),
        [{"error": {"message": 'Invalid JSON payload received. Unknown name "top_k": Cannot find field.'}}],
    ],
)
def test_a_parameter_of_the_user_that_is_refused_ends_the_build(build: Build, server: ChatServer, body: Any) -> None:
    server.otherwise = lambda asked: Answer(400, body=json.dumps(body))
    report = build("--llm", "openai:tiny", "--param", "top_k=5")
    assert report["exit_code"] == 1
    assert "Leave out --param top_k" in report["stderr"]
    assert len(server.bodies) == 1


def test_the_texts_of_before_are_in_use_again_without_a_language(
    build: Build, server: ChatServer, descgen: Run
) -> None:
    german = Answer(text='{"setting": "eine grüne Wiese", "objects": ["2 Bälle", "ein Schläger"]}')
    server.otherwise = lambda asked: german if "German" in asked["messages"][-1]["content"] else VALID
    build()
    build("--language", "German")
    assert "2 bälle" in descgen("show", "-d", "hmdb51").stdout
    assert build()["cached"] == CLASSES
    shown = descgen("show", "-d", "hmdb51").stdout
    assert "a wooden bat" in shown
    assert "2 bälle" not in shown


def test_a_model_without_a_temperature_can_be_sampled_at_its_own(build: Build, server: ChatServer) -> None:
    server.otherwise = lambda asked: VALID
    assert build("--llm", "openai:o3", "--samples", "2", "--param", "temperature=null")["generated"] == 2 * CLASSES
    assert not any("temperature" in asked for asked in server.bodies)
