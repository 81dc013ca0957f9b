"""Which videos a folder holds for a dataset, by the layouts in which the datasets are handed around."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

from db.errors import UserError
from db.records import Dataset
from recognizer.layouts import (
    Annotation,
    Clip,
    Tree,
    hmdb51_tests,
    kinetics_annotations,
    label_of,
    labels_by_name,
    read_table,
    scan,
    spelling,
    stem,
    ucf101_tests,
)

Split = Literal["1", "2", "3", "all"]

NOT_IN_SPLIT = "not in the test split"
NOT_IN_LIST = "not in the list"
NOT_IN_DATASET = "class not in the dataset"
NOT_IN_CLASS_FOLDER = "not in a class folder"
IN_TRAINING = "in the training part"
SAME_NAME = "another file of the same name"
OTHER_DATASET = "of another dataset"
_TRAINING = frozenset(("train", "training"))


@dataclass(frozen=True)
class Video:
    """One video to classify."""

    id: str  # as the dataset's own list names it, else its path from the root, with "/"
    label: int  # label index in the dataset's vocabulary
    path: Path | None  # a file or a folder of frames; None: listed but not on disk
    splits: tuple[int, ...]  # those of the chosen test splits that list it; () where the layout has none


def printable(name: str) -> str:
    """Return a file's name as text that can be stored: bytes that are not UTF-8 are written as \\xe9."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class VideoList:
    """The videos of a dataset below a folder, and what there was besides."""

    layout: str  # for people: "UCF101 test split 1, lists in ucfTrainTestlist"
    videos: tuple[Video, ...]  # sorted by id; those not on disk are among them
    ignored: Mapping[str, int]  # reason -> how many files, or rows of a list, were passed over


@dataclass(frozen=True)
class _Search:
    """What every layout looks at."""

    dataset: Dataset
    labels: Mapping[str, int]  # see labels_by_name
    tree: Tree
    split: Split | None


class _Layout(NamedTuple):
    of: str  # pattern of the names of the datasets that it is for
    looked_for: str
    has_splits: bool
    find: Callable[[_Search], VideoList | None]  # None: it does not fit


def find_videos(dataset: Dataset, root: Path, *, split: Split | None = None) -> VideoList:
    """Find the videos of a dataset in a folder, or by a manifest file.

    Args:
        dataset: gives the labels.
        root: a folder in one of the layouts below, or a CSV file with the columns path and label.
        split: official test split of UCF101 and HMDB51; None is split 1 where their lists are there,
            else every video.

    Raises:
        UserError: nothing fits, or names in the lists or folders are no classes of the dataset.
    """
    layouts = _layouts(dataset, split)
    if root.is_file() and root.suffix.lower() == ".csv" and split is None:
        return _by_manifest(dataset, root)
    if not root.is_dir() or not layouts:
        raise UserError(_no_folder(dataset, root, split))
    search = _Search(dataset, labels_by_name(dataset), scan(root), split)
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


def _ucf101(search: _Search) -> VideoList | None:
    tests = ucf101_tests(search.tree.lists)
    return _by_tests(search, tests, "UCF101", "testlist0{}.txt") if tests else None


def _hmdb51(search: _Search) -> VideoList | None:
    tests = hmdb51_tests(search.tree.lists)
    return _by_tests(search, tests, "HMDB51", "*_test_split{}.txt") if tests else None


def _by_tests(search: _Search, tests: Mapping[int, list[str]], name: str, pattern: str) -> VideoList:
    """Join official test lists (split -> `<class>/<file>`) with the clips on disk."""
    chosen = {1, 2, 3} if search.split == "all" else {int(search.split or "1")}
    if lacking := sorted(chosen - tests.keys()):
        wanted = ", ".join(pattern.format(number) for number in lacking)
        present = ", ".join(pattern.format(number) for number in sorted(tests))
        raise UserError(f"No {wanted} below {search.tree.root}, only {present}. Add it or choose another --split.")
    listed: dict[str, tuple[int, ...]] = {}
    for number in sorted(chosen):
        for id_ in dict.fromkeys(tests[number]):
            listed[id_] = (*listed.get(id_, ()), number)
    folders = {_name(path.parent) for path in search.tree.lists if path.match(pattern.format("?"))}
    part = "splits 1, 2, 3" if search.split == "all" else f"split {search.split or 1}"
    return _join(search, listed, f"{name} test {part}, lists in {', '.join(sorted(folders))}")


def _join(search: _Search, listed: Mapping[str, tuple[int, ...]], layout: str) -> VideoList:
    labels = _labels_of_lists(search, listed)
    stock = _by_stem(search.tree.clips)
    videos, used = [], set()
    ignored = Counter(search.tree.ignored)
    for id_, splits in sorted(listed.items()):
        class_name, _, file = id_.partition("/")
        if (label := labels[class_name]) is None:
            ignored[NOT_IN_DATASET] += 1
            continue
        clips = stock.get(stem(file).casefold(), [])
        clip = _in_class_folder(clips, class_name)
        videos.append(Video(printable(id_), label, clip and search.tree.path(clip), splits))
        used.add(clip)
        ignored[SAME_NAME] += max(0, len(clips) - 1)
    ignored[NOT_IN_SPLIT] = len(search.tree.clips) - len(used - {None}) - ignored[SAME_NAME]
    if not used - {None}:
        raise UserError(_none_of_the_list(search, len(videos)))
    return VideoList(layout, tuple(videos), +ignored)


def _labels_of_lists(search: _Search, ids: Iterable[str]) -> dict[str, int | None]:
    """Return class -> label; None only for classes that a part of a dataset leaves out."""
    labels = {name: label_of(name, search.labels) for name in {id_.partition("/")[0] for id_ in ids}}
    unknown = sorted(name for name, label in labels.items() if label is None)
    absent = sorted(a.name for a in search.dataset.actions if a.label not in labels.values())
    if absent or (unknown and not _is_part(search.dataset)):
        raise UserError(
            f"The test lists below {search.tree.root} are not those of {search.dataset.name}. "
            f"Classes only in the lists: {', '.join(unknown) or 'none'}. "
            f"Classes without a list: {', '.join(absent) or 'none'}. Put the official lists there."
        )
    return labels


def _by_stem(clips: Iterable[Clip], *, fold: bool = True) -> dict[str, list[Clip]]:
    """Group clips by file stem; without case, for UCF101 writes both Handstand and HandStand."""
    stock: dict[str, list[Clip]] = {}
    for clip in clips:
        stock.setdefault(clip.stem.casefold() if fold else clip.stem, []).append(clip)
    return stock


def _in_class_folder(clips: list[Clip], class_name: str) -> Clip | None:
    """Choose among clips of the same stem: the one in the folder of its class, else the first."""
    nested = (clip for clip in clips if spelling(_last(clip.folder)) == spelling(class_name))
    return next(nested, clips[0] if clips else None)


def _none_of_the_list(search: _Search, count: int) -> str:
    held = ", ".join(clip.id for clip in search.tree.clips[:10]) or "no video at all"
    return (
        f"None of the {count} videos in the test lists is below {search.tree.root}, which holds {held}. "
        "Give a folder that holds both, another --split, or a folder without the lists to use all its videos."
    )


def _kinetics(search: _Search) -> VideoList | None:
    """Use the list that names the most of the videos here; a list of nothing here does not count."""
    stock = _by_stem(search.tree.clips, fold=False)  # YouTube tells ids apart by case
    tables = ((path, kinetics_annotations(path)) for path in search.tree.lists if path.suffix == ".csv")
    joined = [_join_kinetics(search, path, rows, stock) for path, rows in tables if rows]
    best = max(joined, key=lambda videos: _on_disk(videos.videos), default=None)
    return best if best and _on_disk(best.videos) else None


def _join_kinetics(
    search: _Search, path: Path, rows: Iterable[Annotation], stock: Mapping[str, list[Clip]]
) -> VideoList:
    ignored, videos, used = Counter(search.tree.ignored), dict[str, Video](), set[str]()
    for row in rows:
        found = next((name for name in (row.id, row.youtube_id) if name in stock), None)
        used.update([found] if found else [])
        label = label_of(row.class_name, search.labels)
        if row.subset in _TRAINING or path.stem in _TRAINING:
            ignored[IN_TRAINING] += 1
        elif label is None:
            ignored[NOT_IN_DATASET] += 1
        else:
            videos[row.id] = Video(printable(row.id), label, search.tree.path(stock[found][0]) if found else None, ())
    ignored[NOT_IN_LIST] = sum(len(clips) for name, clips in stock.items() if name not in used)
    ignored[SAME_NAME] = sum(len(stock[name]) - 1 for name in used)
    where = path.relative_to(search.tree.root).as_posix()
    return VideoList(f"Kinetics list {where}", _sorted(videos.values()), +ignored)


def _class_folders(search: _Search) -> VideoList | None:
    clips = [clip for clip in search.tree.clips if not _in_training(clip)] or list(search.tree.clips)
    folders = {clip.folder for clip in clips}
    labels = {folder: label_of(_last(folder) or _name(search.tree.root), search.labels) for folder in folders}
    unknown = sorted(folder for folder, label in labels.items() if folder and label is None)
    if unknown and not _is_part(search.dataset):
        raise UserError(_unknown_folders(search, unknown))
    ignored = Counter(search.tree.ignored)
    ignored[IN_TRAINING] = len(search.tree.clips) - len(clips)
    videos = []
    for clip in clips:
        if (label := labels[clip.folder]) is not None:
            videos.append(Video(printable(clip.id), label, search.tree.path(clip), ()))
        else:
            ignored[NOT_IN_DATASET if clip.folder else NOT_IN_CLASS_FOLDER] += 1
    return VideoList("class folders", _sorted(videos), +ignored) if videos else None


def _in_training(clip: Clip) -> bool:
    """Nothing is trained here: a training part beside another part is left out."""
    return not _TRAINING.isdisjoint(part.lower() for part in clip.folder.split("/")[:-1])


def _unknown_folders(search: _Search, folders: list[str]) -> str:
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
    if unknown and not _is_part(dataset):
        raise UserError(f"{path}: no classes of {dataset.name}: {', '.join(map(repr, unknown))}. Correct them.")
    for row in kept:
        if (label := label_of(row["label"], labels)) is None:
            ignored[NOT_IN_DATASET] += 1
        else:
            file = path.parent / row["path"]
            videos[row["path"]] = Video(printable(row["path"]), label, file if file.exists() else None, ())
    return VideoList(f"manifest {path.name}", _sorted(videos.values()), +ignored)


def _is_part(dataset: Dataset) -> bool:
    """Tell whether a dataset is some of the classes of another, whose videos may lie around too."""
    return dataset.stored_as != dataset.name


def _on_disk(videos: Iterable[Video]) -> int:
    return sum(video.path is not None for video in videos)


def _sorted(videos: Iterable[Video]) -> tuple[Video, ...]:
    return tuple(sorted(videos, key=lambda video: video.id))


def _last(folder: str) -> str:
    return folder.rpartition("/")[2]


def _name(folder: Path) -> str:
    return folder.resolve().name


_LAYOUTS = (
    _Layout(
        "ucf101",
        "UCF101 with its lists: ucfTrainTestlist/testlist01.txt and <Class>/<file>.avi, or the files anywhere",
        True,
        _ucf101,
    ),
    _Layout(
        "hmdb51",
        "HMDB51 with its lists: testTrainMulti_7030_splits/<class>_test_split1.txt and <class>/<file>.avi",
        True,
        _hmdb51,
    ),
    _Layout(
        "kinetics*",
        "Kinetics with a list: a .csv file with label, youtube_id, time_start, time_end and "
        "<id>_<start>_<end>.mp4 or <id>.mp4",
        False,
        _kinetics,
    ),
    _Layout("*", "class folders: <class>/<video file or folder of frames>", False, _class_folders),
)
