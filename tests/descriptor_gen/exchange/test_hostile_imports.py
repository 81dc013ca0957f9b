"""Imports of files that are damaged, huge or made to break a reader: one line, soon, and nothing half imported."""

from __future__ import annotations

import copy
import io
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from db.errors import UserError
from db.records import Call, Generation, LLMIdentity, PortableDescriptor, Template
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.commands import Run
from tests.fixtures.databases import engine_of

TABLES = ("dataset", "action", "descriptor", "generation", "llm", "template", "review_event")
DEEP = "[" * 100_000 + "]" * 100_000


def rows(url: str) -> list[int]:
    """Return the number of rows of each table."""
    with engine_of(url).connect() as connection:
        return [connection.scalar(text(f"SELECT COUNT(*) FROM {table}")) or 0 for table in TABLES]  # noqa: S608


@pytest.fixture
def export(descgen: Run, llm: FakeLLM, store: Store, tmp_path: Path) -> dict[str, Any]:
    """An export of the texts of an LLM, one of them edited, and a text of a person."""
    assert descgen("build", "-d", "hmdb51", "-k", "context", "-a", "dive").exit_code == 0
    first = store.descriptors(store.dataset("hmdb51"))
    assert descgen("edit", first[0].id, "a blue lake", "--reviewer", "kim").exit_code == 0
    assert descgen("add", "a tower", "-d", "hmdb51", "-a", "dive", "-k", "context", "--reviewer", "kim").exit_code == 0
    document: dict[str, Any] = json.loads(descgen("export", "-d", "hmdb51").stdout)
    assert {len(document[name]) for name in ("calls", "templates")} == {1}
    return document


@pytest.fixture
def elsewhere(other_db_url: str) -> tuple[str, Run]:
    """Another database, with tables and without rows, and `descgen` on it."""
    from click.testing import CliRunner

    from descriptor_gen.cli import descgen as command

    Store.open(other_db_url).close()
    return other_db_url, lambda *arguments: CliRunner().invoke(command, ["--db", other_db_url, *map(str, arguments)])


def with_call(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["calls"][0].update(fields)


def with_text(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["descriptors"][0].update(fields)


def with_template(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["templates"][0].update(fields)


BROKEN_EXPORTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a version of 25 digits": (
        with_template(version=10**25),
        "a call has a version, sample or number of tokens beyond",
    ),
    "a version of 401 digits": (with_template(version=10**400), "it has a number of 401 digits; 30 at most"),
    "a position of 20 digits": (with_text(position=10**20), "at $.position"),
    "a huge sample": (with_call(sample=2**31), "a call has a version, sample or number of tokens beyond"),
    "infinite seconds": (with_call(seconds=float("inf")), "Infinity is no number of JSON"),
    "seconds that are no number": (with_call(seconds=float("nan")), "NaN is no number of JSON"),
    "half a surrogate pair in a reply": (with_call(reply="\ud800"), "is damaged"),
    "NUL in a reply": (with_call(reply="\0"), "a call holds NUL or half of a surrogate pair"),
    "NUL in a name of a parameter": (with_call(parameters={"\0": 1}), "a call holds NUL or half of a surrogate pair"),
    "a long model": (lambda d: d["calls"][0]["llm"].update(model="m" * 301), "which is longer than 300 characters"),
    "a class of 201 characters": (lambda d: d["dataset"]["actions"][0].update(name="n" * 201), "cannot be the name of"),
    "an export of version 10**29": (lambda d: d.update(descgen=10**29), "is an export of version 1000000"),
}


@pytest.mark.parametrize("name", BROKEN_EXPORTS)
def test_an_export_with_an_impossible_value_is_refused_in_one_line(
    export: dict[str, Any], elsewhere: tuple[str, Run], tmp_path: Path, name: str
) -> None:
    database, descgen = elsewhere
    change, said = BROKEN_EXPORTS[name]
    change(export)
    (file := tmp_path / "x.json").write_text(json.dumps(export))
    refused = descgen("import", file, "-d", "hmdb51")
    assert refused.exit_code == 1, refused.output
    [line] = refused.stderr.splitlines()
    assert str(file) in line
    assert said in line
    assert len(line) < 1000
    assert rows(database) == [0] * len(TABLES)


BROKEN_FILES = {
    "brackets 100,000 deep": ("x.json", f'{{"wave": {DEEP}}}', "too many brackets inside each other; 100 at most"),
    "brackets 200 deep": ("x.json", f'{{"wave": {"[" * 200}{"]" * 200}}}', "too many brackets inside each other"),
    "an integer of 5,000 digits": ("x.json", f'{{"wave": [{"9" * 5000}]}}', "it has a number of 5000 digits; 30 at"),
    "a number beyond floats": ("x.json", '{"wave": [1e999]}', "its number 1e999 is too large"),
    "NaN": ("x.json", '{"wave": [NaN]}', "NaN is no number of JSON"),
    "nine million values": ("x.json", "[" + "[]," * 9_000_000 + "[]]", "it holds more than 8000000 values"),
    "not UTF-8": ("x.json", b'{"wave": ["\xff"]}', "is not text in UTF-8 (byte 11)"),
    "a cell of JSON 100,000 deep": (
        "x.csv",
        f'action,text,cache_key,generation\nwave,a hand,1,"{DEEP}"\n',
        "a cell of the column generation is not JSON: too many brackets inside each other",
    ),
    "an index of 5,000 digits": (
        "x.json",
        f'{{"{"1" * 5000}": ["x"]}}',
        "No name in x.json is a class of hmdb51: 1111",
    ),
    "a key of a million characters": ("x.json", f'{{"{"k" * 10**6}": ["x"]}}', "kkk..."),
    "spaces that a pattern tries in vain": ("x.txt", f"wave{' ' * 100_000}b1", "is text whose lines have no numbers"),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_file_made_to_break_its_reader_is_refused_in_one_line(
    elsewhere: tuple[str, Run], tmp_path: Path, name: str
) -> None:
    database, descgen = elsewhere
    file_name, content, said = BROKEN_FILES[name]
    (file := tmp_path / file_name).write_bytes(content if isinstance(content, bytes) else content.encode())
    refused = descgen("import", file, "-d", "hmdb51", "-k", "context")
    assert refused.exit_code == 1, refused.output
    [line] = refused.stderr.splitlines()
    assert said in line
    assert len(line) < 1200
    assert rows(database) == [0] * len(TABLES)


def sparse(path: Path) -> Path:
    """Write a file of 1 GiB that takes no room."""
    with path.open("wb") as file:
        file.truncate(2**30)
    return path


@pytest.mark.parametrize("suffix", [".json", ".csv", ".txt", ".parquet"])
def test_a_file_of_1_gib_is_not_read(elsewhere: tuple[str, Run], tmp_path: Path, suffix: str) -> None:
    file = sparse(tmp_path / f"x{suffix}")
    refused = elsewhere[1]("import", file, "-d", "hmdb51", "-k", "context")
    assert refused.exit_code == 1
    assert (
        refused.stderr == f"Error: {file} is larger than 128 MiB, the most that is read. Split it into smaller files\n"
    )


def test_labels_profiles_and_templates_of_1_gib_are_not_read(
    elsewhere: tuple[str, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, descgen = elsewhere
    labels = descgen("datasets", "add", sparse(tmp_path / "labels.txt"))
    assert "labels.txt is larger than 16 MiB, the most that is read" in labels.stderr
    template = descgen("prompts", "check", sparse(tmp_path / "x.j2"))
    assert "x.j2: it is larger than 256 KiB, the most that is read" in template.stdout
    monkeypatch.chdir(tmp_path)
    sparse(tmp_path / "descgen.toml")
    profile = descgen("datasets")
    assert (profile.exit_code, len(profile.stderr.splitlines())) == (1, 1)
    assert "descgen.toml is larger than 256 KiB, the most that is read" in profile.stderr


def test_an_import_is_one_transaction(store: Store, db_url: str) -> None:
    """What fails after the classes are stored takes them back: here a number that no column holds."""
    generation = Generation("a" * 64, 0, {}, {}, (), {}, "reply", "stop", "ok", None, 1, 1, 0.1)
    call = Call(generation, LLMIdentity("p", "m", ""), Template("context", 1, "0" * 64, "source"))
    good = PortableDescriptor("wave", "context", 0, "a hand", "llm", call=call)
    bad = replace(
        good, action="walk", call=replace(call, generation=replace(generation, cache_key="b" * 64, sample=2**70))
    )
    with pytest.raises(UserError):
        store.add_portable(store.dataset("hmdb51"), [good, bad])
    assert rows(db_url) == [0] * len(TABLES)


# What hypothesis puts into files: values that readers have stumbled over, and any others.
ODD = st.sampled_from(
    ["", " ", "\0", "\ud800", "\x1b]0;x\x07", "\u202e", "9" * 40, "1e999", "=1+1", "wave", "context", "llm", "human"]
)
NUMBERS = st.one_of(st.integers(), st.sampled_from([-1, 2**31, 2**63, 10**29, 10**400]), st.floats())
LEAVES = st.one_of(st.none(), st.booleans(), NUMBERS, ODD, st.text(max_size=20))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD | st.text(max_size=5), inner, max_size=3)
)
KEYS = st.one_of(ODD, st.sampled_from(["wave", "walk", "0", "1", "descgen", "dataset"]), st.text(max_size=8))
CELLS = st.one_of(ODD, st.text(max_size=12), st.sampled_from(["wave", "0", "accepted", '{"a": 1}', "[", '"']))
COLUMNS = ("action", "text", "kind", "position", "status", "source", "cache_key", "generation", "originals", "x")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of each value inside a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inside for place in places(item, (*path, key)))]


def changed(document: dict[str, Any], seed: int, value: Any) -> str:
    """Return a document as JSON with one of its values replaced, or taken out if the value is not JSON."""
    changed_document = copy.deepcopy(document)
    *path, last = random.Random(seed).choice(places(changed_document)[1:])
    holder: Any = changed_document
    for part in path:
        holder = holder[part]
    holder[last] = value
    return json.dumps(changed_document)


def table(header: list[str], cells: list[list[str]]) -> bytes:
    import csv

    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([header, *cells])
    return buffer.getvalue().encode("utf-8", "surrogatepass")


def flipped(content: bytes, places_and_values: list[tuple[int, int]]) -> bytes:
    """Return content with some bytes changed."""
    result = bytearray(content)
    for place, value in places_and_values:
        result[place % len(result)] = value
    return bytes(result)


BYTES = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=6)


def files(export: dict[str, Any], others: dict[str, bytes]) -> st.SearchStrategy[tuple[str, bytes]]:
    """Return files of every kind: damaged exports, tables, JSON and text of any content, and bytes."""
    strange = st.builds(changed, st.just(export), st.integers(0, 10**6), VALUES).map(
        lambda text: ("x.json", text.encode())
    )
    own = st.dictionaries(KEYS, VALUES, max_size=4).map(lambda value: ("context.json", json.dumps(value).encode()))
    header = st.lists(st.sampled_from(COLUMNS), min_size=2, max_size=6).map(lambda names: ["action", "text", *names])
    tables = st.builds(table, header, st.lists(st.lists(CELLS, max_size=8), max_size=4)).map(
        lambda data: ("x.csv", data)
    )
    lines = st.lists(st.one_of(CELLS, st.integers(0, 51).map(lambda n: f"{n}. a text")), max_size=6).map(
        lambda texts: ("context.txt", "\n".join(texts).encode("utf-8", "surrogatepass"))
    )
    raw = st.tuples(st.sampled_from(["x.json", "x.csv", "x.txt", "x.parquet"]), st.binary(max_size=60))
    damaged = [st.tuples(st.just(name), st.builds(flipped, st.just(data), BYTES)) for name, data in others.items()]
    return st.one_of(strange, strange, own, tables, lines, raw, *damaged)


def imports(
    count: int, export: dict[str, Any], elsewhere: tuple[str, Run], folder: Path, others: dict[str, bytes]
) -> None:
    """Import `count` files: each ends with 0 and what it says, or with 1 or 2, one error and nothing written."""
    database, descgen = elsewhere

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(files(export, others), st.sampled_from([(), ("-k", "context"), ("--strict",)]))
    def one(file: tuple[str, bytes], options: tuple[str, ...]) -> None:
        (path := folder / file[0]).write_bytes(file[1])
        before = rows(database)
        result = descgen("import", path, "-d", "hmdb51", *options)
        assert isinstance(result.exception, SystemExit | None), (file, result.exception)
        assert result.exit_code in (0, 1, 2), (file, result.output)
        if result.exit_code:
            assert rows(database) == before, file
            assert result.stderr.startswith(("Error: ", "Usage: ")), (file, result.output)
        assert not set(result.output) & set("\x00\x07\x1b\x7f\x9b\u202e"), (file, result.output)

    one()


@pytest.fixture
def others(export: dict[str, Any], descgen: Run, tmp_path: Path) -> dict[str, bytes]:
    """The same export as other files: CSV, and Parquet if it can be written."""
    made = {"x.csv": descgen("export", "-d", "hmdb51", "--format", "csv").stdout.encode()}
    if descgen("export", "-d", "hmdb51", "--format", "parquet", "-o", tmp_path / "folder").exit_code == 0:
        [file] = (tmp_path / "folder").rglob("*.parquet")
        made["x.parquet"] = file.read_bytes()
    return made


def test_a_hundred_imports_of_anything_give_no_traceback_and_no_part(
    export: dict[str, Any], elsewhere: tuple[str, Run], tmp_path: Path, others: dict[str, bytes]
) -> None:
    imports(100, export, elsewhere, tmp_path, others)


@pytest.mark.slow
def test_a_thousand_imports_of_anything_give_no_traceback_and_no_part(
    export: dict[str, Any], elsewhere: tuple[str, Run], tmp_path: Path, others: dict[str, bytes]
) -> None:
    imports(1000, export, elsewhere, tmp_path, others)
