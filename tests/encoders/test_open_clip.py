"""Encoders of open_clip: equal to what open_clip itself computes from the same files, or refused."""

from __future__ import annotations

import builtins
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from db.errors import UsageError, UserError
from encoders.openai_clip import MEAN, STD
from encoders.openai_digests import OPENAI_CLIP
from encoders.protocol import logits_of, traits_of
from encoders.registry import find_encoder, label_templates, open_encoder, trusting_files
from encoders.towers import normalizer
from encoders.weights import sha256_of
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.store import FeatureStore
from recognizer.video.sampling import Sampling
from tests.fixtures.open_clip import in_cache

pytest.importorskip("open_clip", reason="pip install 'descgen-recognize[open-clip]'")
TEXTS = ["riding a bike", "A photo of a dog.", "a dog riding a bike " * 40]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
Files = dict[str, Path]


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    """Two frames [2, 90, 120, 3] with edges and gradients, so that resizing methods differ."""
    y, x = np.mgrid[0:90, 0:120]
    frame = np.stack([x * 2, y * 2, (x // 7 + y // 5) % 2 * 255], axis=-1)
    return np.stack([frame, np.roll(frame, 37, axis=1)]).astype(np.uint8)


def of_open_clip(name: str, weights: Path | None, frames: NDArray[np.uint8], **options: Any) -> tuple[Any, Any]:
    """Return the embeddings of frames and texts as the documents of open_clip say."""
    import open_clip

    model, _, preprocess = open_clip.create_model_and_transforms(name, str(weights) if weights else None, **options)
    tokenizer = open_clip.get_tokenizer(name)
    with torch.no_grad():
        images = torch.stack([preprocess(Image.fromarray(frame)) for frame in frames])
        return model.eval().encode_image(images), model.encode_text(tokenizer(TEXTS))


def check_equal(encoder: Any, frames: NDArray[np.uint8], expected: tuple[Any, Any], *, unit: bool = False) -> None:
    ours = encoder.encode_frames(encoder.preprocess(frames)), encoder.encode_texts(TEXTS)
    for vectors, of_authors in zip(ours, expected, strict=True):
        shown = torch.nn.functional.normalize(vectors, dim=-1) if unit else vectors
        torch.testing.assert_close(shown, of_authors, rtol=1e-5, atol=1e-6)
        assert vectors.shape[1] == encoder.width


@pytest.mark.parametrize("architecture", ["tiny-clip", "tiny-clip-quickgelu", "tiny-coca", "tiny-bias"])
def test_embeddings_of_a_file_are_those_of_open_clip(
    open_clip_files: Files, frames: NDArray[np.uint8], architecture: str
) -> None:
    path = open_clip_files[architecture]
    encoder = open_encoder(f"open_clip:{architecture}/{path}")
    expected = of_open_clip(architecture, path, frames)
    check_equal(encoder, frames, expected, unit=architecture == "tiny-coca")  # CoCa's own are normalised
    assert encoder.id == f"open_clip:{architecture}/{path.name}"
    assert encoder.revision == sha256_of(path)
    assert label_templates(f"open_clip:{architecture}/{path}") == ()  # those of the protocol


def test_a_folder_of_siglip(open_clip_siglip_folder: Path, frames: NDArray[np.uint8]) -> None:
    expected = of_open_clip(f"local-dir:{open_clip_siglip_folder}", None, frames)
    for name in (f"open_clip:local-dir:{open_clip_siglip_folder}", str(open_clip_siglip_folder)):
        encoder = open_encoder(name)
        check_equal(encoder, frames, expected)
        assert encoder.context_length == 16
        assert encoder.token_counts(["A photo, of a DOG!"]) == [6]  # canonicalized: five known words and the end
        assert logits_of(encoder).bias == -10
        assert logits_of(encoder).scale == pytest.approx(1 / 0.07)
        pixels = encoder.preprocess(np.full((1, 20, 60, 3), 255, np.uint8))  # squashed, not cut
        assert torch.equal(pixels, torch.full((1, 3, 32, 32), 255, dtype=torch.uint8))


def test_a_repository_opens_at_the_commit_that_is_asked_for(
    open_clip_siglip_folder: Path, frames: NDArray[np.uint8], hub: Path
) -> None:
    in_cache(hub, "owner/tiny-siglip", open_clip_siglip_folder, commit=COMMIT)
    expected = of_open_clip(f"local-dir:{open_clip_siglip_folder}", None, frames)
    for revision in ("", "@main", f"@{COMMIT}"):
        encoder = find_encoder(f"open_clip:hf-hub:owner/tiny-siglip{revision}")
        check_equal(encoder, frames, expected)
        assert (encoder.id, encoder.revision) == ("open_clip:hf-hub:owner/tiny-siglip", COMMIT)
        assert traits_of(encoder).texts_key == {"tokenizer": f"owner/tiny-siglip@{COMMIT}"}
    with pytest.raises(UserError, match="owner/tiny-siglip"):
        find_encoder("open_clip:hf-hub:owner/tiny-siglip@another")


@pytest.fixture
def published(open_clip_files: Files, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tags in open_clip's list, one of them trained with QuickGELU, with a preprocessing of their own."""
    from open_clip import pretrained

    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "README.md").write_text("tiny")
    shutil.copy(open_clip_files["tiny-clip"], folder / "open_clip_model.safetensors")
    in_cache(hub, "owner/tiny", folder, commit=COMMIT)
    stated = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.6, 0.7), "interpolation": "bilinear", "resize_mode": "squash"}
    plain = {"url": "", "hf_hub": "owner/tiny/", **stated}
    quick = {**plain, "quick_gelu": True}
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny-clip", {"plain_tag": plain, "quick": quick})
    monkeypatch.setitem(pretrained._PRETRAINED, "tiny-clip-quickgelu", {"quick": quick})


@pytest.mark.usefixtures("published")
def test_a_tag_opens_with_its_own_preprocessing(frames: NDArray[np.uint8]) -> None:
    import open_clip

    for architecture, tag in (("tiny-clip", "plain_tag"), ("tiny-clip-quickgelu", "quick")):
        encoder = find_encoder(f"open_clip:{architecture}/{tag}")
        model, _, preprocess = open_clip.create_model_and_transforms(architecture, tag)
        with torch.no_grad():
            images = torch.stack([preprocess(Image.fromarray(frame)) for frame in frames])
            expected = (
                model.eval().encode_image(images),
                model.encode_text(open_clip.get_tokenizer(architecture)(TEXTS)),
            )
        check_equal(encoder, frames, expected)
        assert (encoder.id, encoder.revision) == (f"open_clip:{architecture}/{tag}", COMMIT)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tiny-clip/quick", "trained with QuickGELU.*: take --encoder open_clip:tiny-clip-quickgelu/quick"),
        ("tiny-clip-quickgelu/plain_tag", "trained with GELU: take --encoder open_clip:tiny-clip/plain_tag"),
        ("tiny-clip/plian_tag", "Did you mean plain_tag"),
        ("tiny-clip", "Weights of tiny-clip: plain_tag, quick, or a file"),
        ("ViT-B32-quickgelu/openai", "Did you mean ViT-B-32-quickgelu.* Known: .* more. Forms: open_clip:ARCH/TAG"),
        ("ViT-B-32/openai", "take --encoder open_clip:ViT-B-32-quickgelu/openai"),
    ],
)
def test_a_name_that_does_not_fit_says_which_does(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        find_encoder(f"open_clip:{name}")


def test_every_published_tag_has_an_architecture_of_its_activation() -> None:
    """What `ARCH/TAG` refuses is offered under another name: no weights are out of reach."""
    import open_clip

    quick = {
        (architecture, tag)
        for architecture, tag in open_clip.list_pretrained()
        if open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu")
        and not open_clip.get_model_config(architecture).get("quick_gelu")
    }
    assert quick <= {(a.removesuffix("-quickgelu"), tag) for a, tag in open_clip.list_pretrained() if "quickgelu" in a}
    assert all(open_clip.get_pretrained_cfg(*pair)["hf_hub"] for pair in open_clip.list_pretrained())


def test_openais_own_file_needs_an_architecture_of_quick_gelu(
    open_clip_files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = open_clip_files["tiny-clip"]
    monkeypatch.setitem(OPENAI_CLIP, "tiny", sha256_of(path))
    with pytest.raises(UsageError, match="take --encoder open_clip:tiny-clip-quickgelu/"):
        find_encoder(f"open_clip:tiny-clip/{path}")
    find_encoder(f"open_clip:tiny-clip-quickgelu/{path}")


def test_a_state_dict_of_openais_form(tmp_path: Path, open_clip_files: Files, frames: NDArray[np.uint8]) -> None:
    from tests.fixtures.encoders import tiny_clip

    model, path = tiny_clip(), tmp_path / "state.pt"
    torch.save(model.state_dict(), path)
    with pytest.raises(UserError, match=rf"--encoder open_clip:ViT-B-32-quickgelu/{path}"):
        open_encoder(str(path))
    encoder = open_encoder(f"open_clip:tiny-clip-quickgelu/{path}")
    pixels = encoder.preprocess(frames)
    normalized = normalizer(mean=MEAN, std=STD)(pixels)
    with torch.no_grad():
        torch.testing.assert_close(encoder.encode_frames(pixels), model.encode_image(normalized), rtol=1e-4, atol=1e-5)
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, path)
    again = open_encoder(f"open_clip:tiny-clip-quickgelu/{path}")  # as open_clip's training saves it
    torch.testing.assert_close(again.encode_frames(pixels), encoder.encode_frames(pixels))


@pytest.mark.parametrize(
    ("architecture", "of", "hint"),
    [
        ("tiny-clip", "tiny-clip-larger", "weights have 17 positions .*, the architecture 5"),
        ("tiny-bias", "tiny-clip", "has a logit bias"),
        ("tiny-clip", "tiny-bias", "cannot be loaded"),
        ("tiny-clip", "tiny-coca", "cannot be loaded"),
    ],
)
def test_weights_of_another_architecture_are_refused(
    open_clip_files: Files, architecture: str, of: str, hint: str
) -> None:
    with pytest.raises(UserError, match=hint):
        open_encoder(f"open_clip:{architecture}/{open_clip_files[of]}")


def test_precision_configuration_and_preprocessing_are_in_the_key(
    open_clip_files: Files, frames: NDArray[np.uint8], tmp_path: Path
) -> None:
    name = f"open_clip:tiny-clip/{open_clip_files['tiny-clip']}"
    full, low = find_encoder(name), find_encoder(name, precision="bfloat16")
    pixels = full.preprocess(frames)
    torch.testing.assert_close(low.encode_frames(pixels), full.encode_frames(pixels), rtol=0.05, atol=0.05)
    assert (low.encode_frames(pixels) != full.encode_frames(pixels)).any()
    assert logits_of(low) == logits_of(full)
    quick = find_encoder(f"open_clip:tiny-clip-quickgelu/{open_clip_files['tiny-clip']}")
    with FeatureStore.open(tmp_path) as store:
        keys = [CachingEncoder(encoder, store).frames_shelf(Sampling()).key for encoder in (full, low, quick)]
    assert keys[1] == {**keys[0], "precision": "bfloat16"}
    assert keys[2]["config"] != keys[0]["config"]


def test_the_preprocessing_that_a_folder_states_is_in_the_key(open_clip_siglip_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(open_clip_siglip_folder, folder)
    stated = json.loads((folder / "open_clip_config.json").read_text())
    before = find_encoder(str(folder))
    stated["preprocess_cfg"]["resize_mode"] = "shortest"
    (folder / "open_clip_config.json").write_text(json.dumps(stated))
    after = find_encoder(str(folder))
    assert traits_of(after).key != traits_of(before).key
    assert after.revision != before.revision


class _Runs:
    """What a pickle does when it is read."""

    def __init__(self, written: Path) -> None:
        self.written = written

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return builtins.open, (str(self.written), "w")


def test_a_file_with_code_needs_trust(open_clip_files: Files, tmp_path: Path) -> None:
    written, pickled, traced = tmp_path / "written", tmp_path / "pickled.pt", tmp_path / "traced.pt"
    torch.save({"state_dict": _Runs(written)}, pickled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(2, 2)).save(traced)
    for path in (pickled, traced):
        with pytest.raises(UserError, match="--trust-file"):
            open_encoder(f"open_clip:tiny-clip/{path}")
    assert not written.exists()
    with trusting_files(), pytest.raises(UserError, match="cannot be loaded"):
        open_encoder(f"open_clip:tiny-clip/{pickled}")
    assert written.exists()  # the danger is real


def test_a_traced_archive_opens_with_trust(
    tiny_clip_archive: Path, open_clip_files: Files, frames: NDArray[np.uint8]
) -> None:
    with trusting_files():
        encoder = open_encoder(f"open_clip:tiny-clip-quickgelu/{tiny_clip_archive}")
        expected = open_encoder(str(tiny_clip_archive))
    pixels = encoder.preprocess(frames)
    torch.testing.assert_close(encoder.encode_frames(pixels), expected.encode_frames(pixels), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoder.encode_texts(TEXTS), expected.encode_texts(TEXTS), rtol=1e-4, atol=1e-5)


def test_a_tokenizer_with_code_is_refused_without_a_question(open_clip_siglip_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(open_clip_siglip_folder, folder)
    (folder / "code.py").write_text(f"open({str(tmp_path / 'written')!r}, 'w')\n")
    (folder / "config.json").write_text('{"model_type": "mine", "auto_map": {"AutoConfig": "code.C"}}')
    stated = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**stated, "auto_map": {"AutoTokenizer": ["code.T", None]}})
    )
    try:
        open_encoder(f"open_clip:local-dir:{folder}")
    except UserError as error:
        assert "cannot be loaded" in str(error)  # noqa: PT017 - a version that ignores the code may open it as well
    assert not (tmp_path / "written").exists()


def test_without_the_package_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(UserError, match=r"Run: pip install 'descgen-recognize\[open-clip\]'"):
        find_encoder("open_clip:ViT-B-32/laion2b_s34b_b79k")
