"""Videos that cannot be read: what is remembered, what `--retry` and `--allow-truncated` do in every command."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from db.errors import UserError
from descriptor_gen.llms.testing import FakeLLM
from encoders.testing import FakeEncoder, registered
from recognizer import Recognizer
from recognizer.datasets.find import Video
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.decode import decode, locate
from recognizer.features.embed import embed_videos
from recognizer.features.store import FeatureStore
from recognizer.video.container import InaccessibleVideo, os_errors_as_unreadable
from recognizer.video.frames import read_frames
from recognizer.video.pool import Decoding, Pool
from recognizer.video.sampling import Sampling
from tests.fixtures import decoders
from tests.fixtures.commands import Run
from tests.fixtures.videos import make_images, make_video, replace_content

REMEMBERED = " (remembered from an earlier run; --retry reads it again)"
HINT = "; --allow-truncated reads what is there"
Report = dict[str, Any]


@pytest.fixture(autouse=True)
def encoder() -> Iterator[FakeEncoder]:
    """The encoder that every `--encoder fake` opens."""
    fake = FakeEncoder()
    with registered(fake, "fake"):
        yield fake


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of one whole video each, and one that breaks off in the first."""
    monkeypatch.setenv("RECOGNIZE_CHECKS", str(tmp_path / "checks"))
    for name, count in (("jump", 40), ("run", 45)):
        (tmp_path / "clips" / name).mkdir(parents=True)
        make_video(tmp_path / "clips" / name / "whole.avi", count)
    whole = make_video(tmp_path / "b.avi", 50).read_bytes()
    (tmp_path / "clips" / "jump" / "part.avi").write_bytes(whole[: len(whole) * 2 // 3])
    return tmp_path / "clips"


@pytest.fixture
def ask(recognize: Run, clips: Path) -> Callable[..., Report]:
    """Run a command on the clips as a dataset, and return its JSON."""

    def run(*arguments: object) -> Report:
        result = recognize(*arguments, "--json")
        assert result.exit_code == 0, result.output
        report: Report = json.loads(result.stdout)
        return report

    return run


def test_a_part_is_used_only_with_the_flag(ask: Callable[..., Report], clips: Path) -> None:
    """Whatever is stored by one command, the next one without the flag does not use it."""
    embed = ("embed", "-d", clips, "--root", clips, "-e", "fake")
    refused = ask(*embed)
    [(name, reason)] = refused["unreadable"]
    seen = reason.removeprefix("truncated: ").removesuffix(HINT)
    assert (name, reason) == ("jump/part.avi", f"truncated: {seen}{HINT}")
    assert refused["counts"]["truncated"] == 0
    allowed = ask(*embed, "--allow-truncated")
    assert (allowed["truncated"], allowed["unreadable"]) == ([[name, seen]], [])
    counts = {key: allowed["counts"][key] for key in ("stored before", "embedded", "truncated", "unreadable")}
    assert counts == {"stored before": 2, "embedded": 1, "truncated": 1, "unreadable": 0}
    assert ask(*embed)["unreadable"] == [[name, reason + REMEMBERED]]
    assert ask(*embed, "--allow-truncated")["counts"]["stored before"] == 3


def test_the_part_of_a_video_is_what_was_embedded(ask: Callable[..., Report], clips: Path) -> None:
    """The first pixel of FakeEncoder's embeddings is a level of grey: 5 for each frame."""
    part = clips / "jump" / "part.avi"
    read = read_frames(part, 16, allow_truncated=True)
    assert [round(float(pixels.mean()) / 5) for pixels in read.pixels] == list(read.indices)
    assert read.indices[-1] < read.total < 50


def test_a_run_says_what_it_scored(
    descgen: Run, recognize: Run, llm: FakeLLM, ask: Callable[..., Report], clips: Path
) -> None:
    descgen("build", "-d", clips, "-k", "context")
    evaluated = ("eval", "-d", "clips", "--root", clips, "-e", "fake")
    without, with_part = ask(*evaluated), ask(*evaluated, "--allow-truncated")
    assert (without["counts"]["evaluated"], without["counts"]["unreadable"]) == (2, 1)
    assert (without["settings"]["allow_truncated"], without["settings"]["truncated"]) == (False, {})
    assert [with_part["counts"][name] for name in ("evaluated", "truncated", "unreadable")] == [3, 1, 0]
    assert with_part["settings"]["allow_truncated"] is True
    assert with_part["settings"]["truncated"].keys() == {"jump/part.avi"}
    shown = recognize(*evaluated, "--allow-truncated").stdout
    assert "truncated, scored by what is there: jump/part.avi: " in shown
    assert "truncated videos allowed" in shown
    assert ask("impact", with_part["id"])["videos"] == 3  # a replay reads what the run read
    assert ask("impact", without["id"])["videos"] == 2
    changed = ask("compare", without["id"], with_part["id"])["changed"]
    assert changed == {"allow_truncated": [False, True]}
    swept = recognize("sweep", "-d", "clips", "--root", clips, "-e", "fake", "--allow-truncated")
    assert swept.exit_code == 0, swept.output


@pytest.mark.parametrize("command", ["predict", "explain", "localize"])
def test_single_videos_that_break_off(recognize: Run, llm: FakeLLM, clips: Path, command: str) -> None:
    asked = (command, clips / "jump" / "part.avi", "-d", clips, "-e", "fake")
    refused = recognize(*asked)
    assert refused.exit_code == 1
    assert HINT in refused.stdout
    assert HINT + REMEMBERED in " ".join(recognize(*asked).stdout.split())
    allowed = recognize(*asked, "--allow-truncated")
    assert allowed.exit_code == 0, allowed.output
    assert "truncated: " in allowed.stdout
    assert recognize(*asked).exit_code == 1


def test_a_check_tells_both_ways(recognize: Run, clips: Path) -> None:
    refused = json.loads(recognize("check", clips, "--json").stdout)
    [fault] = [fault for fault in refused["faults"] if "part" in fault["video"]]
    assert (fault["kind"], fault["harms"], refused["readable"]) == ("unreadable", True, 2)
    allowed = json.loads(recognize("check", clips, "--allow-truncated", "--json").stdout)
    [fault] = [fault for fault in allowed["faults"] if "part" in fault["video"]]
    assert (fault["kind"], fault["harms"], allowed["readable"]) == ("truncated", False, 3)
    assert allowed["remembered"] == 3
    again = json.loads(recognize("check", clips, "--json").stdout)
    [fault] = [fault for fault in again["faults"] if "part" in fault["video"]]
    assert fault["reason"].endswith(HINT + REMEMBERED)
    assert json.loads(recognize("check", clips, "--json", "--retry").stdout)["remembered"] == 0


@pytest.mark.parametrize("command", ["predict", "explain", "localize"])
def test_retry_reads_a_video_again(recognize: Run, clips: Path, tmp_path: Path, command: str) -> None:
    whole = make_video(tmp_path / "good.avi", 50).read_bytes()
    broken = tmp_path / "broken.avi"
    broken.write_bytes((b"no video\n" * len(whole))[: len(whole)])
    asked = (command, broken, "-d", clips, "-e", "fake")
    assert "not a video" in recognize(*asked).stdout
    replace_content(broken, whole)  # without a sign that anything changed
    assert REMEMBERED.strip() in " ".join(recognize(*asked).stdout.split())
    assert recognize(*asked, "--retry").exit_code == 0
    assert recognize(*asked).exit_code == 0


def test_python_has_both(clips: Path, database: Path) -> None:
    part, asked = clips / "jump" / "part.avi", Recognizer(clips, encoder="fake", db=str(database), progress=False)
    with pytest.raises(UserError, match="truncated: 26 of 50 frames"):
        asked.predict(part)
    [ranking] = Recognizer(
        clips, encoder="fake", db=str(database), progress=False, allow_truncated=True, retry=True
    ).predict(part)
    assert (ranking.unreadable, bool(ranking.truncated)) == (None, True)


def lost_while_read(path: Path, gone: Path) -> Any:
    """Decode a video, and lose a file between the moment when its content is hashed and that when it is read."""
    pending = locate(Video("v", 0, path, ()), Sampling())

    def is_stored(key: str) -> bool:
        gone.unlink()
        return False

    with Pool(Decoding(workers=1)) as pool:
        return decode(pending, Sampling(), FakeEncoder(), is_stored=is_stored, pool=pool)


def test_what_the_surroundings_cause_is_no_fact_about_the_content(tmp_path: Path) -> None:
    """`failure` is of now; a `note` would be stored under the content."""
    video = make_video(tmp_path / "a.mp4", 20)
    pending = lost_while_read(video, video)
    assert (pending.failure, pending.note) == ("cannot be opened: No such file or directory", "")
    images = make_images(tmp_path / "v", [f"{n}.png" for n in range(16)])
    pending = lost_while_read(images, images / "3.png")
    assert pending.note == ""
    assert pending.failure


def test_a_decoder_that_dies_or_hangs_takes_only_its_own_video(tmp_path: Path) -> None:
    """A death that comes again in a new process is remembered; that it took too long is not."""
    videos = [
        Video(name, 0, make_video(tmp_path / f"{name}.avi", 20 + number), ())
        for number, name in enumerate(("first", "dies", "second", "killed", "third"))
    ]
    slow = [Video("hangs", 0, make_video(tmp_path / "hangs.avi", 30), ())]
    read = decoders.read_or_fail
    with FeatureStore.open(tmp_path / "features") as store:
        embedded = embed_videos(videos, CachingEncoder(FakeEncoder(), store, decoding=Decoding(2, read=read)))
        assert [video.id for video in embedded.videos] == ["first", "second", "third"]
        assert embedded.unreadable == (("dies", "the decoder died: SIGSEGV"), ("killed", "the decoder died: SIGKILL"))
        limited = CachingEncoder(FakeEncoder(), store, decoding=Decoding(1, timeout=0.1, read=read))
        [(name, reason)] = embed_videos(slow, limited).unreadable
        assert (name, reason.partition(":")[0]) == ("hangs", "the decoder took too long")
        again = embed_videos([*slow, *videos], CachingEncoder(FakeEncoder(), store))
        assert [video.id for video in again.videos] == ["hangs", "first", "second", "killed", "third"]
        assert again.unreadable == (("dies", f"the decoder died: SIGSEGV{REMEMBERED}"),)
        retried = embed_videos(videos, CachingEncoder(FakeEncoder(), store, retry=True))
        assert not retried.unreadable
    assert torch.equal(retried.frames[:1], embedded.frames[:1])


def test_features_are_the_same_with_and_without_workers(
    ask: Callable[..., Report], clips: Path, tmp_path: Path
) -> None:
    stores = [tmp_path / "without", tmp_path / "with", tmp_path / "limited"]
    for store, options in zip(stores, (("--workers", 0), (), ("--workers", 3, "--decode-timeout", 120)), strict=True):
        ask("embed", "-d", clips, "--root", clips, "-e", "fake", "--features", store, "--allow-truncated", *options)
    first, *others = [[file.read_bytes() for file in store.glob("*.f32")] for store in stores]
    assert len(first) == 1
    assert others == [first, first]


def test_a_time_limit_without_workers_is_refused(recognize: Run, clips: Path) -> None:
    embed = ("embed", "-d", clips, "--root", clips, "-e", "fake")
    refused = recognize(*embed, "--workers", 0, "--decode-timeout", 5)
    assert refused.exit_code == 2
    assert "Without worker processes no time limit can be kept" in refused.output
    assert recognize(*embed, "--decode-timeout", 0).exit_code == 2
    assert recognize(*embed, "--workers", -1).exit_code == 2


def test_too_many_open_files_and_no_memory(tmp_path: Path) -> None:
    video, images = make_video(tmp_path / "a.mp4", 20), make_images(tmp_path / "v", ["1.png"])
    for path in (video, images):
        assert read_frames(path, 2).total  # everything is imported
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (held[0], hard))  # the lower numbers are in use
        for path in (video, images):
            with pytest.raises(InaccessibleVideo, match="cannot be opened: Too many open files"):
                read_frames(path, 2)
    finally:
        for handle in held:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with pytest.raises(InaccessibleVideo, match="out of memory"), os_errors_as_unreadable():
        raise MemoryError
