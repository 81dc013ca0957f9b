"""Find the videos of a dataset in a folder."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from db.errors import UserError
from db.records import Dataset
from db.vocabulary import class_finder
from recognizer.datasets.manifest import read_manifest
from recognizer.datasets.official import LAYOUTS, LIST_NAMES
from recognizer.datasets.records import Layout, Search, Split, Video, VideoList
from recognizer.datasets.scan import scan

__all__ = ["Split", "Video", "VideoList", "find_videos"]


def find_videos(dataset: Dataset, root: Path, *, split: Split | Literal["listed"] | None = None) -> VideoList:
    """Find the videos of a dataset in a folder, or by a manifest.

    Args:
        dataset: gives the labels.
        root: a folder in one of the dataset's layouts, or a CSV file with the columns path and label.
        split: test split of UCF101 and HMDB51, or of a CSV file with a column split, which may also have a part `val`
            or `test`; None is split 1 of the official lists, else every video; "listed" is every split that has a
            list, or every video if there are no lists.

    Raises:
        UserError: no layout fits, or a name in the lists or folders is not a class of the dataset.
    """
    number = None if split == "listed" else split
    layouts = [
        layout
        for layout in LAYOUTS
        if fnmatchcase(dataset.stored_as, layout.datasets)
        and ((layout.has_splits and number not in ("val", "test")) or number is None)
    ]
    if root.is_file() and root.suffix.lower() == ".csv":
        return read_manifest(dataset, root, split=number)
    if not root.is_dir() or not layouts:
        raise UserError(_no_folder(dataset, root, number))
    search = Search(dataset, class_finder(dataset), scan(root, LIST_NAMES), split)
    for layout in layouts:
        if video_list := layout.find(search):
            return video_list
    raise UserError(_no_layout_fits(dataset, root, layouts))


def _no_folder(dataset: Dataset, root: Path, split: Split | None) -> str:
    if not root.exists():
        return f"{root} does not exist. Give the folder that holds the videos of {dataset.name}."
    if split is not None:
        official = " and ".join(layout.datasets for layout in LAYOUTS if layout.has_splits)
        return (
            f"No test split {split!r} of {dataset.name} in {root}: only folders of {official} with their official "
            "lists, and .csv files with a column split, have test splits. Leave out --split."
        )
    return f"{root} is neither a folder nor a .csv file with the columns path and label."


def _no_layout_fits(dataset: Dataset, root: Path, layouts: Iterable[Layout]) -> str:
    names = sorted(entry.name for entry in root.iterdir())
    shown = "\n".join(f"  {name}" for name in names[:10]) or "  nothing"
    more = f"\n  and {len(names) - 10} more" if len(names) > 10 else ""
    looked_for = "\n".join(f"  {layout.looked_for}" for layout in layouts)
    return (
        f"No videos of {dataset.name} in {root}. Looked for:\n{looked_for}\nIt holds:\n{shown}{more}\n"
        "Give the folder that holds the videos, or a .csv file with the columns path and label."
    )
