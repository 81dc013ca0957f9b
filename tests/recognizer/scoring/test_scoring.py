"""Ensembles and scores against loops that follow the papers line by line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from db.errors import UsageError, UserError
from db.records import Action, Dataset, Descriptor
from db.vocabulary import load, tear_name
from encoders.testing import FakeEncoder
from recognizer.scoring.ensemble import build_ensemble
from recognizer.scoring.methods import method_of, scores
from recognizer.scoring.methods.means import class_weights
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.protocols import PROTOCOLS, TEAR_TEMPLATES, protocol_of, templates_of

NAMES = ["flic_flac", "wave", "ride_bike"]
TEXTS = {
    "flic_flac": ["a leap", "a turn in the air"],
    "wave": ["a raised hand"],
    "ride_bike": ["two wheels", "a road", "a helmet"],
}


def dataset(name: str = "hmdb51") -> Dataset:
    return Dataset(name, tuple(Action(i, n, n.replace("_", " ")) for i, n in enumerate(NAMES)), stored_as=name)


def descriptors() -> list[Descriptor]:
    rows = [(name, position, text) for name, texts in TEXTS.items() for position, text in enumerate(texts)]
    return [
        Descriptor(i, name, "context", position, text, "llm", "pending", "fake", "0")
        for i, (name, position, text) in enumerate(rows)
    ]


def tear_reference(encoder: FakeEncoder, frames: Tensor) -> Tensor:
    """TEAR's `simple` method, video by video and class by class, as its paper and code describe it."""
    scores = torch.zeros(len(frames), len(NAMES))
    for column, name in enumerate(NAMES):
        of_texts = []
        for text in [name.replace("_", " "), *TEXTS[name]]:
            vectors = [encoder.encode_texts([template.format(text)])[0] for template in TEAR_TEMPLATES]
            vector = torch.stack([v / v.norm() for v in vectors]).mean(dim=0)
            of_texts.append(vector / vector.norm())
        weight = torch.stack(of_texts).mean(dim=0)
        weight = weight / weight.norm()
        for row, video in enumerate(frames):
            pooled = video.mean(dim=0)
            scores[row, column] = (pooled / pooled.norm()) @ weight
    return scores


def test_protocol_tear_is_tears_arithmetic(fake_encoder: FakeEncoder) -> None:
    frames = torch.randn(7, 16, fake_encoder.width, generator=torch.Generator().manual_seed(0))
    ensemble = build_ensemble(dataset(), descriptors(), fake_encoder, PROTOCOLS["tear"])
    assert torch.allclose(scores(VideoBatch.of(frames), ensemble), tear_reference(fake_encoder, frames), atol=1e-6)


def test_every_string_is_encoded_once(fake_encoder: FakeEncoder) -> None:
    build_ensemble(dataset(), [*descriptors(), *descriptors()], fake_encoder, PROTOCOLS["tear"])
    assert len(fake_encoder.encoded) == len(set(fake_encoder.encoded)) == (3 + 6) * 16


def test_classes_with_fewer_texts_are_not_diluted(fake_encoder: FakeEncoder) -> None:
    """The head of a class does not depend on how many texts another class has."""
    both = build_ensemble(dataset(), descriptors(), fake_encoder, PROTOCOLS["default"])
    of_wave = [d for d in descriptors() if d.action == "wave"]
    alone = build_ensemble(dataset(), of_wave, fake_encoder, PROTOCOLS["default"])
    assert both.present.sum(dim=1).tolist() == [3, 2, 4]
    assert torch.allclose(class_weights(both)[1], class_weights(alone)[1], atol=1e-6)
    assert torch.allclose(class_weights(both).norm(dim=-1), torch.ones(3))


def test_label_only_is_the_ensemble_without_descriptors(fake_encoder: FakeEncoder) -> None:
    full = build_ensemble(dataset(), descriptors(), fake_encoder, PROTOCOLS["default"]).label_only()
    bare = build_ensemble(dataset(), [], fake_encoder, PROTOCOLS["default"])
    assert torch.allclose(class_weights(full), class_weights(bare))


def test_texts_over_the_limit_are_named(fake_encoder: FakeEncoder) -> None:
    long = " ".join(["word"] * 80)
    texts = [*descriptors(), Descriptor(9, "wave", "description", 0, long, "llm", "pending", "fake", "0")]
    assert build_ensemble(dataset(), texts, fake_encoder, PROTOCOLS["default"]).cut == (long,)


@pytest.mark.parametrize(
    ("of", "name", "label"),
    [
        ("ucf101", "YoYo", "Yo Yo"),
        ("ucf101", "HandstandPushups", "Hand Stand Pushups"),
        ("hmdb51", "flic_flac", "flic flac"),
        ("kinetics600", "passing American football (in game)", "passing american football (in game)"),
    ],
)
def test_tears_class_strings(of: str, name: str, label: str) -> None:
    assert tear_name(Dataset(of, (), stored_as=of), Action(0, name, "x")) == label


@pytest.mark.parametrize(("name", "file"), [("ucf101", "ucf101_all"), ("hmdb51", "hmdb51_all")])
def test_tears_class_strings_are_the_keys_of_its_files(shared: Path, name: str, file: str) -> None:
    keys = json.loads((shared / "reference" / "descriptors" / "tear" / f"{file}.json").read_text()).keys()
    assert {tear_name(load(name), action) for action in load(name).actions} == set(keys)


def test_the_templates_are_those_of_the_method(shared: object) -> None:
    published = (shared / "reference" / "templates" / "tear16.txt").read_text().splitlines()  # type: ignore[operator]
    assert tuple(published) == TEAR_TEMPLATES


def strings(encoder: FakeEncoder, protocol: str, **choices: object) -> list[str]:
    """Return what the encoder reads of class `wave`."""
    of_wave = [d for d in descriptors() if d.action == "wave"]
    build_ensemble(dataset(), of_wave, encoder, protocol_of(protocol, **choices))  # type: ignore[arg-type]
    return [text for text in encoder.encoded if "wave" in text or "hand" in text]


def test_templates_stand_around_descriptors_in_protocol_tear_alone(fake_encoder: FakeEncoder) -> None:
    assert strings(fake_encoder, "default", templates="single") == ["A video action of wave", "a raised hand"]
    fake_encoder.encoded.clear()
    assert strings(fake_encoder, "tear", templates="single") == [
        "A video action of wave", "A video action of a raised hand",
    ]  # fmt: skip
    fake_encoder.encoded.clear()
    assert strings(fake_encoder, "tear", templates="none") == ["wave", "a raised hand"]
    fake_encoder.encoded.clear()
    assert len(strings(fake_encoder, "default", templates="tear16")) == 16 + 1


def test_the_label_stands_before_its_descriptors(fake_encoder: FakeEncoder) -> None:
    assert strings(fake_encoder, "default", templates="none", condition=True) == ["wave", "wave: a raised hand"]
    fake_encoder.encoded.clear()
    assert strings(fake_encoder, "tear", templates="none", condition=True) == ["wave", "wave a raised hand"]


def test_templates_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("# two of mine\n {}, seen from afar\n\na clip of {}\n")
    assert templates_of(str(file)) == (" {}, seen from afar", "a clip of {}")
    for wrong, said in (("a clip of\n", "not 'a clip of'"), ("{} {}\n", "not '{} {}'"), ("# none\n", "has none")):
        file.write_text(wrong)
        with pytest.raises(UserError, match=f"one {{}} where the text goes, .*{re.escape(said)}"):
            templates_of(str(file))
    with pytest.raises(
        UsageError, match=r"'tear15'\. Did you mean tear16\? Known: protocol, video4, tear16, single, none, or a file"
    ):
        templates_of("tear15")


def test_an_unknown_method_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'median'.*Known: align, autoclip, dtw, ensemble"):
        method_of("median")
