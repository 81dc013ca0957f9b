"""Encoders whose vectors carry nothing are refused: built-in ones when they load, your own when they are used."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from db.errors import UserError
from encoders.checks import check_frames, check_texts
from encoders.protocol import Traits
from encoders.registry import label_templates, open_encoder
from encoders.testing import FakeEncoder, registered
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.store import FeatureStore
from recognizer.scoring.protocols import protocol_of
from tests.fixtures.encoders import copy_model, tiny_clip, word_tokenizer

pytestmark = pytest.mark.usefixtures("trusted_files")


def refusal(name: str) -> str:
    with pytest.raises(UserError) as caught:
        open_encoder(name)
    return str(caught.value)


def test_a_folder_without_a_tokenizer_is_refused(tiny_hf_clip_folder: Path, tmp_path: Path) -> None:
    copy_model(tiny_hf_clip_folder, tmp_path)
    text = refusal(f"hf:{tmp_path}")
    assert "has no tokenizer" in text
    assert "tokenizer.json, vocab.json" in text
    assert f"save_pretrained('{tmp_path}')" in text


def test_a_tokenizer_that_knows_no_word_is_refused(tiny_siglip_folder: Path, tmp_path: Path) -> None:
    copy_model(tiny_siglip_folder, tmp_path)
    word_tokenizer("<pad>", "</s>", "<unk>", "ein", "Foto").save_pretrained(tmp_path)
    text = refusal(f"hf:{tmp_path}")
    assert "gives different texts the same vector, such as 'a photo of a dog'" in text
    assert "tokenizer" in text


def test_a_missing_tokenizer_package_is_named_with_the_command(tiny_siglip1_folder: Path) -> None:
    """In a process of its own, in which the package cannot be imported."""
    code = (
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'sentencepiece' else find(name, *rest)\n"
        "from db.errors import UserError\n"
        "from encoders.registry import open_encoder\n"
        f"try: open_encoder({f'hf:{tiny_siglip1_folder}'!r})\n"
        "except UserError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name = tiny_siglip1_folder.name
    assert done.stdout == (
        f"hf:{name} cannot be loaded: its tokenizer needs packages that are not installed. "
        "Run: pip install sentencepiece\n"
    )


def archive(model: Any, path: Path) -> str:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing is deprecated, and the format of CLIP
        frame, text = torch.zeros(1, 3, 32, 32), torch.zeros(1, 77, dtype=torch.int)
        torch.jit.trace(model, (frame, text)).save(path)
    return str(path)


def test_an_openai_clip_file_without_a_text_tower_is_refused(tmp_path: Path) -> None:
    model = tiny_clip()
    torch.nn.init.zeros_(model.token_embedding.weight)
    torch.nn.init.zeros_(model.positional_embedding)
    assert "gives different texts the same vector" in refusal(archive(model, tmp_path / "model.pt"))


def test_an_openai_clip_file_that_sees_nothing_is_refused(tmp_path: Path) -> None:
    model = tiny_clip()
    torch.nn.init.zeros_(model.visual.conv1.weight)
    assert "gives different frames the same vector" in refusal(archive(model, tmp_path / "model.pt"))


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    model = tiny_clip()
    torch.nn.init.constant_(model.visual.proj, float("nan"))
    text = refusal(archive(model, tmp_path / "model.pt"))
    assert "gives 2 of 2 frames a vector that is not finite" in text


class Constant(FakeEncoder):
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        return torch.ones(len(texts), self.width)

    def encode_frames(self, pixels: Any) -> Tensor:
        return torch.ones(len(pixels), self.width)


class Infinite(FakeEncoder):
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        vectors: Tensor = super().encode_texts(texts)
        vectors[texts.index("a dog"), 3] = torch.inf
        return vectors


def test_your_own_encoder_with_one_vector_for_all_is_refused(tmp_path: Path) -> None:
    with FeatureStore.open(tmp_path) as store:
        encoder = CachingEncoder(Constant(), store)
        with pytest.raises(UserError, match="fake gives different texts the same vector, such as 'a dog' and 'a cat'"):
            encoder.encode_texts(["a dog", "a cat"])
        assert store.shelves() == []  # nothing of it is stored
        assert encoder.encode_texts(["a dog", "A dog!"]).shape == (2, 32)  # may well be the same to it
        frames = np.zeros((2, 8, 8, 3), np.uint8)
        encoder.encode_frames(encoder.preprocess(frames))  # two frames that are the same
        frames[1] = 255
        with pytest.raises(UserError, match="fake gives different frames the same vector"):
            encoder.encode_frames(encoder.preprocess(frames))


def test_your_own_encoder_whose_vectors_have_another_form_is_refused() -> None:
    texts = FakeEncoder().encode_texts(["a dog", "a cat"])
    given = {
        "an object of numpy.ndarray": texts.numpy(),
        r"a tensor \[2, 32\] of torch.float16 on cpu": texts.half(),
        r"a tensor \[1, 32\] of torch.float32 on cpu": texts[:1],
    }
    for seen, vectors in given.items():
        with pytest.raises(UserError, match=f"mine gives the vectors of 2 texts as {seen}"):
            check_texts("mine", ["a dog", "a cat"], vectors)


def test_your_own_encoder_with_infinite_vectors_is_refused(tmp_path: Path) -> None:
    with FeatureStore.open(tmp_path) as store, pytest.raises(UserError, match=r"1 of 2 texts .* such as text 'a dog'"):
        CachingEncoder(Infinite(), store).encode_texts(["a cat", "a dog"])


@pytest.mark.parametrize("values", [(torch.inf, -torch.inf), (torch.nan, 0), (3e38, torch.inf)])
def test_every_value_that_is_not_finite_is_seen(values: tuple[float, float]) -> None:
    vectors = torch.eye(3)
    vectors[1, :2] = torch.tensor(values)
    with pytest.raises(UserError, match=r"1 of 3 texts a vector that is not finite, such as text 'b'"):
        check_texts("mine", ["a", "b", "c"], vectors)


# By hand: the vector (3, 4, 0) has the norm 5. Squares of 1e20 are no float32, those of 1e-30 are zero.
@pytest.mark.parametrize(
    ("factor", "norm"), [(6e37, "3e+38"), (1e20, "5e+20"), (3e14, "1.5e+15"), (1e-9, "5e-09"), (1e-30, "5e-30")]
)
def test_vectors_that_float32_cannot_compare_are_refused(factor: float, norm: str) -> None:
    vectors = torch.tensor([[1.0, 0, 0], [3 * factor, 4 * factor, 0], [0, 0, 1]])
    message = f"gives 1 of 3 texts a vector whose norm is not from 1e-08 to 1e+15, such as text 'b', {norm}: "
    with pytest.raises(UserError, match=re.escape(message)):
        check_texts("mine", ["a", "b", "c"], vectors)
    with pytest.raises(UserError, match=r"gives 3 of 3 frames .* such as frame 0, .* Multiply all vectors"):
        check_frames("mine", torch.zeros(3, 3, 4, 4), vectors[1].repeat(3, 1) * torch.tensor([[1.0], [1.0], [1.1]]))


def test_long_short_and_zero_vectors_are_taken() -> None:
    for factor in (1e14, 2e-8):
        check_texts("mine", ["a", "b", "c"], torch.tensor([[factor, 0, 0], [0, 0, 0], [3.0, 4, 0]]))


def test_one_vector_that_differs_is_enough() -> None:
    vectors = torch.ones(3, 4)
    vectors[1, 2] = 2
    check_texts("mine", ["a dog", "a cat", "a cow"], vectors)
    with pytest.raises(UserError, match="gives different texts the same vector"):
        check_texts("mine", ["a dog", "a cat", "a cow"], torch.ones(3, 4))


def test_equal_vectors_that_were_stored_before_are_refused(tmp_path: Path) -> None:
    with FeatureStore.open(tmp_path) as store:
        encoder = CachingEncoder(Constant(), store)
        for text in ("a dog", "a cat"):  # one at a time, each looks right
            encoder.encode_texts([text])
        with pytest.raises(UserError, match="the same vector"):
            encoder.encode_texts(["a dog", "a cat"])


def test_openai_clip_is_in_single_precision(tiny_clip_archive: Path) -> None:
    encoder = open_encoder(str(tiny_clip_archive))
    assert {parameter.dtype for parameter in encoder._model.parameters()} == {torch.float32}  # type: ignore[attr-defined]


def test_an_encoder_has_its_own_label_templates() -> None:
    assert label_templates("objects") == ("{}",)
    assert label_templates("ViT-B/16") == ()
    own = FakeEncoder()
    own.traits = Traits(label_templates=("clip: {}",))  # type: ignore[attr-defined]
    with registered(own, "mine"):
        assert label_templates("mine") == ("clip: {}",)
        own_templates = label_templates("mine")
        assert protocol_of("default", of_encoder=own_templates).label_templates == ("clip: {}",)
        assert len(protocol_of("tear", of_encoder=own_templates).label_templates) == 16
        assert protocol_of("default", of_encoder=own_templates, templates="none").label_templates == ("{}",)
