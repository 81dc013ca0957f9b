"""Layouts of published files that are not in the reference folder: their facts, with sentences of our own.

- MPVR (jmiemirza/Meta-Prompting), `descriptions/<llm>/<dataset>.json`: class -> 250 or so texts, sampled with a limit
  of 50 tokens, so most break off; GPT's have a full stop put behind them whatever they end with, and some begin with a
  line break; Mixtral's hold line breaks and refusals; many are alike. Its scripts (`generate/*.py`) write class ->
  question -> 10 texts; every question names the class. UCF101 is in words, one in its own way: Hand Stand Pushups.
- classify_by_description (sachit-menon): class -> short phrases without the class; some classes have an empty list.
- FROSTER (Visual-AI): label index -> `Name: sentence`, as JSON and as numbered lines with the name in quotes. The names
  are not always those of the dataset (Kinetics-400: Barbecuing, Eating a burger, Driving a car).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from db.store import Store
from tests.fixtures.commands import Run
from tests.fixtures.imports import Write, imported, write

__all__ = ["write"]  # fixture


def in_words(name: str) -> str:
    """Return a name of UCF101 as MPVR writes it."""
    own = {"HandstandPushups": "Hand Stand Pushups", "YoYo": "Yo Yo", "TaiChi": "Tai Chi"}
    parts = "".join(f" {letter}" if letter.isupper() else letter for letter in name).split()
    return own.get(name, " ".join(parts))


ANSWERS = [
    "A person moves an arm up and.",
    "\nA person moves an arm.",
    "1. Arms: these go up\n\n2. Le.",
    "I cannot see..",
]


def test_mpvr_as_published(descgen: Run, store: Store, write: Write) -> None:
    dataset = store.dataset("ucf101")
    texts = {in_words(action.name): [*ANSWERS, ANSWERS[0]] for action in dataset.actions}
    report = imported(descgen, write("UCF101.json", texts), "-d", "ucf101", "-k", "mpvr", "--strict")
    assert (report["added"], report["classes"], report["unmapped"], report["refused"]) == (505, 101, [], [])
    stored = [d.text for d in store.descriptors(dataset) if d.action == "HandstandPushups"]
    assert stored == [text.strip() for text in (*ANSWERS, ANSWERS[0])]


def test_mpvr_as_its_scripts_write_it(descgen: Run, store: Store, write: Write) -> None:
    dataset = store.dataset("kinetics400")
    texts = {
        action.name: {f"How does the {action.name} action look?": ANSWERS, f"Describe {action.name}.": ["An arm."]}
        for action in dataset.actions
    }
    report = imported(descgen, write("k400.json", texts), "-d", "kinetics400", "-k", "mpvr", "--strict")
    assert (report["added"], report["classes"]) == (2000, 400)
    zumba = [d.text for d in store.descriptors(dataset) if d.action == "zumba"]
    assert zumba == [text.strip() for text in (*ANSWERS, "An arm.")]


def test_classify_by_description(descgen: Run, store: Store, write: Write) -> None:
    file = write("descriptors_ucf101.json", {"TaiChi": ["slow steps", "open hands"], "Punch": [], "YoYo": ["a string"]})
    report = imported(descgen, file, "-d", "ucf101", "-k", "features")
    assert (report["added"], report["classes"], len(report["without"])) == (3, 2, 99)
    assert report["refused"] == [{"key": "Punch", "number": 1, "reason": "an empty list"}]
    assert "Punch" in report["without"]
    assert "an empty list" in descgen("import", file, "-d", "ucf101", "-k", "features", "--strict").stderr


@pytest.mark.parametrize("suffix", ["json", "txt"])
def test_froster_with_names_of_its_own(descgen: Run, store: Store, write: Write, suffix: str) -> None:
    own = {"barbequing": "Barbecuing", "eating burger": "Eating a burger", "driving car": "Driving a car"}
    names = [action.name for action in store.dataset("kinetics400").actions]
    shown = [own.get(name, name.title()) for name in names]
    lines = "\n\n".join(f'{index}. "{name}": The video shows it, e.g. at home.' for index, name in enumerate(shown))
    document = {str(index): f"{name}: The video shows it, e" for index, name in enumerate(shown)}
    file = write(f"k400_rephrased.{suffix}", document if suffix == "json" else lines)
    report = imported(descgen, file, "-d", "kinetics400", "-k", "rephrased", "--strict")
    assert (report["added"], report["classes"]) == (400, 400)
    found = store.descriptors(store.dataset("kinetics400"))
    assert [d.action for d in found] == names
    assert Counter(own[name].lower() in d.text.lower() for d in found for name in own if d.action == name) == {True: 3}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"wave": {"context": ["a field"]}}, "below 'wave' it has 'context', which is no question that names"),
        ({"wave": {"Describe wave.": "an arm"}}, "with a list of texts. Known shapes: "),
        ({"wave": {"Describe wave.": {"gpt": ["an arm"]}}}, "below 'wave' it has 'Describe wave.'"),
        ({"wave": [{"text": "an arm"}], "clap": [["two hands"]]}, "no name in it has a text or a list of texts"),
        ({"wave": {}, "clap": {}}, "no name in it has a text or a list of texts"),
        ({"texts": {"wave": ["an arm"]}, "version": 2}, "no name in it has a text or a list of texts"),
        ('{"wave": {"Is it wave?": ["a"], "Is it wave?": ["b"]}}', "holds these names twice: Is it wave?"),
    ],
)  # fmt: skip
def test_a_layout_that_is_not_known_is_refused(
    descgen: Run, store: Store, write: Write, content: Any, said: str
) -> None:
    refused = descgen("import", write("x.json", content), "-d", "hmdb51", "-k", "all")
    assert refused.exit_code == 1
    assert said in refused.stderr
    assert store.counts() == []
