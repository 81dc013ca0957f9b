"""Frames that carry their own number, in every codec and container that PyAV writes: none may be another.

`make test-matrix` makes all files, longer and also with sound; `make test` one of each kind, without sound.
"""

from __future__ import annotations

import os
from pathlib import Path

import av
import pytest

from recognizer.video.frames import frame_indices, read_frames
from tests.fixtures.numbered import CODECS, Numbered, make, number_of, pairs

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


@pytest.mark.parametrize("codec", CODECS)
def test_every_frame_is_that_of_its_number(tmp_path: Path, codec: str) -> None:
    kinds = [kind for kind in pairs(codec) if WHOLE or not kind.audio]
    files = {kind: path for kind in kinds if (path := made(tmp_path, kind))}
    assert files
    for kind, path in files.items():
        reference = numbers(path)
        for frames in (1, 5, 16, 40):
            read = read_frames(path, frames)
            expected = [reference[index] for index in frame_indices(len(reference), frames)]
            assert [number_of(pixels) for pixels in read.pixels] == expected, (str(kind), frames, read.reader)
        if (codec, kind.suffix) in TRUSTED and not kind.b_frames:
            assert read.reader == "decord"
