"""Rules for texts of the kind `name`."""

from __future__ import annotations

import pytest

from db.records import Action, Dataset, Descriptor
from db.vocabulary import load
from descriptor_gen.lint.names import stems
from descriptor_gen.lint.rules import lint

PHRASES = {"bike": "riding a bike", "fence": "fencing", "swim": "swimming"}
CLASSES = Dataset("made", tuple(Action(c, *pair) for c, pair in enumerate(PHRASES.items())), stored_as="made")


def found(action: str, name: str, *others: tuple[str, str, str]) -> list[tuple[str, str, str]]:
    """Return (rule, severity, detail) about a name; `others` are (class, kind, text) beside it."""
    rows = [(action, "name", name), *others]
    texts = [Descriptor(n, a, k, 0, text, "llm", "pending", "fake", "0") for n, (a, k, text) in enumerate(rows)]
    rules = ("name-same", "name-action", "name-class", "name-form", "not-visual", "too-long")
    return [(f.rule, f.severity, f.detail) for f in lint(CLASSES, texts, rules=rules) if f.ids == (0,)]


@pytest.mark.parametrize("name", ["pedalling a bike on a road", "riding bicycles or", "biker at the start"])
def test_a_name_with_a_word_of_its_label_is_no_other_action(name: str) -> None:
    assert "name-action" not in [rule for rule, _, _ in found("bike", name)]


def test_a_name_in_the_words_of_its_label_says_nothing_new() -> None:
    assert found("bike", "bike rides") == [("name-same", "warning", "the same words as the label 'riding a bike'")]
    assert found("bike", "riding a bike downhill") == []


def test_a_name_without_a_word_of_label_or_texts_may_be_another_action() -> None:
    detail = "shares no word with the label 'fencing'"
    assert found("fence", "sword fighting") == [("name-action", "warning", detail)]
    known = ("fence", "description", "two people fight with thin swords")
    assert found("fence", "sword fighting", known) == []
    unknown = ("fence", "description", "people in white suits")
    assert found("fence", "sword fighting", unknown) == [
        ("name-action", "warning", f"{detail}, nor with other texts of its class")
    ]


def test_a_name_of_another_class_is_an_error() -> None:
    detail = "the same words as class swim"
    assert found("fence", "a person swims")[-1:] == [("name-class", "error", detail)]
    assert found("fence", "fencing in a pool", ("swim", "name", "pool fencing"))[-1:] == [
        ("name-class", "error", detail)
    ]


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("riding a bike along the road to the far sea", "10 words, a label has at most 8"),
        ("a person is riding a bike", "a sentence, not a phrase"),
        ("a cyclist is riding a bike", "a sentence, not a phrase"),
        ("someone rides a bike", "a sentence, not a phrase"),
        ("riding a bike, cycling", "a list, not one phrase"),
        ("bike riding or cycling", "a list, not one phrase"),
    ],
)
def test_a_name_is_one_short_phrase(name: str, detail: str) -> None:
    assert ("name-form", "warning", detail) in found("bike", name)


def test_a_phrase_about_people_is_no_sentence() -> None:
    assert [rule for rule, _, _ in found("bike", "someone on a bike")] == []


def test_what_no_camera_sees_is_found_in_names_too() -> None:
    assert [rule for rule, _, _ in found("bike", "enjoying a bike ride")] == ["not-visual"]


@pytest.mark.parametrize("name", ["ucf101", "hmdb51", "kinetics600", "thumos14"])
def test_no_two_labels_of_a_dataset_are_taken_for_the_same(name: str) -> None:
    actions = load(name).actions
    assert len({stems(action.phrase) for action in actions}) == len(actions)
