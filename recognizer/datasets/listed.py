"""Videos that official lists name, joined with the files on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from db.errors import UserError
from recognizer.datasets.lists import Annotation, hmdb51_tests, kinetics_annotations, ucf101_tests
from recognizer.datasets.records import (
    IN_TRAINING,
    NOT_IN_DATASET,
    NOT_IN_LIST,
    NOT_IN_SPLIT,
    SAME_NAME,
    TRAINING,
    Search,
    Video,
    VideoList,
    is_part,
    last,
    name_of,
    printable,
    video_list,
)
from recognizer.datasets.scan import Clip, label_of, spelling
from recognizer.video.file_types import stem


def ucf101(search: Search) -> VideoList | None:
    """Find the videos of UCF101's test lists."""
    tests = ucf101_tests(search.tree.lists)
    return _by_tests(search, tests, "UCF101", "testlist0{}.txt") if tests else None


def hmdb51(search: Search) -> VideoList | None:
    """Find the videos of HMDB51's test lists."""
    tests = hmdb51_tests(search.tree.lists)
    return _by_tests(search, tests, "HMDB51", "*_test_split{}.txt") if tests else None


def _by_tests(search: Search, tests: Mapping[int, list[str]], name: str, pattern: str) -> VideoList:
    """Join official test lists (split -> `<class>/<file>`) with the clips on disk."""
    chosen = _chosen_splits(search, tests, pattern)
    listed: dict[str, tuple[int, ...]] = {}
    for number in chosen:
        for id_ in dict.fromkeys(tests[number]):
            listed[id_] = (*listed.get(id_, ()), number)
    folders = {name_of(path.parent) for path in search.tree.lists if path.match(pattern.format("?"))}
    part = f"split{'s' if len(chosen) > 1 else ''} {', '.join(map(str, chosen))}"
    return _join(search, listed, f"{name} test {part}, lists in {', '.join(sorted(folders))}")


def _chosen_splits(search: Search, tests: Mapping[int, list[str]], pattern: str) -> list[int]:
    if search.split == "listed":
        return sorted(tests)
    chosen = [1, 2, 3] if search.split == "all" else [int(search.split or "1")]
    if lacking := sorted(set(chosen) - tests.keys()):
        wanted = ", ".join(pattern.format(number) for number in lacking)
        present = ", ".join(pattern.format(number) for number in sorted(tests))
        raise UserError(f"No {wanted} below {search.tree.root}, only {present}. Add it or choose another --split.")
    return chosen


def _join(search: Search, listed: Mapping[str, tuple[int, ...]], layout: str) -> VideoList:
    labels = _labels_of_lists(search, listed)
    stock = _by_stem(search.tree.clips)
    videos: list[Video] = []
    used, copies = set[Clip](), set[Clip]()
    rows: Counter[str] = Counter()
    for id_, splits in listed.items():
        class_name, _, file = id_.partition("/")
        if (label := labels[class_name]) is None:
            rows[NOT_IN_DATASET] += 1
            continue
        clips = stock.get(stem(file).casefold(), [])
        clip = _in_class_folder(clips, class_name)
        videos.append(Video(printable(id_), label, clip and search.tree.path(clip), splits))
        used.update([clip] if clip else [])
        copies.update(clips)
    if not used:
        raise UserError(_none_of_the_list(search, len(videos)))
    passed_over = [(clip.id, SAME_NAME) for clip in copies - used]
    passed_over += [(clip.id, NOT_IN_SPLIT) for clip in search.tree.clips if clip not in copies]
    return video_list(layout, videos, [*search.tree.passed_over, *passed_over], rows=rows)


def _labels_of_lists(search: Search, ids: Iterable[str]) -> dict[str, int | None]:
    """Return class -> label; None only for classes that a part of a dataset leaves out."""
    labels = {name: label_of(name, search.labels) for name in {id_.partition("/")[0] for id_ in ids}}
    unknown = sorted(name for name, label in labels.items() if label is None)
    absent = sorted(a.name for a in search.dataset.actions if a.label not in labels.values())
    if absent or (unknown and not is_part(search.dataset)):
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
    nested = (clip for clip in clips if spelling(last(clip.folder)) == spelling(class_name))
    return next(nested, clips[0] if clips else None)


def _none_of_the_list(search: Search, count: int) -> str:
    held = ", ".join(clip.id for clip in search.tree.clips[:10]) or "no video at all"
    return (
        f"None of the {count} videos in the test lists is below {search.tree.root}, which holds {held}. "
        "Give a folder that holds both, another --split, or a folder without the lists to use all its videos."
    )


def kinetics(search: Search) -> VideoList | None:
    """Use the list that names the most of the videos here; a list of nothing here does not count."""
    stock = _by_stem(search.tree.clips, fold=False)  # YouTube tells ids apart by case
    tables = ((path, kinetics_annotations(path)) for path in search.tree.lists if path.suffix == ".csv")
    joined = [_join_kinetics(search, path, rows, stock) for path, rows in tables if rows]
    best = max(joined, key=_on_disk, default=None)
    return best if best and _on_disk(best) else None


def _join_kinetics(
    search: Search, path: Path, annotations: Iterable[Annotation], stock: Mapping[str, list[Clip]]
) -> VideoList:
    rows, videos, used = Counter[str](), dict[str, Video](), set[str]()
    for row in annotations:
        found = next((name for name in (row.id, row.youtube_id) if name in stock), None)
        used.update([found] if found else [])
        label = label_of(row.class_name, search.labels)
        if row.subset in TRAINING or path.stem in TRAINING:
            rows[IN_TRAINING] += 1
        elif label is None:
            rows[NOT_IN_DATASET] += 1
        else:
            videos[row.id] = Video(printable(row.id), label, search.tree.path(stock[found][0]) if found else None, ())
    passed_over = [(clip.id, NOT_IN_LIST) for name, clips in stock.items() if name not in used for clip in clips]
    passed_over += [(clip.id, SAME_NAME) for name in used for clip in stock[name][1:]]
    where = path.relative_to(search.tree.root).as_posix()
    layout = f"Kinetics list {where}"
    return video_list(layout, videos.values(), [*search.tree.passed_over, *passed_over], rows=rows)


def _on_disk(found: VideoList) -> int:
    return sum(video.path is not None for video in found.videos)
