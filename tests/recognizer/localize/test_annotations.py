"""Annotations in the forms of ActivityNet and THUMOS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from db.errors import UserError
from db.vocabulary import load
from recognizer.localize.annotations import read_annotations
from recognizer.localize.mean_ap import AnnotatedAction

THUMOS = load("thumos14")
PITCH, SHOT = 0, 6


def as_json(path: Path, database: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"version": "1", "database": database}))
    return path


def entry(subset: str, *actions: tuple[str, float, float]) -> dict[str, Any]:
    return {
        "subset": subset,
        "duration": 60.0,
        "annotations": [{"label": label, "segment": [start, end]} for label, start, end in actions],
    }


def as_text(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.txt").write_text(content)
    return folder


def test_activitynet_json(tmp_path: Path) -> None:
    path = as_json(
        tmp_path / "gt.json",
        {
            "a": entry("Test", ("baseball pitch", 1.5, 3), ("Ambiguous", 4, 5)),
            "b": entry("Test"),
            "c": entry("Validation", ("CricketShot", 0, 1)),
        },
    )
    annotated = read_annotations(path, THUMOS, subset="test")
    assert annotated.videos == {"a": (AnnotatedAction(PITCH, 1.5, 3.0), AnnotatedAction(None, 4.0, 5.0)), "b": ()}
    assert annotated.source == f"{path}, subset Test"
    assert annotated.id_of(Path("videos/v_a.mp4")) == "a"
    assert annotated.id_of(Path("b.mkv")) == "b"
    assert annotated.id_of(Path("c.mp4")) is None


def test_videos_at_the_top_of_the_json(tmp_path: Path) -> None:
    """As in the files of mmaction2: no key database, no subsets, ids with ActivityNet's `v_`."""
    path = tmp_path / "anet_anno_val.json"
    videos = {"v_a": entry("test", ("HighJump", 1, 3)), "v_b": entry("test")}
    for video in videos.values():
        del video["subset"]
    path.write_text(json.dumps(videos))
    annotated = read_annotations(path, THUMOS)
    assert annotated.videos == {"v_a": (AnnotatedAction(11, 1.0, 3.0),), "v_b": ()}
    assert annotated.source == str(path)
    assert [annotated.id_of(Path(name)) for name in ("v_a.mp4", "a.mp4", "c.mp4")] == ["v_a", "v_a", None]
    with pytest.raises(UserError, match=r"no subset 'test'\. Its videos have no subsets: leave --subset out"):
        read_annotations(path, THUMOS, subset="test")
    path.write_text(json.dumps({"video_test_0000001": entry("test", ("HighJump", 1, 3)), "w": entry("val")}))
    assert read_annotations(path, THUMOS, subset="test").videos == {"video_test_0000001": (AnnotatedAction(11, 1, 3),)}


def test_thumos_text_files(tmp_path: Path) -> None:
    folder = as_text(
        tmp_path / "annotation",
        BaseballPitch_test="video_test_0000324  0.8 3.1\nvideo_test_0000324 \t9 12.5\n\n",
        CricketShot_test="video_test_0000324  20.0  21.0\nvideo_test_0000004 1 2\n",
        Ambiguous_test="video_test_0001292 5.0 6.0\n",
        detclasslist="7 BaseballPitch\n",
    )
    (folder / "._CricketShot_test.txt").write_bytes(b"\x00\x05\x16\x07")
    annotated = read_annotations(folder, THUMOS)
    assert annotated.videos == {
        "video_test_0000324": (
            AnnotatedAction(PITCH, 0.8, 3.1),
            AnnotatedAction(PITCH, 9.0, 12.5),
            AnnotatedAction(SHOT, 20.0, 21.0),
        ),
        "video_test_0000004": (AnnotatedAction(SHOT, 1.0, 2.0),),
        "video_test_0001292": (AnnotatedAction(None, 5.0, 6.0),),
    }
    one = read_annotations(folder / "CricketShot_test.txt", THUMOS)
    assert set(one.videos) == {"video_test_0000324", "video_test_0000004"}


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ({}, "has no annotated videos"),
        ({"a": entry("test"), "b": entry("val")}, "several subsets: test, val. Choose one with --subset"),
        ({"a": entry("test", ("Juggling", 0, 1), ("Fencing", 0, 1))}, "2 labels in .* of thumos14: Fencing, Juggling"),
        ({"a": {"subset": "test", "annotations": [{"label": "Diving"}]}}, "gt.json: a: an action has a video"),
        ({"a": {"subset": "test", "annotations": [{"label": "Diving", "segment": [1]}]}}, "gt.json: a: an action"),
        ({"a": []}, "gt.json: a: an action"),
        ({"a": {"subset": "test", "actions": [[0, 1.0, 3.0]]}}, "gt.json: a: an action"),
        ({"a": {"subset": "test", "annotations": []}, "b": {"annotations": []}}, "gt.json: b: an action"),
        ({"a": entry("test", ("Diving", 0, float("nan")))}, "gt.json is not a JSON file: NaN is no number of JSON"),
        (
            {"a": entry("test", *((f"X{i}", 0, 1) for i in range(300)))},
            "300 labels in .*: X0, X1, X10, X100, X101 and 295",
        ),
        ([], "not a JSON file of annotations, like ActivityNet's"),
    ],
)
def test_malformed_json_is_refused(tmp_path: Path, database: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_annotations(as_json(tmp_path / "gt.json", database), THUMOS)


def test_malformed_text_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"files named <Class>_test\.txt"):
        read_annotations(as_text(tmp_path / "a", readme="hello"), THUMOS)
    with pytest.raises(UserError, match=r"Diving_val\.txt, line 2: an action has"):
        read_annotations(as_text(tmp_path / "b", Diving_val="v 0 1\nv zero one\n"), THUMOS)
    both = as_text(tmp_path / "c", Diving_val="v 0 1\n", Diving_test="w 0 1\n")
    with pytest.raises(UserError, match=r"no subset 'train'\. It has: test, val"):
        read_annotations(both, THUMOS, subset="train")
    assert set(read_annotations(both, THUMOS, subset="val").videos) == {"v"}
    (tmp_path / "gt.json").write_text("no json")
    with pytest.raises(UserError, match="not a JSON file"):
        read_annotations(tmp_path / "gt.json", THUMOS)
    (tmp_path / "gt.json").write_text('{"version": "1.3", "taxonomy": []}')
    with pytest.raises(UserError, match=r"not a JSON file of annotations, like .* [(]videos at the top[)]"):
        read_annotations(tmp_path / "gt.json", THUMOS)
    (tmp_path / "gt.json").write_text('{"database": {"a": {"annotations": []}, "a": {"annotations": []}}}')
    with pytest.raises(UserError, match="holds these names twice: a"):
        read_annotations(tmp_path / "gt.json", THUMOS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"video_1 nan 3.5\n", "Diving_test.txt, line 1: an action has a video"),
        (b"video_1 1.0 inf\n", "Diving_test.txt, line 1: an action has a video"),
        (b"video_\xff 1.0 2.0\n", r"Diving_test.txt is not a text file in UTF-8 \(byte 6\)"),
    ],
)
def test_text_that_is_no_time_or_no_text_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (file := tmp_path / "Diving_test.txt").write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_annotations(file, THUMOS)


def test_annotations_of_1_gib_are_not_read(tmp_path: Path) -> None:
    with (file := tmp_path / "gt.json").open("wb") as written:
        written.truncate(2**30)
    with pytest.raises(UserError, match=r"gt.json is larger than 128 MiB, the most that is read"):
        read_annotations(file, THUMOS)
