"""Which frames and which parts of them a view takes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognizer.video.frames import frame_indices
from recognizer.video.sampling import Sampling, clip_indices, crop_windows, cut_views


def clips(total: int, frames: int, count: int) -> list[list[int]]:
    together = frame_indices(total, frames * count)
    return [[together[index] for index in indices] for indices in clip_indices(frames, count)]


def test_the_clips_of_the_drawing() -> None:
    assert clips(12, 3, 2) == [[1, 5, 9], [3, 7, 11]]


@given(total=st.integers(1, 5000), frames=st.integers(1, 32), count=st.integers(1, 10))
def test_every_clip_takes_one_frame_of_each_segment(total: int, frames: int, count: int) -> None:
    all_clips = clips(total, frames, count)
    assert len(all_clips) == count
    for clip in all_clips:
        for segment, index in enumerate(clip):  # frame i lasts from i to i + 1, a segment total / frames
            assert index * frames < (segment + 1) * total
            assert (index + 1) * frames > segment * total
        assert len(clip) == frames
        assert clip == sorted(clip)
    assert sorted(index for clip in all_clips for index in clip) == frame_indices(total, frames * count)
    if total >= frames * count:  # no frame twice
        assert len({index for clip in all_clips for index in clip}) == frames * count


@given(total=st.integers(1, 5000), frames=st.integers(1, 32))
def test_one_clip_is_the_plain_sampling(total: int, frames: int) -> None:
    assert clips(total, frames, 1) == [frame_indices(total, frames)]


@given(height=st.integers(1, 3000), width=st.integers(1, 3000))
def test_three_crops_are_squares_at_both_ends_and_in_the_middle(height: int, width: int) -> None:
    windows = crop_windows(height, width, 3)
    side = min(height, width)
    rows, columns = zip(*windows, strict=True)
    for spans, length in ((rows, height), (columns, width)):
        assert all(span.stop - span.start == side for span in spans)
        assert (spans[0].start, spans[2].stop) == (0, length)
        before, after = spans[1].start, length - spans[1].stop
        assert after - before in (0, 1)
        assert all(first.start <= second.start for first, second in pairwise(spans))


@given(height=st.integers(1, 3000), width=st.integers(1, 3000))
def test_one_crop_is_the_whole_frame(height: int, width: int) -> None:
    assert crop_windows(height, width, 1) == [(slice(0, height), slice(0, width))]


@pytest.mark.parametrize(("shape", "lit"), [((6, 18), "columns"), ((18, 6), "rows")])
def test_views_are_cut_clip_by_clip_and_crop_by_crop(shape: tuple[int, int], lit: str) -> None:
    """Frame i has grey level i; the last third of the longer side is 100 brighter."""
    frames = np.zeros((6, *shape, 3), np.uint8) + np.arange(6, dtype=np.uint8)[:, None, None, None]
    if lit == "columns":
        frames[:, :, 12:] += 100
    else:
        frames[:, 12:] += 100
    views = cut_views(frames, Sampling(frames=3, clips=2, crops=3))
    assert [view.shape for view in views] == [(3, 6, 6, 3)] * 6
    first, last = [0, 2, 4], [1, 3, 5]
    levels = [[int(picture.min()) for picture in view] for view in views]
    assert levels == [first, first, [100, 102, 104], last, last, [101, 103, 105]]
    assert all(picture.min() == picture.max() for view in views for picture in view)
