"""Join the official test lists of UCF101 and HMDB51 with the files on disk."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from db.errors import UserError, first_few
from db.given_files import read_text
from db.vocabulary import spelling
from recognizer.datasets.records import Search, Video, VideoList, printable
from recognizer.datasets.scan import SkipReason, VideoEntry
from recognizer.video.file_types import stem


def lines(path: Path) -> list[str]:
    """Return the non-blank lines of a list, decoded like file names on disk so that both compare equal."""
    text = read_text(path, errors="surrogateescape")
    return [line.strip() for line in text.splitlines() if line.strip()]


def join(search: Search, tests: Mapping[int, list[str]], *, title: str, file_name: str) -> VideoList | None:
    """Join test lists with the files on disk, in whatever folders they are.

    Args:
        search: the dataset, its folder and the chosen split.
        tests: split -> `<class>/<file>` of its test videos; if there are none, the result is None.
        title: the dataset's name, for the layout of the result.
        file_name: name of a split's list, with {} for the split's number.

    Raises:
        UserError: the list of a chosen split is missing, the lists and the dataset have different classes, or none of
            their videos is on disk.
    """
    if not tests:
        return None
    chosen = _chosen_splits(search, tests, file_name)
    splits = defaultdict[str, tuple[int, ...]](tuple)  # video id -> the splits that list it
    for number in chosen:
        for video_id in dict.fromkeys(tests[number]):
            splits[video_id] += (number,)
    folders = {path.parent.resolve().name for path in search.tree.lists if path.match(file_name.format("?"))}
    numbers = f"split{'s' if len(chosen) > 1 else ''} {', '.join(map(str, chosen))}"
    return _joined(search, splits, f"{title} test {numbers}, lists in {', '.join(sorted(folders))}")


def _chosen_splits(search: Search, tests: Mapping[int, list[str]], file_name: str) -> list[int]:
    if search.split == "listed":
        return sorted(tests)
    chosen = [1, 2, 3] if search.split == "all" else [int(search.split or "1")]
    if missing := sorted(set(chosen) - tests.keys()):
        absent = ", ".join(map(file_name.format, missing))
        present = ", ".join(map(file_name.format, sorted(tests)))
        raise UserError(f"No {absent} below {search.tree.root}, only {present}. Add it or choose another --split.")
    return chosen


def _joined(search: Search, splits: Mapping[str, tuple[int, ...]], layout: str) -> VideoList:
    labels = _labels(search, {video_id.partition("/")[0] for video_id in splits})
    by_stem = defaultdict[str, list[VideoEntry]](list)
    for entry in search.tree.videos:
        by_stem[entry.stem.casefold()].append(entry)  # UCF101 writes both Handstand and HandStand
    videos, used, same_stem = list[Video](), set[VideoEntry](), set[VideoEntry]()
    for video_id, numbers in splits.items():
        class_name, _, file = video_id.partition("/")
        if (label := labels[class_name]) is not None:
            candidates = by_stem.get(stem(file).casefold(), [])
            nested = [entry for entry in candidates if spelling(entry.parent) == spelling(class_name)]
            best = (nested or candidates)[:1]
            path = search.tree.path(best[0]) if best else None
            videos.append(Video(printable(video_id), label, path, numbers))
            used.update(best)
            same_stem.update(candidates)
    if not used:
        raise UserError(_none_on_disk(search, len(videos)))
    skipped = [(entry.id, SkipReason.SAME_NAME) for entry in same_stem - used]
    skipped += [(entry.id, SkipReason.NOT_IN_SPLIT) for entry in search.tree.videos if entry not in same_stem]
    rows = Counter({SkipReason.NOT_IN_DATASET: len(splits) - len(videos)})
    return VideoList.build(layout, videos, [*search.tree.skipped, *skipped], skipped_rows=+rows)


def _labels(search: Search, names: Iterable[str]) -> dict[str, int | None]:
    """Return class name in the lists -> label; None for a class that is not in a partial dataset."""
    labels = {name: search.label(name) for name in names}
    unknown = sorted(name for name, label in labels.items() if label is None)
    absent = sorted(action.name for action in search.dataset.actions if action.label not in labels.values())
    if absent or (unknown and not search.is_part):
        raise UserError(
            f"The test lists below {search.tree.root} are not those of {search.dataset.name}. "
            f"Classes only in the lists: {first_few(unknown) or 'none'}. "
            f"Classes without a list: {first_few(absent) or 'none'}. Put the official lists there."
        )
    return labels


def _none_on_disk(search: Search, count: int) -> str:
    present = ", ".join(entry.id for entry in search.tree.videos[:10]) or "no video at all"
    return (
        f"None of the {count} videos in the test lists is below {search.tree.root}, which holds {present}. "
        "Give a folder that holds both, another --split, or a folder without the lists to use all its videos."
    )
