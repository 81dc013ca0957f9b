"""Inspect one video file or folder of frames, and remember the result until the file changes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recognizer.video.container import UnreadableVideo, count_packets, decode_whole
from recognizer.video.frames import image_names, opened_image, refuse_sizes

RULES = 1  # counted up when the same file would be judged in another way: what was remembered is then forgotten
_PASSING = "cannot be opened"  # a permission or a network drive: it may be well the next time


@dataclass(frozen=True)
class Inspection:
    """What was seen of a video."""

    frames: int  # 0 where it is unreadable
    garbled: int  # frames that were decoded with errors
    unreadable: str | None  # why
    decoded: bool  # whether every frame was decoded; else packets were counted and headers read

    @property
    def lasting(self) -> bool:
        """Whether it says something about the file and not about the moment."""
        return not (self.unreadable or "").startswith(_PASSING)


@dataclass(frozen=True)
class Fingerprint:
    """What changes when a file does; of a folder: the sum and the newest of its files."""

    size: int  # bytes
    modified: int  # nanoseconds since 1970


def inspect(path: Path, *, decode: bool = True) -> Inspection:
    """Look at a video file or a folder of frames; nothing that it holds raises an error.

    Args:
        path: a file or folder.
        decode: whether to decode every frame (a clip of UCF101: 25 ms); else its packets and headers are read
            alone (7 ms), which says nothing of packets that do not decode.
    """
    try:
        frames, garbled = _images(path, decode=decode) if path.is_dir() else _file(path, decode=decode)
        return Inspection(frames, garbled, None, decode)
    except UnreadableVideo as error:
        return Inspection(0, 0, str(error), decode)
    except OSError as error:
        return Inspection(0, 0, f"{_PASSING}: {error.strerror or error}", decode)


def _file(path: Path, *, decode: bool) -> tuple[int, int]:
    if not decode:
        return count_packets(path)[0], 0
    whole = decode_whole(path)
    return whole.shown, whole.garbled


def _images(folder: Path, *, decode: bool) -> tuple[int, int]:
    names = image_names(folder)
    if not names:
        raise UnreadableVideo("no images")
    sizes = set()
    for name in names:
        with opened_image(folder / name) as image:
            sizes.add((image.width, image.height))
            if decode:
                image.load()
    refuse_sizes(sizes)
    return len(names), 0


def fingerprint(path: Path) -> Fingerprint:
    """Return size and time of a file, or those of all files in a folder.

    Raises:
        OSError: it cannot be looked at.
    """
    stats = [path.stat(), *((entry.stat() for entry in os.scandir(path) if entry.is_file()) if path.is_dir() else ())]
    files = stats[1:] if path.is_dir() else stats
    return Fingerprint(sum(stat.st_size for stat in files), max(stat.st_mtime_ns for stat in stats))


def digest(path: Path) -> str:
    """Return the sha256 of a file, or of the files of a folder one after the other, in order of their names."""
    found = hashlib.sha256()
    for part in sorted(path.iterdir()) if path.is_dir() else [path]:
        with part.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


class Memory:
    """Inspections and digests by path, kept as lines of JSON that are appended as they come.

    A process that is killed loses at most the line that it writes. An entry holds as long as the size and the time
    of its file do; the last entry of a path counts.
    """

    def __init__(self, file: Path, *, forget: bool = False) -> None:
        self.file = file
        self._known = {} if forget else _load(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        _write(file, self._known)  # without what was replaced since, and without a line that was cut off
        self._out = file.open("a", encoding="utf-8")

    @classmethod
    def of(cls, places: Sequence[Path], folder: Path, *, forget: bool = False) -> Self:
        """Open the memory of files and folders that are checked together, in a folder of memories."""
        names = "\0".join(sorted(str(place.resolve()) for place in places))
        return cls(folder / f"{hashlib.sha256(os.fsencode(names)).hexdigest()[:16]}.jsonl", forget=forget)

    def inspection(self, path: Path, seen: Fingerprint, *, decoded: bool) -> Inspection | None:
        """Return what was found of a file as it is now; one that was decoded serves for one that need not be."""
        known = self._entry(path, seen).get("inspection")
        if known is None or (decoded and not known["decoded"]):
            return None
        return Inspection(**known)

    def digest(self, path: Path, seen: Fingerprint) -> str | None:
        """Return the digest of a file as it is now."""
        found: str | None = self._entry(path, seen).get("digest")
        return found

    def keep(self, path: Path, seen: Fingerprint, **found: Inspection | str) -> None:
        """Write down an `inspection` or a `digest` of a file."""
        values = {name: asdict(value) if isinstance(value, Inspection) else value for name, value in found.items()}
        entry = {"path": _key(path), **asdict(seen), **self._kept(path, seen), **values}
        self._known[_key(path)] = entry
        self._out.write(_line(entry))
        self._out.flush()

    def _entry(self, path: Path, seen: Fingerprint) -> dict[str, Any]:
        known = self._known.get(_key(path), {})
        return known if (known.get("size"), known.get("modified")) == (seen.size, seen.modified) else {}

    def _kept(self, path: Path, seen: Fingerprint) -> dict[str, Any]:
        return {name: value for name, value in self._entry(path, seen).items() if name in ("inspection", "digest")}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._out.close()


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry) + "\n"  # ASCII: a name that is not UTF-8 can be written too


def _key(path: Path) -> str:
    return str(path.absolute())


def _load(file: Path) -> dict[str, dict[str, Any]]:
    """Return the entries by path; none of a file of other rules, or that is not whole besides its last line."""
    if not file.exists():
        return {}
    head, *lines = file.read_text(encoding="utf-8").split("\n")
    if head + "\n" != _HEAD:
        return {}
    try:
        entries = [json.loads(line) for line in lines[:-1]]  # the last one is empty, or was cut off
    except ValueError:
        return {}
    return {entry["path"]: entry for entry in entries}


def _write(file: Path, entries: Mapping[str, dict[str, Any]]) -> None:
    new = file.with_suffix(".new")
    new.write_text(_HEAD + "".join(map(_line, entries.values())), encoding="utf-8")
    new.replace(file)


_HEAD = _line({"rules": RULES})
