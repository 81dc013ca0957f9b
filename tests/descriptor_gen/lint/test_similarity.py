"""descgen similarity, and the rule `sense` of lint, with an encoder whose vectors are known."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from descriptor_gen.llms.testing import FakeLLM
from encoders.testing import registered
from tests.fixtures.commands import Run

VECTORS = {
    "playing cello": (1.0, 0.0, 0.0),
    "archery": (0.0, 1.0, 0.0),
    "knitting": (0.0, 0.6, 0.8),
    "bow": (0.1, 2.0, 0.0),
    "wooden cello": (3.0, 0.3, 0.0),
    "arrow": (0.0, 1.0, 0.1),
    "wool": (0.0, 0.0, 1.0),
}


class Known:
    """A text encoder of seven texts; it counts what it encodes."""

    id, revision, width, context_length = "known", "1", 3, 4

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        self.encoded += texts
        return torch.tensor([VECTORS[text] for text in texts])

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [3 if text != "wooden cello" else 9 for text in texts]


@pytest.fixture
def encoder() -> Iterator[Known]:
    """The encoder that every command opens in this test."""
    known = Known()
    with registered(known, "minilm", "known"):
        yield known


@pytest.fixture
def three(descgen: Run, tmp_path: Path) -> Path:
    """A dataset of three classes with four descriptors."""
    labels, texts = tmp_path / "three.txt", tmp_path / "texts.json"
    labels.write_text("playing cello\narchery\nknitting\n")
    texts.write_text(json.dumps({"playing cello": ["bow", "wooden cello"], "archery": ["arrow"], "knitting": ["wool"]}))
    descgen("import", texts, "-d", labels, "-k", "context")
    return labels


def test_pairs_are_sorted_by_their_cosine_with_descriptors(descgen: Run, three: Path, encoder: Known) -> None:
    found = json.loads(descgen("similarity", "-d", three, "--json").stdout)
    assert (found["encoder"], found["descriptors"], found["texts_cut"]) == ("known", 4, 1)
    assert sorted(encoder.encoded) == sorted(VECTORS)  # each once
    pairs = {(pair["first"], pair["second"]): pair for pair in found["pairs"]}
    assert next(iter(pairs)) == ("playing cello", "archery")
    assert pairs["archery", "knitting"]["labels"] == pytest.approx(0.6)
    assert pairs["playing cello", "archery"]["labels"] == 0
    assert pairs["playing cello", "archery"]["change"] == pairs["playing cello", "archery"]["described"] > 0.4
    assert pairs["archery", "knitting"]["change"] < 0  # wool tells knitting from archery
    assert [found["matrix"][n][n] for n in range(3)] == pytest.approx([1, 1, 1])
    shown = descgen("similarity", "-d", three, "--top", "1").stdout
    assert shown.startswith(
        "three, 3 classes, known, labels and 4 descriptors\n1 texts are longer than the encoder's limit"
    )
    assert shown.count("archery") == 1


def test_labels_alone_need_no_database(descgen: Run, tmp_path: Path, encoder: Known, database: Path) -> None:
    labels = tmp_path / "plain.txt"
    labels.write_text("playing cello\narchery\nknitting\n")
    pairs = json.loads(descgen("similarity", "-d", labels, "--json", "--top", "1").stdout)["pairs"]
    assert [(pair["first"], pair["second"], pair["described"]) for pair in pairs] == [("archery", "knitting", None)]
    assert not database.exists()
    none = descgen("similarity", "-d", labels, "-k", "context")
    assert (none.exit_code, "descgen build" in none.stderr) == (1, True)


def test_the_matrix_is_written_and_drawn(descgen: Run, three: Path, encoder: Known, tmp_path: Path) -> None:
    table, picture = tmp_path / "three.csv", tmp_path / "three.png"
    result = descgen("similarity", "-d", three, "--label-only", "--csv", table, "--plot", picture)
    assert (result.exit_code, result.stderr) == (0, f"wrote {table}\nwrote {picture}\n")
    rows = list(csv.reader(table.open()))
    assert rows[0] == ["class", "playing cello", "archery", "knitting"]
    assert [float(value) for value in rows[2][1:]] == pytest.approx([0, 1, 0.6])
    assert picture.read_bytes().startswith(b"\x89PNG")
    wrong = descgen("similarity", "-d", three, "--plot", tmp_path / "three.doc")
    assert (wrong.exit_code, ".png, .svg, .pdf" in wrong.stderr) == (2, True)


def test_one_class_cannot_be_compared(descgen: Run, llm: FakeLLM, tmp_path: Path, encoder: Known) -> None:
    labels = tmp_path / "one.txt"
    labels.write_text("archery\n")
    said = "one has one class only, so there are no classes to compare"
    for arguments in (
        ("similarity", "-d", labels, "--plot", tmp_path / "one.png"),
        ("build", "-d", labels, "-k", "contrast"),
        ("build", "-d", labels, "-k", "contrast", "--against", "run:1"),
    ):
        result = descgen(*arguments)
        assert (result.exit_code, said in result.stderr) == (1, True), result.output
    assert llm.history == []


def test_a_text_of_another_sense_is_a_warning(descgen: Run, three: Path, encoder: Known) -> None:
    found = json.loads(descgen("lint", "-d", three, "--encoder", "known", "--rule", "sense", "--json").stdout)
    [finding] = found["findings"]
    assert (finding["severity"], finding["action"], finding["text"]) == ("warning", "playing cello", "bow")
    assert finding["detail"] == "nearer to 'archery' (1.00) than to 'playing cello' (0.05), by known"
    without = json.loads(descgen("lint", "-d", three, "--json").stdout)
    assert "sense" not in {each["rule"] for each in without["findings"]}
    refused = descgen("lint", "-d", three, "--rule", "sense")
    assert (refused.exit_code, "--encoder minilm" in refused.stderr) == (2, True)


@pytest.mark.slow
def test_the_bundled_encoder_knows_a_bow_for_archery(descgen: Run, three: Path) -> None:
    found = json.loads(descgen("lint", "-d", three, "--encoder", "minilm", "--rule", "sense", "--json").stdout)
    assert [finding["text"] for finding in found["findings"]] == ["bow"]
