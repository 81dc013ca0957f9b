"""descgen lock and descgen build --locked, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from db.records import LLMIdentity
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.commands import Run

BUILD = ("-d", "hmdb51", "--llm", "fake", "-k", "context", "-k", "decomposition", "--limit", 3, "--language", "german")
Elsewhere = Callable[..., Result]


@pytest.fixture
def elsewhere(other_db_url: str) -> Elsewhere:
    """`descgen` on a database that has nothing."""
    from descriptor_gen.cli import descgen as command

    return lambda *given: CliRunner().invoke(command, ["--db", other_db_url, *map(str, given)])


@pytest.fixture
def file(descgen: Run, llm: FakeLLM, tmp_path: Path) -> Path:
    """The lock of a build of three classes and two kinds."""
    assert descgen("build", *BUILD).exit_code == 0
    path = tmp_path / "hmdb51.lock"
    locked = descgen("lock", path, *BUILD)
    assert locked.exit_code == 0, locked.output
    assert "6 calls of fake about 3 classes of hmdb51; templates context" in locked.stdout
    return path


def in_use(url: str) -> list[tuple[Any, ...]]:
    store = Store.open(url)
    texts = store.descriptors(store.dataset("hmdb51"))
    store.close()
    return [(d.action, d.kind, d.position, d.text, d.llm, d.template, d.sample) for d in texts]


def test_a_build_by_the_lock_alone_gives_the_same_texts(
    file: Path, db_url: str, other_db_url: str, elsewhere: Elsewhere, llm: FakeLLM
) -> None:
    asked = [request.messages for request in llm.history]
    built = elsewhere("build", "--locked", file, "--json")
    assert built.exit_code == 0, built.output
    report = json.loads(built.stdout)
    assert (report["generated"], report["kinds"]) == (6, ["context", "decomposition"])
    assert [request.messages for request in llm.history] == asked + asked
    assert in_use(other_db_url) == in_use(db_url)
    again = json.loads(elsewhere("build", "--locked", file, "--json").stdout)
    assert (again["cached"], again["generated"]) == (6, 0)


def test_the_lock_holds_what_determines_the_texts(file: Path, descgen: Run, tmp_path: Path) -> None:
    lock = json.loads(file.read_text())
    assert lock["llm"] == {"provider": "fake", "model": "fake", "revision": "1"}
    assert lock["parameters"] == {"do_sample": False}
    assert lock["classes"] == {
        "brush_hair": "brushing hair",
        "cartwheel": "doing a cartwheel",
        "catch": "catching a ball",
    }
    assert [template["kind"] for template in lock["templates"]] == ["context", "decomposition"]
    assert len({call["cache_key"] for call in lock["calls"]}) == 6
    assert all(len(call["texts_sha256"]) == 64 for call in lock["calls"])
    assert lock["options"] == {
        "llm_name": "fake", "kind_names": ["context", "decomposition"], "limit": 3, "language": "German",
    }  # fmt: skip
    assert descgen("lock", tmp_path / "again.lock", *BUILD).exit_code == 0
    assert (tmp_path / "again.lock").read_bytes() == file.read_bytes()


def test_another_reply_is_told_after_the_build_and_before_one_that_has_it(
    file: Path, elsewhere: Elsewhere, llm: FakeLLM
) -> None:
    other = json.dumps({"setting": "a blue room at night", "objects": ["a lamp", "a long table"]})
    llm.enqueue(other)
    built = elsewhere("build", "--locked", file)
    assert built.exit_code == 1
    assert (
        "1 of the 6 calls have other texts here than in the lock: context of brush_hair. The calls were" in built.stderr
    )
    asked = len(llm.history)
    refused = elsewhere("build", "--locked", file)
    assert refused.exit_code == 1
    assert "context of brush_hair. Ask again with --refresh" in refused.stderr
    assert len(llm.history) == asked
    assert elsewhere("build", "--locked", file, "--refresh").exit_code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-k", "context"], "template of decomposition: version "),
        (
            ["--limit", 2],
            "2 calls of the lock are not made in that form here: context of catch, decomposition of catch",
        ),
        (["--limit", 4], "2 calls are not in the lock in that form: context of chew, decomposition of chew"),
        (["--language", "French"], "6 calls of the lock are not made in that form here: context of brush_hair"),
        (["--max-tokens", 50], "6 calls of the lock are not made in that form here: context of brush_hair"),
        (["-d", "ucf101"], "dataset: hmdb51 in the lock, ucf101 here"),
    ],
)
def test_other_options_are_refused_before_any_call(
    file: Path, elsewhere: Elsewhere, llm: FakeLLM, options: list[Any], said: str
) -> None:
    asked = len(llm.history)
    refused = elsewhere("build", "--locked", file, *options)
    assert refused.exit_code == 1
    assert "This build is not the one of the lock of hmdb51:\n" in refused.stderr
    assert said in refused.stderr
    assert len(llm.history) == asked


def test_another_model_template_or_phrase_is_named(
    file: Path, elsewhere: Elsewhere, llm: FakeLLM, tmp_path: Path
) -> None:
    llm.identity = replace(LLMIdentity("fake", "fake", "1"), revision="2")
    llm.parameters = {"do_sample": True, "top_p": 0.9}
    lock = json.loads(file.read_text())
    lock["templates"][0]["sha256"] = "0" * 64
    lock["classes"]["catch"] = "catching it"
    file.write_text(json.dumps(lock))
    refused = elsewhere("build", "--locked", file)
    for line in (
        "LLM, revision: 1 in the lock, 2 here",
        "parameter do_sample: False in the lock, True here",
        "parameter top_p: nothing in the lock, 0.9 here",
        "template of context: version 1, sha256 000000000000 in the lock, version 1, sha256 ",
        "phrases of classes: catch ('catching it', here 'catching a ball')",
    ):
        assert line in refused.stderr
    assert refused.exit_code == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("edit", "a blue lake"), "People changed the texts of 1 calls and added 0 texts: no build gives these again"),
        (("reject",), "People changed the texts of 1 calls and added 0 texts"),
        (("add", "a tower", "-d", "hmdb51", "-a", "catch", "-k", "context"), "of 0 calls and added 1 texts"),
    ],
)
def test_what_people_changed_cannot_be_locked(
    file: Path, descgen: Run, store: Store, tmp_path: Path, change: tuple[str, ...], said: str
) -> None:
    first = str(store.descriptors(store.dataset("hmdb51"))[0].id)
    command = change if change[0] == "add" else (change[0], first, *change[1:])
    assert descgen(*command, "--reviewer", "kim").exit_code == 0
    refused = descgen("lock", tmp_path / "x.lock", *BUILD)
    assert refused.exit_code == 1
    assert said in refused.stderr
    assert "descgen pack keeps them" in refused.stderr
    assert not (tmp_path / "x.lock").exists()


def test_a_build_that_is_not_finished_cannot_be_locked(file: Path, descgen: Run, tmp_path: Path) -> None:
    refused = descgen("lock", tmp_path / "x.lock", *BUILD, "--limit", 5)
    assert refused.exit_code == 1
    assert (
        "4 of the 10 calls have no texts in use: context of chew, context of clap, decomposition of chew"
        in refused.stderr
    )
    assert "Run descgen build with the same options first" in refused.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not a lock of descgen: "),
        ("[]", "is not a lock of descgen, at $"),
        ('{"format": "descgen lock, version 1"}', "is not a lock of descgen, at $.dataset: Field required"),
        (None, "Cannot read "),
    ],
)
def test_a_file_that_is_no_lock_is_refused(descgen: Run, tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "x.lock"
    if content is not None:
        path.write_text(content)
    refused = descgen("build", "--locked", path)
    assert refused.exit_code in (1, 2)
    assert said in refused.stderr
    assert "Traceback" not in refused.output


def test_a_lock_of_another_version_is_refused(file: Path, descgen: Run) -> None:
    file.write_text(file.read_text().replace("lock, version 1", "lock, version 7"))
    refused = descgen("build", "--locked", file)
    assert "is a 'descgen lock, version 7', and this program reads a 'descgen lock, version 1'" in refused.stderr
