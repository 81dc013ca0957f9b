"""`--transductive` of eval and predict: a row beside the same one without, and what is refused."""

from __future__ import annotations

import csv
import html
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from db.errors import UsageError
from recognizer import Recognizer
from tests.fixtures.colours import balls, described, encoder
from tests.fixtures.commands import Run

__all__ = ["balls", "described", "encoder"]  # fixtures
ROW, TOGETHER = "label + descriptors", "label + descriptors, transductive: "
EQUAL = "class,share\nred ball,1\ngreen ball,1\nblue ball,1\n"


@pytest.fixture
def prior(tmp_path: Path) -> Path:
    file = tmp_path / "prior.csv"
    file.write_text(EQUAL)
    return file


def evaluated(recognize: Run, root: Path, *arguments: object) -> dict[str, Any]:
    result = recognize("eval", "-d", "balls", "--root", root, "-e", "fake", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["sinkhorn", "stata"])
def test_it_is_one_more_row_beside_that_without_and_changes_nothing_else(
    recognize: Run, described: Path, prior: Path, name: str
) -> None:
    chosen = ("--class-prior", prior) if name == "sinkhorn" else ()
    alone = evaluated(recognize, described, "--temperature", 40)
    both = evaluated(recognize, described, "--temperature", 40, "--transductive", name, *chosen)
    together = both["results"].pop("transductive")
    assert both["results"] == alone["results"]
    assert both["predictions"] == alone["predictions"]
    assert (together["name"], together["row"]["videos"]) == (name, 6)
    assert together["shares"] == (pytest.approx([1 / 3] * 3) if name == "sinkhorn" else [])
    rows = [together["row"]["top1"]["value"], both["results"]["rows"][ROW]["top1"]["value"]]
    assert together["gain"]["top1"]["value"] == pytest.approx(rows[0] - rows[1])
    shown = recognize("runs", both["id"]).stdout
    assert f" · transductive {name} · " in shown
    assert TOGETHER + name in shown
    assert shown.index(f"\n{ROW} ") < shown.index(TOGETHER + name)
    words = " ".join(shown.split())
    assert "each video is scored with the 5 others" in words
    assert "of the 3 classes (estimated without their labels)" in words
    assert "transductive" not in recognize("runs", alone["id"]).stdout
    page = described.parent / "run.html"
    assert recognize("report", both["id"], "-o", page).exit_code == 0
    text = html.unescape(page.read_text())
    assert TOGETHER + name in text
    assert "each video is scored with the 5 others" in text
    assert str(prior) not in text


def test_with_the_true_shares_the_misled_texts_do_less_harm(recognize: Run, described: Path, prior: Path) -> None:
    chosen = ("--kind", "description", "--temperature", 40, "--transductive", "sinkhorn", "--class-prior", prior)
    results = evaluated(recognize, described, *chosen)["results"]
    assert results["transductive"]["row"]["top1"]["value"] >= results["rows"][ROW]["top1"]["value"]


def test_predict_shows_the_rank_alone_and_csv_names_it(recognize: Run, described: Path, prior: Path) -> None:
    videos = sorted(path for path in described.glob("*/*") if path.is_dir())
    file = described.parent / "ranked.csv"
    common = ("predict", *videos, "-d", "balls", "-e", "fake", "--temperature", 40)
    chosen = ("--transductive", "sinkhorn", "--class-prior", prior)
    shown = recognize(*common, *chosen, "--csv", file)
    assert shown.exit_code == 0, shown.output
    words = " ".join(shown.stdout.split())
    assert f"transductive sinkhorn · class prior {prior}" in words
    assert "each video is scored with the 5 others; rank alone is without them" in words
    assert "rank class score probability rank alone rank by label only" in words
    alone = json.loads(recognize(*common, "--json").stdout)
    together = json.loads(recognize(*common, *chosen, "--json").stdout)
    assert (alone["settings"]["transductive"], together["settings"]["transductive"]) == (None, "sinkhorn")
    for one, other in zip(alone["rankings"], together["rankings"], strict=True):
        assert one["together"] is None
        assert other["together"]["videos"] == 6
        ranks = {candidate["name"]: candidate["rank"] for candidate in one["candidates"]}
        assert all(c["inductive_rank"] == c["rank"] for c in one["candidates"])
        assert all(c["inductive_rank"] == ranks[c["name"]] for c in other["candidates"])
        assert sum(c["probability"] for c in other["candidates"]) == pytest.approx(1)
    shares = [
        sum(c["probability"] for ranking in together["rankings"] for c in ranking["candidates"] if c["name"] == name)
        for name in ("red_ball", "green_ball", "blue_ball")
    ]
    assert shares == pytest.approx([2, 2, 2], abs=1e-2)
    [row, *_] = csv.DictReader(file.open(encoding="utf-8"))
    assert (row["transductive"], row["class_prior"]) == ("sinkhorn", "prior.csv")
    assert row["inductive_rank"] in ("1", "2", "3")


def test_videos_of_one_class_are_refused_with_what_to_do(recognize: Run, described: Path) -> None:
    videos = [described / "red_ball" / take for take in ("a", "b")] * 3
    result = recognize("predict", *videos, "-d", "balls", "-e", "fake", "--transductive", "sinkhorn")
    assert result.exit_code == 1
    assert "the videos seem to be of about 1.0 classes: accuracy would collapse" in " ".join(result.stderr.split())
    assert "Use --transductive stata, say the shares with --class-prior FILE" in " ".join(result.stderr.split())


def test_a_refused_evaluation_stores_no_run(recognize: Run, described: Path) -> None:
    arguments = ("-d", "balls", "--root", described, "-e", "fake", "--limit", 3, "--transductive", "sinkhorn")
    result = recognize("eval", *arguments)
    assert result.exit_code == 1
    assert "needs at least 6 videos for 3 classes, there are 3" in result.stderr
    assert json.loads(recognize("runs", "--json").stdout) == []


def test_a_prior_without_sinkhorn_is_refused(recognize: Run, described: Path, prior: Path) -> None:
    for chosen in ((), ("--transductive", "stata")):
        result = recognize("eval", "-d", "balls", "--root", described, "-e", "fake", "--class-prior", prior, *chosen)
        assert result.exit_code == 2
        assert "--class-prior is used by --transductive sinkhorn alone" in result.stderr


def test_python_has_it_for_evaluate_and_predict_and_refuses_it_elsewhere(
    described: Path, db_url: str, prior: Path
) -> None:
    recognizer = Recognizer("balls", db=db_url, encoder="fake", transductive="stata", progress=False)
    assert recognizer.evaluate(described).results["transductive"]["name"] == "stata"
    rankings = recognizer.predict(described / "red_ball" / "a", described / "blue_ball" / "a")
    assert all(ranking.together and ranking.together.videos == 2 for ranking in rankings)
    with pytest.raises(UsageError, match="video by itself: leave transductive out; recognize eval and predict have it"):
        recognizer.explain(described / "red_ball" / "a")
    with pytest.raises(UsageError, match="A sweep scores each video by itself"):
        recognizer.sweep(described)
    with pytest.raises(UsageError, match=r"Unknown transductive 'statA'. Did you mean stata"):
        replace(recognizer, transductive="statA").evaluate(described)
    run = replace(recognizer, transductive="sinkhorn", class_prior=prior, temperature=40.0).evaluate(described)
    assert run.results["transductive"]["class_prior"] == run.settings["class_prior"] == str(prior)
