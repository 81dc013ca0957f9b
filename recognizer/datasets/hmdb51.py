"""HMDB51 (Kuehne et al., ICCV 2011): 51 classes, three test splits."""

from __future__ import annotations

import re
from collections import defaultdict

from db.records import Dataset
from recognizer.datasets.records import Download, Layout, MtebTask, OfficialDataset, Search, VideoList
from recognizer.datasets.split_lists import join, lines

_TEST_LIST = re.compile(r"(.+)_test_split([123])\.txt")
_FILE_NAME = re.compile(r"(.+)_[fhul]_[cn]m_np\d_(?:ba|fr|le|ri)_(?:bad|med|goo)_\d+")
_SERVER = "https://huggingface.co/datasets/Serrelab/hmdb51/resolve/main"
_OLD_SERVER = "https://serre-lab.clps.brown.edu/wp-content/uploads/2013/10"


def _find(search: Search) -> VideoList | None:
    """Read `<class>_test_split<N>.txt`, with a line `<file>.avi <0, 1 or 2>` for each video; 2 is test."""
    tests = defaultdict[int, list[str]](list)
    for path in search.tree.lists:
        if match := _TEST_LIST.fullmatch(path.name):
            rows = [line.rsplit(maxsplit=1) for line in lines(path)]
            tests[int(match[2])] += [f"{match[1]}/{row[0]}" for row in rows if row[1:] == ["2"]]
    return join(search, tests, title="HMDB51", file_name="*_test_split{}.txt")


def _classes_by_file_name(stem: str, dataset: Dataset) -> set[int]:
    """Return all classes that the name may mean: `a_man_with_a_draw_sword` ends in `sword` and in `draw_sword`."""
    match = _FILE_NAME.fullmatch(stem)
    return {action.label for action in dataset.actions if match and match[1].endswith(f"_{action.name}")}


def _source(stem: str) -> str | None:
    """Return the name before the attributes: `April_09_brush_hair` of `April_09_brush_hair_u_nm_np1_ba_goo_0`.

    It ends in the class: clips of one film that show different actions count as different sources.
    """
    match = _FILE_NAME.fullmatch(stem)
    return match[1] if match else None


def _addresses(name: str, old_sha256: str) -> dict[str, str | None]:
    return {f"{_SERVER}/{name}.rar": None, f"{_OLD_SERVER}/{name}.rar": old_sha256}


# The laboratory moved its files. The sha256 digests, from pytorch/vision's dataset loaders, are of those at the old
# address; written down 2026-11.
_LISTS_SHA256 = "229c94f845720d01eb3946d39f39292ea962d50a18136484aa47c1eba251d2b7"
_VIDEOS_SHA256 = "9e714a0d8b76104d76e932764a7ca636f929fff66279cda3f2e326fa912a328e"

HMDB51 = OfficialDataset(
    name="hmdb51",
    title="HMDB51",
    layout=Layout(
        "hmdb51",
        "HMDB51 with its lists: testTrainMulti_7030_splits/<class>_test_split1.txt and <class>/<file>.avi",
        _find,
        lists=_TEST_LIST.pattern,
        has_splits=True,
    ),
    page="https://serre.lab.brown.edu/hmdb51.html",
    about="6 849 clips of 51 classes, an archive of archives; 2.1 GB, and as much again when unpacked; CC BY 4.0",
    files=(
        Download(
            "archives/test_train_splits.rar",
            _addresses("test_train_splits", _LISTS_SHA256),
            unpack="archive",
            brings="lists",
        ),
        Download(
            "archives/hmdb51_org.rar",
            _addresses("hmdb51_org", _VIDEOS_SHA256),
            unpack="archive of archives",
            into="hmdb51_org",
        ),
    ),
    mteb=MtebTask("HMDB51ZeroShot", "7f9af5438a855e9348fb23ecb5ec740a9c21daf3", "HMDB51 test split 1", 1530),
    classes_by_file_name=_classes_by_file_name,
    source_by_file_name=_source,
)
