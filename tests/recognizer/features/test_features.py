"""The feature store, mostly through the commands: nothing is decoded or encoded twice, lost, or wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from descriptor_gen.llms.testing import FakeLLM
from encoders.testing import FakeEncoder, registered
from recognizer.datasets.find import Video
from recognizer.features import decode, engines
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.embed import embed_videos
from recognizer.features.store import FeatureStore
from recognizer.video.extracted import read_video
from recognizer.video.frames import Frames, read_frames
from recognizer.video.pool import Decoding
from recognizer.video.sampling import Sampling
from tests.fixtures.commands import Run
from tests.fixtures.light import run_without
from tests.fixtures.videos import make_video, replace_content

ROOT = Path(__file__).parents[3]
CLASSES = ("dark", "grey")
VIDEOS = 20  # batches of 8, 8 and 4, at 16 frames each
NOTHING = {
    "listed": VIDEOS,
    "stored before": VIDEOS,
    "embedded": 0,
    "truncated": 0,
    "unreadable": 0,
    "missing": 0,
    "beyond the limit": 0,
}


@pytest.fixture
def encoder() -> Iterator[FakeEncoder]:
    """The encoder that every `--encoder fake` opens."""
    fake = FakeEncoder()
    with registered(fake, "fake"):
        yield fake


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("made") / "clips"
    for number in range(VIDEOS):
        folder = root / CLASSES[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        make_video(folder / f"{number:02}.mp4", 3 + number)  # each of its own length, and so content
    return root


@pytest.fixture
def clips(_made: Path, tmp_path: Path) -> Path:
    """Twenty videos in two class folders."""
    return Path(shutil.copytree(_made, tmp_path / "clips"))


@pytest.fixture
def embed(recognize: Run, clips: Path, encoder: FakeEncoder) -> Callable[..., dict[str, Any]]:
    """Run `recognize embed` on the clips, and return its report."""

    def run(*arguments: object) -> dict[str, Any]:
        result = recognize("embed", "-d", clips, "--root", clips, "-e", "fake", "--json", *arguments)
        assert result.exit_code == 0, result.output
        report: dict[str, Any] = json.loads(result.stdout)
        return report

    return run


def verify(recognize: Run) -> list[dict[str, Any]]:
    result = recognize("features", "verify", "--json")
    assert result.exit_code == 0, result.output
    checks: list[dict[str, Any]] = json.loads(result.stdout)
    return checks


def shelves(recognize: Run) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(recognize("features", "list", "--json").stdout)
    return rows


def data_file(features: Path) -> Path:
    """The one shelf of frames."""
    with FeatureStore.open(features, create=False) as store:
        [row] = [row for row in store.shelves() if row.key["what"] == "frames"]
    return features / row.file


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0xFF
    path.write_bytes(data)


def outcome(run: dict[str, Any]) -> dict[str, Any]:
    """Return what a run says, without its number and times."""
    return {key: value for key, value in run.items() if key not in ("id", "seconds", "created_at")}


# --- nothing twice


def test_a_second_evaluation_decodes_and_encodes_nothing(
    descgen: Run, recognize: Run, llm: FakeLLM, clips: Path, encoder: FakeEncoder
) -> None:
    descgen("build", "-d", clips, "-k", "context", "-k", "description")
    evaluated = ("eval", "-d", "clips", "--root", clips, "-e", "fake", "--json")
    first = recognize(*evaluated, "-k", "context")
    assert first.exit_code == 0, first.output
    assert encoder.frames == [128, 128, 64]
    for clip in clips.rglob("*.mp4"):
        replace_content(clip, bytes(clip.stat().st_size))  # whoever decodes it now fails
    before = len(encoder.encoded)
    other = recognize(*evaluated, "-k", "description")
    assert other.exit_code == 0, other.output
    assert encoder.frames == [128, 128, 64]
    assert encoder.encoded[before:] == ["someone does it in the open while others look on"]
    assert recognize(*evaluated, "-k", "description").exit_code == 0
    assert recognize("predict", clips, "-d", "clips", "-e", "fake").exit_code == 0
    assert len(encoder.encoded) == len(set(encoder.encoded)) == before + 1
    again = json.loads(recognize(*evaluated, "-k", "context").stdout)
    assert outcome(again) == outcome(json.loads(first.stdout))


def test_embed_fills_the_store_alone(embed: Callable[..., dict[str, Any]], encoder: FakeEncoder) -> None:
    report = embed()
    assert report["counts"] == NOTHING | {"stored before": 0, "embedded": VIDEOS}
    assert embed("--limit", 5)["counts"] == NOTHING | {"stored before": 5, "beyond the limit": VIDEOS - 5}
    assert embed()["counts"] == NOTHING
    assert (encoder.frames, encoder.encoded) == ([128, 128, 64], [])


def test_embed_says_what_it_did(recognize: Run, clips: Path, encoder: FakeEncoder, features: Path) -> None:
    (clips / "grey" / "broken.mp4").touch()
    lines = recognize("embed", "-d", clips, "--root", clips, "-e", "fake", "--clips", 2).stdout.splitlines()
    assert lines[0].startswith("clips · encoder fake · ")
    assert lines[1:] == [
        "16 frames x 2 clips, own preprocessing · class folders",
        "videos: 21 listed, 20 embedded, 1 unreadable",
        "unreadable: grey/broken.mp4: empty file",
        f"stored in {features}",
    ]


@pytest.mark.parametrize(
    "arguments", [("--frames", 8), ("--clips", 2), ("--crops", 3), ("--protocol", "tear")], ids=lambda pair: pair[0]
)
def test_another_sampling_is_another_shelf(
    embed: Callable[..., dict[str, Any]], recognize: Run, arguments: tuple[str, object]
) -> None:
    embed("--limit", 4)
    assert embed("--limit", 4, *arguments)["counts"]["embedded"] == 4
    assert len(shelves(recognize)) == 2
    assert embed("--limit", 4)["counts"]["stored before"] == 4


def test_other_weights_are_another_shelf(
    embed: Callable[..., dict[str, Any]], encoder: FakeEncoder, recognize: Run
) -> None:
    embed("--limit", 1)
    encoder.revision = "2"
    assert embed("--limit", 1)["counts"]["embedded"] == 1
    assert [shelf["revision"] for shelf in shelves(recognize)] == ["1", "2"]


def test_a_moved_a_renamed_and_a_touched_video_are_not_decoded_again(
    embed: Callable[..., dict[str, Any]], clips: Path, encoder: FakeEncoder
) -> None:
    embed()
    (clips / "dark" / "00.mp4").rename(clips / "grey" / "moved.mp4")
    (clips / "dark" / "02.mp4").rename(clips / "dark" / "renamed.mp4")
    os.utime(clips / "dark" / "04.mp4", ns=(1, 1))
    assert embed()["counts"] == NOTHING
    assert sum(encoder.frames) == 16 * VIDEOS


def test_a_changed_video_is_embedded_again(
    embed: Callable[..., dict[str, Any]], clips: Path, encoder: FakeEncoder
) -> None:
    embed()
    shutil.copy(make_video(clips.parent / "new.mp4", 40), clips / "dark" / "00.mp4")
    assert embed()["counts"] == NOTHING | {"stored before": VIDEOS - 1, "embedded": 1}
    assert encoder.frames[3:] == [16]


def test_the_same_content_by_two_names_is_one_record(
    embed: Callable[..., dict[str, Any]], clips: Path, recognize: Run
) -> None:
    shutil.copy(clips / "dark" / "00.mp4", clips / "grey" / "copy.mp4")
    assert embed()["counts"]["listed"] == VIDEOS + 1
    assert shelves(recognize)[0]["records"] == VIDEOS
    assert embed()["counts"]["stored before"] == VIDEOS + 1


def test_folders_of_frames_are_recognised_by_the_images_that_are_read(
    recognize: Run, encoder: FakeEncoder, tmp_path: Path
) -> None:
    root = tmp_path / "frames"
    for take in ("a", "b"):
        (root / "red" / take).mkdir(parents=True)
        for number in range(9):
            image = np.full((8, 8, 3), number if take == "a" else 100 + number, np.uint8)
            Image.fromarray(image).save(root / "red" / take / f"{number}.png")
    os.utime(root / "red" / "a" / "1.png", ns=(1, 1))

    def embedded() -> int:
        arguments = ("-d", root, "--root", root, "-e", "fake", "--frames", 3, "--json")
        return int(json.loads(recognize("embed", *arguments).stdout)["counts"]["embedded"])

    assert embedded() == 2
    (root / "red" / "a").rename(root / "red" / "moved")
    Image.new("RGB", (8, 8)).save(root / "red" / "moved" / "0.png")  # not among the three
    assert embedded() == 0
    Image.new("RGB", (8, 8)).save(root / "red" / "moved" / "1.png")
    assert embedded() == 1
    (root / "red" / "b" / "8.png").unlink()  # others are looked at now
    assert embedded() == 1


def test_an_unreadable_video_is_not_tried_each_time(
    embed: Callable[..., dict[str, Any]], clips: Path, encoder: FakeEncoder
) -> None:
    video = make_video(clips.parent / "video.avi", 30)
    broken = clips / "dark" / "broken.avi"
    broken.write_bytes((b"no video\n" * video.stat().st_size)[: video.stat().st_size])
    first = embed()
    [(name, reason)] = first["unreadable"]
    assert (name, reason.partition(":")[0]) == ("dark/broken.avi", "not a video")
    assert embed("--retry")["unreadable"] == first["unreadable"]
    replace_content(broken, video.read_bytes())  # whoever tries it again can read it
    again = embed()
    assert again["counts"] == NOTHING | {"listed": VIDEOS + 1, "unreadable": 1}
    assert again["unreadable"] == [[name, f"{reason} (remembered from an earlier run; --retry reads it again)"]]
    assert embed("--retry")["counts"]["embedded"] == 1


def test_an_unreadable_video_is_tried_when_it_changes(embed: Callable[..., dict[str, Any]], clips: Path) -> None:
    broken = clips / "dark" / "broken.avi"
    broken.write_text("no video\n" * 40)
    assert embed()["counts"]["unreadable"] == 1
    shutil.copy(make_video(clips.parent / "whole.avi", 30), broken)
    assert embed()["counts"]["embedded"] == 1


def test_a_video_that_changes_while_it_is_read_is_not_stored(
    embed: Callable[..., dict[str, Any]], features: Path, clips: Path
) -> None:
    """The first video that is read grows while it is, and so does one that is read with it, or later."""
    growing = [clips / "dark" / "00.mp4", clips / "grey" / "19.mp4"]
    reading = threading.Lock()

    def read(path: Path, frames: int, *, allow_truncated: bool = False) -> Frames:
        with reading:
            for video in growing:
                with video.open("ab") as file:
                    file.write(b"more")
            growing.clear()
        return read_video(path, frames, allow_truncated=allow_truncated)

    videos = [Video(path.name, 0, path, ()) for path in sorted(clips.glob("*/*.mp4"))]
    with FeatureStore.open(features) as store:
        embedded = embed_videos(videos, CachingEncoder(FakeEncoder(), store, decoding=Decoding(0, read=read)))
    assert sorted(embedded.unreadable) == [(name, "changed while it was read") for name in ("00.mp4", "19.mp4")]
    assert embed()["counts"] == NOTHING | {"stored before": VIDEOS - 2, "embedded": 2}


def test_a_video_that_vanishes_is_counted(features: Path, clips: Path) -> None:
    lost = clips / "dark" / "00.mp4"
    lost.unlink()
    with FeatureStore.open(features) as store:
        embedded = embed_videos([Video("dark/00.mp4", 0, lost, ())], CachingEncoder(FakeEncoder(), store))
    assert embedded.unreadable == (("dark/00.mp4", "cannot be opened: No such file or directory"),)


# --- results


def test_views_come_side_by_side_and_their_scores_are_averaged(tmp_path: Path, features: Path) -> None:
    folder = tmp_path / "wide"
    folder.mkdir()
    for number in range(4):
        frame = np.full((6, 18, 3), 10 * number, np.uint8)
        frame[:, 12:] += 100
        Image.fromarray(frame).save(folder / f"{number}.png")
    videos = [Video("wide", 0, folder, ()), Video("again", 0, folder, ())]
    with FeatureStore.open(features) as store:
        embedded = embed_videos(videos, CachingEncoder(FakeEncoder(), store), sampling=Sampling(2, clips=2, crops=3))
    red = embedded.frames[:, :, 0].tolist()  # V * W rows
    first, second = [0.0, 20.0], [10.0, 30.0]
    views = [first, first, [100.0, 120.0], second, second, [110.0, 130.0]]
    assert red == views * 2
    assert embedded.frames.shape == (12, 2, 32)
    scores = torch.arange(24.0).reshape(12, 2)
    torch.testing.assert_close(embedded.over_views(scores), torch.tensor([[5.0, 6.0], [17.0, 18.0]]))


def test_features_are_what_the_encoder_gives_whatever_the_order(clips: Path, features: Path) -> None:
    paths = sorted(clips.rglob("*.mp4"))
    encoder = FakeEncoder()
    with FeatureStore.open(features) as store:
        stored = CachingEncoder(encoder, store)
        embed_videos([Video(path.name, 0, path, ()) for path in paths[:5]], stored)
        backwards = [Video(path.name, 0, path, ()) for path in reversed(paths)]
        embedded = embed_videos(backwards, stored)
    assert [video.id for video in embedded.videos] == [path.name for path in reversed(paths)]
    for row, path in zip(embedded.frames, reversed(paths), strict=True):
        torch.testing.assert_close(row, encoder.encode_frames(encoder.preprocess(read_frames(path, 16).pixels)))


def test_a_run_with_views_says_so(
    descgen: Run, recognize: Run, llm: FakeLLM, clips: Path, encoder: FakeEncoder
) -> None:
    descgen("build", "-d", clips, "-k", "context")
    arguments = ("-d", "clips", "--root", clips, "-e", "fake", "--frames", 4, "--clips", 2, "--crops", 3)
    result = recognize("eval", *arguments)
    assert result.exit_code == 0, result.output
    assert " · 4 frames x 2 clips x 3 crops · class folders" in result.stdout
    assert sum(encoder.frames) == VIDEOS * 4 * 2 * 3
    run = json.loads(recognize("runs", "1", "--json").stdout)
    assert (run["settings"]["clips"], run["settings"]["crops"], len(run["predictions"])) == (2, 3, VIDEOS)
    ranking = json.loads(
        recognize("predict", clips / "dark" / "00.mp4", *arguments[:2], *arguments[4:], "--json").stdout
    )
    [prediction] = [p for p in run["predictions"] if p["video"] == "dark/00.mp4"]
    scores = [candidate["score"] for candidate in ranking["rankings"][0]["candidates"]]
    assert scores == pytest.approx([score for _, score in prediction["ranking"]])


def test_a_text_is_encoded_once(features: Path) -> None:
    encoder = FakeEncoder()
    texts = [f"text {number}" for number in range(3000)]
    with FeatureStore.open(features) as store:
        stored = CachingEncoder(encoder, store)
        vectors = stored.encode_texts([*texts, "text 7"])
        assert stored.encode_texts([]).shape == (0, 32)
    assert len(encoder.encoded) == 3000
    torch.testing.assert_close(vectors[-1], vectors[7])
    with FeatureStore.open(features) as store:
        again = CachingEncoder(encoder, store)
        assert (again.width, again.context_length) == (32, 77)
        torch.testing.assert_close(again.encode_texts(texts[::-1]), vectors[:3000].flip(0))
        assert again.token_counts(["text 1", "a new one"]) == [4, 5]
    assert encoder.encoded[3000:] == ["a new one"]


def test_a_second_run_loads_no_weights(
    descgen: Run, recognize: Run, llm: FakeLLM, clips: Path, database: Path, tiny_clip_archive: Path
) -> None:
    descgen("build", "-d", clips, "-k", "context")
    arguments = [
        "--db",
        str(database),
        "eval",
        "-d",
        "clips",
        "--root",
        str(clips),
        "-e",
        str(tiny_clip_archive),
        "--trust-file",
    ]
    assert recognize(*arguments[2:]).exit_code == 0
    code = (
        f"import sys; from recognizer.cli import recognize; recognize({arguments!r}, standalone_mode=False); "
        "heavy = {'clip', 'decord', 'av', 'torchvision', 'transformers', 'timm'} & sys.modules.keys(); "
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == recognize("runs", "1").stdout.splitlines()[1:]


@pytest.mark.slow
def test_other_texts_for_real_clips_load_no_image_tower(recognize: Run, shared: Path, tmp_path: Path) -> None:
    clip = shared / "clips" / "ucf101" / "UCF-101" / "YoYo" / "v_YoYo_g01_c01.avi"
    first, second = tmp_path / "first.txt", tmp_path / "second.txt"
    first.write_text("playing with a yoyo\nswimming\n")
    second.write_text("playing with a toy\nriding a horse\n")
    arguments = ["predict", str(clip), "-e", "objects", "--json", "--labels"]
    assert recognize(*arguments, first).exit_code == 0
    code = (
        "import sys; from recognizer.cli import recognize; "
        f"recognize({[*arguments, str(second)]!r}, standalone_mode=False); "
        "heavy = {'decord', 'av', 'timm'} & sys.modules.keys(); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [ranking] = json.loads(done.stdout)["rankings"]
    assert [candidate["name"] for candidate in ranking["candidates"]] == ["playing with a toy", "riding a horse"]


# --- crashes


WORKER = """
import os, signal, sqlite3, sys
from functools import partial
from encoders.testing import FakeEncoder, registered

action, times = sys.argv[1], int(sys.argv[2])

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def wait():
    print("waiting", flush=True)
    sys.stdin.readline()

def count_down(call):
    global times
    times -= 1
    if not times:
        call()

class Encoder(FakeEncoder):
    def encode_frames(self, pixels):
        if action in ("encode", "wait"):
            count_down(die if action == "encode" else wait)
        return super().encode_frames(pixels)

class Connection(sqlite3.Connection):
    def executemany(self, statement, values):
        if action == "commit" and "INTO seen" in statement:  # the bytes are on the disk, and the index is about to
            count_down(die)                                  # name them
        return super().executemany(statement, values)

def fsync(file, real=os.fsync):
    if action == "sync":  # the bytes are written, perhaps not yet on the disk
        count_down(die)
    real(file)

os.fsync = fsync
sqlite3.connect = partial(sqlite3.connect, factory=Connection)

from recognizer.cli import recognize
with registered(Encoder(), "fake"):
    recognize(sys.argv[3:])
"""


def worker(action: str, times: int, clips: Path, database: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start a command with the fake encoder: `recognize embed`, if no other one is given."""
    command = [sys.executable, "-c", WORKER, action, str(times), "--db", str(database)]
    command += [*map(str, arguments or ("embed", "-d", clips, "--root", clips)), "-e", "fake"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize(("action", "times"), [("encode", 1), ("encode", 3), ("sync", 2), ("commit", 2)])
def test_killed_at_any_moment_only_the_batch_in_flight_is_redone(
    descgen: Run, recognize: Run, llm: FakeLLM, embed: Callable[..., dict[str, Any]],
    clips: Path, database: Path, encoder: FakeEncoder, features: Path, action: str, times: int,
) -> None:  # fmt: skip
    descgen("build", "-d", clips, "-k", "context")
    evaluated = ("eval", "-d", "clips", "--root", clips, "-e", "fake", "--json")
    whole = recognize(*evaluated, "--features", features.parent / "whole")
    encoder.frames.clear()
    process = worker(action, times, clips, database)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    kept = 8 * (times - 1)
    if kept:
        [check] = verify(recognize)
        assert (check["records"], check["damaged"]) == (kept, [])
        assert (check["unfinished"] > 0) == (action in ("sync", "commit"))
    assert embed()["counts"] == NOTHING | {"stored before": kept, "embedded": VIDEOS - kept}
    assert sum(encoder.frames) == 16 * (VIDEOS - kept)
    [check] = verify(recognize)
    assert (check["records"], check["damaged"], check["unfinished"]) == (VIDEOS, [], 0)
    assert outcome(json.loads(recognize(*evaluated).stdout)) == outcome(json.loads(whole.stdout))


@pytest.mark.parametrize(
    ("command", "number", "encoded", "kept"),
    [
        ("embed", signal.SIGINT, 2, 8),
        ("eval", signal.SIGTERM, 3, 16),
        ("predict", signal.SIGHUP, 1, 0),
        ("localize", signal.SIGINT, 4, 3),  # one long video at a time
    ],
)
def test_ctrl_c_says_what_is_kept(
    recognize: Run, clips: Path, database: Path, llm: FakeLLM, descgen: Run,
    command: str, number: signal.Signals, encoded: int, kept: int,
) -> None:  # fmt: skip
    """The command stands in the middle of a batch, of which nothing is stored, when the signal comes."""
    descgen("build", "-d", clips, "-k", "context")
    arguments = [command, *(("-d", "clips", clips) if command in ("predict", "localize") else ("-d", clips))]
    process = worker("wait", encoded, clips, database, *arguments)
    assert process.stdout
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    said = f"Stopped. The features of {kept} videos are kept; run the same command to continue"
    assert errors.splitlines()[-1] == said
    assert "Traceback" not in errors
    records = {shelf["what"]: shelf["records"] for shelf in shelves(recognize)}
    assert sum(count for what, count in records.items() if what != "texts") == kept


def test_once_all_is_stored_embed_loads_no_torch(recognize: Run, clips: Path) -> None:
    command = ["embed", str(clips), "-e", "tests.fixtures.mortal:make", "--json"]
    first = recognize(*command)
    assert json.loads(first.stdout)["counts"]["embedded"] == VIDEOS, first.output
    run_without(["torch"], "recognize", [command])


def test_two_processes_at_once_store_each_video_once(recognize: Run, clips: Path, database: Path) -> None:
    slow = worker("wait", 2, clips, database)
    assert slow.stdout is not None
    assert slow.stdout.readline() == "waiting\n"  # its first batch is stored, the second decoded
    fast = worker("none", 0, clips, database)
    output, errors = fast.communicate()
    assert fast.returncode == 0, errors
    assert f"videos: {VIDEOS} listed, 8 stored before, 12 embedded" in output
    _, errors = slow.communicate("go on\n")
    assert slow.returncode == 0, errors
    [shelf], [check] = shelves(recognize), verify(recognize)
    assert (shelf["records"], shelf["bytes"]) == (VIDEOS, VIDEOS * 16 * 32 * 4)
    assert (check["damaged"], check["unfinished"]) == ([], 0)


def test_processes_that_begin_together_do_not_fail(recognize: Run, clips: Path, database: Path) -> None:
    processes = [worker("none", 0, clips, database) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    [shelf] = shelves(recognize)
    assert (shelf["records"], shelf["bytes"]) == (VIDEOS, VIDEOS * 16 * 32 * 4)
    verify(recognize)


def test_a_torn_tail_is_reported_and_overwritten(
    embed: Callable[..., dict[str, Any]], recognize: Run, features: Path
) -> None:
    embed("--limit", 10)
    with data_file(features).open("ab") as file:
        file.write(b"\x7f" * 5000)
    [check] = verify(recognize)
    assert (check["records"], check["unfinished"]) == (10, 5000)
    assert embed()["counts"]["embedded"] == VIDEOS - 10
    [check] = verify(recognize)
    assert (check["records"], check["damaged"], check["unfinished"]) == (VIDEOS, [], 0)


def test_a_broken_byte_is_reported_and_its_record_remade(
    descgen: Run, recognize: Run, llm: FakeLLM, clips: Path, encoder: FakeEncoder, features: Path
) -> None:
    descgen("build", "-d", clips, "-k", "context")
    evaluated = ("eval", "-d", "clips", "--root", clips, "-e", "fake", "--json")
    whole = recognize(*evaluated)
    flip(data_file(features), 3 * 16 * 32 * 4 + 1)  # in the fourth video
    result = recognize("features", "verify")
    assert result.exit_code == 1
    assert f"damaged: {data_file(features).name}: {clips / 'dark' / '06.mp4'}" in result.stdout
    assert "1 records are damaged and not used" in result.stderr
    assert "recognize features prune --damaged" in result.stderr
    [texts] = [features / s["file"] for s in shelves(recognize) if s["what"] == "texts"]
    flip(texts, 0)
    before = len(encoder.encoded)
    assert outcome(json.loads(recognize(*evaluated).stdout)) == outcome(json.loads(whole.stdout))
    assert encoder.frames[3:] == [16]
    assert len(encoder.encoded) == before + 1
    verify(recognize)


@pytest.mark.parametrize("kept", [None, 5 * 16 * 32 * 4 + 7])
def test_the_records_of_a_lost_or_cut_file_are_remade(
    embed: Callable[..., dict[str, Any]], recognize: Run, features: Path, kept: int | None
) -> None:
    embed()
    file = data_file(features)
    if kept is None:
        file.unlink()
    else:
        os.truncate(file, kept)
    assert recognize("features", "verify").exit_code == 1
    left = 0 if kept is None else 5
    assert embed()["counts"] == NOTHING | {"stored before": left, "embedded": VIDEOS - left}
    verify(recognize)


def test_a_missing_damaged_or_newer_store_is_refused(
    recognize: Run, clips: Path, encoder: FakeEncoder, features: Path
) -> None:
    embedding = ("embed", "-d", clips, "--root", clips, "-e", "fake")
    for command in ("list", "verify", "prune"):
        none = recognize("features", command)
        assert none.exit_code == 1
        assert f"No features in {features} yet. Compute some with: recognize embed" in none.stderr
    features.mkdir()
    (features / "index.db").write_bytes(b"this is no database" * 100)
    broken = recognize(*embedding)
    assert broken.exit_code == 1
    assert f"The index of the feature store in {features} is damaged" in broken.stderr
    (features / "index.db").unlink()
    with sqlite3.connect(features / "index.db") as connection:
        connection.execute("PRAGMA user_version=99")
    newer = recognize(*embedding)
    assert "was written by a newer version. Run: pip install --upgrade" in newer.stderr
    assert "Traceback" not in newer.output


def test_another_width_under_one_revision_is_refused(
    embed: Callable[..., dict[str, Any]], recognize: Run, clips: Path, encoder: FakeEncoder
) -> None:
    embed("--limit", 3)
    encoder.width = 48
    refused = recognize("embed", "-d", clips, "--root", clips, "-e", "fake")
    assert refused.exit_code == 1
    assert (
        "under the same revision 1. Drop the old ones with: recognize features prune --encoder fake" in refused.stderr
    )


# --- maintenance


def test_list_shows_each_shelf(
    descgen: Run, recognize: Run, llm: FakeLLM, clips: Path, encoder: FakeEncoder, features: Path
) -> None:
    descgen("build", "-d", clips, "-k", "context")
    (clips / "grey" / "broken.mp4").touch()
    recognize("eval", "-d", "clips", "--root", clips, "-e", "fake", "--clips", 2)
    rows = shelves(recognize)
    assert [(row["what"], row["records"], row["unreadable"], row["bytes"]) for row in rows] == [
        ("texts", len(encoder.encoded), 0, len(encoder.encoded) * 32 * 4),
        ("16 frames x 2 clips, own", VIDEOS, 1, VIDEOS * 2 * 16 * 32 * 4),
    ]
    shown = recognize("features", "list").stdout.splitlines()
    assert shown[0].split() == ["encoder", "revision", "what", "records", "unreadable", "size", "last", "used"]
    assert shown[2].split()[:12] == ["fake", "1", "16", "frames", "x", "2", "clips,", "own", "20", "1", "81.9", "kB"]
    assert shown[-1].endswith(f" in {features}")


def test_the_folder_may_be_moved(embed: Callable[..., dict[str, Any]], features: Path, recognize: Run) -> None:
    embed()
    elsewhere = features.rename(features.parent / "elsewhere")
    assert embed("--features", elsewhere)["counts"] == NOTHING
    assert recognize("features", "list").exit_code == 1


def test_prune_drops_an_encoder(
    embed: Callable[..., dict[str, Any]], encoder: FakeEncoder, recognize: Run, features: Path
) -> None:
    embed("--limit", 2)
    encoder.id = "other"
    embed("--limit", 3)
    for name, said in (
        ("nobody", "No features of encoder 'nobody'. Stored are those of: fake, other"),
        ("othre", "No features of encoder 'othre'. Did you mean other? Stored are those of: fake, other"),
    ):
        unknown = recognize("features", "prune", "-e", name)
        assert (unknown.exit_code, said in unknown.stderr) == (2, True), unknown.output
    assert recognize("features", "prune").exit_code == 2
    dry = recognize("features", "prune", "-e", "fake", "--dry-run", "--json")
    assert [(cut["whole"], len(cut["keys"]), cut["bytes"]) for cut in json.loads(dry.stdout)] == [(True, 2, 4096)]
    assert recognize("features", "prune", "-e", "fake").exit_code == 1  # asked, and nobody answered
    assert len(shelves(recognize)) == len(list(features.glob("*.f32"))) == 2
    assert recognize("features", "prune", "-e", "fake", "--yes").exit_code == 0
    assert [row["encoder"] for row in shelves(recognize)] == ["other"]
    assert len(list(features.glob("*.f32"))) == 1
    assert embed("--limit", 3)["counts"]["stored before"] == 3


def test_prune_drops_shelves_not_used_for_long(
    embed: Callable[..., dict[str, Any]], recognize: Run, features: Path
) -> None:
    embed("--limit", 2)
    embed("--limit", 2, "--frames", 4)
    with sqlite3.connect(features / "index.db") as connection:
        connection.execute("UPDATE shelf SET used_at = '2020-01-01'")
    connection.close()
    embed("--limit", 2, "--frames", 4)  # used again
    assert recognize("features", "prune", "--unused", 30, "--yes").exit_code == 0
    assert [row["what"] for row in shelves(recognize)] == ["4 frames, own"]
    assert recognize("features", "prune", "--unused", 30).stdout == "Nothing to delete\n"


def test_prune_drops_videos_that_are_gone_and_keeps_the_others_as_they_are(
    embed: Callable[..., dict[str, Any]], recognize: Run, clips: Path, encoder: FakeEncoder, features: Path
) -> None:
    embed()
    old = data_file(features)
    values = np.fromfile(old, "<f4").reshape(VIDEOS, -1)
    for name in ("dark/00.mp4", "grey/03.mp4", "grey/19.mp4"):
        (clips / name).unlink()
    (clips / "dark" / "02.mp4").rename(clips / "dark" / "moved.mp4")
    embed()  # the moved one is known by its new name
    assert recognize("features", "prune", "--gone", "--yes").exit_code == 0
    [shelf] = shelves(recognize)
    assert (shelf["records"], shelf["bytes"]) == (VIDEOS - 3, (VIDEOS - 3) * 16 * 32 * 4)
    assert not old.exists()
    left = [row for row in range(VIDEOS) if row not in (0, 11, 19)]  # in the order dark/00, 02, .. grey/01, 03, ..
    assert (np.fromfile(data_file(features), "<f4").reshape(VIDEOS - 3, -1) == values[left]).all()
    verify(recognize)
    assert embed()["counts"] == NOTHING | {"listed": VIDEOS - 3, "stored before": VIDEOS - 3}
    shutil.copy(make_video(clips.parent / "new.mp4", 50), clips / "dark" / "new.mp4")
    assert embed()["counts"]["embedded"] == 1
    verify(recognize)
    assert sum(encoder.frames) == 16 * (VIDEOS + 1)


def test_prune_drops_damaged_records(embed: Callable[..., dict[str, Any]], recognize: Run, features: Path) -> None:
    embed()
    flip(data_file(features), 0)
    os.truncate(data_file(features), (VIDEOS - 1) * 16 * 32 * 4 + 9)
    assert recognize("features", "prune", "--damaged", "--yes").exit_code == 0
    [check] = verify(recognize)
    assert check["records"] == VIDEOS - 2
    assert embed()["counts"]["embedded"] == 2


@pytest.mark.parametrize("asked", [0, 1, 4, 5, 6, 10])
def test_however_many_records_are_asked_for_they_are_the_right_ones(
    features: Path, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recognizer.features.store._LOOKED_UP", 3)  # fewer are always looked up one by one
    texts = [f"text {number}" for number in range(10)]
    with FeatureStore.open(features) as store:
        encoder = CachingEncoder(FakeEncoder(), store)
        encoder.encode_texts(texts)
        [row] = store.shelves()
        every = store.entries(row)
        keys = sorted(every)[:asked]
        assert store.entries(row, [*keys, "no such key"]) == {key: every[key] for key in keys}
        assert torch.equal(
            encoder.encode_texts(texts[asked - 1 :: -1]), FakeEncoder().encode_texts(texts[asked - 1 :: -1])
        )


class LoadsSlowly(FakeEncoder):
    """An encoder that is not loaded before more videos were read than there are threads."""

    def __init__(self) -> None:
        super().__init__()
        self.many_were_read = threading.Event()

    def preprocess(self, frames: Any, *, preprocessing: str = "own") -> Any:
        assert self.many_were_read.wait(120), "reading stood still"
        return super().preprocess(frames, preprocessing=preprocessing)


def embedded_while_loading(clips: Path, monkeypatch: pytest.MonkeyPatch, *, bytes_ahead: int) -> torch.Tensor:
    encoder, asked = LoadsSlowly(), list[str]()

    def is_stored(key: str) -> bool:
        asked.append(key)
        if len(asked) > decode.THREADS or not bytes_ahead:
            encoder.many_were_read.set()
        return False

    monkeypatch.setattr(engines, "_BYTES_AHEAD", bytes_ahead)
    pending = [decode.locate(Video(path.name, 0, path, ()), Sampling(8)) for path in sorted(clips.glob("*/*.mp4"))]
    work = engines.Work(encoder, Sampling(8), is_stored=is_stored)
    with closing(engines.on_this_machine(engines.batches_of(pending, work), work)) as batches:
        videos = [video for batch in batches for video in batch]
    assert [video.path for video in videos] == [video.path for video in pending]
    assert all(video.frames is None and video.pixels is None for video in videos)
    return torch.from_numpy(np.concatenate([video.vectors for video in videos if video.vectors is not None]))


def test_videos_are_read_on_while_the_encoder_loads(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "THREADS", 4)
    monkeypatch.setattr(engines, "THREADS", 4)
    small = embedded_while_loading(clips, monkeypatch, bytes_ahead=2**28)
    assert len(small) == VIDEOS
    large = embedded_while_loading(clips, monkeypatch, bytes_ahead=0)  # none waits for the encoder with its frames
    assert torch.equal(small, large)
