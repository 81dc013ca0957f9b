"""UCF101 (Soomro, Zamir and Shah, 2012): 101 classes, three test splits."""

from __future__ import annotations

import re
from typing import Literal

from db.records import Dataset
from db.vocabulary import class_finder
from recognizer.datasets.records import Download, Layout, OfficialDataset, Search, VideoList
from recognizer.datasets.split_lists import join, lines

_TEST_LIST = re.compile(r"testlist0([123])\.txt")
_FILE_NAME = re.compile(r"v_(.+)_(g\d+)_c\d+")
_SERVER = "https://www.crcv.ucf.edu/data"


def _find(search: Search) -> VideoList | None:
    """Read testlist01.txt to testlist03.txt, with a line `<Class>/<file>.avi` for each test video."""
    tests: dict[int, list[str]] = {}
    for path in search.tree.lists:
        if match := _TEST_LIST.fullmatch(path.name):
            tests.setdefault(int(match[1]), [line.split()[0] for line in lines(path)])
    return join(search, tests, title="UCF101", file_name="testlist0{}.txt")


def _classes_by_file_name(stem: str, dataset: Dataset) -> set[int]:
    match = _FILE_NAME.fullmatch(stem)
    action = class_finder(dataset)(match[1]) if match else None
    return {action.label} if action else set()


def _source(stem: str) -> str | None:
    """Return the class and the group of a clip: `Archery_g07` of `v_Archery_g07_c02`."""
    match = _FILE_NAME.fullmatch(stem)
    return f"{match[1]}_{match[2]}" if match else None


def _archive(name: str, size: int, sha256: str, brings: Literal["lists", "videos"]) -> Download:
    return Download(f"archives/{name}", {f"{_SERVER}/UCF101/{name}": sha256}, size, "archive", brings=brings)


# Sizes are from the server's answers, sha256 digests from pytorch/vision's dataset loaders; written down 2026-11.
_LISTS_SHA256 = "5c0d1a53b8ed364a2ac830a73f405e51bece7d98ce1254fd19ed4a36b224bd27"
_VIDEOS_SHA256 = "ca8dfadb4c891cb11316f94d52b6b0ac2a11994e67a0cae227180cd160bd8e55"

UCF101 = OfficialDataset(
    name="ucf101",
    title="UCF101",
    layout=Layout(
        "ucf101",
        "UCF101 with its lists: ucfTrainTestlist/testlist01.txt and <Class>/<file>.avi, or the files anywhere",
        _find,
        lists=r"(test|train)list0[123]\.txt|classInd\.txt",
        has_splits=True,
    ),
    page=f"{_SERVER}/UCF101.php",
    about="13 320 clips of 101 classes; 6.9 GB, and as much again when unpacked",
    files=(
        _archive("UCF101TrainTestSplits-RecognitionTask.zip", 113943, _LISTS_SHA256, "lists"),
        _archive("UCF101.rar", 6932971618, _VIDEOS_SHA256, "videos"),
    ),
    mteb="UCF101ZeroShot takes single frames, UCF101VideoZeroShotClassification the 51 classes with sound",
    classes_by_file_name=_classes_by_file_name,
    source_by_file_name=_source,
)
