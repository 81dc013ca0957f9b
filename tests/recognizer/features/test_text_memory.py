"""The memory of texts: what is learnt goes into the feature store, what is only tried does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from db.errors import UserError
from encoders.testing import FakeEncoder
from recognizer.features import text_memory
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.store import FeatureStore
from recognizer.features.text_memory import TextMemory


@pytest.fixture
def encoder(fake_encoder: FakeEncoder, features: Path) -> Iterator[CachingEncoder]:
    with FeatureStore.open(features) as store:
        yield CachingEncoder(fake_encoder, store)


def test_each_text_is_encoded_once_and_only_learnt_ones_are_stored(
    encoder: CachingEncoder, fake_encoder: FakeEncoder
) -> None:
    memory = TextMemory(encoder)
    memory.learn(["one", "two"])
    vectors = memory.encode_texts(["two", "three words here", "one", "two"])
    assert memory.token_counts(["three words here", "one"]) == [5, 3]
    memory.learn(["one"])
    assert fake_encoder.encoded == ["one", "two", "three words here"]
    assert torch.equal(vectors, FakeEncoder().encode_texts(["two", "three words here", "one", "two"]))
    assert memory.encode_texts([]).shape == (0, 32)
    assert (memory.width, memory.context_length) == (32, 77)

    fresh = TextMemory(encoder)
    fresh.learn(["one", "two", "three words here"])
    assert fake_encoder.encoded[3:] == ["three words here"], "the store had the two that were learnt"


def test_of_texts_that_are_only_tried_the_last_ones_are_remembered(
    encoder: CachingEncoder, fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_memory, "_MOST_TRIED", 2)
    memory = TextMemory(encoder)
    for texts in (["a", "b", "c"], ["b"], ["d"], ["b"]):
        assert torch.equal(memory.encode_texts(texts), FakeEncoder().encode_texts(texts))
    assert fake_encoder.encoded == ["a", "b", "c", "d"]
    memory.encode_texts(["c"])
    assert fake_encoder.encoded == ["a", "b", "c", "d", "c"]


def test_vectors_that_are_not_finite_are_refused_and_not_remembered(
    encoder: CachingEncoder, fake_encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory, plain = TextMemory(encoder), fake_encoder.encode_texts
    monkeypatch.setattr(fake_encoder, "encode_texts", lambda texts: plain(texts) * torch.nan)
    with pytest.raises(UserError):
        memory.encode_texts(["a"])
    monkeypatch.undo()
    assert memory.encode_texts(["a"]).isfinite().all()
