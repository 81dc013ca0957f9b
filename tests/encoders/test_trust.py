"""Files of strangers run no code: what torch would execute is refused before torch opens it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from db.errors import UserError
from descriptor_gen.cli import descgen
from encoders.registry import OPENAI_CLIP, open_encoder, trusting_files
from encoders.weights import sha256_of


class Writer(torch.nn.Module):
    """A model whose archive writes a file while it loads: TorchScript calls `__setstate__`."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path, self.training = state[0], state[1]
        torch.save(torch.zeros(1), self.path)


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[Path, Path]:
    """An archive, and the file that it writes when it is opened."""
    archive, written = tmp_path / "model.pt", tmp_path / "written"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Writer(str(written))).save(archive)
    return archive, written


def test_an_archive_that_nobody_published_needs_trust(hostile: tuple[Path, Path]) -> None:
    archive, written = hostile
    with pytest.raises(UserError, match=r"model\.pt is a TorchScript archive .* any code .* add --trust-file"):
        open_encoder(str(archive))
    result = CliRunner().invoke(descgen, ["--db", "sqlite://", "similarity", "-d", "hmdb51", "-e", str(archive)])
    assert result.exit_code == 1
    assert "--trust-file" in result.stderr
    assert not written.exists()
    with trusting_files(), pytest.raises(UserError):
        open_encoder(str(archive))
    assert written.exists()  # the danger is real


def test_trust_ends_with_the_command(tiny_clip_archive: Path) -> None:
    command = [
        "--db",
        "sqlite://",
        "similarity",
        "-d",
        "hmdb51",
        "--label-only",
        "--json",
        "-e",
        str(tiny_clip_archive),
    ]
    trusted = CliRunner().invoke(descgen, [*command, "--trust-file"])
    assert trusted.exit_code == 0, trusted.output
    assert json.loads(trusted.stdout)
    again = CliRunner().invoke(descgen, command)
    assert "--trust-file" in again.stderr


def test_a_published_digest_is_trusted(tiny_clip_archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPENAI_CLIP, "tiny", sha256_of(tiny_clip_archive))
    assert open_encoder(str(tiny_clip_archive)).id == "tiny"


def test_a_folder_with_code_of_its_own_is_refused_without_a_question(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'written')!r}, 'w')\n")
    names = {name: f"code.{name}" for name in ("AutoConfig", "AutoModel", "AutoTokenizer")}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mine", "auto_map": names}))
    with pytest.raises(UserError, match="cannot be loaded"):
        open_encoder(f"hf:{tmp_path}")
    assert not (tmp_path / "written").exists()
