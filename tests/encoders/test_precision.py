"""Precision of weights and arithmetic: float32 unless chosen, and part of the key of stored embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from db.errors import UsageError
from encoders.openai_clip import OpenAIClip
from encoders.precision import resolved_precision
from encoders.protocol import Precision
from encoders.registry import LazyEncoder, find_encoder
from encoders.testing import FakeEncoder, registered
from recognizer import Recognizer
from recognizer.features.caching_encoder import open_caching_encoder
from recognizer.features.store import FeatureStore
from recognizer.video.sampling import Sampling
from tests.fixtures.commands import Run
from tests.fixtures.encoders import tiny_clip
from tests.fixtures.videos import make_images

pytestmark = pytest.mark.usefixtures("trusted_files")

TEXTS = ["riding a bike", "a photo of a dog"]


def model_of(name: str, precision: Precision) -> Any:
    encoder = find_encoder(name, precision=precision)
    assert isinstance(encoder, LazyEncoder)
    return encoder.loaded()._model  # type: ignore[attr-defined]


def test_openai_clip_in_half_precision_as_on_a_gpu_becomes_float32() -> None:
    """`clip.load` leaves the model as `convert_weights` makes it unless the device is a CPU."""
    from clip.model import convert_weights

    model = tiny_clip()
    convert_weights(model)  # type: ignore[no-untyped-call]
    assert model.dtype == torch.float16
    encoder = OpenAIClip(model, id="x", revision="1")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    with torch.no_grad():
        expected = tiny_clip().encode_image(torch.ones(1, 3, 32, 32))
    torch.testing.assert_close(encoder.encode_frames(torch.ones(1, 3, 32, 32)), expected)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_the_chosen_precision_is_that_of_the_weights(
    tiny_clip_archive: Path, tiny_hf_clip_folder: Path, precision: Precision
) -> None:
    for name in (str(tiny_clip_archive), f"hf:{tiny_hf_clip_folder}"):
        chosen = model_of(name, precision)
        assert chosen.dtype == getattr(torch, precision)
        assert model_of(name, "float32").dtype == torch.float32
        low, full = find_encoder(name, precision=precision), find_encoder(name)
        difference = (low.encode_texts(TEXTS) - full.encode_texts(TEXTS)).abs().max()
        assert 0 < difference < 0.05
        assert low.encode_texts(TEXTS).dtype == torch.float32
        pixels = low.preprocess(np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3), np.uint8))
        torch.testing.assert_close(low.encode_frames(pixels), full.encode_frames(pixels), rtol=0.05, atol=0.05)


def test_precisions_do_not_share_stored_embeddings(
    tiny_clip_archive: Path, tiny_hf_clip_folder: Path, tmp_path: Path
) -> None:
    keys = {}
    for name in (str(tiny_clip_archive), f"hf:{tiny_hf_clip_folder}"):
        for precision in ("float32", "bfloat16"):
            with open_caching_encoder(name, tmp_path, precision=precision) as encoder:
                encoder.encode_texts(TEXTS)
                keys[name[:3], precision] = encoder.frames_shelf(Sampling()).key.get("precision")
    assert (
        keys
        == {
            (str(tiny_clip_archive)[:3], "float32"): "float32",  # it was half precision on a GPU, once
            (str(tiny_clip_archive)[:3], "bfloat16"): "bfloat16",
            ("hf:", "float32"): None,  # as it was stored before there was a choice
            ("hf:", "bfloat16"): "bfloat16",
        }
    )
    with FeatureStore.open(tmp_path) as store:
        assert len(store.shelves()) == 4


def test_encoders_of_one_precision_refuse_another() -> None:
    with registered(FakeEncoder(), "fake"), pytest.raises(UsageError, match="fake computes in float32 only"):
        find_encoder("fake", precision="bfloat16")
    with pytest.raises(UsageError, match=r"Unknown precision 'half'. Known: float32, bfloat16, float16"):
        find_encoder("ViT-B/16", precision="half")  # type: ignore[arg-type]


def test_auto_is_resolved_before_anything_is_stored(recognize: Run, tiny_hf_clip_folder: Path, tmp_path: Path) -> None:
    name = f"hf:{tiny_hf_clip_folder}"
    expected = resolved_precision(name, "auto")
    assert expected in ("float32", "bfloat16")
    (tmp_path / "videos" / "red").mkdir(parents=True)
    make_images(tmp_path / "videos" / "red" / "take", ["frame_1.png"], size=(30, 20))
    chosen = ("--root", tmp_path / "videos", "-d", tmp_path / "videos", "--frames", 1)
    done = recognize("embed", *chosen, "-e", name, "--precision", "auto")
    assert done.exit_code == 0, done.output
    assert f"--precision auto: {expected}" in done.output
    again = recognize("embed", *chosen, "--precision", expected, "-e", name, "--json")
    assert '"stored before": 1' in again.stdout
    assert Recognizer(["red"], encoder=name, precision="auto").precision == expected


def test_auto_leaves_encoders_of_one_precision_as_they_are() -> None:
    with registered(FakeEncoder(), "fake"):
        assert resolved_precision("fake", "auto") == resolved_precision("objects", "auto") == "float32"
        assert find_encoder("fake", precision=resolved_precision("fake", "auto")).id == "fake"


def test_the_difference_to_float32_is_measured_on_stored_embeddings(
    recognize: Run, tiny_hf_clip_folder: Path, features: Path
) -> None:
    stored = {}
    for precision in ("float32", "bfloat16"):
        with open_caching_encoder(f"hf:{tiny_hf_clip_folder}", features, precision=precision) as encoder:
            stored[precision] = encoder.encode_texts(TEXTS).double()
        if precision == "float32":
            assert "Nothing is stored in two precisions" in recognize("features", "precision").output
    cosines = torch.nn.functional.cosine_similarity(stored["float32"], stored["bfloat16"])
    [gap] = json.loads(recognize("features", "precision", "--json").stdout)
    assert (gap["records"], gap["what"]) == (2, "texts, bfloat16")
    assert gap["lowest"] == pytest.approx(float(cosines.min()), abs=1e-9)
    assert gap["mean"] == pytest.approx(float(cosines.mean()), abs=1e-9)
    assert "lowest cosine" in recognize("features", "precision").stdout
