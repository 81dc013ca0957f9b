"""What `lint` finds, what it leaves alone, and what is known to be in the published descriptors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from db.records import Action, Dataset, Descriptor
from descriptor_gen.lint import clip_tokens
from descriptor_gen.lint.rules import DEFAULT_LIMITS, Finding, Limits, lint, template_items
from descriptor_gen.llms.testing import ANSWERS, FakeLLM
from tests.fixtures.commands import Run

LONG = " ".join(["a person waves"] * 30)
TEAR = ("reference", "descriptors", "tear")


def dataset(*names: str) -> Dataset:
    return Dataset("own", tuple(Action(label, name, name) for label, name in enumerate(names)), stored_as="own")


def descriptors(*rows: tuple[str, str, str], by: str = "fake") -> list[Descriptor]:
    """Return descriptors of (action, kind, text), numbered from 1, each position within its action and kind."""
    made: list[Descriptor] = []
    for number, (action, kind, text) in enumerate(rows, start=1):
        position = sum((one.action, one.kind) == (action, kind) for one in made)
        made.append(Descriptor(number, action, kind, position, text, "llm", "pending", by, None))
    return made


def found(*rows: tuple[str, str, str], rules: Sequence[str] = (), limits: Limits = DEFAULT_LIMITS) -> list[Finding]:
    names = dict.fromkeys(action for action, _, _ in rows)
    return lint(dataset(*names), descriptors(*rows), rules=rules, limits=limits)


def test_a_text_that_is_too_long_is_found_with_what_is_cut() -> None:
    (finding,) = found(("wave", "description", LONG), ("wave", "description", "a person waves"), rules=["too-long"])
    assert (finding.severity, finding.action, finding.kind, finding.ids) == ("error", "wave", "description", (1,))
    assert finding.detail == f"92 tokens, 77 are read; cut: {' '.join(['a person waves'] * 5)}"
    assert not found(("wave", "description", LONG), rules=["too-long"], limits=Limits(context_length=92))
    assert clip_tokens.split("A person\nwaves.", 5) == ("a person", "waves.")


@pytest.mark.parametrize("text", ["a b " * 37 + "a", "naïve café — “ok”", "a &amp; b", "x" * 75, "1 2 3", "🤸" * 30])
def test_tokens_are_those_of_clip(text: str) -> None:
    from clip.simple_tokenizer import SimpleTokenizer

    real = len(SimpleTokenizer().encode(text)) + 2
    assert clip_tokens.token_count(text) == real
    assert clip_tokens.fits(text) == (real <= 77)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("Action label: Tying a knot. Description: a rope", 'prompt echo: "Action label:"'),
        ("Sure, a person waves", 'chat: "Sure,"'),
        ("here are three steps", 'chat: "here are"'),
        ("Step 1: raise the arm", 'numbering: "Step 1"'),
        ("2. raise the arm", 'numbering: "2."'),
        ("**raise** the arm", 'markup: "**"'),
        ('["raise the arm"', 'markup: "["'),
        ("a video of a person who waves", 'scaffolding: "a video of"'),
        ("In the action of hitting, a person strikes", 'scaffolding: "the action of"'),
    ],
)
def test_words_of_the_prompt_are_an_error(text: str, detail: str) -> None:
    (finding,) = found(("hit", "description", text), rules=["echo"])
    assert (finding.severity, finding.detail) == ("error", detail)


@pytest.mark.parametrize(
    "text",
    ["a hand holds a photo of a child", "here and there people wave", "surely a step forward", "3 people on a step-up"],
)
def test_words_that_a_prompt_could_hold_too_are_left_alone(text: str) -> None:
    assert not found(("hit", "description", text))


def test_a_refusal_is_an_error() -> None:
    text = "I'm sorry, but I am not sure how to describe cumbia as an action."
    (finding,) = found(("cumbia", "description", text), ("wave", "description", "a sorry face that I am shown"))
    assert (finding.rule, finding.severity, finding.action) == ("refusal", "error", "cumbia")


def test_a_repeat_is_an_error_within_a_reply_and_a_warning_beyond_it() -> None:
    texts = [("wave", "context", "a hand"), ("wave", "context", " A  Hand. "), ("wave", "description", "a hand")]
    same, other = found(*texts, ("wave", "context", "an arm"), rules=["repeat"])
    assert (same.severity, same.ids, same.detail) == ("error", (2, 1), "repeated in one reply")
    assert (other.severity, other.ids, other.detail) == ("warning", (3, 1), "repeats a text of context by fake")
    for another in ("mistral", "llama"):  # another LLM, another sample of the same
        two = [*descriptors(texts[0], by="llama"), replace(descriptors(texts[0], by=another)[0], id=2, generation=2)]
        assert [finding.severity for finding in lint(dataset("wave"), two, rules=["repeat"])] == ["warning"]


def test_rejected_texts_are_no_repeats_and_have_none() -> None:
    first, second, third = descriptors(*[("wave", "context", "a hand")] * 3)
    rejected = replace(first, status="rejected")
    [copy] = lint(dataset("wave"), [rejected, second, third], rules=["repeat"])
    assert copy.ids == (3, 2)
    assert not lint(dataset("wave"), [rejected, second], rules=["repeat"])


def test_a_thing_may_be_shared_by_few_classes_and_a_sentence_by_none() -> None:
    things = [(name, "context", "person") for name in "abc"] + [(name, "context", "ball") for name in "ab"]
    shared = found(*things, rules=["shared"])
    assert [(finding.action, finding.text) for finding in shared] == [("a", "person"), ("b", "person"), ("c", "person")]
    assert {(finding.severity, finding.detail) for finding in shared} == {("warning", "in 3 classes: a, b, c")}
    assert not found(*things, rules=["shared"], limits=Limits(shared=4))
    assert len(found(("a", "description", "a man runs"), ("b", "description", "A man runs."), rules=["shared"])) == 2


def test_the_number_of_items_is_that_of_the_template() -> None:
    limits = Limits(items=template_items())
    one_to_three = {"decomposition": (3, 3), "description": (1, 1), "name": (1, 1), "situation": (2, 2)}
    assert limits.items == {"context": (3, 6), "contrast": (3, 3), **one_to_three}
    steps = [("wave", "decomposition", text) for text in ("one", "two", "three", "four")]
    (finding,) = found(*steps, rules=["count"], limits=limits)
    assert (finding.ids, finding.detail, finding.severity) == ((1, 2, 3, 4), "4 texts, 3 expected", "warning")
    assert not found(*steps[:3], ("wave", "own kind", "one"), rules=["count"], limits=limits)
    twice = descriptors(*steps[:3]) + [replace(one, id=one.id + 3, generation=2) for one in descriptors(*steps[:3])]
    assert not lint(dataset("wave"), twice, rules=["count"], limits=limits)  # two samples of one LLM
    by_hand = [*descriptors(*steps[:3]), replace(descriptors(*steps)[3], source="human", llm=None)]
    assert not lint(dataset("wave"), by_hand, rules=["count"], limits=limits)


def test_a_class_without_a_kind_that_others_have_is_missing() -> None:
    (finding,) = found(("wave", "context", "a hand"), ("run", "description", "a man"), ("run", "context", "legs"))
    assert (finding.rule, finding.action, finding.kind, finding.text) == ("missing", "wave", "description", "")
    assert finding.detail == "no text, 1 of 2 classes have some"


def test_what_no_camera_sees_is_a_warning_for_whole_words_alone() -> None:
    (finding,) = found(("wave", "description", "It requires skill and requires coordination"), rules=["not-visual"])
    assert (finding.severity, finding.detail) == ("warning", "a camera cannot see: requires, skill, coordination")
    assert not found(("wave", "description", "a skillet on a soundboard, a helpless smile"), rules=["not-visual"])


def test_words_without_a_space_between_them_are_found() -> None:
    (finding,) = found(("wave", "description", "she waves theirhands without themselves, a handstand"), rules=["glued"])
    assert finding.detail == "two words without a space: theirhands"


def published(shared: Path, name: str, kind: str) -> list[Finding]:
    texts = json.loads(shared.joinpath(*TEAR, f"{name}.json").read_text())
    rows = descriptors(*((action, kind, text) for action, listed in texts.items() for text in listed))
    return lint(dataset(*texts), rows)


def numbers(findings: list[Finding], *rules: str) -> dict[str, int]:
    return {rule: Counter(finding.rule for finding in findings)[rule] for rule in rules}


def test_what_is_known_of_the_published_kinetics600_is_found(shared: Path) -> None:
    findings = published(shared, "k600_splitted_description", "description")
    assert numbers(findings, "echo", "too-long", "refusal") == {"echo": 596, "too-long": 100, "refusal": 4}
    assert all("Action label" in finding.detail for finding in findings if finding.rule == "echo")


def test_what_is_known_of_the_published_ucf101_and_hmdb51_is_found(shared: Path) -> None:
    assert numbers(published(shared, "ucf101_description", "description"), "too-long") == {"too-long": 93}
    assert numbers(published(shared, "hmdb51_description", "description"), "too-long") == {"too-long": 23}
    repeats = [each for each in published(shared, "hmdb51_all_mistral", "description") if each.rule == "repeat"]
    assert len(repeats) == 204
    assert {finding.severity for finding in repeats} == {"error"}


def built(descgen: Run, llm: FakeLLM, *replies: dict[str, Any]) -> None:
    llm.enqueue(*map(json.dumps, replies))
    descgen("build", "-d", "hmdb51", "-k", "decomposition", "--limit", len(replies))


STEPS = ["someone begins it slowly", "someone now moves on"]
FAULTY = {"steps": [*STEPS, STEPS[1]]}
RIGHT = {"steps": ["one leg kicks into the air", "both hands touch the floor", "theirhands leave the floor"]}


def test_the_command_counts_by_rule_and_fails_for_errors(descgen: Run, llm: FakeLLM) -> None:
    built(descgen, llm, FAULTY, RIGHT)
    result = descgen("lint", "-d", "hmdb51")
    assert result.exit_code == 1
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "rule     severity  found  classes  example",
        "repeat   error         1        1  brush_hair, decomposition: repeated in one reply; someone now moves on",
        "missing  warning      49       49  catch, decomposition: no text, 2 of 51 classes have some",
        "glued    warning       1        1  cartwheel, decomposition: two words without a space: theirhands; ...",
        "",
        "hmdb51: 6 texts, 1 error, 50 warnings",
    ]
    assert result.stderr == "Error: 1 errors in the descriptors of hmdb51. List them with --verbose or --json\n"


def test_the_command_lists_by_class_and_kind(descgen: Run, llm: FakeLLM) -> None:
    built(descgen, llm, FAULTY, RIGHT)
    assert descgen("lint", "-d", "hmdb51", "--verbose", "-r", "glued", "-r", "repeat").stdout == (
        "brush_hair, decomposition\n"
        "  error repeat #3 #2: someone now moves on (repeated in one reply)\n"
        "cartwheel, decomposition\n"
        "  warning glued #6: theirhands leave the floor (two words without a space: theirhands)\n"
        "hmdb51: 6 texts, 1 error, 1 warning\n"
    )


def test_the_command_prints_json(descgen: Run, llm: FakeLLM) -> None:
    built(descgen, llm, FAULTY)
    result = descgen("lint", "-d", "hmdb51", "--rule", "repeat", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "dataset": "hmdb51", "texts": 3, "errors": 1, "warnings": 0,
        "findings": [{
            "rule": "repeat", "severity": "error", "action": "brush_hair", "kind": "decomposition", "ids": [3, 2],
            "text": "someone now moves on", "detail": "repeated in one reply",
        }],
    }  # fmt: skip


def test_warnings_fail_only_when_strict(descgen: Run, llm: FakeLLM) -> None:
    built(descgen, llm, RIGHT)
    arguments = ("lint", "-d", "hmdb51", "-r", "glued")
    assert descgen(*arguments).exit_code == 0
    strict = descgen(*arguments, "--strict")
    assert strict.exit_code == 1
    assert "0 errors and 1 warnings in the descriptors of hmdb51" in strict.stderr
    clean = descgen("lint", "-d", "hmdb51", "-r", "echo", "--strict")
    assert (clean.exit_code, clean.stdout) == (0, "hmdb51: 3 texts, 0 errors, 0 warnings\n")


def test_the_limits_are_options(descgen: Run, llm: FakeLLM) -> None:
    built(descgen, llm, RIGHT, {"steps": [*STEPS, ANSWERS["steps"][2]]})
    short = json.loads(descgen("lint", "-d", "hmdb51", "-r", "too-long", "--context-length", "7", "--json").stdout)
    assert short["findings"][0]["detail"] == "8 tokens, 7 are read; cut: air"
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "2")
    arguments = ("lint", "-d", "hmdb51", "-k", "context", "-r", "shared", "--json")
    assert json.loads(descgen(*arguments).stdout)["warnings"] == 0
    assert json.loads(descgen(*arguments, "--shared", "2").stdout)["warnings"] == 6


def test_only_what_an_llm_wrote(descgen: Run, llm: FakeLLM) -> None:
    built(descgen, llm, FAULTY)
    assert json.loads(descgen("lint", "-d", "hmdb51", "--llm", "FAK", "--json").stdout)["texts"] == 3
    other = descgen("lint", "-d", "hmdb51", "--llm", "llama")
    assert other.exit_code == 1
    assert "descriptors by llama of hmdb51. Stored: 3 decomposition pending by fake." in other.stderr


def test_nothing_to_look_at_names_what_to_do(descgen: Run, llm: FakeLLM) -> None:
    built(descgen, llm, RIGHT)
    accepted = descgen("lint", "-d", "hmdb51", "--status", "accepted")
    assert accepted.exit_code == 1
    assert "No accepted descriptors of hmdb51. Stored: 3 decomposition pending by fake." in accepted.stderr
    other = descgen("lint", "-d", "ucf101")
    assert other.exit_code == 1
    assert "Write them with: descgen build --dataset ucf101" in other.stderr
