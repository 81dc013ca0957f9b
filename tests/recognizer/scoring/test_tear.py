"""Protocol `tear` against TEAR's arithmetic, written again as loops from its paper (arXiv 2408.16412) and its code.

One video, one class, one text and one template at a time, in double precision. Nothing here is shared with the code
under test but the class names: the templates and class strings come from the reference data where it is there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from db.records import Descriptor
from db.vocabulary import load
from encoders.testing import FakeEncoder
from recognizer.scoring.ensemble import Ensemble, build_ensemble
from recognizer.scoring.methods import log_probabilities, scores
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.protocols import TEAR_TEMPLATES, protocol_of
from tests.fixtures.parity import Reference as Parity
from tests.fixtures.parity import Score

VIDEOS, FRAMES, TEMPERATURE = 40, 16, 0.5  # the temperature of TEAR's scripts
KINDS = ("decomposition", "description", "context")  # the order in its files of all texts
Vector = list[float]


class Reference:
    """TEAR's evaluation of one video after the other; `texts` maps its class strings to their texts, as its files do.

    Args:
        templates: put around every text, the class string included.
        conditioning: the class string and a space before each text of the file.
        first_used: False as in the published code, whose loop over "sub-actions" starts at the second one.
    """

    def __init__(
        self,
        encode: Callable[[str], Vector],
        texts: dict[str, list[str]],
        *,
        templates: Sequence[str],
        conditioning: bool,
        first_used: bool = True,
    ) -> None:
        self.first_used = first_used
        self.original: list[Vector] = []
        self.sub_actions: list[list[Vector]] = []
        for name, of_class in texts.items():
            conditioned = [f"{name} {text}" if conditioning else text for text in of_class]
            encoded = []
            for text in [name, *conditioned]:
                vectors = [unit(encode(template.format(text))) for template in templates]
                encoded.append(unit(mean(vectors)))
            self.original.append(encoded[0])
            self.sub_actions.append(encoded[1:])

    def simple(self, frames: list[Vector]) -> Vector:
        """Return the logit of each class."""
        video = unit(mean(frames))
        logits = []
        for original, sub_actions in zip(self.original, self.sub_actions, strict=True):
            text = unit(mean([*sub_actions, original]))
            logits.append(100.0 * dot(video, text) / TEMPERATURE)
        return logits

    def ensemble(self, frames: list[Vector]) -> Vector:
        """Return the logit of each class; the video is not split (`no_split`, as in its configuration)."""
        video = unit(mean(frames))
        means = []
        for original, sub_actions in zip(self.original, self.sub_actions, strict=True):
            logits = [100.0 * dot(video, original) / TEMPERATURE]
            for number, text in enumerate(sub_actions):
                if number > 0 or self.first_used:
                    logits.append(100.0 * dot(video, text) / TEMPERATURE)
            means.append(sum(logits) / len(logits))
        return means


def scored_by(name: str, *, first_used: bool = True) -> Score:
    """Return the scores [V, C] of a method of `Reference` for texts that are vectors already."""

    def score(frames: Tensor, ensemble: Ensemble) -> Tensor:
        vectors = {f"{c} {k}": ensemble.texts[c, k].tolist() for c, k in ensemble.present.nonzero().tolist()}
        texts: dict[str, list[str]] = {}
        for cell in vectors:
            c, k = cell.split()
            texts.setdefault(f"{c} 0", []).extend([cell] if k != "0" else [])
        reference = Reference(vectors.__getitem__, texts, templates=("{}",), conditioning=False, first_used=first_used)
        logits = [getattr(reference, name)(video) for video in frames.tolist()]
        return torch.tensor(logits, dtype=torch.double) * TEMPERATURE / 100.0

    return score


_TEAR = "TEAR ([arXiv 2408.16412](https://arxiv.org/abs/2408.16412)):"
PARITY = {
    "mean": Parity(f"{_TEAR} `simple`, paper and code", scored_by("simple")),
    "ensemble": Parity(f"{_TEAR} `ensemble` as its paper has it", scored_by("ensemble")),
    "ensemble-published": Parity(
        f"{_TEAR} `ensemble` as its released code has it", scored_by("ensemble", first_used=False)
    ),
}


def dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def unit(vector: Vector) -> Vector:
    length = math.sqrt(dot(vector, vector))
    return [x / length for x in vector]


def mean(vectors: list[Vector]) -> Vector:
    return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]


def softmax(logits: Vector) -> Vector:
    largest = max(logits)
    powers = [math.exp(logit - largest) for logit in logits]
    return [power / sum(powers) for power in powers]


def class_string(name: str) -> str:
    """TEAR's own: UCF101's names cut before each capital, from the names of the files, which write HandStand."""
    return " ".join(re.findall("[A-Z][^A-Z]*", name.replace("HandstandPushups", "HandStandPushups")))


def made_texts(names: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """Return by class and kind: three steps, a description, and one to five words of context, as in TEAR's files."""
    return {
        name: {
            "decomposition": [f"step {step} of {name.lower()}" for step in range(3)],
            "description": [f"what one sees of {name.lower()}, at length."],
            "context": [f"thing {thing} of {name.lower()}" for thing in range(1 + number % 5)],
        }
        for number, name in enumerate(names)
    }


def rows(texts: dict[str, dict[str, list[str]]], kinds: Sequence[str]) -> list[Descriptor]:
    """Return the texts as the database gives them: by kind in the order of the alphabet."""
    of_class = [
        (name, kind, position, text)
        for name, by_kind in texts.items()
        for kind in sorted(kinds)
        for position, text in enumerate(by_kind[kind])
    ]
    return [
        Descriptor(number, name, kind, position, text, "import", "pending", None, None)
        for number, (name, kind, position, text) in enumerate(of_class)
    ]


@pytest.mark.parametrize("kinds", [KINDS, ("decomposition",), ("description",), ("context",)], ids="+".join)
@pytest.mark.parametrize("conditioning", [False, True])
@pytest.mark.parametrize("templates", ["protocol", "single"])
def test_protocol_tear_equals_the_reference_on_101_classes(
    exact_encoder: FakeEncoder, kinds: tuple[str, ...], conditioning: bool, templates: str
) -> None:
    """Equal rankings of all classes for every video, and probabilities that agree."""
    dataset = load("ucf101")
    texts = made_texts([action.name for action in dataset.actions])
    frames = random_frames(VIDEOS)
    protocol = protocol_of("tear", templates=templates, condition=conditioning)
    ensemble = build_ensemble(dataset, rows(texts, kinds), exact_encoder, protocol)
    in_files = {class_string(name): [t for kind in kinds for t in of[kind]] for name, of in texts.items()}
    assert len(in_files) == 101
    around = {"protocol": TEAR_TEMPLATES, "single": ("A video action of {}",)}[templates]
    as_paper, as_code = (
        Reference(encoder_of(exact_encoder), in_files, templates=around, conditioning=conditioning, first_used=used)
        for used in (True, False)
    )
    for method, reference in (
        ("mean", as_paper.simple), ("ensemble", as_paper.ensemble), ("ensemble-published", as_code.ensemble),
    ):  # fmt: skip
        assert_equal(method, reference, frames, ensemble)


def assert_equal(method: str, reference: Callable[[list[Vector]], Vector], frames: Tensor, ensemble: Ensemble) -> None:
    """In double precision everything is equal; in single, scores are within 1e-5 and swap classes only if as near."""
    logits = torch.tensor([reference(video) for video in frames.tolist()], dtype=torch.double)
    scored = scores(VideoBatch.of(frames), ensemble, method=method)
    assert torch.equal(scored.argsort(dim=1), logits.argsort(dim=1)), f"{method}: another ranking"
    expected = torch.tensor([softmax(row) for row in logits.tolist()], dtype=torch.double)
    assert (log_probabilities(scored, temperature=TEMPERATURE).exp() - expected).abs().max() < 1e-10
    single = scores(VideoBatch.of(frames.float()), replace(ensemble, texts=ensemble.texts.float()), method=method)
    cosines = logits * TEMPERATURE / 100.0
    assert (single - cosines).abs().max() < 1e-5
    in_order = cosines.gather(1, single.argsort(dim=1, descending=True))
    assert (in_order.diff(dim=1) < 1e-6).all()


def random_frames(videos: int) -> Tensor:
    """Return features of random videos [V, T, D], in double precision."""
    generator = torch.Generator().manual_seed(7)
    return torch.randn(videos, FRAMES, FakeEncoder.width, generator=generator, dtype=torch.double)


class ExactEncoder(FakeEncoder):
    """The fake encoder in double precision: in single, classes closer than 1e-8 may swap places by rounding."""

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return super().encode_texts(texts).double()  # type: ignore[no-any-return]


@pytest.fixture
def exact_encoder() -> FakeEncoder:
    return ExactEncoder()


def encoder_of(encoder: FakeEncoder) -> Callable[[str], Vector]:
    """Return the encoder as a function of one text, each text's vector kept."""
    known: dict[str, Vector] = {}

    def encode(text: str) -> Vector:
        if text not in known:
            known[text] = encoder.encode_texts([text])[0].tolist()
        return known[text]

    return encode


def test_the_published_files_and_class_strings_give_the_same(shared: Path, exact_encoder: FakeEncoder) -> None:
    """The texts published with TEAR, under its own class strings, with its templates as published."""
    reference = shared / "reference"
    published = json.loads((reference / "descriptors" / "tear" / "ucf101_all.json").read_text())
    around = (reference / "templates" / "tear16.txt").read_text().splitlines()
    dataset = load("ucf101")
    in_files = {class_string(action.name): published[class_string(action.name)] for action in dataset.actions}
    texts = [
        Descriptor(0, action.name, "all", position, text, "import", "pending", None, None)
        for action in dataset.actions
        for position, text in enumerate(in_files[class_string(action.name)])
    ]
    ensemble = build_ensemble(dataset, texts, exact_encoder, protocol_of("tear"))
    reference_code = Reference(
        encoder_of(exact_encoder), in_files, templates=around, conditioning=False, first_used=False
    )
    for method, loop in (("mean", reference_code.simple), ("ensemble-published", reference_code.ensemble)):
        assert_equal(method, loop, random_frames(5), ensemble)


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_frames_are_pooled_before_they_are_normalised(pooling: str) -> None:
    frames = torch.tensor([[[3.0, 0.0], [0.0, 1.0]]])
    expected = {"avg": [1.5, 0.5], "max": [3.0, 1.0]}[pooling]
    pooled = VideoBatch.of(frames, pooling=pooling).pooled  # type: ignore[arg-type]
    assert pooled[0].tolist() == pytest.approx(unit(expected))
