"""Views of a video: the frames and the crop of each. Pure index arithmetic; frames.py reads the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders.protocol import Preprocessing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Sampling:
    """Which frames and crops of a video are embedded.

    Attributes:
        frames: T, in each view.
        clips: views in time; each has T frames spread over the whole video.
        crops: views in space: 1, the whole frame as preprocessed; or 3, along its longer side.
        preprocessing: see `Encoder.preprocess`.
        allow_truncated: whether to read what is there of a file that breaks off.
    """

    frames: int = 16
    clips: int = 1
    crops: int = 1
    preprocessing: Preprocessing = "own"
    allow_truncated: bool = False

    @property
    def views(self) -> int:
        """W, the number of views."""
        return self.clips * self.crops

    def __str__(self) -> str:
        parts = [f"{self.frames} frames"]
        parts += [f"{self.clips} clips"] if self.clips > 1 else []
        parts += [f"{self.crops} crops"] if self.crops > 1 else []
        return " x ".join(parts)


def clip_indices(frames: int, clips: int) -> list[range]:
    """Return, for each clip, the indices of its frames among `frames * clips` evenly spread frames.

    total 12, frames 3, clips 2; the six frames of `frame_indices(12, 6)` alternate between the clips:

        frame    0   1   2   3   4   5   6   7   8   9  10  11
               |               |               |               |     3 equal segments
        clip 0       x               x               x               indices 0, 2, 4: frames 1, 5, 9
        clip 1               x               x               x       indices 1, 3, 5: frames 3, 7, 11

    Every clip takes one frame of each segment (as in TSN, arXiv 1608.00859): it shows the whole action from start to
    end, in order. One clip takes the centres of the segments.
    """
    return [range(clip, frames * clips, clips) for clip in range(clips)]


def crop_windows(height: int, width: int, crops: int) -> list[tuple[slice, slice]]:
    """Return the (rows, columns) of each crop of a frame.

    crops 1 is the whole frame; crops 3 are the squares of the shorter side at both ends of the longer one and in its
    middle. Resized to the encoder's input they are the left, centre and right crops after the shorter side's resize:

        +-----+-----+-----+
        |left |     |     |       width 18, height 6: columns 0..6, 6..12, 12..18
        |     |     |right|
        +-----+-----+-----+       width 8, height 6: columns 0..6, 1..7, 2..8
    """
    if crops == 1:
        return [(slice(0, height), slice(0, width))]
    side = min(height, width)
    rows, columns = height - side, width - side  # one of them is 0
    starts = ((0, 0), (rows // 2, columns // 2), (rows, columns))
    return [(slice(top, top + side), slice(left, left + side)) for top, left in starts]


def cut_views(pixels: NDArray[np.uint8], sampling: Sampling) -> list[NDArray[np.uint8]]:
    """Return the W views of a video, each [T, h, w, 3], the crops of a clip side by side.

    Args:
        pixels: [T * clips, H, W, 3], evenly spread over the video.
        sampling: how many clips and crops.
    """
    windows = crop_windows(pixels.shape[1], pixels.shape[2], sampling.crops)
    clips = (pixels[part.start : part.stop : part.step] for part in clip_indices(sampling.frames, sampling.clips))
    return [clip[:, rows, columns] for clip in clips for rows, columns in windows]
