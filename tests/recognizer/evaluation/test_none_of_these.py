"""--none-of-these: videos of no class are rejected, and what that costs and gains is measured."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from db.errors import UsageError
from db.store import Store
from db.vocabulary import from_labels, load
from recognizer import Recognizer
from recognizer.evaluation.background import Background, words
from recognizer.evaluation.settings import Settings
from recognizer.evaluation.sweep import Grid
from tests.fixtures.colours import COLOURS, ColourEncoder, balls, encoder
from tests.fixtures.commands import Run

__all__ = ["balls", "encoder"]  # fixtures

NEW = {"yellow": (250, 250, 10), "grey": (90, 90, 90)}
BACKGROUND = ("--background", "others.txt")


@pytest.fixture
def videos(descgen: Run, balls: Path, encoder: ColourEncoder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two videos of each class, two of no class, and background texts that are near to them."""
    texts = {name: [f"a {name.split('_')[0]} thing"] for name in COLOURS}
    (balls.parent / "texts.json").write_text(json.dumps(texts))
    assert descgen("import", balls.parent / "texts.json", "-d", balls, "-k", "context").exit_code == 0
    encoder.colours |= NEW
    for name, colour in NEW.items():
        folder = balls / "other" / name
        folder.mkdir(parents=True)
        Image.fromarray(np.full((20, 30, 3), colour, np.uint8)).save(folder / "1.png")
    listed = [f"{name}_ball/{take},{name} ball" for name in ("red", "green", "blue") for take in ("a", "b")]
    none = [f"other/{name},(none of these)" for name in (*NEW, "gone")]
    (balls / "list.csv").write_text("\n".join(["path,label", *listed, *none]) + "\n")
    monkeypatch.chdir(balls.parent)
    Path("others.txt").write_text("yellow things\ngrey things\nRed Ball\n")
    return balls


def evaluated(recognize: Run, videos: Path, *more: object) -> dict[str, Any]:
    result = recognize("eval", "-d", "balls", "--root", videos / "list.csv", "-e", "fake", "--json", *more)
    assert result.exit_code == 0, result.output
    run: dict[str, Any] = json.loads(result.stdout)
    return run


def read(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_predict_answers_none_of_these(recognize: Run, videos: Path) -> None:
    asked = ("predict", videos / "red_ball" / "a", videos / "other" / "yellow", "-d", "balls", "-e", "fake")
    result = recognize(*asked, "--none-of-these", *BACKGROUND, "--csv", "out.csv")
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    assert "rejected below 0.5, against 2 background texts (others.txt; 1 that mean a class are left out)" in shown
    assert "videos: 2, 1 of none of these classes" in shown
    assert "yellow none of these: probability of one of these 0.000; best background text: yellow things" in shown
    assert "red_ball/a one of these: probability of one of these 1.000; " in shown
    rows = read(Path("out.csv"))
    assert [(row["rejected"], row["rank"]) for row in rows[::3]] == [("no", "1"), ("yes", "1")]
    assert rows[3]["best_background_text"] == "yellow things"
    verdicts = [
        ranking["verdict"]
        for ranking in json.loads(recognize(*asked, "--none-of-these", *BACKGROUND, "--json").stdout)["rankings"]
    ]
    assert [verdict["rejected"] for verdict in verdicts] == [False, True]
    assert verdicts[0]["one_of_these"] > 0.99
    assert json.loads(recognize(*asked, "--json").stdout)["rankings"][0]["verdict"] is None
    assert "none of these" not in recognize(*asked).stdout


def test_the_known_texts_are_those_of_other_datasets(recognize: Run, videos: Path) -> None:
    asked = ("predict", videos / "red_ball" / "a", "-d", "balls", "-e", "fake", "--none-of-these", "--json")
    assert json.loads(recognize(*asked).stdout)["rankings"][0]["verdict"]["rejected"] is False


def test_eval_tells_what_rejection_costs_and_gains(recognize: Run, videos: Path) -> None:
    run = evaluated(recognize, videos, "--none-of-these", *BACKGROUND)
    assert run["counts"]["evaluated"] == run["counts"]["listed"] == 6
    assert run["settings"]["ignored"] == {}
    result = run["results"]["none_of_these"]
    assert result["outside"] == {
        "listed": 3, "evaluated": 2, "truncated": 0, "missing": 1, "unreadable": 0, "beyond the limit": 0,
    }  # fmt: skip
    assert ["other/gone", "missing"] in run["left_out"]
    assert result["background"] == {"texts": ["yellow things", "grey things"], "same": ["red ball"]}
    for row in ("label only", "label + descriptors"):
        assert (result["rows"][row]["kept"], result["rows"][row]["rejected"]) == (6, 0)
        assert result["rows"][row]["top1_of_kept"]["value"] == 1
        assert result["rows"][row]["aurc"]["value"] == 0
        assert result["rows"][row]["aurc"]["high"] == pytest.approx(1.959964**2 / (6 + 1.959964**2))  # Wilson, 0 of 6
        assert result["rows"][row]["curve"][-1] == [1, 1]
        detection = result["detection"][row]
        assert (detection["kept"], detection["rejected"]) == (0, 2)
        assert [detection[name]["value"] for name in ("false_accepts", "auroc", "fpr95")] == [0, 1, 0]
    assert (result["rejected"], result["outside_rejected"]) == ([], ["other/grey", "other/yellow"])
    shown = " ".join(recognize("runs", "1").stdout.split())
    assert "videos of no class: 3 listed, 2 evaluated, 1 missing" in shown
    assert (
        "rejected if the classes have less than 0.5 of the probability, against 2 background texts (others.txt" in shown
    )
    assert "label only 6 0 100.0 [61.0, 100.0] 100.0 [61.0, 100.0] 0.0 [0.0, 39.0]" in shown
    assert "label only 2 2 0.0 [0.0, 65.8] 100.0 [" in shown


def test_a_threshold_near_one_rejects_more(recognize: Run, videos: Path) -> None:
    Path("others.txt").write_text("red things\ngreen things\nblue things\nyellow things\n")  # as near as the classes
    even = evaluated(recognize, videos, "--none-of-these", *BACKGROUND)["results"]["none_of_these"]
    strict = evaluated(recognize, videos, "--none-of-these", *BACKGROUND, "--threshold", 0.9)["results"][
        "none_of_these"
    ]
    assert even["rows"]["label only"]["rejected"] == 0  # 3 classes count as much as 4 background texts: odds above 1
    assert strict["rows"]["label only"] | {"curve": 0} == {
        "kept": 0, "rejected": 6, "coverage": strict["rows"]["label only"]["coverage"], "top1_of_kept": None,
        "aurc": even["rows"]["label only"]["aurc"], "curve": 0,
    }  # fmt: skip
    assert "none kept" in recognize("runs", "2").stdout


def test_without_the_option_videos_of_no_class_are_skipped_and_counted(recognize: Run, videos: Path) -> None:
    run = evaluated(recognize, videos)
    assert run["counts"]["ignored files"] == 3
    assert run["settings"]["ignored"] == {"of no class of the dataset": 3}
    assert "none_of_these" not in run["results"]
    assert "ignored: 3 of no class of the dataset" in recognize("runs", "1").stdout


def test_tables_and_the_page_say_what_was_rejected(recognize: Run, videos: Path) -> None:
    evaluated(recognize, videos, "--none-of-these", *BACKGROUND, "--csv", "tables")
    rows = {row["video"]: row for row in read(Path("tables/predictions.csv"))}
    assert {video: row["rejected"] for video, row in rows.items()} == {
        **{f"{name}_ball/{take}": "no" for name in ("red", "green", "blue") for take in ("a", "b")},
        "other/yellow": "yes", "other/grey": "yes", "other/gone": "",
    }  # fmt: skip
    assert rows["other/grey"]["true"] == "(none of these)"
    assert recognize("report", "1", "-o", "page.html").exit_code == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert '<section id="rejection"' in page
    assert "against 2 background texts (others.txt; 1 that mean a class are left out)" in " ".join(page.split())
    assert page.count('<path class="curve ') == 2
    assert 'd="M16.7 0.0' in page or 'd="M33.3 0.0' in page or 'd="M100.0 0.0' in page  # all kept ones are right
    assert recognize("compare", "1").exit_code == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--threshold", "0.3"), "--background and --threshold say how --none-of-these rejects videos: give it too"),
        (("--background", "hmdb51"), "give it too"),
        (("--none-of-these", "--threshold", "1"), "a probability above 0 and below 1, not 1"),
        (("--none-of-these", "--background", "nosuch"), "nosuch"),
        (("--none-of-these", "--background", "balls"), "Every background text (balls) means a class of balls"),
    ],
)
def test_wrong_choices_are_refused(recognize: Run, videos: Path, more: tuple[str, ...], said: str) -> None:
    result = recognize("predict", videos / "red_ball" / "a", "-d", "balls", "-e", "fake", *more)
    assert result.exit_code != 0
    assert said in " ".join(result.output.split())


def test_several_labels_and_sweeps_do_not_reject(recognize: Run, videos: Path, db_url: str) -> None:
    (videos / "list.csv").write_text("path,labels\nred_ball/a,red_ball\n")
    result = recognize("eval", "-d", "balls", "--root", videos / "list.csv", "-e", "fake", "--none-of-these")
    assert result.exit_code == 1
    assert "--none-of-these needs one label a video" in " ".join(result.output.split())
    own = Recognizer("balls", encoder="fake", none_of_these=True, db=db_url, features="features", progress=False)
    with pytest.raises(UsageError, match="A sweep rejects no videos"):
        own.sweep(videos, Grid())
    assert own.predict(videos / "red_ball" / "a")[0].verdict is not None


def chosen(dataset: str, store: Store, **more: object) -> Background:
    found = Background.choose(store, load(dataset), Settings(none_of_these=True, **more))  # type: ignore[arg-type]
    assert found
    return found


def test_background_texts_that_may_mean_a_class_are_left_out(store: Store) -> None:
    background = chosen("hmdb51", store)
    phrases = {action.phrase for action in load("hmdb51").actions}
    assert phrases.isdisjoint(background.texts)
    assert {"riding mountain bike", "clapping", "jumping into pool", "handstand walking"} <= set(background.same)
    assert {"archery", "using segway", "an empty room"} <= set(background.texts)
    assert len(set(map(words, background.texts))) == len(background.texts)
    assert all(not (words(text) <= words(phrase) or words(phrase) <= words(text))
               for text in background.texts for phrase in phrases)  # fmt: skip


def test_a_named_background_is_used_as_it_is_given(store: Store) -> None:
    background = chosen("hmdb51", store, background="ucf101", protocol="tear")
    assert "Biking" in background.texts  # a word of `riding a bike`, but the user named it; as TEAR words it
    assert "Horse Riding" in background.texts
    assert {"fencing", "golf swing"} & set(background.same)


def test_texts_to_encode_elsewhere_include_the_background(recognize: Run, videos: Path) -> None:
    asked = ("features", "texts", "-d", "balls", "--json")
    alone, both = (json.loads(recognize(*asked, *more).stdout) for more in ((), ("--none-of-these", *BACKGROUND)))
    assert both == [*alone, *(f"{part} of {text}" for text in ("yellow things", "grey things")
                              for part in ("a video", "a photo", "footage", "a scene"))]  # fmt: skip


def test_words_of_a_phrase() -> None:
    assert words("Riding a Bike") == words("rides bikes") == {"rid", "bik"}
    assert words("someone runs, running") == {"run"}
    assert words("doing something") == {"doing", "something"}
    assert words("passing") == {"pas"}


def test_labels_in_one_piece_are_compared_by_their_words(store: Store) -> None:
    background = Background.choose(store, from_labels("mine", ["JugglingBalls"]), Settings(none_of_these=True))
    assert background
    assert background.same == ("juggling balls", "juggling soccer ball")
