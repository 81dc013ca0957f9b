"""recognize localize, through the command line: fakes for most of it, real clips and a real encoder once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from db.records import Action, Dataset
from descriptor_gen.llms.testing import FakeLLM
from encoders.testing import FakeEncoder, registered
from recognizer.evaluation.ranking import LABEL_ONLY
from recognizer.localize.localize import Timeline
from recognizer.localize.mean_ap import AnnotatedAction, Segment
from recognizer.localize.segments import Segmentation
from recognizer.localize.timeline import draw_timeline
from recognizer.video.long import LongVideo
from tests.fixtures.commands import Run
from tests.fixtures.films import COLOURS, make_film
from tests.fixtures.videos import replace_content


class ColourEncoder(FakeEncoder):
    """An encoder whose texts lie where the frames of their colours lie."""

    def encode_texts(self, texts: list[str]) -> Any:
        import torch

        vectors = super().encode_texts(texts) * 0.01
        for row, text in enumerate(texts):
            for name, colour in COLOURS.items():
                if name in text:
                    vectors[row, :3] = torch.tensor(colour, dtype=torch.float)
        return vectors


@pytest.fixture(autouse=True)
def encoder() -> Iterator[FakeEncoder]:
    """The encoder that every `--encoder fake` opens."""
    fake = ColourEncoder()
    with registered(fake, "fake"):
        yield fake


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """20 seconds: red at 3 to 6, green at 10 to 12, red again at 16 to 20."""
    parts = (("dark", 3), ("red", 3), ("dark", 4), ("green", 2), ("dark", 4), ("red", 4))
    return make_film(tmp_path / "film.mp4", *parts)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "lights.txt"
    path.write_text("red_light\ngreen_light\nblue_light\ndark_room\n")
    return path


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    actions = [("red light", 3, 6), ("Green_Light", 10, 14), ("red_light", 16, 20)]
    path = tmp_path / "gt.json"
    entry = {"subset": "test", "annotations": [{"label": a, "segment": [s, e]} for a, s, e in actions]}
    path.write_text(json.dumps({"database": {"film": entry, "gone": {"subset": "test", "annotations": []}}}))
    return path


PLAIN = ("--encoder", "fake", "--set", "smooth=0", "--top", "3")


def test_segments_are_shown_by_video_and_measured(
    recognize: Run, film: Path, labels: Path, annotations: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").touch()
    result = recognize(
        "localize", film, tmp_path / "broken.mp4", "--dataset", labels, "--annotations", annotations, *PLAIN
    )
    assert result.exit_code == 0, result.output
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[:2] == [
        "4 classes of lights, no descriptors: labels alone",
        "protocol default · encoder fake · 4 frames a second · scale softmax",
    ]
    assert lines[3].startswith(f"{film} · 0:20.00, the best 3 of ")
    assert lines[4].split() == ["from", "to", "class", "score", "overlap", "with", "annotated"]
    rows = sorted([line.split()[:4], float(line.split()[4]), line.split()[5]] for line in lines[5:8])
    assert [[row, overlap] for row, _, overlap in rows] == [
        [["0:03.00", "0:06.00", "red", "light"], "1.00"],
        [["0:10.00", "0:12.00", "green", "light"], "0.50"],
        [["0:16.00", "0:20.00", "red", "light"], "1.00"],
    ]
    assert all(0.9 < score <= 1 for _, score, _ in rows)
    assert f"{tmp_path}/broken.mp4" in lines
    assert "unreadable: empty file" in lines
    counts = "videos: 2 annotated, 1 searched, 0 truncated, 1 unreadable, 1 missing, 1 not annotated"
    measured = "measured on: videos 1, annotated actions 3, classes 2 of 4; segments of the other classes do not count"
    assert any(line.startswith(counts) for line in lines)
    assert measured in lines
    assert lines[-2:] == [
        "mAP % at overlap    0.3    0.4    0.5   0.6   0.7  mean",
        "label only        100.0  100.0  100.0  50.0  50.0  80.0",
    ]


def test_json_holds_everything(
    recognize: Run, descgen: Run, llm: FakeLLM, film: Path, labels: Path, annotations: Path
) -> None:
    descgen("build", "-d", labels, "-k", "situation", "-k", "decomposition")
    result = recognize("localize", film, "-d", "lights", "--annotations", annotations, *PLAIN, "--json", "--fps", "5")
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert output["dataset"] == "lights"
    assert output["counts"] == {
        "annotated": 2,
        "searched": 1,
        "truncated": 0,
        "unreadable": 0,
        "missing": 1,
        "not annotated": 0,
    }
    settings = output["settings"]
    assert (settings["encoder"], settings["fps"], settings["smooth"], settings["descriptors"]) == ("fake", 5.0, 0.0, 20)
    assert settings["kinds"] == ["decomposition", "situation"]
    assert [name for name, _ in settings["classes"]] == ["red_light", "green_light", "blue_light", "dark_room"]
    assert set(output["results"]) == {"label only", "label + descriptors"}
    assert output["results"]["label only"]["average_precision"] == {
        "red_light": [1.0] * 5, "green_light": [1.0, 1.0, 1.0, 0.0, 0.0],
    }  # fmt: skip
    [video] = output["videos"]
    assert (video["annotated_as"], video["seconds"]) == ("film", 20.0)
    best = {(s["class"], s["start"], s["end"]) for s in video["segments"]["label only"][:3]}
    assert best == {("red_light", 3.0, 6.0), ("green_light", 10.0, 12.0), ("red_light", 16.0, 20.0)}
    assert set(video["left_out"]) == {"label only", "label + descriptors"}


def test_situations_move_the_ends(recognize: Run, descgen: Run, labels: Path, tmp_path: Path) -> None:
    """Blue is seen a second before the red light, and as near to its label as red is."""
    table = tmp_path / "texts.csv"
    rows = [
        f"{light}_light,situation,{n},{text}" for light in ("red", "green") for n, text in enumerate(("green", "green"))
    ]
    table.write_text("action,kind,position,text\n" + "\n".join(rows) + "\n")
    only = tmp_path / "two.txt"
    only.write_text("red_light\ngreen_light\n")
    assert descgen("import", table, "-d", only).exit_code == 0
    film = make_film(tmp_path / "f.mp4", ("blue", 4), ("green", 1), ("red", 3), ("green", 1), ("blue", 4))
    result = recognize("localize", film, "-d", "two", *PLAIN, "--json")
    segments = json.loads(result.stdout)["videos"][0]["segments"]["label + descriptors"]
    red = next(segment for segment in segments if segment["class"] == "red_light")
    assert (red["start"], red["end"]) == (5.0, 8.0)


def test_classes_without_texts_are_refused_or_told(
    recognize: Run, descgen: Run, labels: Path, film: Path, tmp_path: Path
) -> None:
    """With `--partial`, a class without texts is found where its label alone finds it."""
    table = tmp_path / "texts.csv"
    table.write_text("action,kind,position,text\nred_light,context,0,a red lamp\n")
    assert descgen("import", table, "-d", labels).exit_code == 0
    refused = recognize("localize", film, "-d", "lights", *PLAIN)
    assert refused.exit_code == 1
    assert "score those classes by label alone: --partial" in " ".join(refused.stderr.split())
    told = "partial: 3 classes without context; a class without any descriptor is scored by its label alone"
    assert told in " ".join(recognize("localize", film, "-d", "lights", "--partial", *PLAIN).stdout.split())
    result = recognize("localize", film, "-d", "lights", "--partial", *PLAIN, "--json")
    segments = json.loads(result.stdout)["videos"][0]["segments"]
    green = {row: [(s["start"], s["end"]) for s in found if s["class"] == "green_light"][:1]
             for row, found in segments.items()}  # fmt: skip
    assert green == {"label only": [(10.0, 12.0)], "label + descriptors": [(10.0, 12.0)]}


def test_a_timeline_is_drawn_of_each_video(
    recognize: Run, film: Path, labels: Path, annotations: Path, tmp_path: Path
) -> None:
    other = make_film(tmp_path / "other.mp4", ("green", 3), ("dark", 3))
    folder = tmp_path / "new" / "pictures"
    result = recognize("localize", film, other, "-d", labels, "--annotations", annotations, *PLAIN, "--plot", folder)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in folder.iterdir()) == ["film.png", "other.png"]
    with Image.open(folder / "film.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape[1] == 1440
    for colour in ((250, 10, 10), (10, 250, 10)):  # the pictures of the film are in it
        assert (abs(pixels - colour).sum(axis=2) < 60).sum() > 1000
    annotated = (abs(pixels - 51).sum(axis=2) == 0).sum()  # bars of grey 0.2: 9 of 20 seconds, and in the legend
    with Image.open(folder / "other.png") as image:
        plain = np.asarray(image.convert("RGB")).astype(int)
    assert annotated > 4000 > 500 > (abs(plain - 51).sum(axis=2) == 0).sum()


def test_segments_of_one_class_that_overlap_lie_in_lanes(film: Path, tmp_path: Path) -> None:
    """Every segment is a bar from its start to its end, and no bar lies on another one."""
    import torch

    segments = [(0, 1.0, 9.0), (0, 2.0, 4.0), (0, 5.0, 8.0), (0, 3.0, 6.0), (1, 3.0, 6.0), (1, 6.0, 20.0)]
    scored = tuple(Segment(*segment, 1 - 0.1 * n) for n, segment in enumerate(segments))
    annotated = (AnnotatedAction(0, 1.5, 5.0), AnnotatedAction(0, 4.0, 7.0))
    rows = {LABEL_ONLY: Segmentation(scored, torch.zeros(80, 2), {})}
    timeline = Timeline(LongVideo(film, torch.zeros(80, 3), 4.0), rows, annotated)
    dataset = Dataset("lights", (Action(0, "red", "red"), Action(1, "green", "green")), "lights")
    draw_timeline(timeline, dataset, tmp_path / "lanes.svg", scale="softmax")
    picture = (tmp_path / "lanes.svg").read_text()
    paths = re.findall(r'<g id="PolyCollection[^"]*">.*?<path id="\w+" d="([^"]*)"', picture, re.DOTALL)
    bars = []
    for path in paths:
        x, y = zip(*[(float(a), float(b)) for a, b in re.findall(r"[ML] (\S+) (\S+)", path)], strict=True)
        bars.append((min(x), max(x), min(y), max(y)))
    left, second = min(bar[0] for bar in bars), (max(bar[1] for bar in bars) - min(bar[0] for bar in bars)) / 19
    times = sorted((round((bar[0] - left) / second + 1, 1), round((bar[1] - left) / second + 1, 1)) for bar in bars)
    assert times == sorted([(s[1], s[2]) for s in segments] + [(1.5, 5.0), (4.0, 7.0)])
    for one, other in combinations(bars, 2):
        assert one[1] <= other[0] + 0.01 or other[1] <= one[0] + 0.01 or one[3] < other[2] or other[3] < one[2]


def test_predictions_are_in_activitynets_form(recognize: Run, film: Path, labels: Path, tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    result = recognize("localize", film, "-d", labels, *PLAIN, "--predictions", path)
    assert result.exit_code == 0, result.output
    written = json.loads(path.read_text())
    assert written.keys() == {"version", "external_data", "results"}
    best = written["results"]["film"][:3]
    assert sorted((s["label"], *s["segment"]) for s in best) == [
        ("green_light", 10.0, 12.0), ("red_light", 3.0, 6.0), ("red_light", 16.0, 20.0),
    ]  # fmt: skip
    assert all(0.9 < segment["score"] <= 1 for segment in best)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--set", "smoth=1"], 2, "Unknown setting 'smoth'. Known, with their values: scale=softmax"),
        (["--fps", "0"], 2, "Invalid value for '--fps'"),
        (["--predictions", "nowhere/p.json"], 2, "There is no folder nowhere to write p.json to"),
        (["--subset", "train", "--annotations", "gt.json"], 1, "has no subset 'train'. It has: test"),
        (["--encoder", "nobody"], 2, "Unknown encoder 'nobody'"),
    ],
)
def test_wrong_use_is_refused(
    recognize: Run, film: Path, labels: Path, annotations: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(film.parent)
    result = recognize("localize", "film.mp4", "-d", "lights.txt", "--encoder", "fake", *arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_videos_that_cannot_be_told_apart_or_read_or_measured_are_refused(
    recognize: Run, film: Path, labels: Path, annotations: Path, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    twin = make_film(tmp_path / "b" / "film.mp4", ("red", 1))
    result = recognize("localize", film, twin, "-d", labels, *PLAIN)
    assert (result.exit_code, "Several videos are named film" in result.stderr) == (2, True)
    (tmp_path / "broken.mp4").touch()
    result = recognize("localize", tmp_path / "broken.mp4", "-d", labels, *PLAIN)
    assert (result.exit_code, "None of the videos can be read" in result.stderr) == (1, True)
    other = make_film(tmp_path / "other.mp4", ("red", 1))
    result = recognize("localize", other, "-d", labels, *PLAIN, "--annotations", annotations)
    assert (result.exit_code, "None of the videos is annotated in" in result.stderr) == (1, True)


def test_one_class_goes_by_time(recognize: Run, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", ("dark", 10), ("green", 2), ("dark", 8))
    one = tmp_path / "one.txt"
    one.write_text("green\n")
    result = recognize("localize", film, "-d", one, *PLAIN)
    assert (result.exit_code, "--set scale=time" in result.stderr) == (2, True)
    result = recognize("localize", film, "-d", one, *PLAIN, "--set", "scale=time", "--json")
    best = json.loads(result.stdout)["videos"][0]["segments"]["label only"][0]
    assert (best["start"], best["end"]) == (10.0, 12.0)


def concatenate(path: Path, clips: list[Path]) -> list[float]:
    """Write clips one after the other as one video of 25 frames a second; return where each begins, and the end."""
    starts, number = [], 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 320, 240, "yuv420p", 3_000_000
        for clip in clips:
            starts.append(number / 25)
            with av.open(str(clip), metadata_errors="replace") as source:
                for frame in source.decode(video=0):
                    picture = frame.reformat(width=320, height=240, format="yuv420p")
                    picture.pts, picture.time_base, number = number, Fraction(1, 25), number + 1
                    container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return [*starts, number / 25]


@pytest.mark.slow
def test_real_actions_are_found_in_a_video_of_real_clips(recognize: Run, shared: Path, tmp_path: Path) -> None:
    """A make-up lesson between a man on a yard and boxers, by the labels of five classes and the offline encoder."""
    clips = shared / "clips" / "ucf101" / "UCF-101"
    names = ("YoYo/v_YoYo_g01_c01.avi", "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", "Punch/v_Punch_g02_c01.avi")
    starts = concatenate(tmp_path / "long.mp4", [clips / name for name in names])
    labels = tmp_path / "five.txt"
    labels.write_text("ApplyEyeMakeup\nBaseballPitch\nPunch\nSoccerJuggling\nYoYo\n")
    folder = tmp_path / "thumos"
    folder.mkdir()
    for number, name in ((1, "ApplyEyeMakeup"), (2, "Punch")):
        (folder / f"{name}_test.txt").write_text(f"long {starts[number]} {starts[number + 1]}\n")
    result = recognize(
        "localize", tmp_path / "long.mp4", "-d", labels, "--encoder", "objects", "--fps", "2",
        "--annotations", folder, "--plot", tmp_path, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    output = json.loads(result.stdout)
    assert output["results"]["label only"]["mean_average_precision"][0] == 1.0
    assert output["videos"][0]["seconds"] == pytest.approx(starts[-1], abs=0.5)
    assert (tmp_path / "long.png").stat().st_size > 20_000


def test_a_second_search_decodes_and_encodes_nothing(
    recognize: Run, film: Path, labels: Path, encoder: FakeEncoder
) -> None:
    long = make_film(film.parent / "long.mp4", ("dark", 40), ("red", 30))
    one = recognize("localize", film, long, "-d", labels, *PLAIN, "--json")
    assert sum(encoder.frames) == 80 + 280
    kept = recognize("features", "list", "--json")
    assert [(shelf["what"], shelf["records"]) for shelf in json.loads(kept.stdout)] == [
        ("texts", 16), ("4 frames a second, own", 1 + 2),
    ]  # fmt: skip
    encoder.frames.clear()
    for video in (film, long):  # whoever decodes them now fails; size and time stay, so that nobody reads them
        replace_content(video, bytes(video.stat().st_size))
    other = recognize("localize", film, long, "-d", labels, *PLAIN, "--json")
    assert other.stdout == one.stdout
    assert encoder.frames == []


def test_stored_long_videos_are_verified_and_pruned(
    recognize: Run, film: Path, labels: Path, encoder: FakeEncoder, features: Path
) -> None:
    long = make_film(film.parent / "long.mp4", ("dark", 40), ("red", 30))
    one = recognize("localize", film, long, "-d", labels, *PLAIN, "--json").stdout
    [file] = [path for path in features.glob("*.f32") if path.stat().st_size == 3 * 256 * 32 * 4]
    with file.open("r+b") as opened:
        opened.seek(2 * 256 * 32 * 4)
        opened.write(b"rust")  # in the second record of the long one
    damaged = recognize("features", "verify")
    assert damaged.exit_code == 1
    assert str(long) in damaged.output
    encoder.frames.clear()
    assert recognize("localize", film, long, "-d", labels, *PLAIN, "--json").stdout == one
    assert sum(encoder.frames) == 280, "of the damaged one alone"
    assert recognize("features", "verify").exit_code == 0
    long.unlink()
    assert recognize("features", "prune", "--gone", "--yes").exit_code == 0
    assert [shelf["records"] for shelf in json.loads(recognize("features", "list", "--json").stdout)] == [16, 1]
    encoder.frames.clear()
    assert recognize("localize", film, "-d", labels, *PLAIN).exit_code == 0
    assert encoder.frames == []
