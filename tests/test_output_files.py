"""Output files with an unknown suffix are refused before the work; --json on an empty database is empty."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.commands import Run


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        (("export", "-d", "hmdb51", "-o", "e.xyz"), ".csv, .json; for Parquet: --format parquet --output FOLDER"),
        (("export", "-d", "hmdb51", "-o", "e.parquet"), ".csv, .json; for Parquet"),
        (("similarity", "-d", "hmdb51", "--plot", "a.gif"), ".png, .svg, .pdf"),
        (("similarity", "-d", "hmdb51", "--csv", "a.xls"), ".csv"),
    ],
)
def test_descgen_refuses_unknown_suffixes(descgen: Run, llm: FakeLLM, arguments: tuple[str, ...], known: str) -> None:
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "1")
    result = descgen(*arguments)
    assert result.exit_code == 2
    assert f"{arguments[-1]} ends in {Path(arguments[-1]).suffix}. Known: {known}" in result.stderr
    assert not Path(arguments[-1]).exists()


def test_an_explicit_format_takes_any_name(descgen: Run, llm: FakeLLM, tmp_path: Path) -> None:
    descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "1")
    assert descgen("export", "-d", "hmdb51", "-o", tmp_path / "e.txt", "--format", "csv").exit_code == 0
    assert (tmp_path / "e.txt").read_text().startswith("dataset,label,action,")


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        (("report", "1", "-o", "x.foo"), ".html, .htm"),
        (("predict", ".", "-d", "hmdb51", "--csv", "x.foo"), ".csv"),
        (("localize", ".", "-d", "hmdb51", "--predictions", "x.foo"), ".json"),
        (("sweep", "-d", "hmdb51", "--csv", "x.foo"), ".csv"),
        (("sweep", "-d", "hmdb51", "--plot", "x.foo"), ".png, .svg, .pdf"),
        (("explain", __file__, "-d", "hmdb51", "-o", "x.foo"), ".png, .svg, .pdf, .html"),
    ],
)
def test_recognize_refuses_unknown_suffixes(
    recognize: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], known: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.mp4").touch()
    result = recognize(*arguments)
    assert result.exit_code == 2
    assert "x.foo" in result.stderr
    assert known in result.stderr


DESCGEN = {
    ("stats",): {"descriptors": [], "calls": [], "agreement": [], "blind_agreement": []},
    ("show", "-d", "hmdb51"): [],
    ("show", "-d", "hmdb51", "--raw"): [],
    ("history", "-d", "hmdb51"): {"calls": [], "decisions": []},
    ("lint", "-d", "hmdb51"): {"dataset": "hmdb51", "texts": 0, "errors": 0, "warnings": 0, "findings": []},
}
RECOGNIZE = {
    ("runs",): [],
    ("features", "list"): [],
    ("features", "verify"): [],
    ("features", "prune", "--unused", "0", "--yes"): [],
}


@pytest.mark.parametrize("exists", [True, False])
def test_json_of_nothing_is_empty(descgen: Run, recognize: Run, database: Path, exists: bool) -> None:
    if exists:
        Store.open(str(database)).close()
    for run, commands in ((descgen, DESCGEN), (recognize, RECOGNIZE)):
        for arguments, empty in commands.items():
            result = run(*arguments, "--json")
            assert result.exit_code == 0, (arguments, result.output)
            assert json.loads(result.stdout) == empty, arguments
            about_features = arguments[0] == "features"
            assert ("nothing is stored yet" in result.stderr) == (about_features or not exists)
    listed = json.loads(descgen("list", "-d", "hmdb51", "--json").stdout)
    assert [row["descriptors"] for row in listed] == [{}] * 51
    assert database.exists() == exists


def test_without_json_a_missing_database_is_an_error(descgen: Run, recognize: Run) -> None:
    for result in (descgen("stats"), descgen("show", "-d", "hmdb51"), recognize("runs")):
        assert result.exit_code == 1
        assert "No database at" in result.stderr
