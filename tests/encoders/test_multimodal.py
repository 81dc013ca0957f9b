"""Embedders of videos through sentence-transformers: equal to its own `encode`; instructions are part of the keys."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from db.errors import UsageError, UserError
from encoders.protocol import traits_of
from encoders.registry import find_encoder
from tests.fixtures.multimodal import tiny_qwen3_vl_folder

__all__ = ["tiny_qwen3_vl_folder"]  # fixture

TEXTS = ["a red ball", "GREEN", "a person who rides a bike, slowly"]


def clips(count: int) -> Any:
    """Return random clips that need no resizing, uint8 [V, 16, 224, 224, 3]."""
    return np.random.default_rng(0).integers(0, 256, (count, 16, 224, 224, 3), np.uint8)


def test_vectors_are_those_of_sentence_transformers_with_the_models_own_prompts(tiny_qwen3_vl_folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    encoder: Any = find_encoder(f"st:{tiny_qwen3_vl_folder}")
    model = SentenceTransformer(str(tiny_qwen3_vl_folder), device="cpu")
    texts = model.encode_query(TEXTS, convert_to_tensor=True)
    torch.testing.assert_close(encoder.encode_texts(TEXTS), texts.clone(), atol=1e-5, rtol=0)
    pixels = clips(2)
    found = encoder.encode_clips(torch.stack([encoder.preprocess(clip) for clip in pixels]))
    metadata = {"fps": 2.0, "total_num_frames": 16, "frames_indices": list(range(16))}
    for clip, vector in zip(pixels, found, strict=True):
        video = {"array": clip.transpose(0, 3, 1, 2), "video_metadata": metadata}
        expected = model.encode_document(
            [video], convert_to_tensor=True, processing_kwargs={"video": {"do_sample_frames": False}}
        )
        torch.testing.assert_close(vector, expected[0].clone(), atol=1e-5, rtol=0)
    assert (encoder.width, encoder.context_length) == (32, 512)
    assert (found[0] - found[1]).abs().max() > 1e-3


def test_frames_and_side_of_a_clip_are_chosen_and_part_of_the_key(tiny_qwen3_vl_folder: Path) -> None:
    encoder: Any = find_encoder(f"st:{tiny_qwen3_vl_folder}?frames=4&side=64")
    traits = traits_of(encoder)
    assert (traits.clip_frames, traits.key["side"]) == (4, "64")
    assert "Videos are 4 frames, cut to squares of 64 px" in traits.notes[0]
    clip = encoder.preprocess(np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3), np.uint8))
    metadata = {"fps": 2.0, "total_num_frames": 4, "frames_indices": [0, 1, 2, 3]}
    expected = sentence_transformer(tiny_qwen3_vl_folder, {"array": clip.numpy(), "video_metadata": metadata})
    torch.testing.assert_close(encoder.encode_clips(clip[None])[0], expected, atol=1e-5, rtol=0)


def sentence_transformer(folder: Path, video: dict[str, Any]) -> torch.Tensor:
    """Return the embedding of a video as sentence-transformers gives it, [D]."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    options = {"processing_kwargs": {"video": {"do_sample_frames": False}}}
    return model.encode_document([video], convert_to_tensor=True, **options)[0].clone()


def test_instructions_change_the_vectors_and_their_keys_alone(tiny_qwen3_vl_folder: Path) -> None:
    name = f"st:{tiny_qwen3_vl_folder}"
    own, other = find_encoder(name), find_encoder(f"{name}?texts=Name+the+action.&videos=Look.")
    assert (own.id, own.revision) == (other.id, other.revision) == ("st:tiny-qwen3-vl", own.revision)
    assert (traits_of(own).key["videos"], traits_of(own).texts_key) == (
        "Represent the video.",
        {"texts": "Find the video."},
    )
    assert (traits_of(other).key["videos"], traits_of(other).texts_key) == ("Look.", {"texts": "Name the action."})
    clip = torch.from_numpy(clips(1)).permute(0, 1, 4, 2, 3)
    vectors = [encoder.encode_clips(clip) for encoder in (own, other)]  # type: ignore[attr-defined]
    assert not torch.allclose(*vectors)
    assert not torch.allclose(own.encode_texts(TEXTS), other.encode_texts(TEXTS))
    assert own.token_counts(["a"])[0] == other.token_counts(["a"])[0] + len("Find the video.") - len("Name the action.")


@pytest.mark.parametrize("default", [None, True])
def test_pixels_of_frames_are_not_capped_whatever_the_library_does_by_default(
    default: bool | None, tiny_qwen3_vl_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers says that its default will change."""
    from sentence_transformers import SentenceTransformer
    from transformers import Qwen3VLVideoProcessor

    model = SentenceTransformer(str(tiny_qwen3_vl_folder), device="cpu")
    clip = torch.from_numpy(clips(1)).permute(0, 1, 4, 2, 3)
    metadata = {"fps": 2.0, "total_num_frames": 16, "frames_indices": list(range(16))}
    capped, uncapped = (
        model.encode_document(
            [{"array": clip[0].numpy(), "video_metadata": metadata}], convert_to_tensor=True,
            processing_kwargs={"video": {"do_sample_frames": False, "cap_pixels_per_frame": cap}},
        ).clone()
        for cap in (True, False)
    )  # fmt: skip
    assert not torch.allclose(capped, uncapped, atol=1e-3)
    monkeypatch.setattr(Qwen3VLVideoProcessor, "cap_pixels_per_frame", default)
    encoder: Any = find_encoder(f"st:{tiny_qwen3_vl_folder}")
    torch.testing.assert_close(encoder.encode_clips(clip), uncapped, atol=1e-5, rtol=0)


def test_files_that_cap_the_pixels_of_frames_are_followed(tiny_qwen3_vl_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_qwen3_vl_folder, tmp_path / "model")
    config = json.loads((folder / "processor_config.json").read_text())
    config["video_processor"]["cap_pixels_per_frame"] = True
    (folder / "processor_config.json").write_text(json.dumps(config))
    encoder: Any = find_encoder(f"st:{folder}")
    clip = encoder.preprocess(clips(1)[0])
    metadata = {"fps": 2.0, "total_num_frames": 16, "frames_indices": list(range(16))}
    expected = sentence_transformer(folder, {"array": clip.numpy(), "video_metadata": metadata})
    torch.testing.assert_close(encoder.encode_clips(clip[None])[0], expected, atol=1e-5, rtol=0)
    other: Any = find_encoder(f"st:{tiny_qwen3_vl_folder}")
    assert not torch.allclose(other.encode_clips(clip[None])[0], expected, atol=1e-3)


@pytest.mark.parametrize(
    "prompts",
    [
        {"query": "Find.", "passage": "P: "},
        {"corpus": "C: "},
        {"query": None, "document": "D: ", "passage": "P: "},
        None,
    ],
)
def test_the_models_prompts_are_taken_as_sentence_transformers_takes_them(
    prompts: dict[str, str | None] | None, tiny_qwen3_vl_folder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    folder = shutil.copytree(tiny_qwen3_vl_folder, tmp_path / "model")
    config = folder / "config_sentence_transformers.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "prompts": prompts or {}}))
    encoder: Any = find_encoder(f"st:{folder}?frames=4&side=64")
    model = SentenceTransformer(str(folder), device="cpu")
    texts = model.encode_query(TEXTS, convert_to_tensor=True)
    torch.testing.assert_close(encoder.encode_texts(TEXTS), texts.clone(), atol=1e-5, rtol=0)
    clip = encoder.preprocess(np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3), np.uint8))
    metadata = {"fps": 2.0, "total_num_frames": 4, "frames_indices": [0, 1, 2, 3]}
    expected = sentence_transformer(folder, {"array": clip.numpy(), "video_metadata": metadata})
    torch.testing.assert_close(encoder.encode_clips(clip[None])[0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("modules.json", [{"path": ""}], "a list of modules, each with a `type`"),
        ("modules.json", ["sentence_transformers.Pooling"], "a list of modules, each with a `type`"),
        ("modules.json", {"type": "sentence_transformers.Pooling"}, "a list of modules, each with a `type`"),
        ("modules.json", None, "a list of modules, each with a `type`"),
        ("modules.json", [], "a list of modules, each with a `type`"),
        ("config_sentence_transformers.json", [1], "an object with `prompts`, texts by name"),
        ("config_sentence_transformers.json", {"prompts": ["Find."]}, "an object with `prompts`, texts by name"),
        ("config_sentence_transformers.json", {"prompts": {"query": 3}}, "an object with `prompts`, texts by name"),
    ],
)
def test_broken_files_are_refused_by_name(
    file: str, content: Any, reason: str, tiny_qwen3_vl_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_qwen3_vl_folder, tmp_path / "model")
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"{folder / file} is not as sentence-transformers writes it: {reason}"):
        find_encoder(f"st:{folder}")


def test_what_is_refused_says_why(tiny_qwen3_vl_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Unknown option 'text'\. Did you mean texts"):
        find_encoder(f"st:{tiny_qwen3_vl_folder}?text=x")
    for value in ("0", "1.5", "many", "9999", "²"):
        with pytest.raises(UsageError, match=f"frames={value}: write a whole number from 1 to 2048"):
            find_encoder(f"st:{tiny_qwen3_vl_folder}?frames={value}")
    with pytest.raises(UserError, match=rf"no dual encoder \(model type qwen3_vl\), but .*st:{tiny_qwen3_vl_folder}"):
        find_encoder(f"hf:{tiny_qwen3_vl_folder}").encode_texts(["a"])
    with pytest.raises(UserError, match="not a folder that sentence-transformers saved"):
        find_encoder(f"st:{tmp_path}")
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "own.Module"}]))
    (tmp_path / "config_sentence_transformers.json").write_text("{}")
    with pytest.raises(UserError, match=r"own.Module in modules.json\), which is never run"):
        find_encoder(f"st:{tmp_path}")
