"""THUMOS14 (Idrees et al., arXiv 1604.06182): long test videos with annotated actions of 20 classes of UCF101."""

from __future__ import annotations

import re

from recognizer.datasets.records import Download, Layout, OfficialDataset, Search, Video, VideoList
from recognizer.datasets.scan import SkipReason
from recognizer.datasets.split_lists import lines

_ANNOTATIONS = re.compile(r"(.+)_test\.txt")
_SERVER = "https://www.crcv.ucf.edu/THUMOS14"


def _find(search: Search) -> VideoList | None:
    """Return the annotated test videos, without classes: a long video has several. Without annotations, all of them."""
    paths = {entry.stem: search.tree.path(entry) for entry in search.tree.videos}
    annotated = {line.split()[0] for path in search.tree.lists for line in lines(path)}
    names = annotated or {name for name in paths if name.startswith("video_test_")}
    rest = [(entry.id, SkipReason.NOT_IN_LIST) for entry in search.tree.videos if entry.stem not in names]
    folders = ", ".join(sorted({path.parent.name for path in search.tree.lists}))
    layout = f"THUMOS14 test videos, {f'annotations in {folders}' if annotated else 'no annotations'}"
    videos = [Video(name, -1, paths.get(name), ()) for name in names]
    return VideoList.build(layout, videos, rest, labels_by="lists" if annotated else "folders") if videos else None


# Addresses as in the download scripts of published projects; written down 2026-11.
THUMOS14 = OfficialDataset(
    name="thumos14",
    title="THUMOS14, test videos of temporal detection",
    layout=Layout("thumos14", "THUMOS14: video_test_*.mp4 and <Class>_test.txt", _find, lists=_ANNOTATIONS.pattern),
    page=f"{_SERVER}/download.html",
    about="213 annotated videos among 1 574; the archive asks for the password that the page gives for its form",
    files=(
        Download(
            "archives/TH14_Temporal_annotations_test.zip",
            {f"{_SERVER}/test_set/TH14_Temporal_annotations_test.zip": None},
            unpack="archive",
            brings="lists",
        ),
        Download(
            "archives/TH14_Test_set_mp4.zip",
            {"https://storage.googleapis.com/thumos14_files/TH14_Test_set_mp4.zip": None},
            unpack="archive with a password",
        ),
    ),
    mteb="its videos are long, and MTEB's are clips",
    long_videos=True,
)
