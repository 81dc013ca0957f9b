"""recognize report: the numbers on the page, the rule of its videos, the texts that decided, what it does without."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sqlite3
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from db import vocabulary
from db.records import Prediction
from db.records import Run as Evaluation
from db.store import Store
from encoders.testing import FakeEncoder, registered
from recognizer.report.findings import choose_samples
from tests.fixtures.commands import Run
from tests.fixtures.pages import Page
from tests.fixtures.runs import large

ODD = "<script>document.title = 'owned'</script> {{ 7 * 7 }} & <b>bold</b>"
LABELS = ["red <i>ball</i>", "green ball", "blue ball", "grey & white ball", "a ball that nobody filmed"]
VIDEOS = 5  # of each class but the last


@pytest.fixture(autouse=True)
def encoder() -> Iterator[FakeEncoder]:
    """The encoder that every `--encoder fake` opens."""
    fake = FakeEncoder()
    with registered(fake, "fake"):
        yield fake


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A list of videos of one colour each, some of which are not there or cannot be read."""
    random = np.random.default_rng(3)
    lines = [("gone.mp4", LABELS[1]), ("broken.mp4", LABELS[2])]
    (tmp_path / "broken.mp4").write_bytes(b"")
    for number, label in enumerate(LABELS[:4]):
        for take in range(VIDEOS):
            folder = tmp_path / f"video {number} & {take}"
            folder.mkdir()
            for frame in range(3):
                colour = random.integers(0, 256, size=3, dtype=np.uint8)
                Image.fromarray(np.full((20, 30, 3), colour, np.uint8)).save(folder / f"{frame}.png")
            lines.append((folder.name, label))
    with (tmp_path / "videos.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *lines])
    return tmp_path / "videos.csv"


@pytest.fixture
def evaluated(descgen: Run, recognize: Run, videos: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Evaluate the videos with steps and contexts, one of which is markup; give the run."""
    (tmp_path / "balls.txt").write_text("\n".join(LABELS))
    texts = [(label, kind, f"{kind} {n} of it, number {at}") for at, label in enumerate(LABELS)
             for kind in ("decomposition", "context") for n in range(2)]  # fmt: skip
    texts = [(label, kind, ODD if at == 3 else text) for at, (label, kind, text) in enumerate(texts)]
    with (tmp_path / "texts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("action", "kind", "text"), *texts])
    added = descgen("import", tmp_path / "texts.csv", "-d", tmp_path / "balls.txt")
    assert added.exit_code == 0, added.output

    def evaluate(*arguments: object) -> dict[str, Any]:
        result = recognize("eval", "-d", "balls", "--root", videos, "-e", "fake", "--json", *arguments)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)  # type: ignore[no-any-return]

    return evaluate


def reported(recognize: Run, folder: Path, *arguments: object) -> Page:
    result = recognize("report", *(arguments or (1,)), "-o", folder / "page.html")
    assert result.exit_code == 0, result.output
    assert f"{folder.name}/page.html: " in result.stdout.replace("\n", "")
    return Page((folder / "page.html").read_text())


def as_data(recognize: Run, *arguments: object) -> dict[str, Any]:
    result = recognize("report", *(arguments or (1,)), "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def test_the_numbers_are_those_of_the_run(
    recognize: Run, evaluated: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    run = evaluated()
    page = reported(recognize, tmp_path)
    rows = {row[0]: row for row in page.tables["accuracies"][0]}
    for name, of_row in run["results"]["rows"].items():
        expected = [
            f"{100 * of_row[key]['value']:.1f} [{100 * of_row[key]['low']:.1f}, {100 * of_row[key]['high']:.1f}]"
            for key in ("top1", "top5", "mean_per_class")
        ]
        assert rows[name] == [name, "20", *expected]
    compared = json.loads(recognize("compare", 1, "--json").stdout)["top1"]
    difference = rows["difference, points"][2].replace("\N{MINUS SIGN}", "-")
    assert float(difference.split()[0]) == pytest.approx(100 * compared["difference"]["value"], abs=0.05)
    assert f"p = {compared['p']:.3f} {compared['gained']} gained, {compared['lost']} lost" in difference
    told = " ".join(page.sections["protocol"].split())
    for said in ("22 videos listed", "20 videos evaluated", "1 videos missing", "1 videos unreadable", "broken.mp4",
                 "unreadable: empty file", "gone.mp4", "20: 20 pending", "context, decomposition", "texts.csv",
                 run["descriptors_sha256"], "manifest videos.csv", "16 frames", "protocol default"):  # fmt: skip
        assert said in told, said
    assert "20 videos are too few to compare anything" in page.sections["numbers"]


def test_classes_matrix_and_pairs_are_counted_from_the_predictions(
    recognize: Run, evaluated: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    predictions = evaluated()["predictions"]
    wrong = [p for p in predictions if p["rank"] > 1]
    assert 0 < len(wrong) < len(predictions), "nothing is tested where all is right, or all wrong"
    page, data = reported(recognize, tmp_path), as_data(recognize)
    for row in page.tables["classes"][0][1:]:
        own = [p for p in predictions if row[0].startswith(LABELS[p["label"]])]
        by_label, by_all = (sum(p[key] == 1 for p in own) for key in ("label_only_rank", "rank"))
        assert row[1] == str(len(own)) == "5"
        assert row[3].startswith(f"{20 * by_label:.1f} [")
        assert row[4].startswith(f"{20 * by_all:.1f} [")
        assert row[5].replace("\N{MINUS SIGN}", "-") == (
            f"{20 * (by_all - by_label):+.1f}" if by_all - by_label else "0.0"
        )
    assert len(page.tables["classes"][0]) == 1 + 4
    changes = [c["difference"] for c in data["classes"]]
    assert changes == sorted(changes, reverse=True)
    assert data["without_videos"] == [LABELS[4]]
    best = Counter((p["label"], next(c for c, _ in p["ranking"] if c != p["label"])) for p in wrong)
    cells = {(c["true"], c["predicted"]): c["videos"] for c in data["confusion"]["cells"]}
    assert {pair: count for pair, count in cells.items() if pair[0] != pair[1]} == best
    assert sum(cells.values()) == len(predictions)
    assert sum(cells.get((label, label), 0) for label in range(4)) == sum(p["rank"] == 1 for p in predictions)
    pairs = [(p["confused"]["true"], p["confused"]["predicted"]) for p in data["pairs"]]
    assert [best[pair] for pair in pairs] == sorted(best.values(), reverse=True)
    first = page.tables["pairs"][0][1]
    assert first[0] == f"{LABELS[pairs[0][0]]} → {LABELS[pairs[0][1]]}"
    assert first[1] == f"{best[pairs[0]]} of 5"


def prediction(video: str, label: int, rank: int, label_only: int, lead: float) -> Prediction:
    first = label if rank == 1 else 9
    return Prediction(video, label, ((first, 0.5), (8, 0.5 - lead), (label if rank > 1 else 7, 0.1)), rank, label_only)


def test_videos_are_chosen_by_the_rule() -> None:
    """By sort, then the largest lead, one of each class before a second of any."""
    made = (
        prediction("a1", 0, 1, 3, 0.30), prediction("a2", 0, 1, 2, 0.20), prediction("a3", 0, 1, 2, 0.25),
        prediction("b1", 1, 1, 2, 0.01), prediction("b2", 1, 3, 1, 0.40), prediction("c1", 2, 3, 1, 0.40),
        prediction("c2", 2, 1, 1, 0.10), prediction("c3", 2, 2, 2, 0.10),
    )  # fmt: skip
    run = Evaluation("d", {}, "", (), {}, (), {}, 1.0, predictions=made)

    def chosen(count: int) -> list[tuple[str, str]]:
        return [(c.sort, c.prediction.video) for c in choose_samples(run, count=count)]

    assert chosen(3) == [
        ("won", "a1"), ("won", "b1"), ("won", "a3"), ("lost", "b2"), ("lost", "c1"), ("right", "c2"), ("wrong", "c3"),
    ]  # fmt: skip
    assert chosen(1) == [("won", "a1"), ("lost", "b2"), ("right", "c2"), ("wrong", "c3")]
    assert chosen(0) == []


def test_the_page_shows_the_chosen_videos(
    recognize: Run, evaluated: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    predictions = {p["video"]: p for p in evaluated()["predictions"]}
    page, data = reported(recognize, tmp_path, 1, "--samples", 2), as_data(recognize, 1, "--samples", 2)
    shown = [sample["chosen"]["prediction"]["video"] for sample in data["samples"]]
    right = {video: (p["label_only_rank"] == 1, p["rank"] == 1) for video, p in predictions.items()}
    sorts = {(False, True): "won", (True, False): "lost", (True, True): "right", (False, False): "wrong"}
    assert [sample["chosen"]["sort"] for sample in data["samples"]] == [sorts[right[video]] for video in shown]
    assert data["sizes"] == {sort: list(right.values()).count(key) for key, sort in sorts.items()}
    pictures = [attributes for name, attributes in page.tags if name == "img"]
    assert len(pictures) == 5 * len(shown)
    assert all(picture["src"].startswith("data:image/jpeg;base64,") and picture["alt"] for picture in pictures)
    for video, ranking, sample in zip(shown, page.tables["ranking"], data["samples"], strict=True):
        stored = predictions[video]
        assert [row[2] for row in ranking[1:6]] == [
            f"{s:.4f}".replace("-", "\N{MINUS SIGN}") for _, s in stored["ranking"]
        ]
        assert sum(row[1].endswith(" true") for row in ranking) == 1
        assert video in page.sections["samples"]
        scores = dict(map(tuple, stored["ranking"]))
        assert sample["lead"] == pytest.approx(scores[stored["label"]] - scores[sample["rival"]], abs=1e-5)


@pytest.mark.parametrize(
    "method",
    ["mean", "ensemble", "parts", "align", "dtw", "mta", "max", "soft", "ensemble-published", "autoclip", "rerank"],
)
def test_the_texts_that_decided_are_those_without_which_the_lead_is_another(
    recognize: Run, evaluated: Callable[..., dict[str, Any]], store: Store, features: Path, method: str, tmp_path: Path
) -> None:
    """Each effect again, from an ensemble that never had the text."""
    from recognizer.evaluation.replay import replay
    from recognizer.features.caching_encoder import CachingEncoder
    from recognizer.features.store import FeatureStore
    from recognizer.scoring.ensemble import build_ensemble

    evaluated("--method", method, "--clips", 2)
    data, page = as_data(recognize), reported(recognize, tmp_path)
    with FeatureStore.open(features) as kept:
        opened = CachingEncoder(FakeEncoder(), kept)
        again = replay(store, store.run(1), opened)
        for sample in data["samples"]:
            label, rival = sample["chosen"]["prediction"]["label"], sample["rival"]
            row = [video.id for video in again.features.videos].index(sample["chosen"]["prediction"]["video"])
            own = {again.dataset.actions[at].name for at in (label, rival)}
            expected = {}
            for text in again.descriptors:
                if text.action in own:
                    others = [d for d in again.descriptors if d != text]
                    scores = again.scores(build_ensemble(again.dataset, others, opened, again.protocol))[row]
                    expected[text.id] = float(scores[label] - scores[rival]) - sample["lead"]
            found = {text["id"]: text["effect"] for text in sample["texts"] if text["id"] is not None}
            assert found == pytest.approx({i: p for i, p in expected.items() if i in found}, abs=2e-5)
            assert all(abs(effect) < 2e-5 for i, effect in expected.items() if i not in found)
            strengths = [abs(text["effect"]) for text in sample["texts"]]
            assert strengths == sorted(strengths, reverse=True)
    strongest = [sample["texts"][0] for sample in data["samples"]]
    shown = [table[1] for table in page.tables["effects"]]
    assert [row[2].startswith(text["text"]) for row, text in zip(shown, strongest, strict=True)] == [True] * len(shown)
    assert [row[3] for row in shown] == ["" if text["id"] is None else str(text["id"]) for text in strongest]


def test_a_pair_names_the_texts_that_support_the_wrong_class(
    recognize: Run, evaluated: Callable[..., dict[str, Any]], store: Store, features: Path
) -> None:
    """With method ensemble, a text left out changes its class by (mean - own) / (K - 1)."""
    from recognizer.evaluation.replay import replay
    from recognizer.features.caching_encoder import CachingEncoder
    from recognizer.features.store import FeatureStore

    run = evaluated("--method", "ensemble")
    pair = as_data(recognize)["pairs"][0]
    true, taken = pair["confused"]["true"], pair["confused"]["predicted"]
    with FeatureStore.open(features) as kept:
        again = replay(store, store.run(1), CachingEncoder(FakeEncoder(), kept))
    confused = [p for p in run["predictions"] if p["label"] == true and p["rank"] > 1 and p["ranking"][0][0] == taken]
    rows = [[v.id for v in again.features.videos].index(p["video"]) for p in confused]
    mean = again.batch.pooled.inner(again.ensemble.texts)[rows].mean(dim=0)  # [C, K]
    change = {}
    for label, sign in ((true, 1), (taken, -1)):
        score = mean[label].mean()
        for slot, id_ in enumerate(again.ensemble.ids[label].tolist()):
            change[label, None if id_ < 0 else id_] = sign * float(score - mean[label, slot]) / (mean.shape[1] - 1)
    worst = sorted(change, key=lambda key: -change[key])[:3]
    assert [(text["label"], text["id"]) for text in pair["texts"]] == worst
    assert [text["effect"] for text in pair["texts"]] == pytest.approx([change[key] for key in worst], abs=1e-6)
    alone = again.scores(again.ensemble.label_only())[rows]
    assert pair["label_only_same"] == int((alone.argmax(dim=1) == taken).sum())
    assert pair["confused"]["label_only_right"] == int((alone.argmax(dim=1) == true).sum())


def test_the_page_needs_nothing_else(recognize: Run, evaluated: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    evaluated()
    page = reported(recognize, tmp_path)
    source = (tmp_path / "page.html").read_text()
    assert not re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r"base64,[A-Za-z0-9+/=]+|//? .*|/\*.*", "", source))
    for name, attributes in page.tags:
        assert name not in ("link", "iframe", "object", "base", "form"), name
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
        assert not any(attribute.startswith("on") or attribute == "style" for attribute in attributes), attributes
    policy = next(attributes["content"] for name, attributes in page.tags if attributes.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag in ("style", "script"):
        digest = b64encode(sha256(page.raw[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"][1:] for name, attributes in page.tags if name == "a"} <= set(ids)
    headers = [attributes for name, attributes in page.tags if name == "th"]
    assert headers
    assert all(attributes.get("scope") in ("row", "col") for attributes in headers)


def test_markup_is_shown_as_text(recognize: Run, evaluated: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    evaluated()
    page = reported(recognize, tmp_path, 1, "--samples", 5)
    assert ODD in page.text
    assert LABELS[0] in page.text
    assert LABELS[3] in page.text
    assert not {"i", "script>"} & {name for name, _ in page.tags}
    assert [attributes for name, attributes in page.tags if name == "script"] == [
        {"type": "application/json", "id": "cells"}, {},
    ]  # fmt: skip
    assert "</script>" not in re.search(r'id="cells">(.*?)</script>', (tmp_path / "page.html").read_text())[1]  # type: ignore[index]


def test_without_its_videos_the_page_says_what_is_missing(
    recognize: Run, evaluated: Callable[..., dict[str, Any]], videos: Path, tmp_path: Path
) -> None:
    evaluated()
    whole = reported(recognize, tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in (videos, *tmp_path.glob("video ?*")):
        shutil.move(path, elsewhere)
    result = recognize("report", 1, "-o", tmp_path / "page.html")
    assert result.exit_code == 0
    assert "Unknown which texts decided. " in result.stderr
    assert "0 of " in result.stdout
    page = Page((tmp_path / "page.html").read_text())
    assert f"The videos cannot be shown. {videos.name} does not exist" in page.sections["numbers"]
    for name in ("accuracies", "classes", "ranking"):
        assert len(page.tables[name]) == len(whole.tables[name])
    assert page.tables["accuracies"] == whole.tables["accuracies"]
    assert "effects" not in page.tables
    assert not [name for name, _ in page.tags if name == "img"]
    assert "The video file no longer exists." in page.sections["samples"]
    again = reported(recognize, tmp_path, 1, "--root", elsewhere / "videos.csv")
    assert again.tables == whole.tables


def test_without_its_texts_the_page_still_shows_the_videos(
    recognize: Run, evaluated: Callable[..., dict[str, Any]], database: Path, tmp_path: Path
) -> None:
    evaluated()
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE descriptor SET text = 'another' WHERE id = 1")
    result = recognize("report", 1, "-o", tmp_path / "page.html")
    assert result.exit_code == 0
    reason = "Unknown which texts decided. Texts of run 1 have changed. Evaluate again: recognize eval"
    assert reason in " ".join(result.stderr.split())
    page = Page((tmp_path / "page.html").read_text())
    assert reason in page.sections["numbers"]
    assert "effects" not in page.tables
    assert [name for name, _ in page.tags if name == "img"]
    assert all(row[3] == "not known" for row in page.tables["pairs"][0][1:])


def test_videos_of_other_content_are_told(
    recognize: Run, evaluated: Callable[..., dict[str, Any]], videos: Path, tmp_path: Path
) -> None:
    evaluated()
    for frame in (videos.parent / "video 0 & 0").iterdir():
        Image.fromarray(np.full((20, 30, 3), (250, 0, 250), np.uint8)).save(frame)
    page = reported(recognize, tmp_path)
    assert "1 of 20 videos have other scores than in the stored run, by up to 0." in page.sections["numbers"]


def test_labels_alone_are_a_report_too(
    recognize: Run, videos: Path, store: Store, tmp_path: Path, descgen: Run
) -> None:
    labels = tmp_path / "balls.txt"
    labels.write_text("\n".join(LABELS))
    store.register(vocabulary.from_path(labels))
    swept = recognize("sweep", "-d", "balls", "--root", videos, "-e", "fake", "--kinds", "label", "--store")
    assert swept.exit_code == 0, swept.output
    page = reported(recognize, tmp_path)
    assert "This run used no descriptors" in page.sections["numbers"]
    assert "The labels alone decided" in page.sections["samples"]
    assert "none: labels alone" in page.sections["protocol"]
    assert "difference, points" not in page.sections["numbers"]


@pytest.mark.parametrize(("dataset", "classes", "named"), [("ucf101", 101, True), ("kinetics600", 600, False)])
def test_many_classes_stay_one_small_page(
    recognize: Run, store: Store, tmp_path: Path, dataset: str, classes: int, named: bool
) -> None:
    run = large(store, dataset, each=10)
    page = reported(recognize, tmp_path)
    assert (tmp_path / "page.html").stat().st_size < 3_000_000
    assert len(page.tables["classes"][0]) == 1 + classes
    paths = [a["d"] for name, a in page.tags if name == "path" and a.get("class", "").startswith("level-")]
    cells = {(p.label, p.label if p.rank == 1 else p.ranking[0][0]) for p in run.predictions}
    assert sum(path.count("M") for path in paths) == len(cells)
    names = [name for name, a in page.tags if name == "text"]
    assert len(names) == (2 * classes if named else 0)
    assert len(page.tables["pairs"][0]) == 1 + 20


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((7,), 2, "No run 7. The runs are listed by: recognize runs"),
        ((1, "-o", "no/such/page.html"), 2, "There is no folder no/such to write page.html to"),
        ((1, "-o", "."), 2, "'.' is a directory"),
        ((1, "--root", "nowhere"), 2, "'nowhere' does not exist"),
    ],
)
def test_wrong_use_is_told(
    recognize: Run, store: Store, arguments: tuple[object, ...], code: int, said: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    large(store, "hmdb51", each=1)
    result = recognize("report", *arguments)
    assert result.exit_code == code
    assert said in " ".join(result.stderr.split())
    assert not list(tmp_path.glob("*.html"))


def test_the_page_goes_by_the_number_of_the_run(
    recognize: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    large(store, "hmdb51", each=1)
    assert recognize("report", 1).stdout.startswith("run-1.html: 0.1 MB, 51 classes, 0 of ")
    assert Path("run-1.html").is_file()


def test_a_method_that_uses_no_descriptor_says_so(
    recognize: Run, evaluated: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    evaluated("--method", "label")
    assert all(
        [text["kind"] for text in sample["texts"]] in ([], ["label"], ["label", "label"])
        for sample in as_data(recognize)["samples"]
    )
    shown = reported(recognize, tmp_path).sections["samples"]
    assert "The labels alone decided" in shown
    assert "is not known" not in shown
