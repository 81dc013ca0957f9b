"""What the commands print, what they cost to start, and how they fail."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from db.program import Program
from descriptor_gen.cli import descgen as descgen_program
from descriptor_gen.llms.testing import FakeLLM
from encoders.testing import FakeEncoder
from recognizer.cli import recognize as recognize_program
from tests.fixtures.commands import Run
from tests.fixtures.light import MODELS, run_without

HELP = ["-h"], ["--help"], ["--version"]
# What a list of commands does without; the rest of the list is what the modules of the commands import.
NOT_FOR_HELP = (
    *MODELS, "sqlalchemy", "jinja2", "yaml", "numpy", "pydantic", "fastapi", "jsonschema", "rich", "matplotlib", "PIL",
    "db.store", "db.records", "db.vocabulary", "descriptor_gen.commands", "recognizer.commands",
)  # fmt: skip
NOT_FOR_OPTIONS = (*MODELS, "sqlalchemy", "jinja2", "yaml", "numpy", "pydantic", "fastapi", "jsonschema", "matplotlib")
NOT_FOR_LISTS = tuple(name for name in NOT_FOR_OPTIONS if name != "sqlalchemy")


@pytest.mark.parametrize("program", [descgen_program, recognize_program], ids=lambda program: str(program.name))
def test_the_list_of_commands_says_what_each_says_itself(program: Program) -> None:
    said = {name: program.commands[name].get_short_help_str(300).rstrip(".") for name in program.commands}
    assert {name: listed.about.rstrip(".") for name, listed in program.listed.items()} == said
    assert {name: command.name for name, command in program.commands.items()} == {name: name for name in said}


@pytest.mark.parametrize("name", ["descgen", "recognize"])
def test_help_of_a_program_needs_no_model_and_no_command(name: str) -> None:
    run_without(NOT_FOR_HELP, name, HELP)


def test_options_of_commands_need_no_model_and_no_database() -> None:
    run_without(NOT_FOR_OPTIONS, "recognize", [[name, "--help"] for name in sorted(recognize_program.listed)])
    writing = ("build", "list", "show", "history", "stats", "review", "accept", "edit", "add", "undo", "llms", "lint")
    run_without(NOT_FOR_OPTIONS, "descgen", [[name, "--help"] for name in writing])


def test_what_is_listed_needs_no_model_and_no_template(tmp_path: Path) -> None:
    none = ["--db", str(tmp_path / "none.db")]
    commands = (["list", "-d", "hmdb51"], ["datasets"], ["stats", "--json"], ["show", "-d", "hmdb51", "--json"])
    run_without(NOT_FOR_LISTS, "descgen", [[*none, *command] for command in commands])
    run_without(("sqlalchemy", *MODELS), "descgen", [[*none, "prompts", "list"]])


def test_descgen_needs_no_model_where_none_is_wanted(cached: Path) -> None:
    commands = (
        ["--help"], ["build", "--help"], ["datasets"], ["llms"], ["list", "-d", "hmdb51"], ["stats"],
        ["show", "-d", "hmdb51", "-a", "wave"], ["build", "-d", "hmdb51", "-k", "context", "--llm", "smollm2"],
        ["lint", "-d", "hmdb51", "--context-length", "10"], ["accept", "-d", "hmdb51", "--all"],
    )  # fmt: skip
    run_without(MODELS, "descgen", [["--db", str(cached), *command] for command in commands])


@pytest.fixture
def _some_features(features: Path) -> None:
    """A feature store with one text."""
    from recognizer.features.caching_encoder import CachingEncoder
    from recognizer.features.store import FeatureStore

    with FeatureStore.open(features) as store:
        CachingEncoder(FakeEncoder(), store).encode_texts(["a text"])


@pytest.mark.usefixtures("_some_features")
def test_recognize_needs_no_model_where_none_is_wanted(cached: Path) -> None:
    commands = (
        ["--help"], ["eval", "--help"], ["predict", "--help"], ["sweep", "--help"], ["runs", "--json"],
        ["embed", "--help"], ["explain", "--help"], ["localize", "--help"], ["check", "--help"], ["report", "--help"],
        ["prepare", "-d", "ucf101"],
        ["features", "list"], ["features", "verify"], ["features", "prune", "--unused", "0", "--yes"],
    )  # fmt: skip
    run_without(MODELS, "recognize", [["--db", str(cached), *command] for command in commands])


@pytest.fixture
def cached(database: Path) -> Path:
    """A database in which every reply that smollm2 would give for one kind of hmdb51 is there."""
    from db.store import Store
    from descriptor_gen.generate.build import build_descriptors
    from descriptor_gen.llms.registry import open_llm
    from descriptor_gen.prompting.prompt import load_prompts

    real, fake = open_llm("smollm2"), FakeLLM()
    fake.identity, fake.parameters = real.identity, dict(real.parameters)
    store = Store.open(str(database))
    build_descriptors(store, store.dataset("hmdb51"), llm=fake, prompts=load_prompts(["context"]))
    store.close()
    return database


def test_list_show_and_stats(descgen: Run, llm: FakeLLM) -> None:
    descgen("build", "-d", "hmdb51", "-k", "context", "-k", "decomposition", "--limit", "2")
    listed = descgen("list", "-d", "hmdb51").stdout.splitlines()
    assert listed[1].split() == ["label", "name", "phrase", "context", "decomposition"]
    assert listed[2].split() == ["0", "brush_hair", "brushing", "hair", "3", "3"]
    assert listed[-1].split() == ["50", "wave", "waving", "a", "hand", "0", "0"]
    shown = descgen("show", "-d", "hmdb51", "-a", "doing a cartwheel").stdout
    assert shown == (
        "cartwheel (doing a cartwheel)\n"
        "├── context, by fake\n"
        "│   ├── a wide green field  [pending]\n"
        "│   ├── a ball  [pending]\n"
        "│   └── a wooden bat  [pending]\n"
        "└── decomposition, by fake\n"
        "    ├── someone begins it slowly  [pending]\n"
        "    ├── someone moves on with it  [pending]\n"
        "    └── someone ends it at last  [pending]\n"
    )
    stats = json.loads(descgen("stats", "--json").stdout)
    assert stats["descriptors"][0] == {
        "dataset": "hmdb51", "kind": "context", "llm": "fake", "source": "llm", "status": "pending",
        "actions": 2, "descriptors": 6,
    }  # fmt: skip
    assert [(row["model"], row["status"], row["calls"]) for row in stats["calls"]] == [("fake", "ok", 4)]
    assert re.search(
        r"hmdb51 +context +fake +6 +0 +0 +6\n", descgen("stats").stdout
    )  # pending, accepted, rejected, all


def test_datasets_and_llms_are_listed(descgen: Run) -> None:
    datasets = {row["name"]: row["actions"] for row in json.loads(descgen("datasets", "--json").stdout)}
    assert datasets["ucf101"] == 101
    assert (datasets["kinetics600"], datasets["kinetics600-zs3"]) == (600, 160)
    llms = {row["name"]: row["model"] for row in json.loads(descgen("llms", "--json").stdout)}
    assert llms["llama"] == "meta-llama/Llama-3.1-8B-Instruct"
    assert llms.keys() == {"smollm2", "llama", "mistral", "qwen", "gpt"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["build", "-d", "hmdb52"], 2, "Unknown dataset 'hmdb52'. Did you mean hmdb51"),
        (["build", "-d", "hmdb51", "--llm", "lama"], 2, "Unknown LLM 'lama'. Did you mean llama"),
        (["build", "-d", "hmdb51", "-k", "contxt"], 2, "Unknown kind 'contxt'. Did you mean context"),
        (["build", "-d", "hmdb51", "--llm", "no.gguf"], 1, "No file no.gguf"),
        (["build"], 2, "Missing option '--dataset'"),
        (["show", "-d", "hmdb51"], 1, "No database at"),
    ],
)
def test_wrong_use_is_told_with_what_is_known(descgen: Run, arguments: list[str], code: int, said: str) -> None:
    result = descgen(*arguments)
    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_no_descriptors_names_the_command_that_makes_them(descgen: Run, llm: FakeLLM) -> None:
    descgen("build", "-d", "ucf101", "--limit", "1")
    result = descgen("show", "-d", "hmdb51")
    assert result.exit_code == 1
    assert "Write them with: descgen build --dataset hmdb51" in result.stderr
    wrong = descgen("show", "-d", "ucf101", "-a", "YoYos")
    assert wrong.exit_code == 2
    assert "ucf101 has no action YoYos. Did you mean YoYo" in wrong.stderr


def test_brackets_in_a_label_are_shown_as_they_are(descgen: Run, llm: FakeLLM, tmp_path: Path) -> None:
    labels = tmp_path / "odd.txt"
    labels.write_text("close [/door]\nwalk [dog]\n:smile: x\n")
    assert descgen("build", "-d", labels, "-k", "context").exit_code == 0
    listed = descgen("list", "-d", "odd").stdout
    for label in ("close [/door]", "walk [dog]", ":smile: x"):
        assert label in listed


def test_a_known_name_wins_over_a_folder_of_that_name(
    descgen: Run, llm: FakeLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tmp_path / "vids.txt"
    labels.write_text("red\ngreen\n")
    descgen("build", "-d", labels, "-k", "context")
    (tmp_path / "elsewhere" / "vids" / "train").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    rows = json.loads(descgen("list", "-d", "vids", "--json").stdout)
    assert [row["name"] for row in rows] == ["red", "green"]
    assert [row["descriptors"] for row in rows] == [{"context": 3}] * 2
    assert descgen("build", "-d", "/", "-k", "context").exit_code == 2
    assert descgen("build", "-d", "", "-k", "context").exit_code == 2


WAIT = """
from threading import Event
from recognizer.cli import recognize

@recognize.command("wait")
def wait():
    print("waiting", flush=True)
    Event().wait()

recognize(["wait"], prog_name="recognize")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_without_an_encoder_ends_with_one_line(number: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", WAIT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.strip() == "Stopped. What was stored stays; run the same command to continue"
