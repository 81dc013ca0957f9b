"""`recognize features export --to fiftyone`: the file is read as FiftyOne 1.22.1 reads it, without its package.

As in its sources: `Dataset.from_dict` of fiftyone/core/dataset.py, `deserialize_numpy_array` of fiftyone/core/utils.py.
"""

from __future__ import annotations

import base64
import io
import json
import re
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from encoders.testing import FakeEncoder
from tests.fixtures.colours import COLOURS, balls, described, encoder
from tests.fixtures.commands import Run
from tests.fixtures.films import COLOURS as FILM_COLOURS
from tests.fixtures.films import make_film

__all__ = ["balls", "described", "encoder"]  # fixtures

DOCUMENT = Path(__file__).parents[3] / "docs" / "features.md"
IDS = [f"{name}/{take}" for name in sorted(COLOURS) for take in "ab"]


def exported(recognize: Run, root: Path, file: Path, *options: object) -> dict[str, Any]:
    """Export the balls; return the report."""
    asked = (
        "features",
        "export",
        "-d",
        "balls",
        "--root",
        root,
        "-e",
        "fake",
        "--to",
        "fiftyone",
        "-o",
        file,
        "--frames",
        3,
    )
    result = recognize(*asked, *options, "--json")
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def vector(sample: dict[str, Any]) -> Any:
    binary = sample["embedding"]["$binary"]
    assert binary["subType"] == "00"
    return np.load(io.BytesIO(zlib.decompress(base64.b64decode(binary["base64"], validate=True))), allow_pickle=False)


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_folders_of_images_are_shown_by_their_middle_image(recognize: Run, described: Path, tmp_path: Path) -> None:
    report = exported(recognize, described, tmp_path / "balls.json")
    assert report["shape"] == [6, 1, 3, 32]
    assert [video for video, _ in report["unreadable"]] == ["red_ball/broken.mp4"]
    written = json.loads((tmp_path / "balls.json").read_text())
    samples = written["samples"]
    assert (written["name"], written["media_type"]) == ("balls", "image")
    assert [sample["video"] for sample in samples] == IDS
    assert [sample["filepath"] for sample in samples] == [f"{video}/frame_2.png" for video in IDS]
    assert all((Path(report["rel_dir"]) / sample["filepath"]).is_file() for sample in samples)
    assert {sample["_media_type"] for sample in samples} == {"image"}
    labels = [video.partition("/")[0] for video in IDS]
    assert [s["ground_truth"] for s in samples] == [{"_cls": "Classification", "label": label} for label in labels]
    vectors = np.stack([vector(sample) for sample in samples])
    assert (vectors.shape, vectors.dtype) == ((6, 32), np.float32)
    expected = [COLOURS[label] for label in labels]  # the fake encoder gives the mean colour
    np.testing.assert_allclose(vectors[:, :3], expected, atol=1)


def test_the_fields_are_declared_and_the_facts_of_other_formats_are_in_info(
    recognize: Run, described: Path, tmp_path: Path
) -> None:
    exported(recognize, described, tmp_path / "balls.json")
    text = (tmp_path / "balls.json").read_text()
    written = json.loads(text)
    assert written["sample_fields"] == {
        "video": "fiftyone.core.fields.StringField",
        "ground_truth": "fiftyone.core.fields.EmbeddedDocumentField(fiftyone.core.labels.Classification)",
        "embedding": "fiftyone.core.fields.VectorField",
    }
    info = written["info"]
    assert (info["dataset"], info["encoder"], info["revision"], info["what"]) == ("balls", "fake", "1", "frames")
    assert (info["sampling"]["frames"], info["precision"]) == (3, "float32")
    assert set(info) == {"dataset", "encoder", "revision", "what", "sampling", "precision", "versions"}
    assert str(tmp_path) not in text


def test_a_vector_is_the_mean_over_views_and_frames(recognize: Run, described: Path, tmp_path: Path) -> None:
    """A film is red, then dark. Of its three segments, one clip sees red in the middle one, and the other dark."""
    (tmp_path / "film" / "red_ball").mkdir(parents=True)
    make_film(tmp_path / "film" / "red_ball" / "a.mp4", ("red", 0.5), ("dark", 0.5))
    exported(recognize, tmp_path / "film", tmp_path / "film.json", "--clips", 2)
    [sample] = json.loads((tmp_path / "film.json").read_text())["samples"]
    half = (np.array(FILM_COLOURS["red"]) + FILM_COLOURS["dark"]) / 2
    np.testing.assert_allclose(vector(sample)[:3], half, atol=4)  # a third of the difference is 70


@pytest.fixture
def films(described: Path) -> Path:
    """Two films in class folders."""
    root = described.parent / "films"
    for name in ("red_ball/a.mp4", "blue_ball/b.avi"):
        (root / name).parent.mkdir(parents=True)
        make_film(root / name, (name.split("_")[0], 1))
    return root


def test_video_files_are_shown_themselves_and_paths_begin_in_the_root(
    recognize: Run, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    report = exported(recognize, Path("films"), Path("films.json"))
    written = json.loads(Path("films.json").read_text())
    assert written["media_type"] == "video"
    assert [sample["filepath"] for sample in written["samples"]] == ["blue_ball/b.avi", "red_ball/a.mp4"]
    assert {sample["_media_type"] for sample in written["samples"]} == {"video"}
    assert report["rel_dir"] == str(films)
    one = exported(recognize, Path("films"), Path("one.json"), "--limit", 1)
    [sample] = json.loads(Path("one.json").read_text())["samples"]
    assert (one["rel_dir"], sample["filepath"], one["beyond_the_limit"]) == (str(films), "blue_ball/b.avi", 1)


def test_several_labels_of_videos_that_a_list_names_with_absolute_paths(
    recognize: Run, films: Path, described: Path, tmp_path: Path
) -> None:
    rows = (f"{films / 'red_ball' / 'a.mp4'},red_ball;blue_ball", f"{films / 'blue_ball' / 'b.avi'},(none of these)",
            f"{films / 'gone.mp4'},red_ball")  # fmt: skip
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "all.csv").write_text("\n".join(["path,labels", *rows]))
    report = exported(recognize, tmp_path / "lists" / "all.csv", tmp_path / "films.json")
    assert (report["missing"], report["rel_dir"]) == (1, str(films))
    text = (tmp_path / "films.json").read_text()
    written = json.loads(text)
    assert written["sample_fields"]["ground_truth"].endswith(
        "EmbeddedDocumentField(fiftyone.core.labels.Classifications)"
    )
    truth = {sample["filepath"]: sample["ground_truth"] for sample in written["samples"]}
    assert {path: value["_cls"] for path, value in truth.items()} == dict.fromkeys(truth, "Classifications")
    labels = {path: sorted(c["label"] for c in value["classifications"]) for path, value in truth.items()}
    assert labels == {"blue_ball/b.avi": ["(none of these)"], "red_ball/a.mp4": ["blue_ball", "red_ball"]}
    assert {c["_cls"] for value in truth.values() for c in value["classifications"]} == {"Classification"}
    assert str(tmp_path) not in text


def test_files_and_folders_in_one_list_are_refused_and_the_old_file_stays(
    recognize: Run, described: Path, tmp_path: Path
) -> None:
    make_film(described / "red_ball" / "c.mp4", ("red", 1))
    (tmp_path / "balls.json").write_text("old")
    asked = ("features", "export", "-d", "balls", "--root", described, "-e", "fake", "--frames", 3)
    result = recognize(*asked, "--to", "fiftyone", "-o", tmp_path / "balls.json")
    assert result.exit_code == 1
    assert "6 of 7 videos are folders of images and the others files" in one_line(result.output)
    assert ".csv file of its own" in one_line(result.output)
    assert (tmp_path / "balls.json").read_text() == "old"
    assert not list(tmp_path.glob(".*.part"))


def test_another_suffix_is_refused_before_the_work(
    recognize: Run, described: Path, tmp_path: Path, encoder: FakeEncoder
) -> None:
    asked = ("features", "export", "-d", "balls", "--root", described, "-e", "fake")
    result = recognize(*asked, "--to", "fiftyone", "-o", tmp_path / "balls.fiftyone")
    assert result.exit_code == 2
    assert "balls.fiftyone ends in .fiftyone. Known: .json" in one_line(result.output)
    assert encoder.frames == []


def test_what_is_printed_and_what_is_documented_open_the_file(
    recognize: Run, described: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ("features", "export", "-d", "balls", "--root", "balls", "-e", "fake", "--frames", 3)
    shown = recognize(*asked, "--to", "fiftyone", "-o", "features.json")
    assert shown.exit_code == 0, shown.output
    opened: list[tuple[str, str]] = []
    fiftyone = SimpleNamespace(Dataset=SimpleNamespace(from_json=lambda path, rel_dir: opened.append((path, rel_dir))))
    printed = re.search(r"openitwith:(fiftyone\.Dataset.*\))", "".join(shown.stdout.split()))  # long paths are wrapped
    lines = re.search(r"^import fiftyone as fo\n\n(dataset = .*)$", DOCUMENT.read_text(), re.MULTILINE)
    assert printed
    assert lines
    exec(printed[1], {"fiftyone": fiftyone})  # noqa: S102 - our own output
    exec(lines[1], {"fo": fiftyone})  # noqa: S102 - our own document
    assert opened == [("features.json", str(described)), ("features.json", "videos")]
