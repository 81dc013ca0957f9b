"""Frames that carry their own number, in every codec and container that PyAV writes: none may be another.

So do those that an edit list leaves, those without time stamps, and those that are read backwards. `make test-matrix`
makes all files, longer and also with sound; `make test` one of each kind, without sound.
"""

from __future__ import annotations

import os
from pathlib import Path

import av
import pytest

from recognizer.video.frames import UnreadableVideo, frame_indices, read_frames
from tests.fixtures.numbered import BARE, CODECS, Numbered, make, number_of, pairs, set_edits

WHOLE = bool(os.environ.get("MATRIX"))
COUNT, GROUP = (60, 12) if WHOLE else (30, 8)
TRUSTED = {("libx264", "mp4"), ("mpeg4", "avi"), ("libvpx-vp9", "webm")}  # UCF101, Kinetics, Something-Something


def numbers(path: Path) -> list[int]:
    """Return the numbers in the frames of a file, decoded from its start."""
    with av.open(str(path)) as container:
        return [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def made(folder: Path, kind: Numbered) -> Path | None:
    """Make a file; None if this codec does not go into this container, or cannot be read back."""
    path = folder / f"{kind}.{kind.suffix}"
    try:
        make(path, kind, count=COUNT, group=GROUP)
        numbers(path)
    except (av.error.FFmpegError, ValueError, IndexError, KeyError):
        return None
    return path


def check(path: Path, reference: list[int]) -> None:
    """Every number of frames that is asked for, and what the fast reader gives when it is asked backwards."""
    for frames in (40, 16, 5, 1):
        read = read_frames(path, frames)
        expected = [reference[index] for index in frame_indices(len(reference), frames)]
        assert [number_of(pixels) for pixels in read.pixels] == expected, (path.name, frames, read.reader)
    if read.reader == "decord":
        import decord

        backwards = decord.VideoReader(str(path), num_threads=1).get_batch(list(reversed(range(len(reference)))))
        assert [number_of(pixels) for pixels in backwards.asnumpy()] == reference[::-1], path.name


@pytest.mark.parametrize("codec", CODECS)
def test_every_frame_is_that_of_its_number(tmp_path: Path, codec: str) -> None:
    kinds = [kind for kind in pairs(codec) if WHOLE or not kind.audio]
    files = {kind: path for kind in kinds if (path := made(tmp_path, kind))}
    assert files
    for kind, path in files.items():
        check(path, numbers(path))
        if (codec, kind.suffix) in TRUSTED and not kind.b_frames:
            assert read_frames(path, 16).reader == "decord"


@pytest.mark.parametrize("kind", BARE, ids=str)
def test_streams_without_time_stamps(tmp_path: Path, kind: Numbered) -> None:
    path = made(tmp_path, kind)
    assert path
    with av.open(str(path)) as container:
        stamps = [packet.pts for packet in container.demux(video=0) if packet.size]
        assert None in stamps or kind.suffix == "m2v"  # FFmpeg counts those of MPEG-2
    assert numbers(path) == list(range(COUNT))
    check(path, list(range(COUNT)))


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize(
    ("codec", "b_frames"),
    [
        ("libx264", False),
        ("libx264", True),
        ("libx265", False),
        ("libx265", True),
        ("mpeg4", False),
        ("libvpx-vp9", False),
    ],
)
@pytest.mark.parametrize(
    "edits",
    [((COUNT - 5, 5),), ((10, 0), (COUNT - 20, 20)), ((7, -1), (COUNT, 0)), ((10, 3),)],
    ids=["without the start", "with a hole", "begins later", "without the end"],
)
def test_frames_that_an_edit_list_hides(
    tmp_path: Path, suffix: str, codec: str, b_frames: bool, edits: tuple[tuple[int, int], ...]
) -> None:
    """Packets outside the edits come flagged as discard, or not at all; their frames have no number."""
    if not WHOLE and (suffix == "mov" or codec not in ("libx264", "libx265")):
        pytest.skip("in make test-matrix")
    if (codec, suffix) == ("libvpx-vp9", "mov"):
        pytest.skip("VP9 does not go into mov")
    path = tmp_path / f"a.{suffix}"
    make(path, Numbered(codec, suffix, b_frames, False), count=COUNT, group=GROUP)
    set_edits(path, *edits)
    expected = [number for count, first in edits if first >= 0 for number in range(first, first + count)]
    if numbers(path) == expected:
        check(path, expected)
    else:  # FFmpeg drops frames that are shown before a key frame behind a hole
        assert (codec, b_frames, len(edits)) == ("libx265", True, 2)
        with pytest.raises(UnreadableVideo, match="damaged: 15 of 20 frames" if COUNT == 30 else "damaged"):
            read_frames(path, 16)
