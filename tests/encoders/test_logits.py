"""The scale and the bias of the logits are the model's own."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from encoders.protocol import Logits, logits_of
from encoders.registry import label_templates, open_encoder
from encoders.testing import FakeEncoder
from recognizer.evaluation.settings import Settings
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.store import FeatureStore
from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods import log_probabilities, scores
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.protocols import TEAR_TEMPLATES

pytestmark = pytest.mark.usefixtures("trusted_files")


def test_clip_has_the_scale_of_its_weights(tiny_clip_archive: Path, tiny_hf_clip_folder: Path) -> None:
    from transformers import AutoModel

    assert logits_of(open_encoder(str(tiny_clip_archive))).scale == pytest.approx(1 / 0.07, rel=1e-3)  # at the start
    model = AutoModel.from_pretrained(tiny_hf_clip_folder)
    logits = logits_of(open_encoder(f"hf:{tiny_hf_clip_folder}"))
    assert logits == Logits(scale=pytest.approx(math.exp(model.logit_scale.item())), calibrated=True)


def test_siglip_has_the_scale_and_the_bias_of_its_weights(tiny_siglip2_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoModel

    for file in tiny_siglip2_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    model = AutoModel.from_pretrained(tmp_path)
    torch.nn.init.constant_(model.logit_scale, math.log(112.5))
    torch.nn.init.constant_(model.logit_bias, -16.5)
    model.save_pretrained(tmp_path)
    encoder = open_encoder(f"hf:{tmp_path}")
    assert logits_of(encoder) == Logits(scale=pytest.approx(112.5, rel=1e-4), bias=-16.5, calibrated=True)
    # transformers' own logits of two texts and an image
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    texts = ["a dog", "a bike"]
    from transformers import AutoTokenizer

    from encoders.transformers import lower_case

    ids = lower_case(AutoTokenizer.from_pretrained(tmp_path))(
        texts, padding="max_length", max_length=16, return_tensors="pt"
    )["input_ids"]
    with torch.no_grad():
        expected = model.eval()(input_ids=ids, pixel_values=pixels).logits_per_image
    unit = torch.nn.functional.normalize
    cosines = unit(encoder.encode_frames(pixels), dim=-1) @ unit(encoder.encode_texts(texts), dim=-1).T
    logits = logits_of(encoder)
    torch.testing.assert_close(cosines * logits.scale + logits.bias, expected, rtol=1e-3, atol=1e-3)
    ours = log_probabilities(cosines, logit_scale=logits.scale)
    torch.testing.assert_close(ours, expected.log_softmax(dim=-1), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("learned", [150.0, 50.0, 0.5])
def test_aimv2_has_the_scale_of_its_forward_pass(learned: float, tiny_hf_clip_folder: Path, tmp_path: Path) -> None:
    """Which is between 1 and 100."""
    from transformers import Aimv2Config, Aimv2Model, AutoTokenizer

    for file in tiny_hf_clip_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tower = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**tower, "vocab_size": 49408, "max_position_embeddings": 77, "eos_token_id": 49407}
    vision = {**tower, "image_size": 32, "patch_size": 16}
    torch.manual_seed(0)
    model = Aimv2Model(Aimv2Config(text_config=text, vision_config=vision, projection_dim=48)).eval()
    torch.nn.init.constant_(model.logit_scale, math.log(learned))
    for parameter in model.parameters():  # at its first initialisation all inputs come out alike
        torch.nn.init.normal_(parameter, std=0.1) if parameter.ndim > 1 else None
    model.save_pretrained(tmp_path)
    encoder = open_encoder(f"hf:{tmp_path}")
    pixels = torch.randn(2, 3, 32, 32)
    texts = ["a dog", "a red bike"]
    tokens = AutoTokenizer.from_pretrained(tmp_path)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**tokens, pixel_values=pixels).logits_per_image
    unit = torch.nn.functional.normalize
    cosines = unit(encoder.encode_frames(pixels), dim=-1) @ unit(encoder.encode_texts(texts), dim=-1).T
    assert cosines.abs().max() > 0.01
    torch.testing.assert_close(cosines * logits_of(encoder).scale, expected, rtol=1e-3, atol=1e-3)


def test_the_scale_is_stored_with_the_texts(tiny_hf_clip_folder: Path, tmp_path: Path) -> None:
    from encoders.registry import find_encoder

    name = f"hf:{tiny_hf_clip_folder}"
    with FeatureStore.open(tmp_path) as store:
        first = CachingEncoder(find_encoder(name), store)
        first.encode_texts(["a dog", "a cat"])
        again = find_encoder(name)
        assert CachingEncoder(again, store).logits == logits_of(open_encoder(name))
        assert again._loaded is None  # type: ignore[attr-defined] # its weights were not needed


def test_soft_uses_the_scale_of_the_encoder() -> None:
    generator = torch.Generator().manual_seed(0)
    texts = torch.nn.functional.normalize(torch.randn(2, 3, 8, generator=generator), dim=-1)
    frames = torch.randn(1, 4, 8, generator=generator)
    none = torch.full((2, 3), -1)
    ensemble = Ensemble(texts, torch.ones(2, 3, dtype=torch.bool), (), none, none, none, (), logit_scale=20.0)
    [scored] = scores(VideoBatch.of(frames), ensemble, method="soft", temperature=2.0)
    video = frames[0].mean(dim=0)
    for label in range(2):
        cosines = [float(torch.cosine_similarity(video, text, dim=0)) for text in texts[label]]
        expected = 2.0 / 20.0 * math.log(sum(math.exp(20.0 * cosine / 2.0) for cosine in cosines) / 3)
        assert float(scored[label]) == pytest.approx(expected, abs=1e-5)


def test_an_own_encoder_without_a_scale_is_not_calibrated() -> None:
    assert logits_of(FakeEncoder()) == Logits(scale=100.0, bias=0.0, calibrated=False)


def test_objects_names_its_own_templates_and_a_users_choice_wins() -> None:
    assert label_templates("objects") == ("{}",)
    assert Settings(encoder="objects").wording().label_templates == ("{}",)
    assert len(Settings(encoder="ViT-B/16").wording().label_templates) == 4
    assert Settings(encoder="objects", templates="single").wording().label_templates == ("A video action of {}",)
    assert len(Settings(encoder="objects", templates="video4").wording().label_templates) == 4
    assert Settings(encoder="objects", protocol="tear").wording().label_templates == TEAR_TEMPLATES
