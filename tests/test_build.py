"""descgen build, through the command line, with a model that says what it is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from db.errors import UserError
from db.store import Store
from tests.conftest import FakeLLM, Run


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
    first = descgen("build", "-d", "hmdb51", "-k", "decomposition", "--limit", "2")
    assert first.exit_code == 1
    assert f"brush_hair, decomposition: {reason}" in first.stdout
    assert "Run the same command to try again" in first.stderr
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
    from descriptor_gen.build import cache_key
    from descriptor_gen.prompt import load_prompts

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


def test_a_changed_template_supersedes_and_going_back_restores(llm: FakeLLM, store: Store) -> None:
    from descriptor_gen.build import build_descriptors
    from descriptor_gen.prompt import load_prompts, parse

    dataset = store.dataset("hmdb51")
    [old] = load_prompts(["context"])
    new = parse(old.template.source.replace("camera", "visitor"))
    assert new.template != old.template
    build_descriptors(store, dataset, llm=llm, prompts=[old], limit=3)
    first = store.descriptors(dataset)
    build_descriptors(store, dataset, llm=llm, prompts=[new], limit=3)
    second = store.descriptors(dataset)
    assert len(first) == len(second) == 9
    assert not {d.id for d in first} & {d.id for d in second}
    build_descriptors(store, dataset, llm=llm, prompts=[old], limit=3)
    assert store.descriptors(dataset) == first
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
    assert report(descgen("build", "-d", labels, "-k", "context", "--json"))["cached"] == 2
    rows = json.loads(descgen("list", "-d", "kitchen", "--json").stdout)
    assert [row["name"] for row in rows] == ["washing up", "ChopOnions"]
