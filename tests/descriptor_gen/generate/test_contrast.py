"""The kind that compares: which classes an action is asked to be told from, by words and by the confusions of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from db.records import Prediction
from db.records import Run as StoredRun
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from encoders.testing import registered
from tests.fixtures.commands import Run

LABELS = "running\njogging\nknitting\nsewing\n"
VECTORS = {"running": (1.0, 0.1), "jogging": (1.0, 0.2), "knitting": (0.1, 1.0), "sewing": (0.3, 1.0)}


class Words:
    """A text encoder that knows four words."""

    id, revision, width, context_length = "words", "1", 2, 77

    def __init__(self, name: str, used: list[str]) -> None:
        self._name, self._used = name, used

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        self._used.append(self._name)
        return torch.tensor([VECTORS[text] for text in texts])

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [3] * len(texts)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    file = tmp_path / "own.txt"
    file.write_text(LABELS)
    return file


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The encoders that were used, by name."""
    names: list[str] = []
    with registered(Words("minilm", names), "minilm"), registered(Words("words", names), "words"):
        yield names


def asked(llm: FakeLLM) -> dict[str, list[str]]:
    """Return, by action, the rivals that the model was asked about."""
    pairs = [request.messages[-1]["content"].splitlines() for request in llm.history]
    return {a.removeprefix("Action: "): b.removeprefix("Looks like: ").split("; ") for a, b in pairs}


def save_run(store: Store, predictions: Sequence[Prediction], *, dataset: str = "own") -> int:
    run = StoredRun(dataset, {}, "", (), {}, (), {}, 1.0, predictions=tuple(predictions))
    return store.save_run(run)


def test_the_nearest_in_words_are_the_default(
    descgen: Run, llm: FakeLLM, store: Store, labels: Path, opened: list[str]
) -> None:
    result = descgen("build", "-d", labels, "-k", "contrast", "--rivals", "1")
    assert (result.exit_code, opened) == (0, ["minilm"])
    assert asked(llm) == {
        "running": ["jogging"],
        "jogging": ["running"],
        "knitting": ["sewing"],
        "sewing": ["knitting"],
    }
    texts = [d.text for d in store.descriptors(store.dataset("own")) if d.action == "sewing"]
    assert len(texts) == 3
    assert json.loads(descgen("build", "-d", labels, "-k", "contrast", "--rivals", "1", "--json").stdout)["cached"] == 4


def test_other_rivals_are_another_question(descgen: Run, llm: FakeLLM, labels: Path, opened: list[str]) -> None:
    descgen("build", "-d", labels, "-k", "contrast", "--rivals", "1")
    again = json.loads(descgen("build", "-d", labels, "-k", "contrast", "--against", "text:words", "--json").stdout)
    assert (again["cached"], again["generated"], opened[-1]) == (0, 4, "words")
    assert asked(llm)["running"] == ["jogging", "sewing", "knitting"]


def test_the_confusions_of_a_run_come_before_its_next_best(
    descgen: Run, llm: FakeLLM, store: Store, labels: Path, opened: list[str]
) -> None:
    descgen("build", "-d", labels, "-k", "context")
    llm.history.clear()
    first = [Prediction(f"v{label}", label, ((label, 0.9), ((label + 1) % 4, 0.5)), 1, 1) for label in range(4)]
    mistaken = Prediction("w", 0, ((3, 0.9), (0, 0.8), (2, 0.1)), 2, 1)
    run = save_run(store, [*first, mistaken])
    assert descgen("build", "-d", labels, "-k", "contrast", "--against", f"run:{run}").exit_code == 0
    assert asked(llm) == {
        "running": ["sewing", "jogging", "knitting"],  # put before it once; then next to it
        "jogging": ["knitting"],
        "knitting": ["sewing"],
        "sewing": ["running"],
    }
    assert opened == []


def test_a_run_that_cannot_say_is_refused(
    descgen: Run, llm: FakeLLM, store: Store, labels: Path, opened: list[str]
) -> None:
    descgen("build", "-d", labels, "-k", "context")
    few = save_run(store, [Prediction("v", 0, ((0, 0.9), (1, 0.5)), 1, 1)])
    other = save_run(store, [], dataset="hmdb51")
    for against, code, said in (
        (f"run:{few}", 1, "has no video of 3 of the 4 classes of own: jogging, knitting, sewing. To choose rivals"),
        (f"run:{other}", 2, f"Run {other} is on hmdb51, not own"),
        ("run:99", 2, "No run 99"),
        ("run:last", 2, "No run last."),
    ):
        result = descgen("build", "-d", labels, "-k", "contrast", "--against", against)
        assert (result.exit_code, said in result.stderr) == (code, True), result.stderr
    unused = descgen("build", "-d", labels, "-k", "context", "--against", "text")
    assert (unused.exit_code, "Add --kind contrast" in unused.stderr) == (2, True)


def test_a_build_of_all_kinds_compares_nothing(descgen: Run, llm: FakeLLM, labels: Path, opened: list[str]) -> None:
    assert json.loads(descgen("build", "-d", labels, "--json").stdout)["generated"] == 4 * 4
    assert opened == []


def test_a_template_of_ones_own_compares(descgen: Run, llm: FakeLLM, tmp_path: Path, labels: Path) -> None:
    own = tmp_path / "differs.j2"
    source = descgen("prompts", "show", "contrast").stdout.replace("kind: contrast", "kind: differs")
    own.write_text(source)
    assert descgen("prompts", "check", own).exit_code == 0
    rendered = descgen("prompts", "render", "differs", "-t", own, "-a", "yo-yo", "--rival", "diabolo").stdout
    assert rendered.endswith("Action: yo-yo\nLooks like: diabolo\n")
    assert "name them with --rival" in descgen("prompts", "render", "differs", "-t", own, "-a", "yo-yo").stderr
    own.write_text(source.replace("    rivals: [winking, yawning]\n", ""))
    assert "example 2 (frowning): it needs rivals" in descgen("prompts", "check", own).stdout
    own.write_text(source.replace('\nLooks like: {{ rivals | join("; ") }}', ""))
    assert "example 1 (pitching a tent): it has rivals, which" in descgen("prompts", "check", own).stdout
