"""The registry of official datasets. A new one is a file like ucf101.py and a line here (and its classes in db)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from db.records import Dataset
from recognizer.datasets.class_folders import CLASS_FOLDERS
from recognizer.datasets.hmdb51 import HMDB51
from recognizer.datasets.kinetics import KINETICS400, KINETICS600
from recognizer.datasets.records import OfficialDataset
from recognizer.datasets.thumos14 import THUMOS14
from recognizer.datasets.ucf101 import UCF101
from recognizer.video.file_types import stem

OFFICIAL_DATASETS = {official.name: official for official in (UCF101, HMDB51, KINETICS400, KINETICS600, THUMOS14)}
LAYOUTS = (
    *dict.fromkeys(official.layout for official in OFFICIAL_DATASETS.values() if not official.long_videos),
    CLASS_FOLDERS,
)  # tried in this order
LIST_NAMES = re.compile("|".join(layout.lists for layout in LAYOUTS if layout.lists))


def official_of(dataset: Dataset) -> OfficialDataset | None:
    """Return the official dataset that holds the videos of a dataset: its own, or the one it is a part of."""
    return OFFICIAL_DATASETS.get(dataset.name) or OFFICIAL_DATASETS.get(dataset.stored_as)


def clip_groups(videos: Iterable[str]) -> list[str]:
    """Return the group of each video, by id: the source that its clip was cut from, as its name says.

    UCF101 and HMDB51 have such names, wherever their files lie. Any other video is a group of its own.
    """
    return [_source(video) or f"only {video}" for video in videos]


def _source(video: str) -> str | None:
    name = stem(video.rpartition("/")[2])
    sources = (official.source_by_file_name(name) for official in OFFICIAL_DATASETS.values())
    return next(filter(None, sources), None)
