"""Which video is which: by what its files hold, not by where they lie."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from encoders.weights import sha256_of
from recognizer.video.frames import UnreadableVideo, frame_indices, image_names


@dataclass(frozen=True)
class Source:
    """What the embeddings of one video are made from.

    Attributes:
        files: the video file, or of a folder of frames those images that are looked at, in order.
        total: images in the folder; 0 for a video file.
        stamp: digest of names, sizes and times. While it stays the same, the files are not read again.
    """

    files: tuple[Path, ...]
    total: int
    stamp: str


def source_of(path: Path, frames: int) -> Source:
    """Return what `frames` evenly spread frames of a video are made from; nothing is read but names and times.

    Raises:
        UnreadableVideo: there is nothing of which they could be made.
    """
    try:
        files, total = _images(path, frames) if path.is_dir() else ((path,), 0)
        facts = [(file.name, (status := file.stat()).st_size, status.st_mtime_ns) for file in files]
    except OSError as error:
        raise UnreadableVideo("cannot be opened", error.strerror or str(error)) from error
    return Source(files, total, hashlib.sha256(repr((total, facts)).encode()).hexdigest())


def _images(folder: Path, frames: int) -> tuple[tuple[Path, ...], int]:
    names = image_names(folder)
    if not names:
        raise UnreadableVideo("no images")
    wanted = sorted(set(frame_indices(len(names), frames)))
    return tuple(folder / names[index] for index in wanted), len(names)


def content_of(source: Source) -> str:
    """Return the sha256 of a video's content: the same under another name, in another place, at another time.

    Raises:
        UnreadableVideo: it cannot be opened.
    """
    try:
        digests = [sha256_of(file) for file in source.files]
    except OSError as error:
        raise UnreadableVideo("cannot be opened", error.strerror or str(error)) from error
    if not source.total:
        return digests[0]
    return hashlib.sha256("\n".join([f"{source.total} images", *digests]).encode()).hexdigest()


def content_in(key: str) -> str:
    """Return the content that a key of the feature store is of: of a long video there are several, by number."""
    return key.partition(":")[0]
