"""Class folders: the layout of any dataset without lists, `<class>/<video>`."""

from __future__ import annotations

from collections.abc import Sequence

from db.errors import UserError
from recognizer.datasets.records import TRAINING, Layout, Search, Video, VideoList, printable
from recognizer.datasets.scan import SkipReason, VideoEntry

_MOST_LISTED = 5


def _find(search: Search) -> VideoList | None:
    entries = [entry for entry in search.tree.videos if not _in_training(entry)] or list(search.tree.videos)
    root_name = search.tree.root.resolve().name  # the root may be given as `.`
    labels = {entry.folder: search.label(entry.parent or root_name) for entry in entries}
    unknown = sorted(folder for folder, label in labels.items() if folder and label is None)
    if unknown and not search.is_part:
        raise UserError(_unknown_folders(search, unknown))
    videos: list[Video] = []
    skipped = [(entry.id, SkipReason.IN_TRAINING) for entry in set(search.tree.videos) - set(entries)]
    for entry in entries:
        if (label := labels[entry.folder]) is not None:
            videos.append(Video(printable(entry.id), label, search.tree.path(entry), ()))
        else:
            skipped.append((entry.id, SkipReason.NOT_IN_DATASET if entry.folder else SkipReason.NOT_IN_CLASS_FOLDER))
    skipped += search.tree.skipped
    return VideoList.build("class folders", videos, skipped, labels_by="folders") if videos else None


def _in_training(entry: VideoEntry) -> bool:
    """Whether a video is in a training part; such videos are skipped if there are others."""
    return not TRAINING.isdisjoint(part.lower() for part in entry.folder.split("/")[:-1])


def _unknown_folders(search: Search, folders: Sequence[str]) -> str:
    name, root = search.dataset.name, search.tree.root
    more = [f"and {len(folders) - _MOST_LISTED} more"] if len(folders) > _MOST_LISTED else []
    listed = "\n".join(f"  {folder}" for folder in [*folders[:_MOST_LISTED], *more])
    return (
        f"{len(folders)} folders of {root} hold videos, but their names are not classes of {name}:\n{listed}\n"
        f"Rename them to classes of {name}, move them away, or use the folder names as "
        f"your own classes: --dataset {root}"
    )


CLASS_FOLDERS = Layout("*", "class folders: <class>/<video file or folder of frames>", _find)
