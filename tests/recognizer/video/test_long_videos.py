"""Reading long videos at a rate, by their time stamps, against what was written into them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from encoders.testing import FakeEncoder
from recognizer.video.frames import UnreadableVideo
from recognizer.video.long import declared_seconds, embed_long_video, pictures_of, sample_frames, windows_of
from tests.fixtures.videos import CLIPS, STEP, make_images, make_video, needs_clips


def levels(path: Path, fps: float) -> list[int]:
    """Return the numbers of the frames that the samples of a made video show."""
    return [round(float(pixels.mean()) / STEP) for pixels in sample_frames(path, fps=fps)]


def make_timed(path: Path, times: Sequence[float]) -> Path:
    """Write grey frames, frame i of level 5 i, that are shown from these times in seconds on."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.bit_rate, stream.codec_context.time_base = 8_000_000, Fraction(1, 1000)
        for number, time in enumerate(times):
            image = np.full((64, 128, 3), STEP * number, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def reason(path: Path, fps: float = 4) -> str:
    with pytest.raises(UnreadableVideo) as error:
        list(sample_frames(path, fps=fps))
    return error.value.reason


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_samples_lie_in_the_middle_of_equal_parts_of_time(tmp_path: Path, name: str) -> None:
    """50 frames, 25 a second; 5 samples a second lie 0.1, 0.3, 0.5 ... s after the start: frames 2, 7, 12 ..."""
    video = make_video(tmp_path / name, 50)
    assert levels(video, 5) == list(range(2, 50, 5))
    assert levels(video, 0.5) == [25]
    assert levels(video, 50) == [number for number in range(50) for _ in range(2)]
    assert declared_seconds(video) == pytest.approx(2.0, abs=0.05)


def test_b_frames_and_an_edit_list_change_nothing(tmp_path: Path) -> None:
    assert levels(make_video(tmp_path / "b.mp4", 50, b_frames=2), 5) == list(range(2, 50, 5))
    assert levels(make_video(tmp_path / "cut.mp4", 50, first=20), 5) == list(range(22, 50, 5))


def test_time_stamps_count_and_not_frames(tmp_path: Path) -> None:
    """Frames from 0, 0.1, 0.8 and 1.0 s on, and a last one from 2.0 s; samples at 0.125, 0.375, 0.625 ... s."""
    video = make_timed(tmp_path / "varying.mkv", [0, 0.1, 0.8, 1.0, 2.0, 2.1])
    assert levels(video, 4)[:8] == [1, 1, 1, 2, 3, 3, 3, 3]
    late = make_timed(tmp_path / "late.mkv", [7.0, 7.1, 7.8, 8.0, 9.0, 9.1])
    assert levels(late, 4)[:8] == [1, 1, 1, 2, 3, 3, 3, 3]  # time begins with the first frame


def test_time_stamps_that_lie_years_ahead_are_damage(tmp_path: Path) -> None:
    assert reason(make_timed(tmp_path / "years.mkv", [0, 0.1, 0.2, 90_000.0, 90_000.1])) == "damaged"


def test_what_breaks_off_is_unreadable(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", 50, faststart=True).read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    assert reason(tmp_path / "half.mp4") == "truncated"
    (tmp_path / "empty.mp4").touch()
    assert reason(tmp_path / "empty.mp4") == "empty file"
    assert reason(tmp_path / "none.mp4") == "cannot be opened"
    assert declared_seconds(tmp_path / "none.mp4") == 0.0
    (tmp_path / "text.mp4").write_text("no video")
    assert reason(tmp_path / "text.mp4") == "not a video"
    assert declared_seconds(tmp_path / "text.mp4") == 0.0
    assert reason(make_images(tmp_path / "frames", ["1.png", "2.png"])) == "a folder"
    assert reason(make_video(tmp_path / "short.mp4", 2)) == "too short"


@needs_clips
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("truncated_half.avi", "truncated"),
        ("truncated_half.mp4", "no index"),
        ("audio_only.mp4", "no video stream"),
        ("one_frame.mp4", "too short"),
        ("random.mp4", "no index"),
    ],
)
def test_broken_files_say_why(name: str, expected: str) -> None:
    assert reason(CLIPS / "broken" / name) == expected


@needs_clips
def test_real_clips_are_as_long_as_they_are() -> None:
    seconds = {path.name: len(list(sample_frames(path, fps=4))) / 4 for path in CLIPS.rglob("v_Punch*.avi")}
    assert seconds == {f"v_Punch_g0{n}_c01.avi": s for n, s in ((1, 4.75), (2, 9.25), (3, 4.25), (4, 6.25))}
    bits = list(sample_frames(CLIPS / "broken" / "bit_errors.avi", fps=4))
    assert len(bits) == 30


def test_embeddings_are_those_of_the_frames_at_their_times(tmp_path: Path, fake_encoder: FakeEncoder) -> None:
    video = embed_long_video(make_video(tmp_path / "a.mp4", 50), fake_encoder, fps=5)
    assert (video.fps, video.seconds, video.frames.shape) == (5, 2.0, (10, 32))
    assert (video.frames[:, 0] / STEP).round().tolist() == list(range(2, 50, 5))
    pictures = pictures_of(video.path, fps=video.fps, seconds=video.seconds, truncated=False, room=20.5)
    assert [picture.seconds for picture in pictures] == pytest.approx([0.1 + 0.2 * i for i in range(10)])
    assert pictures[0].pixels.shape == (90, 180, 3)
    assert [round(float(picture.pixels.mean()) / STEP) for picture in pictures] == list(range(2, 50, 5))


def test_no_more_than_two_windows_are_in_memory(tmp_path: Path) -> None:
    """A frame is decoded only once the one that lies two windows before it was encoded."""
    decoded, encoded = 0, 0

    class CountingEncoder(FakeEncoder):
        def encode_frames(self, pixels: Tensor) -> Tensor:
            nonlocal encoded
            encoded += len(pixels)
            return super().encode_frames(pixels)

    def counted(samples: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
        nonlocal decoded
        for pixels in samples:
            assert decoded - encoded <= 2 * 10 + 1
            decoded += 1
            yield pixels

    path, seconds = make_video(tmp_path / "a.mp4", 50), list[float]()
    windows = windows_of(counted(sample_frames(path, fps=25)), window_bytes=10 * 64 * 128 * 3)
    video = embed_long_video(path, CountingEncoder(), fps=25, windows=windows, on_progress=seconds.append)
    assert seconds == pytest.approx([0.4, 0.8, 1.2, 1.6, 2.0])
    assert len(video.frames) == 50


def test_frames_of_another_size_begin_a_window(tmp_path: Path, fake_encoder: FakeEncoder) -> None:
    sizes = [(4, 6), (4, 6), (8, 6), (4, 6)]
    samples = (np.full((*size, 3), 9, np.uint8) for size in sizes)
    video = embed_long_video(tmp_path / "a.mp4", fake_encoder, fps=1, windows=windows_of(samples))
    assert video.frames[:, :3].tolist() == [[9.0] * 3] * 4
