"""recognize check: every fault of a folder by name, and nothing read twice."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import av
import pytest

from db.vocabulary import load
from recognizer.datasets.check import check, list_given
from recognizer.datasets.inspect_video import InspectionCache
from recognizer.video.pool import Decoding
from tests.fixtures import decoders
from tests.fixtures.commands import Run
from tests.fixtures.videos import make_images, make_video


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the checks of this test are kept."""
    monkeypatch.setenv("RECOGNIZE_CHECKS", str(tmp_path / "checks"))
    return tmp_path / "checks"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder of class folders with one whole video, and labels for it."""
    root = tmp_path / "shop"
    for name in ("PickUp", "put_down"):
        (root / name).mkdir(parents=True)
    make_video(root / "PickUp" / "whole.mp4", 20)
    return root


def checked(recognize: Run, *arguments: object) -> dict[str, Any]:
    """Return a check as JSON, and with it the exit code."""
    result = recognize("check", *arguments, "--json")
    assert result.exit_code in (0, 1), result.output
    assert isinstance(result.exception, SystemExit | None), result.exception
    assert result.stdout, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    assert (result.exit_code == 1) == (report["harmful"] > 0)
    return report


def faults(report: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(fault["kind"], fault["video"], fault["reason"]) for fault in report["faults"]}


def test_every_fault_of_own_videos_is_named(recognize: Run, shop: Path) -> None:
    whole = (shop / "PickUp" / "whole.mp4").read_bytes()
    (shop / "put_down" / "again.mp4").write_bytes(whole)
    (shop / "put_down" / "empty.mp4").touch()
    make_video(shop / "put_down" / "brief.mp4", 3)
    for name in ("PickUp/._whole.mp4", "PickUp/.DS_Store", "PickUp/notes.txt"):
        (shop / name).write_text("x")
    make_video(shop / "stray.mp4", 17)
    report = checked(recognize, "-d", shop, "--root", shop)
    assert faults(report) == {
        ("unreadable", "put_down/empty.mp4", "empty file"),
        ("same content", "put_down/again.mp4", "as PickUp/whole.mp4, a video of another class"),
        ("not in a class folder", "stray.mp4", "its class is not known"),
        ("short", "put_down/brief.mp4", "3 of the 16 frames asked for"),
        ("AppleDouble file", "PickUp/._whole.mp4", "macOS wrote it beside a file; delete it"),
        (
            "file of the system",
            "PickUp/.DS_Store",
            "Windows or macOS wrote it to show the folder; no evaluation reads it",
        ),
        ("not a video", "PickUp/notes.txt", "no evaluation reads it"),
    }
    assert [fault["harms"] for fault in report["faults"]] == [True] * 3 + [False] * 4
    assert (report["listed"], report["present"], report["readable"], report["frames"]) == (4, 4, 3, 43)


@pytest.mark.parametrize(
    ("column", "first", "harmful"),
    [
        ("label", "PickUp", 0),
        ("labels", "put down;PickUp", 0),
        ("labels", "put down", 1),
        ("label", "(none of these)", 0),
    ],
)
def test_manifests_with_several_labels_and_with_videos_of_no_class(
    recognize: Run, shop: Path, column: str, first: str, harmful: int
) -> None:
    make_video(shop / "put_down" / "other.mp4", 17)
    rows = f"path,{column}\nPickUp/whole.mp4,{first}\nput_down/other.mp4,(none of these)\n"
    (shop / "list.csv").write_text(rows)
    report = checked(recognize, "-d", shop, "--root", shop / "list.csv")
    assert (report["listed"], report["readable"], report["ignored"]) == (2, 2, {})
    placed = {("in the folder of another class", "PickUp/whole.mp4", "of put_down, but in the folder PickUp")}
    assert faults(report) == (placed if harmful else set())


def test_a_clean_folder_says_so_and_ends_well(recognize: Run, shop: Path) -> None:
    result = recognize("check", "-d", shop, "--root", shop)
    assert result.exit_code == 0
    assert result.stdout == (
        "class folders\n"
        "videos: 1 listed, 1 present, 1 readable (20 frames), 0 unchanged since the last check\n"
        "no problems\n"
    )


def test_the_table_names_the_first_faults_and_all_of_them_when_asked(recognize: Run, shop: Path) -> None:
    for number in range(23):
        (shop / "PickUp" / f"broken_{number:02}.mp4").touch()
    few, every = recognize("check", shop), recognize("check", shop, "--all")
    assert (few.exit_code, every.exit_code) == (1, 1)
    assert "unreadable: 23 (affects an evaluation)" in few.stdout
    assert few.stdout.count("empty file") == 20
    assert "and 3 more (--all names them)" in few.stdout
    assert every.stdout.count("empty file") == 23
    assert "Error: 23 problems in" in few.stderr


def test_what_did_not_change_is_not_read_again(recognize: Run, shop: Path) -> None:
    video = shop / "PickUp" / "whole.mp4"
    make_video(shop / "put_down" / "other.mp4", 18)
    assert checked(recognize, shop)["remembered"] == 0
    stat = video.stat()
    video.write_bytes(b"x" * stat.st_size)  # broken, with the size and the time of before: only a reader can tell
    os.utime(video, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (checked(recognize, shop)["remembered"], checked(recognize, shop)["readable"]) == (2, 2)
    os.utime(video, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    changed = checked(recognize, shop)
    assert (changed["remembered"], changed["readable"]) == (1, 1)
    assert checked(recognize, shop, "--again")["remembered"] == 0


def test_a_check_that_was_killed_resumes(recognize: Run, shop: Path, cache: Path) -> None:
    make_video(shop / "put_down" / "other.mp4", 18)
    checked(recognize, shop)
    [file] = cache.glob("*.jsonl")
    file.write_bytes(file.read_bytes()[:-30])  # in the midst of the last line
    assert checked(recognize, shop)["remembered"] == 1
    assert checked(recognize, shop)["remembered"] == 2


@pytest.mark.parametrize("text", ['{"rules": 0}\n{"path": "x"}\n', "", "no json\n\n\n"])
def test_a_cache_of_other_rules_is_dropped(recognize: Run, shop: Path, cache: Path, text: str) -> None:
    checked(recognize, shop)
    [file] = cache.glob("*.jsonl")
    file.write_text(text)
    assert checked(recognize, shop)["remembered"] == 0
    assert checked(recognize, shop)["remembered"] == 1


def test_a_quick_check_does_not_stand_for_a_whole_one(recognize: Run, shop: Path) -> None:
    video = shop / "PickUp" / "whole.avi"
    make_video(video, 40)
    data = bytearray(video.read_bytes())
    with av.open(str(video)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for place, size in places[10:]:
        data[place + size // 2 : place + size] = bytes(size - size // 2)
    video.write_bytes(data)
    assert checked(recognize, shop, "--quick")["faults"] == []
    whole = checked(recognize, shop)
    assert (whole["remembered"], whole["harmful"]) == (0, 1)
    [fault] = whole["faults"]
    assert fault["kind"] == "garbled frames"
    assert fault["reason"].endswith("of 40 frames")
    assert checked(recognize, shop, "--quick")["remembered"] == 2  # a whole one does stand for a quick one


def test_folders_of_frames(recognize: Run, shop: Path) -> None:
    names = [f"frame_{number}.png" for number in range(16)]
    for folder in ("put_down/a", "put_down/b", "PickUp/c", "PickUp/d"):
        make_images(shop / folder, names)
    make_images(shop / "PickUp" / "c", names[:1], size=(9, 9))
    (shop / "PickUp" / "d" / names[3]).write_bytes((shop / "PickUp" / "d" / names[3]).read_bytes()[:48])
    report = checked(recognize, shop)
    place = f"{shop}/"
    kinds = {(fault["kind"], fault["video"].removeprefix(place)) for fault in report["faults"]}
    assert kinds == {("same content", "put_down/b"), ("unreadable", "PickUp/c"), ("unreadable", "PickUp/d")}
    assert checked(recognize, shop / "put_down" / "a")["frames"] == 16
    quick = checked(recognize, shop, "--quick", "--again")
    assert {fault["video"].removeprefix(place) for fault in quick["faults"] if fault["harms"]} == {
        "put_down/b", "PickUp/c",
    }  # fmt: skip


def test_ucf101_with_its_lists_and_without(recognize: Run, tmp_path: Path) -> None:
    root = tmp_path / "ucf"
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    names = [action.name for action in load("ucf101").actions]
    (lists / "testlist01.txt").write_text("".join(f"{name}/v_{name}_g01_c01.avi\n" for name in names))
    for number, (folder, stem) in enumerate([("Archery", "v_Archery_g01_c01"), ("Archery", "v_YoYo_g01_c01")]):
        (root / "UCF-101" / folder).mkdir(parents=True, exist_ok=True)
        make_video(root / "UCF-101" / folder / f"{stem}.avi", 20 + number)
    (root / "Copies").mkdir()
    make_video(root / "Copies" / "v_Archery_g01_c01.avi", 20)
    with_lists = checked(recognize, "-d", "ucf101", "--root", root)
    assert with_lists["layout"] == "UCF101 test split 1, lists in ucfTrainTestlist"
    assert (with_lists["listed"], with_lists["present"], with_lists["harmful"]) == (101, 2, 99)
    missing = ("missing", "Basketball/v_Basketball_g01_c01.avi", "listed, but not on disk")
    misplaced = "of YoYo, but in the folder Archery"
    assert missing in faults(with_lists)
    assert {fault for fault in faults(with_lists) if fault[0] != "missing"} == {
        ("in the folder of another class", "YoYo/v_YoYo_g01_c01.avi", misplaced),
        ("another file of the same name", "Copies/v_Archery_g01_c01.avi", "another file of this name is used"),
    }
    without = checked(recognize, "-d", "ucf101", "--root", root / "UCF-101")
    assert without["harmful"] == 1
    assert faults(without) == {("in the folder of another class", "Archery/v_YoYo_g01_c01.avi", misplaced)}
    refused = recognize("check", "-d", "ucf101", "--root", root, "--split", "2")
    assert refused.exit_code == 1
    assert "No testlist02.txt" in refused.stderr


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("Show_draw_sword_f_nm_np1_fr_med_1.avi", False),
        ("Show_wave_f_nm_np1_fr_med_1.avi", True),
        ("anything.avi", False),
    ],
)
def test_file_names_of_hmdb51_give_the_class(recognize: Run, tmp_path: Path, name: str, wrong: bool) -> None:
    (tmp_path / "sword").mkdir()
    make_video(tmp_path / "sword" / name, 16)
    report = checked(recognize, "-d", "hmdb51", "--root", tmp_path)
    assert [fault["reason"] for fault in report["faults"]] == (["of wave, but in the folder sword"] if wrong else [])


def test_a_file_that_a_kinetics_list_names_twice_is_no_copy(recognize: Run, tmp_path: Path) -> None:
    rows = ["label,youtube_id,time_start,time_end", "yoga,abcdefghijk,0,10", "yoga,abcdefghijk,50,60"]
    (tmp_path / "val.csv").write_text("\n".join(rows))
    make_video(tmp_path / "abcdefghijk.mp4", 20)
    assert checked(recognize, "-d", "k400", "--root", tmp_path)["faults"] == []


def test_wrong_use_is_refused(recognize: Run, shop: Path, tmp_path: Path) -> None:
    for arguments in ((), (shop, "-d", "ucf101"), (shop, "--split", "1")):
        result = recognize("check", *arguments)
        assert result.exit_code == 2
        assert "Give either --dataset NAME (and its --root), or files and folders" in result.stderr
    (tmp_path / "nothing").mkdir()
    assert "holds neither videos nor the frames of one" in recognize("check", tmp_path / "nothing").stderr


BROKEN = {
    "._applemeta.mp4": ("AppleDouble file", "macOS wrote it beside a file"),
    "audio_only.mp4": ("unreadable", "no video stream"),
    "bit_errors.avi": ("garbled frames", "118 of 187 frames"),
    "empty.mp4": ("unreadable", "empty file"),
    "five_frames.mp4": ("short", "5 of the 16 frames asked for"),
    "one_frame.mp4": ("short", "1 of the 16 frames asked for"),
    "random.mp4": ("unreadable", "no index: "),
    "text.avi": ("unreadable", "not a video: "),
    "truncated_half.avi": ("unreadable", "truncated: 85 of 187 frames"),
    "truncated_half.mp4": ("unreadable", "no index: "),
    "truncated_header.avi": ("unreadable", "no index: "),
}


@pytest.mark.parametrize("jobs", [1, 4])
def test_every_fault_of_real_broken_files_is_named(recognize: Run, shared: Path, jobs: int) -> None:
    report = checked(recognize, shared / "clips" / "broken", "--jobs", jobs)
    named = {Path(fault["video"]).name: (fault["kind"], fault["reason"]) for fault in report["faults"]}
    assert named.keys() == BROKEN.keys() == {path.name for path in (shared / "clips" / "broken").iterdir()}
    for name, (kind, reason) in BROKEN.items():
        assert named[name][0] == kind, name
        assert named[name][1].startswith(reason), name
    assert len(report["faults"]) == len(BROKEN)


@pytest.mark.parametrize(
    ("dataset", "folder", "listed", "present", "others"),
    [
        ("ucf101", "ucf101", 11213, 11, {}),
        ("hmdb51", "hmdb51", 4243, 3, {}),
        ("k600", "kinetics600", 5, 5, {}),
        ("ucf101", "frames", 4, 4, {"file of the system": 4}),
    ],
)
def test_real_folders_have_no_problems_but_missing_videos(
    recognize: Run, shared: Path, dataset: str, folder: str, listed: int, present: int, others: dict[str, int]
) -> None:
    report = checked(recognize, "-d", dataset, "--root", shared / "clips" / folder)
    assert (report["listed"], report["present"], report["readable"]) == (listed, present, present)
    assert report["harmful"] == listed - present
    kinds = [fault["kind"] for fault in report["faults"] if fault["kind"] != "missing"]
    assert {kind: kinds.count(kind) for kind in kinds} == others
    named = {fault["video"] for fault in report["faults"] if fault["kind"] == "missing"}
    assert len(named) == listed - present


@pytest.mark.slow
def test_a_decoder_that_dies_or_hangs_takes_only_its_own_video(shop: Path, cache: Path) -> None:
    """The file that killed its worker is remembered; a time limit, and a signal from outside, say nothing about one."""
    for number, name in enumerate(("dies", "hangs", "killed")):
        make_video(shop / "put_down" / f"{name}.mp4", 21 + number)
    late, others = shop / "put_down" / "hangs.mp4", [shop / "PickUp", *sorted((shop / "put_down").glob("*led.mp4"))]
    others.append(shop / "put_down" / "dies.mp4")
    for remembered in (0, 2):
        with InspectionCache(cache / "of.jsonl") as inspections:
            limit = Decoding(workers=1, timeout=0.2)
            [slow] = check(list_given([late]), inspections, decoding=limit, read=decoders.inspect_or_fail).faults
            report = check(list_given(others), inspections, decoding=Decoding(workers=1), read=decoders.inspect_or_fail)
        reasons = {Path(fault.video).name: fault.reason for fault in report.faults}
        assert (report.readable, report.frames, report.remembered) == (1, 20, remembered)
        assert reasons["dies.mp4"].startswith("the decoder died: SIGSEGV")
        assert reasons["killed.mp4"] == "the decoder died: SIGKILL"
        assert slow.reason.startswith("the decoder took too long: more than 0.2 seconds")


def test_workers_find_what_this_process_finds(recognize: Run, shop: Path) -> None:
    (shop / "put_down" / "empty.mp4").touch()
    make_images(shop / "put_down" / "images", ["1.jpg", "2.jpg"])
    reports = [checked(recognize, shop, "--again", *with_) for with_ in ((), ("--workers", "0"))]
    assert reports[0] == reports[1]
