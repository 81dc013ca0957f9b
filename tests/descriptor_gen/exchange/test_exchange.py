"""descgen import and export, through the command line: made files, every published file, and the way back."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from sqlalchemy import Connection, text

from db.engine import open_engine
from db.store import Store
from db.vocabulary import from_labels
from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.commands import Run
from tests.fixtures.imports import imported, write

__all__ = ["write"]  # fixture

# file -> dataset, --kind, texts, texts that say the same as another of their class (kept: the file says them)
PUBLISHED: dict[str, tuple[str, str | None, int, int]] = {
    "cupl/ucf_prompts_base.json": ("ucf101", "cupl", 3030, 97),
    "ost/hmdb_spatio_4_descriptors.json": ("hmdb51", "spatio", 204, 0),
    "ost/hmdb_temporal_4_descriptors.json": ("hmdb51", "temporal", 204, 0),
    "tear/hmdb51_all.json": ("hmdb51", "all", 377, 0),
    "tear/hmdb51_all_mistral.json": ("hmdb51", "all", 363, 204),
    "tear/hmdb51_context.json": ("hmdb51", None, 173, 0),
    "tear/hmdb51_context_mistral.json": ("hmdb51", None, 153, 0),
    "tear/hmdb51_decomposition.json": ("hmdb51", None, 153, 0),
    "tear/hmdb51_decomposition_mistral.json": ("hmdb51", None, 152, 0),
    "tear/hmdb51_description.json": ("hmdb51", None, 51, 0),
    "tear/hmdb51_description_mistral.json": ("hmdb51", None, 57, 0),
    "tear/k600_splitted_context.json": ("kinetics600", None, 2677, 0),
    "tear/k600_splitted_decomposition.json": ("kinetics600", None, 1817, 0),
    "tear/k600_splitted_description.json": ("kinetics600", None, 600, 0),
    "tear/k600_splitted_situation.json": ("kinetics600", None, 1200, 0),
    "tear/ucf101_all.json": ("ucf101", "all", 794, 0),
    "tear/ucf101_context.json": ("ucf101", None, 390, 0),
    "tear/ucf101_decomposition.json": ("ucf101", None, 303, 0),
    "tear/ucf101_description.json": ("ucf101", None, 101, 0),
}
# What was known of the files before there was a lint: each is to find just so many.
KNOWN_FAULTS = {
    "tear/k600_splitted_description.json": {"echo": 596, "too-long": 100},
    "tear/ucf101_description.json": {"too-long": 93},
    "tear/hmdb51_description.json": {"too-long": 23},
    "tear/hmdb51_all_mistral.json": {"repeat": 204},
}
KINDS = ("context", "decomposition", "description", "situation")
ROWS = """
    SELECT dataset.name, action.name, action.label, action.phrase, d.kind, d.position, d.text, d.source, d.status,
           d.origin, g.cache_key, g.sample, g.parameters, g.environment, g.messages, g.output_schema, g.reply,
           g.finish_reason, g.status, g.error, g.tokens_in, g.tokens_out, g.seconds, llm.provider, llm.model,
           llm.revision, template.kind, template.version, template.sha256, template.source,
           o.text, o.source, o.status, o.withdrawn, oo.text, oo.source, oo.status
    FROM descriptor d JOIN action ON action.id = d.action_id JOIN dataset ON dataset.id = action.dataset_id
    LEFT JOIN generation g ON g.id = d.generation_id LEFT JOIN llm ON llm.id = g.llm_id
    LEFT JOIN template ON template.id = g.template_id
    LEFT JOIN descriptor o ON o.id = d.edited_from_id LEFT JOIN descriptor oo ON oo.id = o.edited_from_id
    WHERE d.superseded_at IS NULL ORDER BY dataset.name, action.label, d.kind, llm.model, d.position, d.id
"""


def rows(db_url: str) -> list[tuple[Any, ...]]:
    """Return everything that is known of the descriptors in use, but for row ids and times."""
    with changing(db_url) as connection:
        return [tuple(row) for row in connection.execute(text(ROWS))]


@contextmanager
def changing(db_url: str) -> Iterator[Connection]:
    """Open a transaction on a database."""
    engine = open_engine(db_url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def elsewhere(other_db_url: str) -> tuple[str, Run]:
    """Another database, and `descgen` on it."""
    from descriptor_gen.cli import descgen as command

    return other_db_url, lambda *given: CliRunner().invoke(command, ["--db", other_db_url, *map(str, given)])


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_file_goes_through_import_lint_and_export(
    descgen: Run, store: Store, shared: Path, name: str, elsewhere: tuple[str, Run], db_url: str, tmp_path: Path
) -> None:
    dataset, kind, texts, repeats = PUBLISHED[name]
    file = shared / "reference" / "descriptors" / name
    options = ["--dataset", dataset, *(["--kind", kind] if kind else [])]
    report = imported(descgen, file, *options)
    classes = len(store.dataset(dataset).actions)
    assert (report["added"], report["already"], report["classes"]) == (texts, 0, classes)
    assert report["unmapped"] == report["without"] == report["refused"] == []
    assert (imported(descgen, file, *options)["added"], imported(descgen, file, *options)["already"]) == (0, texts)
    found = store.descriptors(store.dataset(dataset))
    assert {(d.source, d.status, d.llm, d.origin) for d in found} == {("import", "pending", None, report["source"])}
    assert {d.kind for d in found} == {kind or next(word for word in file.stem.split("_") if word in KINDS)}
    assert len(found) - len({(d.action, d.text) for d in found}) == repeats
    published = sorted([text.strip() for text in texts] for texts in json.loads(file.read_text()).values())
    by_class: dict[str, list[str]] = {}
    for descriptor in found:
        by_class.setdefault(descriptor.action, []).append(descriptor.text)
    assert sorted(by_class.values()) == published
    linted = json.loads(descgen("lint", "--dataset", dataset, "--json").stdout)
    assert linted["texts"] == texts
    by_rule = Counter(finding["rule"] for finding in linted["findings"] if finding["severity"] == "error")
    assert {rule: by_rule[rule] for rule in KNOWN_FAULTS.get(name, {})} == KNOWN_FAULTS.get(name, {})
    other, run = elsewhere
    assert descgen("export", "--dataset", dataset, "--output", exported := tmp_path / "out.json").exit_code == 0
    assert imported(run, exported, "--dataset", dataset)["added"] == texts
    assert rows(other) == rows(db_url)


def test_every_published_file_is_in_the_table(shared: Path) -> None:
    folder = shared / "reference" / "descriptors"
    assert {file.relative_to(folder).as_posix() for file in folder.rglob("*.json")} == PUBLISHED.keys()


@pytest.mark.parametrize("name", ["hmdb51_decomposition", "k600_splitted_context", "ucf101_description", "ucf101_all"])
def test_tears_own_file_comes_out_as_it_went_in(descgen: Run, shared: Path, name: str) -> None:
    dataset = name.split("_")[0]
    folder = shared / "reference" / "descriptors" / "tear"
    parts = KINDS[1:3] + KINDS[:1] if name.endswith("_all") else [name.rsplit("_", 1)[1]]
    for part in reversed(parts):
        imported(descgen, folder / f"{name.rsplit('_', 1)[0]}_{part}.json", "--dataset", dataset)
    published = json.loads((folder / f"{name}.json").read_text())
    exported = json.loads(descgen("export", "--dataset", dataset, "--format", "tear").stdout)
    assert exported == {key: [text.strip() for text in texts] for key, texts in published.items()}


def by_index(count: int, first: int = 0) -> dict[str, list[str]]:
    return {str(index): [f"text {index} a", f"text {index} b"] for index in range(first, first + count)}


@pytest.mark.parametrize("first", [0, 1])
def test_indices_count_the_classes_from_0_or_1(
    descgen: Run, store: Store, write: Callable[[str, Any], Path], first: int
) -> None:
    imported(descgen, write("x.json", by_index(51, first)), "-d", "hmdb51", "-k", "spatio")
    found = store.descriptors(store.dataset("hmdb51"))
    assert [(d.action, d.position, d.text) for d in (*found[:2], found[-1])] == [
        ("brush_hair", 0, f"text {first} a"),
        ("brush_hair", 1, f"text {first} b"),
        ("wave", 1, f"text {first + 50} b"),
    ]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (by_index(217), "with 217 indices from 0 to 216. kinetics600 has 600 classes"),
        (by_index(217), "No known dataset has 217 classes. Or write class names"),
        (by_index(400), "It would fit: --dataset kinetics400. Or write"),
        (by_index(160), "--dataset kinetics600-zs1, --dataset kinetics600-zs2, --dataset kinetics600-zs3"),
        (by_index(2), "It would fit: --dataset kitchen. Or write"),
        (by_index(600, 2), "with 600 indices from 2 to 601"),
        (by_index(599) | {"00": ["x"]}, "one index for each, from 0 or 1 without a gap"),
    ],
)
def test_indices_that_are_not_those_of_the_dataset_are_refused(
    descgen: Run, store: Store, write: Callable[[str, Any], Path], texts: Any, said: str
) -> None:
    store.register(from_labels("kitchen", ["chop", "peel"]))
    refused = descgen("import", write("x.json", texts), "-d", "kinetics600", "-k", "spatio")
    assert refused.exit_code == 1
    assert said in refused.stderr
    assert store.counts() == []


def test_one_text_for_each_index(descgen: Run, store: Store, write: Callable[[str, Any], Path]) -> None:
    """The forms of FROSTER and TC-CLIP: JSON of index -> text, and numbered lines."""
    names = [action.name for action in store.dataset("hmdb51").actions]
    texts = [f'"{name.replace("_", " ").title()}": A person does it, 10 times.' for name in names]
    lines = write("lines.txt", "\n\n".join(f"{index}. {text}" for index, text in enumerate(texts)))
    for number, file in enumerate((lines, write("one.json", {str(i): line for i, line in enumerate(texts)}))):
        assert imported(descgen, file, "-d", "hmdb51", "-k", f"k{number}")["added"] == 51
        found = store.descriptors(store.dataset("hmdb51"), kinds=[f"k{number}"])
        assert [(d.action, d.text) for d in found] == list(zip(names, texts, strict=True))
    names_too = write("names.json", {"wave": "a hand", "clap": "two hands"})
    assert imported(descgen, names_too, "-d", "hmdb51", "-k", "one")["added"] == 2


def test_a_file_that_counts_the_classes_in_another_order_is_refused(
    descgen: Run, store: Store, write: Callable[[str, Any], Path]
) -> None:
    names = [action.name.replace("_", " ") for action in reversed(store.dataset("hmdb51").actions)]
    for file in (
        write("x.json", {str(index): f"{name}: a person does it" for index, name in enumerate(names)}),
        write("x.txt", "\n".join(f"{index}. {name}" for index, name in enumerate(names))),
    ):
        refused = descgen("import", file, "-d", "hmdb51", "-k", "all")
        assert refused.exit_code == 1
        assert "its text of index 0 begins with 'wave" in refused.stderr
        assert "this class of hmdb51 is brush_hair. Write class names instead" in refused.stderr


def test_an_import_says_which_phrases_it_changes(
    descgen: Run, store: Store, tmp_path: Path, write: Callable[[str, Any], Path]
) -> None:
    labels = write("kitchen.txt", "chop\npeel\n")
    assert imported(descgen, write("a.json", {"chop": ["a knife"]}), "-d", labels, "-k", "all")["rephrased"] == []
    write("kitchen.txt", "chop\tchopping onions\npeel\tpeeling\n")
    changed = descgen("import", write("b.json", {"chop": ["a board"]}), "-d", labels, "-k", "all")
    assert "phrase of chop: 'chop' -> 'chopping onions'\nphrase of peel: 'peel' -> 'peeling'\n" in changed.stdout
    assert "texts in use that were written for the old phrases: 1. See" in changed.stdout
    assert [action.phrase for action in store.dataset("kitchen").actions] == ["chopping onions", "peeling"]
    assert len(store.descriptors(store.dataset("kitchen"))) == 2


def test_foreign_names_are_told_by_count_and_five_of_them(descgen: Run, write: Callable[[str, Any], Path]) -> None:
    texts = {"wave": ["x", *[""] * 30], **{f"foreign {number}": ["x"] for number in range(300)}}
    told = "names that are no class of hmdb51 (300): foreign 0, foreign 1, foreign 2, foreign 3, foreign 4 and 295 more"
    loose = descgen("import", write("x.json", texts), "-d", "hmdb51", "-k", "all")
    assert told in loose.stdout
    assert "no texts for 50 classes: brush_hair, cartwheel, catch, chew, clap and 45 more" in loose.stdout
    assert "refused: 20 more items" in loose.stdout
    strict = descgen("import", write("x.json", texts), "-d", "hmdb51", "-k", "all", "--strict")
    assert told in strict.stderr
    assert len(strict.stderr.splitlines()) == len(loose.stdout.splitlines()) - 2 == 13


def test_names_map_whatever_their_case_and_spacing(descgen: Run, write: Callable[[str, Any], Path]) -> None:
    names = ["Yo Yo", "apply_eye_makeup", "ARCHERY", "handstand-pushups", "baby crawling", "throwing a discus", "Yoga"]
    report = imported(descgen, write("context.json", {name: ["a text"] for name in names}), "-d", "ucf101")
    assert (report["added"], report["classes"], report["unmapped"]) == (5, 5, ["throwing a discus", "Yoga"])
    assert len(report["without"]) == 96
    assert "ThrowDiscus" in report["without"]
    phrase = imported(
        descgen, write("context.json", {"Swimming Front-Crawl": ["x"], "discus throw": ["x"]}), "-d", "ucf101"
    )
    assert phrase["unmapped"] == []


def test_what_is_not_taken_is_listed_and_strict_takes_nothing(
    descgen: Run, db_url: str, write: Callable[[str, Any], Path]
) -> None:
    texts = [" spaced ", "", "spaced", 3, None, ["x"], "NUL \0", "half \ud800", "spaced"]
    file = write("a_context.json", {"wave": texts, "walk": [], "Sing": ["la"]})
    strict = descgen("import", file, "-d", "hmdb51", "--strict")
    assert strict.exit_code == 1
    assert "Nothing was imported." in strict.stderr
    assert "names that are no class of hmdb51 (1): Sing" in strict.stderr
    assert rows(db_url) == []
    result = descgen("import", file, "-d", "hmdb51")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:8] == [
        "refused: wave, item 2: empty",
        "refused: wave, item 4: int, not a text",
        "refused: wave, item 5: NoneType, not a text",
        "refused: wave, item 6: list, not a text",
        "refused: wave, item 7: holds the character '\\x00'",
        "refused: wave, item 8: holds the character '\\ud800'",
        "refused: walk, item 1: an empty list",
        "names that are no class of hmdb51 (1): Sing",
    ]
    assert lines[8].startswith("no texts for 50 classes: brush_hair, cartwheel, ")
    assert lines[10].startswith("hmdb51: 3 added, 0 already stored; context of 1 classes, from a_context.json sha256:")
    assert [row[5:7] for row in rows(db_url)] == [(0, "spaced"), (1, "spaced"), (2, "spaced")]


def test_the_same_file_by_another_name_is_the_same_file(descgen: Run, write: Callable[[str, Any], Path]) -> None:
    for name, added in (("a.json", 1), ("b.json", 0)):
        assert imported(descgen, write(name, {"wave": ["x"]}), "-d", "hmdb51", "-k", "all")["added"] == added
    assert imported(descgen, write("a.json", {"wave": ["x"]}), "-d", "hmdb51", "-k", "context")["added"] == 1


def test_an_import_stands_beside_what_an_llm_wrote(
    descgen: Run, llm: FakeLLM, db_url: str, write: Callable[[str, Any], Path]
) -> None:
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "2")
    before = rows(db_url)
    report = imported(descgen, write("context.json", {"brush hair": ["a wide green field"]}), "-d", "hmdb51")
    assert f"context, from {report['source']}\n" in descgen("show", "-d", "hmdb51", "-a", "brush_hair").stdout
    assert [row for row in rows(db_url) if row[7] == "llm"] == before
    built = json.loads(descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "2", "--json").stdout)
    assert (built["cached"], len(rows(db_url))) == (2, 7)


@pytest.fixture
def full(
    descgen: Run, llm: FakeLLM, store: Store, db_url: str, write: Callable[[str, Any], Path], tmp_path: Path
) -> str:
    """A database of two datasets, two models, every source and status, with edits, and something superseded."""
    labels = tmp_path / "kitchen.txt"
    labels.write_text("ChopOnions\npeel_potatoes\nwashing up\n")
    for dataset in ("hmdb51", str(labels)):
        llm.identity = FakeLLM().identity
        descgen("build", "-d", dataset, "-k", "context", "-k", "decomposition", "--limit", "2")
        llm.identity = FakeLLM(model="other").identity
        descgen("build", "-d", dataset, "-k", "context", "--limit", "1")
    odd = ' says "no, \r\n never" '
    imported(descgen, write("all.json", {"wave": [odd, "x", "x"], "run": ["é, ü"]}), "-d", "hmdb51", "-k", "all")
    imported(descgen, write("all.json", {"chop onions": [odd, "=1+1"]}), "-d", "kitchen", "-k", "all")
    with changing(db_url) as connection:
        for change in (
            "SET status = 'rejected' WHERE position = 1 AND source = 'llm'",
            "SET source = 'human', status = 'accepted' WHERE text = 'x'",
            "SET superseded_at = '2026-01-01' WHERE text = 'a wooden bat' AND action_id IN "
            "(SELECT id FROM action WHERE name = 'cartwheel')",
        ):
            connection.execute(text(f"UPDATE descriptor {change}"))
    reviews, kitchen = store.reviews(), store.dataset("kitchen")
    for old, new in (("=1+1", 'a knife, 10" long'), ("a wooden bat", "a board"), ("a board", "a chopping board")):
        first = next(descriptor for descriptor in store.descriptors(kitchen) if descriptor.text == old)
        reviews.edit(first.ref, new, reviewer="anna")
    return db_url


@pytest.mark.parametrize("name", ["kept.json", "kept.csv", "kept"])
def test_an_export_comes_back_as_the_same_rows(
    descgen: Run, full: str, elsewhere: tuple[str, Run], llm: FakeLLM, tmp_path: Path, name: str
) -> None:
    if name == "kept":
        pytest.importorskip("pyarrow")
    other, run = elsewhere
    if name == "kept.csv":  # keeps no list of classes
        run("build", "-d", tmp_path / "kitchen.txt", "-k", "situation", "--limit", "1")
        with changing(other) as connection:
            connection.execute(text("DELETE FROM descriptor"))
            connection.execute(text("DELETE FROM generation"))
    for dataset in ("hmdb51", "kitchen"):
        output = tmp_path / dataset / name
        output.parent.mkdir()
        form = ["--format", "parquet"] if name == "kept" else []
        done = descgen("export", "-d", dataset, "-o", output, *form)
        assert done.exit_code == 0, done.output
        first = imported(run, output, "-d", dataset)
        assert first["unmapped"] == first["refused"] == []
        for again in (run, descgen):
            report = imported(again, output, "-d", dataset)
            assert (report["added"], report["already"], report["left_out"]) == (0, first["added"], 0)
    assert rows(other) == rows(full)
    assert {row[-7:] for row in rows(other)} == {
        (None,) * 7,
        ("=1+1", "import", "pending", 1, None, None, None),
        ("a board", "human", "accepted", 1, "a wooden bat", "llm", "pending"),
    }
    asked = len(llm.history)
    llm.identity = FakeLLM().identity
    for dataset in ("hmdb51", "kitchen"):
        built = run("build", "-d", dataset, "-k", "context", "-k", "decomposition", "--limit", "2", "--json")
        assert json.loads(built.stdout)["cached"] == 4
    assert len(llm.history) == asked
    assert rows(other) == rows(full)


def test_a_dataset_of_your_own_comes_with_json(
    descgen: Run, full: str, elsewhere: tuple[str, Run], tmp_path: Path
) -> None:
    for form in ("json", "csv"):
        descgen("export", "-d", "kitchen", "--format", form, "-o", tmp_path / f"out.{form}")
    _, run = elsewhere
    for arguments in ((tmp_path / "out.csv", "-d", "kitchen"), (tmp_path / "out.json", "-d", "cellar")):
        refused = run("import", *arguments)
        assert refused.exit_code == 2
        assert "Unknown dataset" in refused.stderr
    imported(run, tmp_path / "out.json", "-d", "kitchen")
    listed = json.loads(run("list", "-d", "kitchen", "--json").stdout)
    assert [(row["name"], row["phrase"]) for row in listed] == [
        ("ChopOnions", "chop onions"),
        ("peel_potatoes", "peel potatoes"),
        ("washing up", "washing up"),
    ]


@pytest.mark.parametrize("to", ["the same prompt", "another prompt"])
def test_another_reply_of_the_same_llm_is_left_out(
    descgen: Run, elsewhere: tuple[str, Run], llm: FakeLLM, tmp_path: Path, to: str
) -> None:
    arguments = ("build", "-d", "hmdb51", "-k", "situation", "--limit", "2")
    descgen(*arguments)
    descgen("export", "-d", "hmdb51", "-o", tmp_path / "x.json")
    other, run = elsewhere
    llm.enqueue(json.dumps({"before": "someone stands very still", "after": "someone falls down slowly"}))
    run(*arguments[:-1], "1")
    if to == "another prompt":
        with changing(other) as connection:
            connection.execute(text("UPDATE generation SET cache_key = 'another'"))
    before = rows(other)
    result = run("import", tmp_path / "x.json", "-d", "hmdb51")
    assert "2 left out: this database has other texts of the same LLM" in result.stdout
    assert "hmdb51: 2 added, 0 already stored; situation of 2 classes" in result.stdout
    assert [row for row in rows(other) if row in before] == before
    assert len(rows(other)) == 4


def test_what_was_taken_out_of_use_does_not_come_back(descgen: Run, full: str, tmp_path: Path) -> None:
    descgen("export", "-d", "hmdb51", "-o", tmp_path / "x.json")
    with changing(full) as connection:
        connection.execute(text("UPDATE descriptor SET superseded_at = '2026-01-01'"))
    assert imported(descgen, tmp_path / "x.json", "-d", "hmdb51")["added"] == 0
    nothing = descgen("export", "-d", "hmdb51")
    assert nothing.exit_code == 1
    assert (
        "No descriptors of hmdb51 in this database. Write them with: descgen build --dataset hmdb51" in nothing.stderr
    )


def test_export_chooses_and_goes_to_standard_output(descgen: Run, full: str) -> None:
    def texts(*options: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(descgen("export", "-d", "hmdb51", "--format", "csv", *options).stdout)))

    assert len(texts()) == 18
    assert {row["kind"] for row in texts("-k", "context", "-k", "all")} == {"context", "all"}
    assert {row["status"] for row in texts("--status", "rejected")} == {"rejected"}
    assert {row["llm"] for row in texts("--llm", "OTH")} == {"other"}
    first = texts("-k", "context", "--llm", "fake")[0]
    assert (first["label"], first["action"], first["phrase"], first["text"]) == (
        "0", "brush_hair", "brushing hair", "a wide green field",
    )  # fmt: skip
    tear = json.loads(descgen("export", "-d", "hmdb51", "--format", "tear", "--llm", "fake").stdout)
    assert tear["brush hair"] == [
        "someone begins it slowly", "someone ends it at last", "a wide green field", "a wooden bat",
    ]  # fmt: skip
    none = descgen("export", "-d", "hmdb51", "--status", "accepted", "-k", "context")
    assert none.exit_code == 1
    assert "2 all accepted by all.json sha256:" in none.stderr
    assert "Write others with: descgen build --dataset hmdb51 --kind context" in none.stderr


def test_a_part_of_an_export_is_filled_up_later(
    descgen: Run, full: str, elsewhere: tuple[str, Run], tmp_path: Path
) -> None:
    other, run = elsewhere
    for name, options in (("part", ["--status", "rejected"]), ("whole", [])):
        descgen("export", "-d", "hmdb51", "-o", tmp_path / f"{name}.json", *options)
        imported(run, tmp_path / f"{name}.json", "-d", "hmdb51")
    assert sorted(map(str, rows(other))) == sorted(str(row) for row in rows(full) if row[0] == "hmdb51")


def test_parquet_is_a_folder_of_a_hugging_face_dataset(descgen: Run, full: str, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path / "out"
    assert descgen("export", "-d", "hmdb51", "--format", "parquet").exit_code == 2
    assert descgen("export", "-d", "hmdb51", "--format", "parquet", "-o", folder).exit_code == 0
    assert descgen("export", "-d", "hmdb51", "--format", "parquet", "-o", folder).exit_code == 0
    assert sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.*")) == [
        "README.md",
        "data/train-00000-of-00001.parquet",
    ]
    front = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    assert front["configs"] == [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}]
    table = parquet.read_table(folder / "data" / "train-00000-of-00001.parquet")
    assert (table.num_rows, str(table.schema.field("label").type)) == (18, "int64")
    assert sum(cell is not None for cell in table["generation"].to_pylist()) == 5
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "README.md").write_text("mine")
    taken = descgen("export", "-d", "hmdb51", "--format", "parquet", "-o", tmp_path / "taken")
    assert taken.exit_code == 1
    assert (tmp_path / "taken" / "README.md").read_text() == "mine"


def test_parquet_without_pyarrow_names_the_extra(
    descgen: Run, full: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = descgen("export", "-d", "hmdb51", "--format", "parquet", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "pip install 'descgen-recognize[parquet]'" in result.stderr


def test_a_table_of_your_own_needs_two_columns(descgen: Run, db_url: str, write: Callable[[str, Any], Path]) -> None:
    file = write("mine.csv", "\ufeffaction,text,status\nWave,a hand goes up,accepted\nwave,it goes down,,more\n")
    report = imported(descgen, file, "-d", "hmdb51", "-k", "steps")
    assert report["added"] == 2
    assert [(row[4], row[5], row[6], row[7], row[8], row[9]) for row in rows(db_url)] == [
        ("steps", 0, "a hand goes up", "import", "accepted", report["source"]),
        ("steps", 1, "it goes down", "import", "pending", report["source"]),
    ]
    claimed = write("claimed.csv", "action,kind,text,source\nwave,all,one,llm\nwave,all,two,gpt\nwave,a b,c,\n")
    report = imported(descgen, claimed, "-d", "hmdb51")
    assert [(item["number"], item["reason"].split(" ")[0]) for item in report["refused"]] == [
        (2, "source"),
        (3, "kind"),
    ]
    assert rows(db_url)[0][6:8] == ("one", "import")  # no call shows that an LLM wrote it


@pytest.mark.parametrize(
    ("name", "content", "options", "code", "said"),
    [
        ("a.json", "{", ["-k", "all"], 1, "a.json is not JSON: "),
        ("a.json", b"\xff\xfe", ["-k", "all"], 1, "a.json is not text in UTF-8"),
        ("a.json", "[]", ["-k", "all"], 1, "is JSON, but a list and not an object. Known shapes: JSON, CSV"),
        ("a.json", '{"a": 1}', ["-k", "all"], 1, "no name in it has a text or a list of texts. Known shapes: "),
        ("a.txt", "a hand\ntwo hands\n", ["-k", "all"], 1, "is text whose lines have no numbers. Known shapes: "),
        ("a.txt", "0. a hand\n2. two hands\n", ["-k", "all"], 1, "the numbers 0, 2, which do not count from 0 or 1"),
        ("a.json", '{"wave": ["x"], "wave": ["y"]}', ["-k", "all"], 1, "holds these names twice: wave"),
        ("a.json", "{}", ["-k", "all"], 1, "unknown shape"),
        ("a.csv", "name,text\n", ["-k", "all"], 1, "holds no descriptors"),
        ("a.csv", "name,text\nwave,x\n", ["-k", "all"], 1, "has no column action"),
        ("a.csv", "action,text,position\nwave,x,first\n", ["-k", "all"], 1, "Input should be a valid integer, "),
        ("a.csv", 'action,text\nwave,"x\n', ["-k", "all"], 1, "is not CSV: "),
        ("a.parquet", "no", ["-k", "all"], 1, "is not Parquet: "),
        ("a.json", '{"descgen": 9}', [], 1, "of version 9, and this program reads version 1"),
        ("a.csv", "action,text,originals\nwave,x,no\n", ["-k", "all"], 1, "column originals is not JSON"),
        ("a.csv", "action,text,position\nwave,x,-1\n", ["-k", "all"], 1, "greater than or equal to 0 (it is '-1')"),
        ("a.json", '{"descgen": 1, "dataset": {}}', [], 1, "is damaged: the file, at $"),
        ("a.json", '{"wave": ["x"]}', [], 2, "a.json does not say its kind. Give --kind with one of context, "),
        ("context_description.json", '{"wave": ["x"]}', [], 2, "does not say its kind"),
        ("a.json", '{"wave": ["x"]}', ["-k", "No Name"], 2, "'No Name' is no name of a kind"),
        ("a.csv", "action,text,kind\nwave,x,all\n", ["-k", "all"], 2, "gives the kind of each text"),
        ("a.json", '{"Yo Yo": ["x"]}', ["-k", "all"], 1, "No name in a.json is a class of hmdb51: Yo Yo. Its classes"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_says_why(
    descgen: Run,
    store: Store,
    tmp_path: Path,
    name: str,
    content: str | bytes,
    options: list[str],
    code: int,
    said: str,
) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = descgen("import", file, "-d", "hmdb51", *options)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert store.counts() == []


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another template": lambda export: export["templates"][0].update(source="another"),
    "no reply": lambda export: export["calls"][0].pop("reply"),
    "no sha256": lambda export: export["calls"][0].update(cache_key="short"),
    "text for a number": lambda export: export["calls"][0].update(sample="0"),
    "negative tokens": lambda export: export["calls"][0].update(tokens_in=-1),
    "no text": lambda export: export["descriptors"][0].pop("text"),
    "empty original": lambda export: export["descriptors"][0].update(
        originals=[{"text": "", "source": "llm", "status": "pending"}]
    ),
    "missing label": lambda export: export["dataset"]["actions"][3].update(label=7),
    "empty name": lambda export: export["dataset"]["actions"][3].update(name=""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_export_is_refused_whole(
    descgen: Run, full: str, elsewhere: tuple[str, Run], tmp_path: Path, damage: str
) -> None:
    document = json.loads(descgen("export", "-d", "hmdb51").stdout)
    DAMAGES[damage](document)
    (tmp_path / "x.json").write_text(json.dumps(document))
    _, run = elsewhere
    result = run("import", tmp_path / "x.json", "-d", "hmdb51")
    assert result.exit_code == 1
    assert "is damaged: " in result.stderr
    assert run("export", "-d", "hmdb51").exit_code == 1
