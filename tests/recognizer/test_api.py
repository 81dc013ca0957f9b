"""The Python face: the examples of docs/python.md run, and give what the commands give."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from db.errors import UsageError, UserError
from descriptor_gen.llms.testing import FakeLLM
from encoders.testing import FakeEncoder, registered
from recognizer import Recognizer
from recognizer.evaluation.sweep import Grid
from tests.fixtures.colours import COLOURS, balls, described, encoder
from tests.fixtures.commands import Run
from tests.fixtures.films import make_film

__all__ = ["balls", "described", "encoder"]  # fixtures

DOCUMENT = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.fixture(autouse=True)
def _in_its_folder(tmp_path: Path, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recognizer import api

    api._open.cache_clear()  # the fake of the test before
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESCGEN_DB", str(database))


@pytest.fixture
def balls_of(described: Path) -> Recognizer:
    return Recognizer("balls", encoder="fake", progress=False)


@pytest.fixture
def encoders_of_the_document(encoder: FakeEncoder) -> Iterator[None]:
    with registered(encoder, "objects", "ViT-B/16", "hf:google/siglip2-base-patch16-224"):
        yield


def test_the_examples_of_the_document_run(
    balls: Path, llm: FakeLLM, encoder: FakeEncoder, encoders_of_the_document: None
) -> None:
    for name in COLOURS:
        make_film(balls / name / "c.mp4", (name.split("_")[0], 1))
    make_film(balls.parent / "match.mp4", ("red", 2))
    balls.rename("videos")
    names: dict[str, Any] = {}
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 12
    for block in blocks:
        exec(block, names)  # noqa: S102 - our own document
    assert names["run"].counts["evaluated"] == 9
    assert names["comparison"].both == 9
    assert len(names["runs"]) == 6
    assert names["made"].scores().shape == (9, 3)
    assert len(llm.history) == 6
    assert Path("match.png").stat().st_size > 10_000
    assert "<!doctype html>" in Path("run.html").read_text().lower()
    assert names["localization"].counts == {"searched": 1, "truncated": 0, "unreadable": 0}


def test_it_evaluates_as_the_command_does(balls_of: Recognizer, recognize: Run, described: Path) -> None:
    one = balls_of.evaluate(described)
    asked = ("eval", "-d", "balls", "--root", described, "-e", "fake", "--json")
    other = json.loads(recognize(*asked).stdout)
    assert json.loads(json.dumps(one.results)) == other["results"]
    assert one.descriptors_sha256 == other["descriptors_sha256"]
    assert one.settings["choice"] == other["settings"]["choice"]
    assert [run.id for run in balls_of.runs()] == [one.id, other["id"]]
    assert balls_of.run(one.id or 0).predictions == one.predictions


def test_it_predicts_as_the_command_does(balls_of: Recognizer, recognize: Run, described: Path) -> None:
    video = described / "red_ball" / "a"
    [ranking] = replace(balls_of, method="max", temperature=3.0).predict(video)
    asked = ("predict", video, "-d", "balls", "-e", "fake", "--method", "max", "--temperature", 3, "--json")
    [other] = json.loads(recognize(*asked).stdout)["rankings"]
    assert [c["score"] for c in other["candidates"]] == [c.score for c in ranking.candidates]
    assert [c["probability"] for c in other["candidates"]] == [c.probability for c in ranking.candidates]


def test_labels_in_a_list_leave_nothing_behind(balls: Path, database: Path) -> None:
    [ranking, broken] = Recognizer(["red", "blue"], encoder="fake", progress=False).predict(
        balls / "red_ball" / "a", balls / "red_ball" / "broken.mp4", top=1
    )
    assert [c.phrase for c in ranking.candidates] == ["red"]
    assert broken.unreadable == "empty file"
    assert not database.exists()


def test_a_sweep_has_its_best_first_and_stores_what_it_is_told_to(balls_of: Recognizer, described: Path) -> None:
    grid = Grid(methods=("mean", "max"), kinds=(("context",), ("decomposition",)))
    runs = balls_of.sweep(described, grid)
    shares = [run.results["rows"]["label + descriptors"]["top1"]["value"] for run in runs]
    assert (shares, len(shares)) == (sorted(shares, reverse=True), 4)
    assert balls_of.runs() == []
    stored = balls_of.sweep(described, grid, store_runs=True)
    assert [run.id for run in stored] == [run.id for run in balls_of.runs()] or len(balls_of.runs()) == 4
    assert balls_of.compare(stored[0], stored[-1]).both == 6


def test_what_is_wrong_is_said_before_anything_is_done(balls_of: Recognizer, described: Path, balls: Path) -> None:
    for wrong, said in (
        ({"method": "magic"}, "Unknown method 'magic'"),
        ({"status": "good"}, "Known: any, accepted"),
        ({"protocol": "none"}, "Unknown protocol"),
        ({"kinds": ["smell"]}, "smell"),
    ):
        with pytest.raises(UserError, match=said):
            replace(balls_of, **wrong).evaluate(described)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="Known: tear"):
        balls_of.sweep(described, "all")
    with pytest.raises(UserError, match="No database at"):
        replace(balls_of, db="nowhere.db").evaluate(described)


def test_weights_stay_loaded_and_embeddings_embedded(
    balls_of: Recognizer, described: Path, encoder: FakeEncoder
) -> None:
    run = balls_of.evaluate(described)
    frames, texts = list(encoder.frames), len(encoder.encoded)
    again = replace(balls_of, method="align").evaluate(described)
    assert balls_of.impact(run).videos == 6
    assert (encoder.frames, len(encoder.encoded)) == (frames, texts)
    assert again.settings["method"] == "align"
    assert balls_of.ensemble().present.sum() == 30
    assert len(balls_of.descriptors()) == 27


def test_it_raises_where_the_command_fails(
    balls_of: Recognizer, recognize: Run, described: Path, tmp_path: Path
) -> None:
    broken = described / "red_ball" / "broken.mp4"
    for name in ("predict", "explain", "localize"):
        asked = recognize(name, broken, "-d", "balls", "-e", "fake")
        with pytest.raises(UserError, match=r"None of the videos can be read \(.*broken.mp4: empty file") as raised:
            getattr(balls_of, name)(broken)
        assert not isinstance(raised.value, UsageError)
        assert asked.exit_code == 1
        assert re.search(r"Error: None of the videos can be read \(.*broken.mp4: empty file", asked.stderr)
        with pytest.raises(UsageError, match="No videos are given"):
            getattr(balls_of, name)()
        with pytest.raises(UsageError, match=r"No such file or folder: nowhere\.mp4"):
            getattr(balls_of, name)(described / "red_ball" / "a", "nowhere.mp4")
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        make_film(tmp_path / folder / "same.mp4", ("red", 1))
    films = [str(tmp_path / folder / "same.mp4") for folder in ("one", "two")]
    with pytest.raises(UsageError, match="Several videos are named same"):
        balls_of.localize(*films)
    assert recognize("localize", *films, "-d", "balls", "-e", "fake").exit_code == 2


def test_a_picture_of_nothing_is_not_written(balls_of: Recognizer, described: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="None of the videos can be read"):
        balls_of.explain(described / "red_ball" / "broken.mp4", output=str(tmp_path / "none.png"))
    assert not (tmp_path / "none.png").exists()


def test_strings_are_taken_for_every_path(
    described: Path, database: Path, tmp_path: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    root = f"~/{described.relative_to(tmp_path)}"
    features, place = str(tmp_path / "elsewhere"), f"~/{database.relative_to(tmp_path)}"
    by_string = Recognizer("balls", encoder="fake", progress=False, db=place, features=features)
    by_path = Recognizer("balls", encoder="fake", progress=False, db=database, features=Path(features))
    run = by_string.evaluate(root)
    assert (tmp_path / "elsewhere" / "index.db").exists()
    assert by_path.evaluate(described).results == run.results
    assert by_string.predict(f"{root}/red_ball/a") == by_path.predict(described / "red_ball" / "a")
    assert by_string.sweep(root, "tear")
    assert by_string.impact(run, root=root).videos == 6
    assert by_string.controls(run, root=root).videos == 6
    assert by_string.replay(run, root=root).scores().shape == (6, 3)
    by_string.explain(f"{root}/red_ball/a", output="~/picture.png")
    assert by_string.report(run, "~/page.html", root=root) == tmp_path / "page.html"
    assert (tmp_path / "picture.png").exists()
    assert (tmp_path / "page.html").exists()
