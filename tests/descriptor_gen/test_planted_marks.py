"""Escape sequences and marks that reorder a line, planted wherever a text comes in: none reaches an output."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import text

from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.commands import Run
from tests.fixtures.databases import engine_of

TITLE, OVERRIDE = "\x1b]0;owned\x07", "\u202e"
PLANTED = f"{TITLE}a hand{OVERRIDE} waves\x9b2J"
OBEYED = set("\x07\x1b\x9b\u202e")


def assert_clean(result: Result, code: int = 0) -> None:
    assert result.exit_code == code, result.output
    assert not OBEYED & set(result.output), result.output


@pytest.fixture
def planted(descgen: Run, llm: FakeLLM, store: Store, db_url: str) -> Run:
    """A database of an older version: a reply, texts, a file's name, a reviewer and a class with such characters."""
    assert descgen("build", "-d", "hmdb51", "-k", "context", "-a", "wave").exit_code == 0
    [first, *_] = store.descriptors(store.dataset("hmdb51"))
    assert descgen("edit", first.id, "a waving hand", "--reviewer", "kim").exit_code == 0
    with engine_of(db_url).begin() as connection:
        for change in (
            "descriptor SET text = :planted || text, origin = :planted",
            "generation SET reply = reply || :planted",
            "llm SET model = :planted",
            "review_event SET reviewer = :planted",
            "action SET phrase = :planted",
        ):
            connection.execute(text(f"UPDATE {change}"), {"planted": PLANTED})
    return descgen


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "-d", "hmdb51", "--ids"],
        ["show", "-d", "hmdb51", "--raw"],
        ["show", "-d", "hmdb51", "--raw", "--json"],
        ["show", "-d", "hmdb51", "--json"],
        ["history", "-d", "hmdb51"],
        ["history", "-d", "hmdb51", "--json"],
        ["list", "-d", "hmdb51"],
        ["stats"],
        ["lint", "-d", "hmdb51"],
        ["export", "-d", "hmdb51"],
        ["export", "-d", "hmdb51", "--format", "csv"],
        ["export", "-d", "hmdb51", "--format", "tear"],
        ["accept", "-d", "hmdb51", "--all", "--status", "any", "--reviewer", "kim"],
    ],
)
def test_what_an_older_database_holds_is_cleaned_when_it_is_printed(planted: Run, arguments: list[str]) -> None:
    result = planted(*arguments)
    assert "hand" in result.output or arguments[0] in ("list", "stats", "lint")
    assert_clean(result, code=1 if arguments[0] == "lint" else 0)


def test_a_raw_reply_is_kept_as_it_came(planted: Run, store: Store) -> None:
    [entry] = store.history(store.dataset("hmdb51"))
    assert entry.generation.reply.endswith(PLANTED)
    [shown] = json.loads(planted("show", "-d", "hmdb51", "--raw", "--json").stdout)
    assert shown["generation"]["reply"] == entry.generation.reply


def test_texts_are_cleaned_before_they_are_stored(descgen: Run, store: Store, tmp_path: Path) -> None:
    added = ("-d", "hmdb51", "-a", "wave", "-k", "context", "--reviewer", "kim")
    assert_clean(descgen("add", PLANTED, *added))
    (file := tmp_path / "x.json").write_text(json.dumps({"wave": [f"{PLANTED} twice"], f"foreign{TITLE}": ["x"]}))
    assert_clean(descgen("import", file, "-d", "hmdb51", "-k", "context"))
    texts = [d.text for d in store.descriptors(store.dataset("hmdb51"))]
    assert sorted(texts) == ["a hand waves", "a hand waves twice"]
    (labels := tmp_path / "labels.txt").write_text(f"{OVERRIDE}wave\tpeople{OVERRIDE} wave\nwalk\twalking\n")
    assert_clean(descgen("datasets", "add", labels))
    assert [(a.name, a.phrase) for a in store.dataset("labels").actions] == [
        ("wave", "people wave"),
        ("walk", "walking"),
    ]


def test_a_reply_with_marks_that_reorder_is_stored_without_them(descgen: Run, llm: FakeLLM, store: Store) -> None:
    assert descgen("build", "-d", "hmdb51", "-k", "context", "-a", "wave").exit_code == 0
    [entry] = store.history(store.dataset("hmdb51"))
    reply = entry.generation.reply
    word = store.descriptors(store.dataset("hmdb51"))[0].text
    llm.enqueue(reply.replace(word, f"{OVERRIDE}{word}", 1))
    assert descgen("build", "-d", "hmdb51", "-k", "context", "-a", "wave", "--refresh").exit_code == 0
    newest = store.history(store.dataset("hmdb51"))[-1]
    assert OVERRIDE in newest.generation.reply
    assert not any(OVERRIDE in d.text for d in store.descriptors(store.dataset("hmdb51")))


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "-d", PLANTED],
        ["show", "-d", "hmdb51", "-a", PLANTED],
        ["show", "-d", "hmdb51", "-k", PLANTED],
        ["show", "-d", "hmdb51", "--status", PLANTED],
        ["import", PLANTED, "-d", "hmdb51"],
        [PLANTED],
        ["show", f"--{PLANTED}"],
    ],
)
def test_an_error_that_repeats_what_was_typed_is_cleaned(descgen: Run, store: Store, arguments: list[str]) -> None:
    result = descgen(*arguments)
    assert_clean(result, code=result.exit_code)
    assert result.exit_code in (1, 2)


def test_class_folders_are_shown_cleaned(descgen: Run, tmp_path: Path) -> None:
    for name in (f"red{TITLE} hat", "blue hat"):
        (tmp_path / "folder" / name).mkdir(parents=True)
    result = descgen("datasets", "show", tmp_path / "folder")
    assert_clean(result)
    assert "hat" in result.output


def test_a_spreadsheet_safe_export_comes_back_as_it_was(
    descgen: Run, store: Store, tmp_path: Path, elsewhere: Run
) -> None:
    texts = ["=1+1", "-a leap", "@home", "'=quoted", "'quoted'", "plain"]
    (file := tmp_path / "x.json").write_text(json.dumps({"wave": texts}))
    assert descgen("import", file, "-d", "hmdb51", "-k", "context").exit_code == 0
    plain = descgen("export", "-d", "hmdb51", "--format", "csv").stdout
    safe = descgen("export", "-d", "hmdb51", "--format", "csv", "--spreadsheet-safe").stdout
    rows = list(csv.reader(io.StringIO(safe)))
    assert not [cell for row in rows for cell in row if cell[:1] in tuple("=+-@\t\r")]
    assert [row["text"] for row in csv.DictReader(io.StringIO(safe))][:2] == ["'=1+1", "'-a leap"]
    for number, written in enumerate((plain, safe)):
        (back := tmp_path / f"{number}.csv").write_text(written, newline="")
        report = json.loads(elsewhere("import", back, "-d", "hmdb51", "--json").stdout)
        assert report["added"] == (0 if number else 6)
        assert report["already"] == (6 if number else 0)
    assert elsewhere("export", "-d", "hmdb51", "--format", "csv").stdout == plain
    refused = descgen("export", "-d", "hmdb51", "--spreadsheet-safe")
    assert refused.exit_code == 2
    assert "--spreadsheet-safe is for CSV, not for json: add --format csv" in refused.stderr


@pytest.fixture
def elsewhere(other_db_url: str) -> Run:
    """`descgen` on another database."""
    from click.testing import CliRunner

    from descriptor_gen.cli import descgen as command

    return lambda *arguments: CliRunner().invoke(command, ["--db", other_db_url, *map(str, arguments)])
