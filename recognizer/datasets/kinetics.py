"""Kinetics-400 (Kay et al., arXiv 1705.06950) and Kinetics-600 (Carreira et al., arXiv 1808.01340)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from db.errors import UserError
from recognizer.datasets.class_folders import CLASS_FOLDERS
from recognizer.datasets.manifest import read_table
from recognizer.datasets.records import (
    TRAINING,
    Download,
    Layout,
    OfficialDataset,
    Search,
    Video,
    VideoList,
    printable,
)
from recognizer.datasets.scan import SkipReason, VideoEntry
from recognizer.video.file_types import stem as video_stem

_LONGEST_HEADER = 10_000  # characters
_COLUMNS = {"label", "youtube_id", "time_start", "time_end"}


class _Row(NamedTuple):
    """One row of a Kinetics list."""

    class_name: str
    id: str  # <youtube id>_<start>_<end>, seconds in six digits: the official file stem
    youtube_id: str
    subset: str  # as in the list: "train", "val", "validate", "test"; "" without that column


def _find(search: Search) -> VideoList | None:
    """Read a list, or class folders if there are replacements of corrupted videos beside them; they are used."""
    replacements = {entry.stem: entry for entry in search.tree.videos if _replaces(entry)}
    rest = tuple(entry for entry in search.tree.videos if not _replaces(entry))
    originals = replace(search, tree=replace(search.tree, videos=rest)) if replacements else search
    video_list = _by_list(originals)
    if not replacements:
        return video_list
    video_list = video_list or CLASS_FOLDERS.find(originals)
    return _with_replacements(video_list, search, replacements) if video_list else None


def _replaces(entry: VideoEntry) -> bool:
    """Whether a file is in the folder that holds new copies of about 1400 corrupted videos, without classes."""
    return any(part.lower().startswith("replacement") for part in entry.folder.split("/"))


def _with_replacements(video_list: VideoList, search: Search, replacements: Mapping[str, VideoEntry]) -> VideoList:
    """Return the list with each replaced video read from its replacement; the others are counted."""
    videos, skipped, used = list[Video](), list(video_list.skipped_files), set[str]()
    for video in video_list.videos:
        names = (video.id.rpartition("/")[2], video.path.name if video.path else "")
        stem = next((stem for stem in map(video_stem, names) if stem in replacements), None)
        if stem:
            used.add(stem)
            skipped += [(_below(video.path, search.tree.root), SkipReason.REPLACED)] if video.path else []
            video = replace(video, path=search.tree.path(replacements[stem]))
        videos.append(video)
    skipped += [(replacements[stem].id, SkipReason.REPLACES_NOTHING) for stem in replacements.keys() - used]
    rows, labels_by = video_list.skipped_rows, video_list.labels_by
    return VideoList.build(video_list.layout, videos, skipped, skipped_rows=rows, labels_by=labels_by)


def _by_list(search: Search) -> VideoList | None:
    """Join every list with the files; return the one with the most videos on disk, None if none has any."""
    by_stem = defaultdict[str, list[VideoEntry]](list)  # case counts: YouTube ids are case-sensitive
    for entry in search.tree.videos:
        by_stem[entry.stem].append(entry)
    lists = ((path, _rows(path)) for path in search.tree.lists if path.suffix == ".csv")
    joined = [_join(search, path, rows, by_stem) for path, rows in lists if rows]
    best = max(joined, key=_on_disk, default=None)
    return best if best and _on_disk(best) else None


def _on_disk(video_list: VideoList) -> int:
    return sum(video.path is not None for video in video_list.videos)


def _rows(path: Path) -> list[_Row]:
    """Read a Kinetics list; [] for a CSV file with other columns."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        columns = {column.strip() for column in file.readline(_LONGEST_HEADER).split(",")}
    return [_row(cells, path) for cells in read_table(path)] if columns >= _COLUMNS else []


def _row(cells: Mapping[str, str], path: Path) -> _Row:
    youtube_id = cells["youtube_id"]
    try:
        start, end = int(float(cells["time_start"])), int(float(cells["time_end"]))
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path}: times of {youtube_id!r} are not in seconds: {error}") from error
    return _Row(cells["label"], f"{youtube_id}_{start:06d}_{end:06d}", youtube_id, cells.get("split", ""))


def _join(search: Search, path: Path, rows: Iterable[_Row], by_stem: Mapping[str, list[VideoEntry]]) -> VideoList:
    skipped_rows, videos, used = Counter[SkipReason](), dict[str, Video](), set[str]()
    for row in rows:
        stem = next((stem for stem in (row.id, row.youtube_id) if stem in by_stem), None)
        used |= {stem} if stem else set()
        label = search.label(row.class_name)
        if row.subset in TRAINING or path.stem in TRAINING:
            skipped_rows[SkipReason.IN_TRAINING] += 1
        elif label is None:
            skipped_rows[SkipReason.NOT_IN_DATASET] += 1
        else:
            videos[row.id] = Video(printable(row.id), label, search.tree.path(by_stem[stem][0]) if stem else None, ())
    skipped = list(search.tree.skipped)
    for stem, entries in by_stem.items():
        reason = SkipReason.SAME_NAME if stem in used else SkipReason.NOT_IN_LIST
        skipped += [(entry.id, reason) for entry in entries[stem in used :]]
    layout = f"Kinetics list {_below(path, search.tree.root)}"
    return VideoList.build(layout, videos.values(), skipped, skipped_rows=skipped_rows)


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


_LAYOUT = Layout(
    "kinetics*",
    "Kinetics with a list: a .csv file with label, youtube_id, time_start, time_end and "
    "<id>_<start>_<end>.mp4 or <id>.mp4",
    _find,
    lists=r".+\.csv",
)


def _kinetics(classes: int, *, about: str, mteb: str) -> OfficialDataset:
    """Return the record of Kinetics-`classes`; only its validation part is downloaded."""
    server, archives = f"https://s3.amazonaws.com/kinetics/{classes}", f"k{classes}_val_path.txt"
    files = (
        Download("annotations/val.csv", {f"{server}/annotations/val.csv": None}, brings="lists"),
        Download(f"archives/{archives}", {f"{server}/val/{archives}": None}, unpack="list of archives", into="val"),
    )
    return OfficialDataset(
        name=f"kinetics{classes}",
        title=f"Kinetics-{classes}, validation part",
        layout=_LAYOUT,
        page="https://github.com/cvdfoundation/kinetics-dataset",
        about=about,
        files=files,
        mteb=mteb,
    )


KINETICS400 = _kinetics(
    400,
    about="19 881 of the 19 906 clips of the list, of 400 classes",
    mteb="Kinetics400ZeroShot takes 10 videos of each class, and no list says which",
)
KINETICS600 = _kinetics(
    600,
    about="about 30 000 clips of 600 classes; the page calls val.csv incomplete, and the list of the test part has no "
    "labels",
    mteb="Kinetics600VZeroShot takes about 16 videos of each class of the test set",
)
