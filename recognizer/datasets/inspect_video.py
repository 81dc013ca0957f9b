"""Inspect one video file or folder of frames, and cache the result until the files change."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from recognizer.video.container import (
    CANNOT_OPEN,
    TruncatedVideo,
    UnreadableVideo,
    decode_all,
    os_errors_as_unreadable,
    scan_packets,
)
from recognizer.video.frames import image_names, opened_image, refuse_sizes
from recognizer.video.source import Source, content_of

RULES = 4  # increase it when a change to the code judges the same file differently: cached results are then dropped


@dataclass(frozen=True)
class Inspection:
    """The state of one video."""

    frames: int  # 0 if it is unreadable
    garbled: int  # frames that were decoded with errors
    unreadable: str | None  # the reason
    decoded: bool  # whether every frame was decoded; else packets were counted and headers read
    truncated: str = ""  # how much of a file that breaks off is there; `frames` and `garbled` are of that part
    surroundings: bool = False  # whether a time limit or a signal from outside made it unreadable

    @property
    def is_lasting(self) -> bool:
        """Whether the result depends on the file alone, and not on a permission, a network drive or a time limit."""
        return not self.surroundings and not (self.unreadable or "").startswith(CANNOT_OPEN)

    def truncated_as_unreadable(self) -> Self:
        """Return the same, with a file that breaks off as unreadable: so an evaluation treats it by default."""
        if not self.truncated:
            return self
        return replace(self, frames=0, garbled=0, unreadable=str(TruncatedVideo(self.truncated)))


def inspect(path: Path, *, decode: bool = True) -> Inspection:
    """Inspect a video file or a folder of frames; no content raises an error.

    Args:
        path: a file or folder.
        decode: whether to decode every frame (a clip of UCF101: 25 ms); else only packets and headers are read (7 ms),
            which does not find packets that cannot be decoded.
    """
    try:
        with os_errors_as_unreadable():
            return (_inspect_images if path.is_dir() else _inspect_file)(path, decode=decode)
    except UnreadableVideo as error:
        return Inspection(0, 0, str(error), decode)


def _inspect_file(path: Path, *, decode: bool) -> Inspection:
    scan = scan_packets(path, allow_truncated=True)
    garbled = sum(bool(frame.is_corrupt) for frame in decode_all(path, scan)) if decode else 0
    return Inspection(scan.frames, garbled, None, decode, scan.truncated)


def _inspect_images(folder: Path, *, decode: bool) -> Inspection:
    names, sizes = image_names(folder), set()
    for name in names:
        with opened_image(folder / name) as image:
            sizes.add((image.width, image.height))
            if decode:
                image.load()
    refuse_sizes(sizes)
    return Inspection(len(names), 0, None, decode)


class InspectionCache:
    """Inspections and content digests by path, in a file of JSON lines.

    Lines are appended; the last line of a path counts while its files are unchanged (see `Source.stamp`). A process
    that is killed loses at most the line that it is writing.
    """

    def __init__(self, file: Path, *, forget: bool = False) -> None:
        self._entries = {} if forget else _load(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")  # without replaced lines and a line that was cut off
        new.write_text("".join(map(_line, ({"rules": RULES}, *self._entries.values()))), encoding="utf-8")
        new.replace(file)
        self._out = file.open("a", encoding="utf-8")

    @classmethod
    def of(cls, paths: Sequence[Path], folder: Path, *, forget: bool = False) -> Self:
        """Open the cache of files and folders that are checked together, in a folder of caches."""
        names = "\0".join(sorted(str(path.resolve()) for path in paths))
        return cls(folder / f"{hashlib.sha256(os.fsencode(names)).hexdigest()[:16]}.jsonl", forget=forget)

    def inspection(self, path: Path, source: Source, *, decoded: bool) -> Inspection | None:
        """Return the stored inspection of an unchanged video; with `decoded`, only one that decoded every frame."""
        known = self._entry(path, source).get("inspection")
        return Inspection(**known) if known and (known["decoded"] or not decoded) else None

    def content(self, path: Path, source: Source) -> str:
        """Return the digest of a video's content; it is computed if it is not cached.

        Raises:
            UnreadableVideo: it cannot be opened.
        """
        known: str | None = self._entry(path, source).get("content")
        return known or self._keep(path, source, "content", content_of(source))

    def keep(self, path: Path, source: Source, inspection: Inspection) -> None:
        """Add the inspection of a video."""
        self._keep(path, source, "inspection", asdict(inspection))

    def _keep(self, path: Path, source: Source, name: str, value: Any) -> Any:
        key = str(path.absolute())
        self._entries[key] = {"path": key, "stamp": source.stamp, **self._entry(path, source), name: value}
        self._out.write(_line(self._entries[key]))
        self._out.flush()
        return value

    def _entry(self, path: Path, source: Source) -> dict[str, Any]:
        entry = self._entries.get(str(path.absolute()), {})
        return entry if entry.get("stamp") == source.stamp else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry) + "\n"  # ASCII: a name that is not UTF-8 can be written too


def _load(file: Path) -> dict[str, dict[str, Any]]:
    """Return the entries by path; none if the file has other `RULES`, or is broken before its last line."""
    head, *lines = file.read_text(encoding="utf-8").split("\n") if file.exists() else [""]
    try:
        entries = [json.loads(line) for line in lines[:-1]]  # the last one is empty, or was cut off
    except ValueError:
        return {}
    return {entry["path"]: entry for entry in entries} if head + "\n" == _line({"rules": RULES}) else {}
