"""The files of a video: whether they changed, and a hash of their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR

from encoders.weights import sha256_of
from recognizer.video.container import os_errors_as_unreadable
from recognizer.video.frames import frame_indices, image_names


@dataclass(frozen=True)
class Source:
    """The files that frames of one video are read from.

    Attributes:
        files: the video file, or the images that are read from a folder of frames, in order.
        total: images in the folder; 0 for a video file.
        size: bytes of the files together.
        stamp: digest of names, sizes and modification times; while it is the same, the files count as unchanged.
    """

    files: tuple[Path, ...]
    total: int
    size: int
    stamp: str


def source_of(path: Path, frames: int | None = None) -> Source:
    """Return the files of `frames` evenly spread frames of a video (None: all frames), without opening any.

    Raises:
        UnreadableVideo: there are no files, or they cannot be accessed.
    """
    with os_errors_as_unreadable():
        own = path.stat()  # asked for once: a network drive answers slowly
        names = image_names(path) if S_ISDIR(own.st_mode) else []
        chosen = range(len(names)) if frames is None or not names else sorted(set(frame_indices(len(names), frames)))
        images = tuple(path / names[index] for index in chosen)
        files = images or (path,)
        statuses = [image.stat() for image in images] or [own]
    facts = [(file.name, status.st_size, status.st_mtime_ns) for file, status in zip(files, statuses, strict=True)]
    stamp = hashlib.sha256(repr((len(names), facts)).encode()).hexdigest()
    return Source(files, len(names), sum(size for _, size, _ in facts), stamp)


def content_of(source: Source) -> str:
    """Return the sha256 of a video's content; name, folder and modification time do not matter.

    Raises:
        UnreadableVideo: it cannot be opened.
    """
    with os_errors_as_unreadable():
        digests = [sha256_of(file) for file in source.files]
    if not source.total:
        return digests[0]
    return hashlib.sha256("\n".join([f"{source.total} images", *digests]).encode()).hexdigest()
