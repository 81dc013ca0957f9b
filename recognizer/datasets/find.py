"""Which videos a folder holds for a dataset, by the layouts in which the datasets are handed around."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

from db.errors import UserError
from db.records import Dataset
from recognizer.datasets import listed
from recognizer.datasets.lists import read_table
from recognizer.datasets.records import (
    IN_TRAINING,
    NOT_IN_CLASS_FOLDER,
    NOT_IN_DATASET,
    OTHER_DATASET,
    TRAINING,
    Search,
    Split,
    Video,
    VideoList,
    is_part,
    last,
    name_of,
    printable,
    video_list,
)
from recognizer.datasets.scan import Clip, label_of, labels_by_name, scan

__all__ = ["Split", "Video", "VideoList", "find_videos"]


class _Layout(NamedTuple):
    of: str  # pattern of the names of the datasets that it is for
    looked_for: str
    has_splits: bool
    find: Callable[[Search], VideoList | None]  # None: it does not fit


def find_videos(dataset: Dataset, root: Path, *, split: Split | Literal["listed"] | None = None) -> VideoList:
    """Find the videos of a dataset in a folder, or by a manifest file.

    Args:
        dataset: gives the labels.
        root: a folder in one of the layouts below, or a CSV file with the columns path and label.
        split: official test split of UCF101 and HMDB51; None is split 1 where their lists are there,
            else every video; "listed" is every split that has a list there, else every video.

    Raises:
        UserError: nothing fits, or names in the lists or folders are no classes of the dataset.
    """
    named = None if split == "listed" else split
    layouts = _layouts(dataset, named)
    if root.is_file() and root.suffix.lower() == ".csv" and named is None:
        return _by_manifest(dataset, root)
    if not root.is_dir() or not layouts:
        raise UserError(_no_folder(dataset, root, named))
    search = Search(dataset, labels_by_name(dataset), scan(root), split)
    for layout in layouts:
        if found := layout.find(search):
            return found
    raise UserError(_nothing_fits(dataset, root, layouts))


def _layouts(dataset: Dataset, split: Split | None) -> list[_Layout]:
    named = (layout for layout in _LAYOUTS if fnmatchcase(dataset.stored_as, layout.of))
    return [layout for layout in named if layout.has_splits or split is None]


def _no_folder(dataset: Dataset, root: Path, split: Split | None) -> str:
    if not root.exists():
        return f"There is no {root}. Give the folder that holds the videos of {dataset.name}."
    if split is not None:
        official = "only folders of ucf101 and hmdb51 with their official lists have"
        return f"No test split {split!r} of {dataset.name} in {root}: {official}. Leave out --split."
    return f"{root} is neither a folder nor a .csv file with the columns path and label."


def _nothing_fits(dataset: Dataset, root: Path, layouts: Iterable[_Layout]) -> str:
    names = sorted(entry.name for entry in root.iterdir())
    shown = "\n".join(f"  {name}" for name in names[:10]) or "  nothing"
    more = f"\n  and {len(names) - 10} more" if len(names) > 10 else ""
    looked_for = "\n".join(f"  {layout.looked_for}" for layout in layouts)
    return (
        f"No videos of {dataset.name} in {root}. Looked for:\n{looked_for}\nIt holds:\n{shown}{more}\n"
        "Give the folder that holds the videos, or a .csv file with the columns path and label."
    )


def _class_folders(search: Search) -> VideoList | None:
    clips = [clip for clip in search.tree.clips if not _in_training(clip)] or list(search.tree.clips)
    folders = {clip.folder for clip in clips}
    labels = {folder: label_of(last(folder) or name_of(search.tree.root), search.labels) for folder in folders}
    unknown = sorted(folder for folder, label in labels.items() if folder and label is None)
    if unknown and not is_part(search.dataset):
        raise UserError(_unknown_folders(search, unknown))
    videos = []
    passed_over = [(clip.id, IN_TRAINING) for clip in set(search.tree.clips) - set(clips)]
    for clip in clips:
        if (label := labels[clip.folder]) is not None:
            videos.append(Video(printable(clip.id), label, search.tree.path(clip), ()))
        else:
            passed_over.append((clip.id, NOT_IN_DATASET if clip.folder else NOT_IN_CLASS_FOLDER))
    everything = [*search.tree.passed_over, *passed_over]
    return video_list("class folders", videos, everything, labels_by="folders") if videos else None


def _in_training(clip: Clip) -> bool:
    """Nothing is trained here: a training part beside another part is left out."""
    return not TRAINING.isdisjoint(part.lower() for part in clip.folder.split("/")[:-1])


def _unknown_folders(search: Search, folders: list[str]) -> str:
    name = search.dataset.name
    listed = "\n".join(f"  {folder}" for folder in folders)
    return (
        f"These folders of {search.tree.root} hold videos, but are named as no class of {name}:\n{listed}\n"
        f"Rename them (descgen knows the classes of {name}), move them away, or use the folder names as "
        f"classes of your own: --dataset {search.tree.root}"
    )


def _by_manifest(dataset: Dataset, path: Path) -> VideoList:
    """Read a CSV file with the columns path (from the file's folder) and label, perhaps dataset."""
    rows = read_table(path)
    if not rows or not {"path", "label"} <= rows[0].keys():
        columns = ", ".join(rows[0]) if rows else "no rows"
        raise UserError(f"{path} needs the columns path and label and at least one row; it has: {columns}.")
    labels, ignored, videos = labels_by_name(dataset), Counter[str](), dict[str, Video]()
    own = {dataset.name, dataset.stored_as, ""}
    kept = [row for row in rows if row.get("dataset", "") in own]
    ignored[OTHER_DATASET] = len(rows) - len(kept)
    unknown = sorted({row["label"] for row in kept if label_of(row["label"], labels) is None})
    if unknown and not is_part(dataset):
        raise UserError(f"{path}: no classes of {dataset.name}: {', '.join(map(repr, unknown))}. Correct them.")
    for row in kept:
        if (label := label_of(row["label"], labels)) is None:
            ignored[NOT_IN_DATASET] += 1
        else:
            file = path.parent / row["path"]
            videos[row["path"]] = Video(printable(row["path"]), label, file if file.exists() else None, ())
    return video_list(f"manifest {path.name}", videos.values(), (), rows=ignored, labels_by="manifest")


_LAYOUTS = (
    _Layout(
        "ucf101",
        "UCF101 with its lists: ucfTrainTestlist/testlist01.txt and <Class>/<file>.avi, or the files anywhere",
        True,
        listed.ucf101,
    ),
    _Layout(
        "hmdb51",
        "HMDB51 with its lists: testTrainMulti_7030_splits/<class>_test_split1.txt and <class>/<file>.avi",
        True,
        listed.hmdb51,
    ),
    _Layout(
        "kinetics*",
        "Kinetics with a list: a .csv file with label, youtube_id, time_start, time_end and "
        "<id>_<start>_<end>.mp4 or <id>.mp4",
        False,
        listed.kinetics,
    ),
    _Layout("*", "class folders: <class>/<video file or folder of frames>", False, _class_folders),
)
