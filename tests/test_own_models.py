"""docs/own-models.md and docs/clips.md: their examples are run; objects that are no encoder or LLM are refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from db.errors import UsageError
from db.plugins import plugin
from descriptor_gen.llms.registry import open_llm
from encoders.own import plugged_encoder
from encoders.protocol import Traits
from encoders.registry import find_encoder, label_templates, unregister
from encoders.testing import FakeEncoder
from recognizer import Recognizer
from tests.fixtures.videos import make_images

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/own-models.md").read_text() + (ROOT / "docs/clips.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the modules of the page."""
    modules = re.findall(r"^`(my_\w+)\.py`:\n\n```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in modules] == ["my_encoder", "my_llm", "my_clips"]
    for name, code in modules:
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    plugin.cache_clear()
    plugged_encoder.cache_clear()
    return tmp_path


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the current folder, with PYTHONPATH as the page says."""
    environment = {**os.environ, "PYTHONPATH": f".:{ROOT}", "DESCGEN_DB": "own.db", "RECOGNIZE_FEATURES": "features"}
    command = [sys.executable, "-m", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("name", ["my_encoder:make", "my_clips:Motion"])
def test_the_encoders_of_the_pages_by_their_modules(name: str, folder: Path) -> None:
    for colour in ("red", "blue"):
        (folder / "videos" / colour).mkdir(parents=True)
        make_images(folder / "videos" / colour / "take", ["frame_1.png", "frame_2.png"], size=(30, 20))
    line = next(line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines() if name in line)
    words = line.removeprefix("PYTHONPATH=. recognize ").split()
    done = run("recognizer", *words, "--method", "label")
    assert done.returncode == 0, done.stderr
    assert f"encoder {name}" in done.stdout + done.stderr


def test_the_encoder_of_the_page_as_an_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np
    from PIL import Image

    (folder / "red.mp4").mkdir()
    Image.fromarray(np.full((20, 30, 3), (250, 5, 5), np.uint8)).save(folder / "red.mp4" / "frame_1.png")
    (code,) = [block for kind, block in BLOCKS if kind == "python" and "Recognizer" in block]
    exec(code, {})  # noqa: S102 - the example of the page
    unregister("colours")
    assert capsys.readouterr().out == "red\n"


def test_the_llm_of_the_page(folder: Path) -> None:
    line = next(line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines() if "my_llm" in line)
    words = line.removeprefix("PYTHONPATH=. descgen ").split()
    done = run("descriptor_gen", *words, "--action", "run")
    assert done.returncode == 0, done.stderr
    shown = run("descriptor_gen", "show", "--dataset", "hmdb51")
    assert "echo" in shown.stdout
    assert "someone begins it slowly" in shown.stdout


def test_the_entry_points_of_the_page(folder: Path) -> None:
    """As pip writes them: a folder of metadata beside the modules."""
    tables = [block for kind, block in BLOCKS if kind == "toml"]
    names = [re.findall(r'"(.+)"\]\n(\w+) = "(.+)"', table)[0] for table in tables]
    metadata = folder / "mine-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    lines = [f"[{group}]\n{name} = {value}\n" for group, name, value in names]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    assert find_encoder("colours").id == "colours"
    assert find_encoder("colours") is find_encoder("colours")
    assert open_llm("echo").identity.model == "echo"
    with pytest.raises(UsageError, match=r"Did you mean colours\?"):
        find_encoder("colors")
    assert EntryPoint(names[0][1], names[0][2], names[0][0]).load()().revision == "1"


@pytest.mark.usefixtures("folder")
def test_a_factory_that_takes_other_arguments_is_refused() -> None:
    with pytest.raises(UsageError, match=r"with no arguments, which it does not take: missing .* 'options'"):
        find_encoder("my_llm:make")
    with pytest.raises(UsageError, match="with one LLMOptions, which it does not take: too many"):
        open_llm("my_encoder:make")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("no_such_module_here:make", "set PYTHONPATH to the folder that holds no_such_module_here"),
        ("json:no_such", "The module json has no no_such"),
        ("collections:Counter", r"is a Counter without id \(its name\), revision"),
    ],
)
def test_names_that_lead_to_no_encoder_or_llm(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        find_encoder(name)
    if "Counter" not in hint:
        with pytest.raises(UsageError, match=hint):
            open_llm(name)


def own(**members: Any) -> Any:
    encoder = FakeEncoder()
    for name, value in members.items():
        setattr(encoder, name, value)
    return encoder


def test_an_object_needs_an_identity_of_its_own() -> None:
    for members, hint in (
        ({"revision": ""}, "has the revision ''"),
        ({"revision": None}, "has the revision None"),
        ({"id": "ViT-B/16"}, "the id ViT-B/16, which is that of another encoder"),
    ):
        with pytest.raises(UsageError, match=hint):
            Recognizer(["a", "b"], encoder=own(**members))
    with pytest.raises(UsageError, match="without preprocess"):
        Recognizer(["a"], encoder=_texts_only())
    first = own(id="mine", revision="1")
    try:
        assert Recognizer(["a"], encoder=first).encoder == "mine"
        assert Recognizer(["a"], encoder=own(id="mine", revision="1")).encoder == "mine"
        with pytest.raises(UsageError, match="another revision or key is in use"):
            Recognizer(["a"], encoder=own(id="mine", revision="2"))
        assert label_templates("mine") == ()
    finally:
        unregister("mine")


def _texts_only() -> Any:
    members = {"id": "texts", "revision": "1", "width": 3, "context_length": 9}
    return SimpleNamespace(**members, encode_texts=list, token_counts=list)


def test_an_encoder_of_clips_names_its_frames_and_has_all_members(tmp_path: Path, monkeypatch: Any) -> None:
    """As an object, and by its module."""
    members = {"id": "mine", "revision": "1", "width": 3, "context_length": 9, "encode_texts": list}
    members |= {"token_counts": list, "preprocess": list, "encode_clips": list}
    monkeypatch.syspath_prepend(str(tmp_path))
    for number, (changes, hint) in enumerate(
        (
            ({}, "has encode_clips, but its traits do not say how many frames a clip has"),
            ({"traits": Traits(clip_frames=4), "preprocess": None}, "SimpleNamespace without preprocess"),
            ({"traits": Traits(clip_frames=4), "encode_clips": None}, "SimpleNamespace without encode_clips"),
            ({"traits": {"clip_frames": 4}}, "has a dict as traits"),
            ({"traits": Traits(clip_frames=0)}, "has clips of 0 frames"),
            ({"traits": Traits(clip_frames=cast(int, "4"))}, "has clips of '4' frames"),
        )
    ):
        encoder = SimpleNamespace(**{name: value for name, value in (members | changes).items() if value is not None})
        module = f"clips_module_{number}"
        monkeypatch.setitem(sys.modules, module, SimpleNamespace(encoder=encoder, __spec__=ModuleSpec(module, None)))
        for opened in (
            lambda given=encoder: Recognizer(["a"], encoder=given),
            lambda m=module: find_encoder(f"{m}:encoder"),
        ):
            with pytest.raises(UsageError, match=hint) as caught:
                opened()
            assert "without" in hint or "Traits(clip_frames=T)" in str(caught.value)
