"""What is said of a name that no encoder has: the true reason, and a form that opens."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from db.errors import UsageError, UserError
from encoders import open_clip_files
from encoders.protocol import traits_of
from encoders.registry import BY_PREFIX, find_encoder, open_encoder
from tests.fixtures.commands import Run
from tests.fixtures.open_clip import in_cache

COMMIT = "0123456789abcdef0123456789abcdef01234567"
with_open_clip = pytest.mark.usefixtures("package")


@pytest.fixture
def package() -> None:
    pytest.importorskip("open_clip", reason="pip install 'descgen-recognize[open-clip]'")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Path) -> Path:
    """The current folder, with files of weights, a folder of folders, and models that are only configured."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.safetensors").touch()
    (tmp_path / "two words.bin").touch()
    (tmp_path / "models" / "one").mkdir(parents=True)
    for name in ("video model", "embedder"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config_sentence_transformers.json").write_text("{}")
        (tmp_path / name / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Pooling"}]))
    return tmp_path


def said(name: str, *, opened: bool = False) -> str:
    with pytest.raises(UserError) as caught:
        (open_encoder if opened else find_encoder)(name)
    return str(caught.value)


def typed(message: str) -> list[str]:
    """Return the values of `--encoder` in a message, as a shell reads them."""
    values = re.findall(r"--encoder ('[^']*'|[^\s,]+)", message)
    return [shlex.split(value.rstrip(".") if value[0] != "'" else value)[0] for value in values]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("minilm", "minilm embeds texts, and no frames of videos"),
        ("/nowhere/x", "There is no folder or file /nowhere/x. Known: objects"),
        ("./nothere/", "There is no folder or file ./nothere/. Known: objects"),
        ("../nothere", "There is no folder or file ../nothere. Known: objects"),
        ("~/nothere", "There is no folder or file ~/nothere. Known: objects"),
        ("~nobody-of-that-name/x", "There is no folder or file ~nobody-of-that-name/x. Known: objects"),
        ("nothere.safetensors", "There is no file nothere.safetensors. Known: objects"),
        ("models", "config_sentence_transformers.json (sentence-transformers), config.json (transformers). Known: "),
        ("./models", "The folder ./models holds no model; it has none of open_clip_config.json (open_clip), "),
        ("models?frames=4", "the folder models has no config_sentence_transformers.json"),
        ("objets", "Unknown encoder 'objets'. Did you mean objects? Known: objects"),
        ("minlm", "Did you mean minilm? minilm embeds texts only. Known: objects"),
        ("x" * 5000, f"Unknown encoder '{'x' * 100}...'. Known: objects"),
    ],
)
def test_the_true_reason_is_said(name: str, reason: str) -> None:
    assert reason in said(name)


@pytest.mark.parametrize(
    ("name", "forms"),
    [
        ("minilm", ["objects"]),
        ("HF:google/siglip2", ["hf:google/siglip2"]),
        ("huggingface:google/siglip2", ["hf:google/siglip2"]),
        ("hf-hub:timm/PE-Core-B-16", ["open_clip:hf-hub:timm/PE-Core-B-16"]),
        ("local-dir:models/one", ["open_clip:local-dir:models/one"]),
        ("sentence-transformers:Qwen/Qwen3", ["st:Qwen/Qwen3"]),
        ("ST:Qwen/Qwen3?frames=4", ["st:Qwen/Qwen3?frames=4"]),
        ("import:clips", ["imported:clips"]),
        *(
            (address, [f"{prefix}google/siglip2{end}" for prefix in ("hf:", "open_clip:hf-hub:", "st:")])
            for address, end in (
                ("google/siglip2", ""),
                ("google/siglip2@v1", "@v1"),
                ("https://huggingface.co/google/siglip2", ""),
                ("https://huggingface.co/google/siglip2/tree/main", ""),
                ("huggingface.co/google/siglip2/", ""),
                ("https://hf.co/google/siglip2/blob/v1/config.json", "@v1"),
            )
        ),
        ("Qwen/Qwen3?frames=4&side=64", ["st:Qwen/Qwen3?frames=4&side=64"]),
        ("models?frames=4", ["models"]),
        ("ViT-B/16?frames=4", ["ViT-B/16"]),
        ("weights.safetensors", ["open_clip:ARCH/weights.safetensors"]),
        ("two words.bin", ["open_clip:ARCH/two words.bin"]),
    ],
)
def test_the_form_to_type_is_said(name: str, forms: list[str]) -> None:
    assert typed(said(name)) == forms


def test_a_module_of_that_name_is_no_prefix(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "huggingface.py").write_text("")
    monkeypatch.syspath_prepend(here)
    assert "The module huggingface has no model" in said("huggingface:model")


@with_open_clip
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("PE-Core-B-16", "open_clip:PE-Core-B-16/meta"),
        ("pe-core-b16", "open_clip:PE-Core-B-16/meta"),
        ("MobileCLIP2-S0", "open_clip:MobileCLIP2-S0/dfndr2b"),
        ("MobileCLIP2-S0/dfndr2b", "open_clip:MobileCLIP2-S0/dfndr2b"),
        ("ViT-B-32-quickgelu", "open_clip:ViT-B-32-quickgelu/openai"),
        ("ViT-B-16-SigLIP2", "open_clip:ViT-B-16-SigLIP2/webli"),
        ("ViT-H/14", "open_clip:ViT-H-14/laion2b_s32b_b79k"),
        ("ViT-B-32/openai", "open_clip:ViT-B-32-quickgelu/openai"),
        ("ViT-B-32/laion2B-s34B-b79K", "open_clip:ViT-B-32/laion2b_s34b_b79k"),
        ("ViT-B-32-quickgelu/weights.safetensors", "open_clip:ViT-B-32-quickgelu/weights.safetensors"),
        ("openclip:RN50", "open_clip:RN50-quickgelu/openai"),
        ("openclip:ViT-B-32/laion2b_s34b_b79k", "open_clip:ViT-B-32/laion2b_s34b_b79k"),
        ("open-clip:MobileCLIP2-S0/dfndr2b", "open_clip:MobileCLIP2-S0/dfndr2b"),
        ("OpenCLIP:hf-hub:timm/PE-Core-B-16", "open_clip:hf-hub:timm/PE-Core-B-16"),
        ("opne_clip:PE-Core-B-16", "open_clip:PE-Core-B-16/meta"),
        ("open_clip:ViT-B-32-quickgelu/laion2B-s34B-b79K", "open_clip:ViT-B-32/laion2b_s34b_b79k"),
        ("open_clip:models/one", "open_clip:local-dir:models/one"),
        ("open_clip:two words.bin", "open_clip:ARCH/two words.bin"),
        ("open_clip:timm/PE-Core-B-16", "open_clip:hf-hub:timm/PE-Core-B-16"),
    ],
)
def test_a_name_of_open_clip_leads_to_one_that_opens(name: str, form: str, here: Path) -> None:
    [first, *others] = typed(said(name))
    assert (first, others) == (form, [])
    if not {"ARCH", "models"} & set(re.split(r"[:/]", form)) and "weights" not in form:
        assert "is not in the local cache" in said(form)  # nothing but the network is missing


@with_open_clip
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ViT-B-32", "Did you mean ViT-B/32? ViT-B-32 is an architecture of open_clip. Take one of its tags (laion"),
        ("MobileCLIP2-S0/dfndr", "Did you mean dfndr2b? Take one of its tags (dfndr2b), such as"),
        ("ViT-S-32", "ViT-S-32 is an architecture of open_clip, without published weights"),
        ("open_clip:/nowhere/x", "There is no folder or file /nowhere/x. Forms: open_clip:ARCH/TAG"),
        ("open_clip:local-dir:/nowhere/x", "There is no folder /nowhere/x. Forms: "),
        ("open_clip:ViT-B-32/laion2b-s34b-b79", "Did you mean laion2b_s34b_b79k? Known: openai, "),
    ],
)
def test_the_true_reason_of_open_clip_is_said(name: str, reason: str) -> None:
    assert reason in said(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("PE-Core-B-16", "then --encoder open_clip:PE-Core-B-16/TAG"),
        ("MobileCLIP2-S0/dfndr2b", "then --encoder open_clip:MobileCLIP2-S0/dfndr2b"),
        ("ViT-B-32-quickgelu", "then --encoder open_clip:ViT-B-32-quickgelu/TAG"),
    ],
)
def test_without_open_clip_its_extra_is_said(name: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_clip_files, "find_spec", lambda name: None)
    message = said(name)
    assert reason in message
    assert "pip install 'descgen-recognize[open-clip]'" in message


def test_a_bare_folder_takes_the_options_of_its_models(here: Path) -> None:
    for name, frames in (("embedder?frames=4", 4), ("./video model?frames=8&side=64", 8), (f"{here}/embedder", 16)):
        encoder = find_encoder(name)
        assert traits_of(encoder).clip_frames == frames
        assert (encoder.id, encoder.revision) == (
            find_encoder(f"st:{name}").id,
            find_encoder(f"st:{name}").revision,
        )
    with pytest.raises(UsageError, match=r"Unknown option 'frame'\. Did you mean frames"):
        find_encoder("embedder?frame=4")


def test_names_with_spaces_are_written_for_a_shell(here: Path) -> None:
    (here / "video model" / "config.json").write_text('{"model_type": "bert"}')
    assert typed(said("hf:video model", opened=True)) == ["st:video model"]
    (here / "my weights.pt").write_bytes(b"half a download")
    message = said("my weights.pt", opened=True)
    assert typed(message) == ["open_clip:ViT-B-32-quickgelu/my weights.pt", "hf:FOLDER"]
    assert "'open_clip:ViT-B-32/my weights.pt'" in message


@with_open_clip
def test_a_tag_in_another_spelling_opens_under_its_own(here: Path, hub: Path) -> None:
    repository = here / "repository"
    repository.mkdir()
    (repository / "README.md").write_text("weights")
    in_cache(hub, "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", repository, commit=COMMIT)
    expected = find_encoder("open_clip:ViT-B-32/laion2b_s34b_b79k")
    for tag in ("laion2b-s34b-b79k", "laion2B_s34B_b79k"):
        encoder = find_encoder(f"open_clip:ViT-B-32/{tag}")
        assert encoder.id == "open_clip:ViT-B-32/laion2b_s34b_b79k"
        assert (encoder.revision, traits_of(encoder)) == (expected.revision, traits_of(expected))


@pytest.mark.parametrize(
    ("name", "copy"),
    [
        ("hf:owner/repo", "hf:FOLDER"),
        ("st:owner/repo", "st:FOLDER"),
        ("open_clip:hf-hub:owner/repo", "open_clip:local-dir:FOLDER"),
        ("open_clip:PE-Core-B-16/meta", "open_clip:local-dir:FOLDER, or its file open_clip:PE-Core-B-16/FILE"),
    ],
)
def test_out_of_reach_the_form_of_a_copy_is_that_of_the_name(name: str, copy: str, request: Any) -> None:
    if name.startswith("open_clip:"):
        request.getfixturevalue("package")
    message = said(name)
    assert f"A copy in a folder is {copy}. Without any download: --encoder objects" in message
    assert message.count("A copy in a folder") == 1


@pytest.mark.parametrize("form", [*BY_PREFIX, "module:factory", "objects"])
def test_help_and_the_table_of_commands_name_every_form(recognize: Run, form: str) -> None:
    [option] = re.findall(r"--encoder NAME(.*?)--trust-file", recognize("eval", "--help").stdout, re.DOTALL)
    assert form in option
    table = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{form}", table.partition("| `--encoder` |")[2], re.MULTILINE)


def test_a_wrong_name_loads_open_clip_only_if_it_may_be_of_it() -> None:
    code = (
        "import sys, encoders.registry as e\n"
        "for name in ('objets', 'ViT-B/17', 'owner/name', './nothere', 'HF:owner/name', 'minilm'):\n"
        "    try: e.find_encoder(name)\n"
        "    except e.UsageError: print(sorted({'torch', 'open_clip', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n" * 6
