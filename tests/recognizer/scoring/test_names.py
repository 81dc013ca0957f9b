"""Texts of the kind `name` in place of labels: vectors, baseline and leaving out, against means written here."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from db.records import Action, Dataset, Descriptor
from encoders.testing import FakeEncoder
from recognizer.evaluation.impact import leave_one_out
from recognizer.scoring.ensemble import Ensemble, build_ensemble, strings_of
from recognizer.scoring.methods import METHODS, attribution, scores
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.protocols import PROTOCOLS, VIDEO_TEMPLATES, Names

LABELS = ("shoot bow", "wave", "ride bike")
NAMES = {0: (40, "shooting arrows with a bow"), 2: (42, "riding a bicycle")}  # class 1 has none
CLASSES = Dataset("made", tuple(Action(c, f"c{c}", label) for c, label in enumerate(LABELS)), stored_as="made")


def texts() -> list[Descriptor]:
    rows = [(id_, c, "name", 0, text) for c, (id_, text) in NAMES.items()]
    rows += [(c, c, "context", 0, f"place {c}") for c in range(3)] + [(10, 0, "decomposition", 0, "a step")]
    return [Descriptor(i, f"c{c}", kind, n, text, "llm", "pending", "fake", "0") for i, c, kind, n, text in rows]


def built(encoder: FakeEncoder, names: Names, *, condition: bool = False) -> Ensemble:
    protocol = replace(PROTOCOLS["default"], names=names, conditioned=condition)
    return build_ensemble(CLASSES, texts(), encoder, protocol)


def mean_of(encoder: FakeEncoder, *phrases: str) -> Tensor:
    """Return the unit mean of the unit vectors of phrases in the four templates."""
    rows = [encoder.encode_texts([template.format(text)])[0] for text in phrases for template in VIDEO_TEMPLATES]
    return normalize(torch.stack([row / row.norm() for row in rows]).mean(dim=0), dim=0)


@pytest.mark.parametrize("names", ["replace", "join"])
def test_a_name_stands_where_the_label_would_in_the_templates_of_labels(
    fake_encoder: FakeEncoder, names: Names
) -> None:
    ensemble = built(fake_encoder, names)
    for c, label in enumerate(LABELS):
        phrases = {"replace": NAMES.get(c, (0, label))[1:], "join": (label, *NAMES.get(c, (0,))[1:])}[names]
        assert torch.allclose(ensemble.texts[c, 0], mean_of(fake_encoder, *phrases), atol=1e-6)
    assert ensemble.ids[:, 0].tolist() == [40, -1, 42]
    assert ensemble.kinds == ("context", "decomposition")
    assert ensemble.kind[:, 0].tolist() == [-1, -1, -1]
    assert ensemble.present.sum(dim=1).tolist() == [3, 2, 2]  # a name is no text beside the label


@pytest.mark.parametrize("names", ["replace", "join"])
def test_the_baseline_keeps_the_plain_labels(fake_encoder: FakeEncoder, names: Names) -> None:
    plain = build_ensemble(CLASSES, [], fake_encoder, PROTOCOLS["default"])
    for some in (built(fake_encoder, names), built(fake_encoder, names).select([2, 0, 1]).select([1, 2, 0])):
        assert torch.allclose(some.label_only().texts, plain.texts, atol=1e-6)
        assert some.label_only().ids.tolist() == [[-1]] * 3


def test_off_leaves_them_texts_like_any_other(fake_encoder: FakeEncoder) -> None:
    ensemble = built(fake_encoder, "off")
    assert ensemble.labels is None
    assert "name" in ensemble.kinds
    assert ensemble.ids[:, 0].tolist() == [-1, -1, -1]


def test_the_strings_to_encode_have_label_and_name(fake_encoder: FakeEncoder) -> None:
    protocol = replace(PROTOCOLS["default"], names="replace", conditioned=True)
    strings = strings_of(CLASSES, texts(), protocol)
    assert {"a video of riding a bicycle", "a video of ride bike"} <= set(strings)
    assert "riding a bicycle: place 2" in strings  # the name is the label
    joined = strings_of(CLASSES, texts(), replace(protocol, names="join"))
    assert "ride bike: place 2" in joined
    fake_encoder.encoded.clear()
    build_ensemble(CLASSES, texts(), fake_encoder, protocol)
    assert sorted(fake_encoder.encoded) == sorted(strings)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("names", ["replace", "join"])
def test_every_method_takes_the_name_for_the_label(fake_encoder: FakeEncoder, method: str, names: Names) -> None:
    """The scores are those of a dataset whose labels are the names; attributions sum to them."""
    frames = torch.randn(5, 6, fake_encoder.width, generator=torch.Generator().manual_seed(3))
    videos, ensemble = VideoBatch.of(frames), built(fake_encoder, names)
    without = [text for text in texts() if text.kind != "name"]
    renamed = replace(
        CLASSES, actions=tuple(replace(a, phrase=NAMES.get(a.label, (0, a.phrase))[1]) for a in CLASSES.actions)
    )
    same = build_ensemble(renamed, without, fake_encoder, PROTOCOLS["default"])
    if names == "join":
        same.texts[:, 0] = ensemble.texts[:, 0]
    assert torch.allclose(scores(videos, ensemble, method=method), scores(videos, same, method=method), atol=1e-6)
    added = attribution(videos, ensemble, method=method)
    assert torch.allclose(added.sum(dim=2), scores(videos, ensemble, method=method), atol=1e-5)


@pytest.mark.parametrize("method", ["mean", "rerank", "label"])
@pytest.mark.parametrize("names", ["replace", "join"])
def test_leaving_a_name_out_brings_the_label_back(fake_encoder: FakeEncoder, method: str, names: Names) -> None:
    frames = torch.randn(9, 4, fake_encoder.width, generator=torch.Generator().manual_seed(4))
    videos, labels, ensemble = VideoBatch.of(frames), torch.arange(9) % 3, built(fake_encoder, names)

    def margins(given: Ensemble) -> Tensor:
        scored = scores(videos, given, method=method)
        true = scored.gather(1, labels[:, None]).squeeze(1)
        return true - scored.scatter(1, labels[:, None], -torch.inf).amax(dim=1)

    changes = leave_one_out(
        lambda given: scores(videos, given, method=method), ensemble, labels, apart=METHODS[method].classes_apart
    )
    for c in range(3):
        kept = [t for t in texts() if t.kind != "name" or t.action != f"c{c}"]
        protocol = replace(PROTOCOLS["default"], names=names)
        left_out = margins(build_ensemble(CLASSES, kept, fake_encoder, protocol)) - margins(ensemble)
        assert changes.margin[c, 0] == pytest.approx(left_out.mean().item() if c in NAMES else 0, abs=1e-6)
