"""Videos that lie in the folder of another class than their list, or their own name, says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from db.records import Dataset
from recognizer.found import Video, VideoList
from recognizer.layouts import label_of, labels_by_name
from recognizer.video.file_types import stem

_UCF101 = re.compile(r"v_(.+)_g\d+_c\d+")
_HMDB51 = re.compile(r"(.+)_[fhul]_[cn]m_np\d_(?:ba|fr|le|ri)_(?:bad|med|goo)_\d+")


def _by_ucf101(name: str, dataset: Dataset, labels: Mapping[str, int]) -> set[int]:
    match = _UCF101.fullmatch(name)
    label = label_of(match[1], labels) if match else None
    return set() if label is None else {label}


def _by_hmdb51(name: str, dataset: Dataset, labels: Mapping[str, int]) -> set[int]:
    """Return every class that may be meant: `a_man_with_a_draw_sword` may end in `sword` and in `draw_sword`."""
    match = _HMDB51.fullmatch(name)
    return {action.label for action in dataset.actions if match and match[1].endswith(f"_{action.name}")}


_NAMES: dict[str, Callable[[str, Dataset, Mapping[str, int]], set[int]]] = {
    "ucf101": _by_ucf101,
    "hmdb51": _by_hmdb51,
}  # datasets whose file names tell the class


def misplaced(found: VideoList, dataset: Dataset) -> Iterator[tuple[Video, str]]:
    """Yield each video that is in a folder named after another class, and what is wrong about it.

    Where a list or a manifest gives the labels, the folder is compared with it; else the name of the file, in the
    datasets whose names tell the class.
    """
    labels = labels_by_name(dataset)
    for video in found.videos:
        folder = label_of(video.path.parent.name, labels) if video.path else None
        if video.path and folder is not None:
            meant = _meant(video, stem(video.path.name), found, dataset, labels)
            if meant and folder not in meant:
                names = " or ".join(dataset.actions[label].name for label in sorted(meant))
                yield video, f"of {names}, but in the folder {video.path.parent.name}"


def _meant(video: Video, name: str, found: VideoList, dataset: Dataset, labels: Mapping[str, int]) -> set[int]:
    if found.labels_by != "folders":
        return {video.label}
    says = _NAMES.get(dataset.stored_as)
    return says(name, dataset, labels) if says else set()
