"""Worker processes: the same frames as in this process; what hangs or dies in one ends one call alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from db.errors import UsageError
from recognizer.video.container import InaccessibleVideo, UnreadableVideo
from recognizer.video.extracted import read_video
from recognizer.video.pool import Decoding, Pool
from recognizer.video.worker import half_of_memory, widen
from tests.fixtures import decoders
from tests.fixtures.videos import CLIPS, make_images, make_video, needs_clips

ROOT = Path(__file__).parents[3]


def outcome(read: Any, *arguments: Any, **options: Any) -> tuple[Any, ...]:
    """Return what a reader returned or raised, so that two can be compared to the last bit."""
    try:
        frames = read(*arguments, **options)
    except UnreadableVideo as error:
        return type(error), str(error), error.reason, error.detail
    return frames.pixels.tobytes(), frames.pixels.shape, frames.indices, frames.total, frames.reader, frames.truncated


def assert_same_in_workers(paths: list[Path]) -> None:
    with Pool(Decoding(workers=2)) as pool, ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(lambda path: outcome(pool.read, path, 8, size=1), paths))
    assert outcomes == [outcome(read_video, path, 8) for path in paths]


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")  # one that ended is listed until its parent asks
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


# --- the same as in this process


def test_frames_and_reasons_are_those_of_this_process_in_order(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.avi", 50)
    part, text, empty = tmp_path / "part.avi", tmp_path / "text.mp4", tmp_path / "empty.mkv"
    part.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    text.write_text("no video\n" * 100)
    empty.touch()
    images = make_images(tmp_path / "images", [f"{n}.png" for n in range(9)])
    assert_same_in_workers(
        [whole, part, text, images, make_video(tmp_path / "a.mp4", 20), empty, tmp_path / "none.mp4", whole]
    )


@needs_clips
def test_frames_of_real_clips_are_those_of_this_process() -> None:
    assert_same_in_workers(sorted(path for path in CLIPS.rglob("*") if path.is_file())[::6])


def test_a_relative_path_is_one_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_video(tmp_path / "a.mp4", 20)
    with Pool(Decoding(workers=1)) as pool:
        pool.call(decoders.process_number, size=0)  # it has started in another folder
        monkeypatch.chdir(tmp_path)
        assert pool.read(Path("a.mp4"), 2, size=1).total == 20


def test_a_worker_imports_no_torch_and_stays_for_the_next_videos() -> None:
    numbers = []
    for _ in range(2):
        with Pool(Decoding(workers=2)) as pool:
            assert not pool.call(decoders.has_module, "torch", size=0)
            numbers.append(pool.call(decoders.process_number, size=0))
    assert numbers[0] == numbers[1] != os.getpid()


@pytest.mark.skipif(not hasattr(os, "nice"), reason="this system has no niceness")
def test_decoding_stands_back_behind_the_encoder() -> None:
    with Pool(Decoding(workers=1)) as pool:
        assert pool.call(os.nice, 0, size=0) == min(19, os.nice(0) + 10)


@pytest.mark.skipif(sys.platform != "linux", reason="the size of a pipe is known on Linux only")
def test_a_pipe_that_cannot_be_widened_stays_as_it_is() -> None:
    from fcntl import F_GETPIPE_SZ, fcntl

    readable, writable = os.pipe()
    with os.fdopen(readable, "rb") as pipe, os.fdopen(writable, "wb"):
        widen(pipe)
        assert fcntl(pipe, F_GETPIPE_SZ) >= 2**16
    with Path(os.devnull).open("rb") as no_pipe:
        widen(no_pipe)  # no error


def test_without_workers_nothing_starts() -> None:
    with Pool(Decoding(workers=0)) as pool:
        assert pool.call(decoders.process_number, size=0) == os.getpid()


def test_what_a_decoder_warns_of_is_heard_and_what_it_prints_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with Pool(Decoding(workers=1)) as pool:
        with pytest.warns(UserWarning, match="decord cannot be loaded"):
            pool.call(decoders.warn, "decord cannot be loaded", size=0)
        assert pool.call(decoders.print_much, size=0) == "read"
    assert capfd.readouterr() == ("", "")


def test_a_fault_of_the_program_is_raised_with_its_place() -> None:
    with Pool(Decoding(workers=1)) as pool, pytest.raises(TypeError) as raised:
        pool.call(decoders.process_number, "too many", size=0)
    assert "worker.py" in raised.value.__notes__[0]


# --- hanging and dying


def test_a_decoder_that_dies_takes_only_its_own_video(tmp_path: Path) -> None:
    good = [make_video(tmp_path / f"{number}.avi", 20 + number) for number in range(6)]
    paths = [*good[:3], tmp_path / "dies.avi", *good[3:]]
    decoding = Decoding(workers=2, read=decoders.read_or_fail)
    with Pool(decoding) as pool, ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(lambda path: outcome(pool.read, path, 4, size=1), paths))
    died = outcomes.pop(3)
    assert died == (UnreadableVideo, "the decoder died: SIGSEGV", "the decoder died", "SIGSEGV")
    assert outcomes == [outcome(read_video, path, 4) for path in good]


def test_one_that_dies_only_the_first_time_is_read(tmp_path: Path) -> None:
    with Pool(Decoding(workers=1)) as pool:
        assert pool.call(decoders.die_the_first_time, tmp_path / "marker", size=0) == "read"


def test_the_death_says_whether_the_video_can_have_caused_it() -> None:
    with Pool(Decoding(workers=1)) as pool:
        with pytest.raises(UnreadableVideo, match="the decoder died: exit code 3") as left:
            pool.call(decoders.leave, size=0)
        with pytest.raises(InaccessibleVideo, match="the decoder died: SIGKILL"):
            pool.call(decoders.die, signal.SIGKILL, size=0)
    assert not isinstance(left.value, InaccessibleVideo)


def test_a_decoder_that_hangs_ends_at_its_time_limit(tmp_path: Path) -> None:
    with Pool(Decoding(workers=1)) as pool:
        pool.call(decoders.process_number, size=0)  # imports count as time; the worker that has made them is kept
    with Pool(Decoding(workers=1, timeout=1.5)) as pool, pytest.raises(InaccessibleVideo) as raised:
        pool.call(decoders.tell, tmp_path / "number", size=0)
    assert str(raised.value) == "the decoder took too long: more than 1.5 seconds; --decode-timeout allows more"
    assert not is_running(int((tmp_path / "number").read_text()))
    with Pool(Decoding(workers=1)) as pool:
        assert pool.call(decoders.process_number, size=0)


def test_the_default_limit_grows_with_the_file() -> None:
    assert [Decoding().seconds(size) for size in (0, 300_000, 700_000_000)] == [60, 63, 7060]
    assert Decoding(timeout=5).seconds(700_000_000) == 5


def test_an_error_of_the_caller_ends_what_hangs(tmp_path: Path) -> None:
    """Ctrl-C does not wait for the time limit."""
    number = tmp_path / "number"

    def interrupt(hanging: Future[None]) -> None:
        while not number.exists() and not hanging.done():
            time.sleep(0.01)
        raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as threads:
        with pytest.raises(KeyboardInterrupt), Pool(Decoding(workers=1)) as pool:
            interrupt(hanging := threads.submit(pool.call, decoders.tell, number, size=0))
        assert isinstance(hanging.exception(), InaccessibleVideo)
    assert not is_running(int(number.read_text()))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is kept on Linux")
def test_a_worker_gets_half_of_the_memory() -> None:
    with Pool(Decoding(workers=1)) as pool:
        with pytest.raises(InaccessibleVideo, match="Unable to allocate"):
            pool.call(decoders.allocate, half_of_memory(), size=0)
        assert pool.call(decoders.allocate, half_of_memory() // 4, size=0)


# --- the process that starts them


def run_script(tmp_path: Path, script: str, *arguments: object) -> subprocess.Popen[str]:
    (tmp_path / "script.py").write_text(script)
    return subprocess.Popen(
        [sys.executable, "script.py", *map(str, arguments)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


IMPORTS = """
from pathlib import Path
import os, sys
from recognizer.video.pool import Decoding, Pool
from tests.fixtures import decoders
"""


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    """It is not run again in the workers, and its folder hides no module from them."""
    (tmp_path / "json.py").write_text("raise ImportError")
    make_video(tmp_path / "a.mp4", 20)
    script = IMPORTS + "print(Pool(Decoding(workers=1)).read(Path('a.mp4'), 2, size=1).total)"
    assert run_script(tmp_path, "import sys; del sys.path[0]\n" + script).communicate()[0] == "20\n"


def test_no_worker_outlives_its_process(tmp_path: Path) -> None:
    number = tmp_path / "number"
    script = IMPORTS + "Pool(Decoding(workers=1)).call(decoders.tell, Path('number'), size=0)"
    process = run_script(tmp_path, script)
    while not number.exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    while is_running(int(number.read_text())):
        time.sleep(0.01)


def test_a_fork_starts_its_own(tmp_path: Path) -> None:
    script = (
        IMPORTS
        + """
with Pool(Decoding(workers=1)) as pool:
    first = pool.call(decoders.process_number, size=0)
    if child := os.fork():
        os.waitpid(child, 0)
        print(first == pool.call(decoders.process_number, size=0))
    else:
        print(first == pool.call(decoders.process_number, size=0), flush=True)
"""
    )
    assert run_script(tmp_path, script).communicate()[0].split() == ["False", "True"]


def test_workers_that_cannot_start_name_the_way_without(tmp_path: Path) -> None:
    script = (
        IMPORTS
        + """
from db.errors import UserError
for sys.executable in ("/bin/false", "/nowhere/python"):
    try:
        Pool(Decoding(workers=1)).call(decoders.process_number, size=0)
    except UserError as error:
        print(error)
"""
    )
    lines = run_script(tmp_path, script).communicate()[0].splitlines()
    way = "Decode in this process: --workers 0, in Python workers=0"
    assert lines[0] == f"A worker process for decoding cannot be started with /bin/false (exit code 1). {way}"
    assert "/nowhere/python" in lines[1]
    assert lines[1].endswith(way)


@pytest.mark.parametrize("options", [{"workers": -1}, {"timeout": 0}, {"workers": 0, "timeout": 5}])
def test_impossible_choices_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Decoding(**options)
