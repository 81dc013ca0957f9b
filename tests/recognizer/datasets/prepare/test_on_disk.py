"""recognize prepare on folders in which videos lie already: they are used as they are, and nothing is fetched."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from db.vocabulary import load
from recognizer.datasets.find import find_videos
from recognizer.datasets.scan import SkipReason
from tests.fixtures.archives import zip_of
from tests.fixtures.commands import Run
from tests.fixtures.file_server import FileServer
from tests.fixtures.videos import make_video


@pytest.fixture
def ucf101(tmp_path: Path) -> Path:
    """Somebody's UCF101: the lists of all classes, and two of the 101 videos that they name."""
    root = tmp_path / "my ucf"
    (root / "lists").mkdir(parents=True)
    names = [action.name for action in load("ucf101").actions]
    for split in (1, 2, 3):
        lines = "".join(f"{name}/v_{name}_g0{split}_c01.avi\n" for name in names)
        (root / "lists" / f"testlist0{split}.txt").write_text(lines)
    for name in ("Archery", "YoYo"):
        (root / "UCF-101" / name).mkdir(parents=True)
        make_video(root / "UCF-101" / name / f"v_{name}_g01_c01.avi", 12)
    return root


def test_videos_of_somebody_else_are_used_as_they_are(recognize: Run, ucf101: Path, file_server: FileServer) -> None:
    prepared = ("prepare", "-d", "ucf101", "--root", ucf101, "--mirror", file_server.url)
    lines = recognize(*prepared).stdout.splitlines()
    assert lines[2] == (
        f"# {ucf101} holds 2 of 303 videos of 2 of 101 classes (UCF101 test splits 1, 2, 3, lists in lists)"
        ". To fetch all of it, give an empty folder as --root"
    )
    assert [line for line in lines[3:] if not line.startswith("#")] == [
        f"recognize check --dataset ucf101 --root '{ucf101}'"
    ]
    done = recognize(*prepared, "--run")
    assert done.exit_code == 0, done.output
    assert "holds 2 of 303 videos" in " ".join(done.stderr.split())
    assert done.stdout.strip().endswith(f"Now: recognize check --dataset ucf101 --root '{ucf101}'")
    assert file_server.asked == []
    assert sorted(path.name for path in ucf101.iterdir()) == ["UCF-101", "lists"]


def test_lists_that_are_missing_are_fetched_alone(recognize: Run, ucf101: Path) -> None:
    shutil.rmtree(ucf101 / "lists")
    steps = json.loads(recognize("prepare", "-d", "ucf101", "--root", ucf101, "--json").stdout)
    assert [(step["about"], step["done"]) for step in steps] == [
        ("fetch UCF101TrainTestSplits-RecognitionTask.zip", False),
        ("unpack UCF101TrainTestSplits-RecognitionTask.zip", False),
        ("fetch UCF101.rar", True),
        ("unpack UCF101.rar", True),
    ]


def test_a_download_of_our_own_that_was_broken_off_goes_on(recognize: Run, ucf101: Path) -> None:
    (ucf101 / "archives").mkdir()
    (ucf101 / "archives" / "UCF101.rar.0123abcd.part").write_bytes(b"half")
    steps = json.loads(recognize("prepare", "-d", "ucf101", "--root", ucf101, "--json").stdout)
    assert [step["done"] for step in steps] == [True, True, False, False]


def test_frames_are_written_from_videos_that_lie_elsewhere(
    recognize: Run, ucf101: Path, tmp_path: Path, file_server: FileServer
) -> None:
    into = tmp_path / "the frames"
    prepared = ("prepare", "-d", "ucf101", "--videos", ucf101, "--frames", 4, "--into", into)
    *_, printed, _, then = recognize(*prepared).stdout.splitlines()
    program, *arguments = shlex.split(printed)
    done = recognize(*arguments)
    assert (program, done.exit_code) == ("recognize", 0), done.output
    assert len(list((into / "YoYo" / "v_YoYo_g01_c01").iterdir())) == 4
    present = [video.id for video in find_videos(load("ucf101"), into, split="listed").videos if video.path]
    assert present == ["Archery/v_Archery_g01_c01.avi", "YoYo/v_YoYo_g01_c01.avi"]
    assert then == f"recognize check --dataset ucf101 --root '{into}' --frames 4"
    checked = recognize(*shlex.split(then)[1:], "--json")
    assert json.loads(checked.stdout)["readable"] == 2
    assert file_server.asked == []
    assert not (ucf101 / "archives").exists()


@pytest.mark.parametrize("more", [(), ("--frames", "4", "--root", "."), ("--frames", "4", "--mirror", "http://m")])
def test_videos_elsewhere_are_for_frames_alone(recognize: Run, ucf101: Path, more: tuple[str, ...]) -> None:
    refused = recognize("prepare", "-d", "ucf101", "--videos", ucf101, *more)
    assert refused.exit_code == 2
    assert "it goes with --frames alone" in refused.stderr


def test_a_folder_of_other_videos_is_refused_before_anything_is_fetched(
    recognize: Run, tmp_path: Path, file_server: FileServer
) -> None:
    (tmp_path / "holiday" / "beach").mkdir(parents=True)
    make_video(tmp_path / "holiday" / "beach" / "a.mp4", 3)
    root = tmp_path / "holiday"
    refused = recognize("prepare", "-d", "ucf101", "--root", root, "--mirror", file_server.url, "--run")
    assert refused.exit_code == 1
    assert "their names are not classes of ucf101:\n  beach" in refused.stderr
    assert "To fetch ucf101 anew, give an empty folder as --root" in refused.stderr
    assert file_server.asked == []


def test_thumos14_has_steps_of_its_own(recognize: Run, tmp_path: Path) -> None:
    root = tmp_path / "th 14"
    lines = recognize("prepare", "-d", "thumos14", "--root", root).stdout.splitlines()
    assert lines[0] == "# THUMOS14, test videos of temporal detection: https://www.crcv.ucf.edu/THUMOS14/download.html"
    assert not any("UCF101" in line for line in lines)
    assert f"unzip -o -q '{root}/archives/TH14_Test_set_mp4.zip' -d '{root}'" in lines
    (root / "TH14_test_set_mp4").mkdir(parents=True)
    (root / "annotations").mkdir()
    (root / "annotations" / "Diving_test.txt").write_text("video_test_0000004  0.2 1.1\nvideo_test_0000006  1 2\n")
    make_video(root / "TH14_test_set_mp4" / "video_test_0000004.mp4", 5)
    make_video(root / "TH14_test_set_mp4" / "video_test_0000005.mp4", 5)
    lines = recognize("prepare", "-d", "thumos14", "--root", root).stdout.splitlines()
    assert (
        "holds 1 of 2 videos (THUMOS14 test videos, annotations in annotations); skipped: 1 not in the list" in lines[2]
    )
    assert not any(line.startswith(("curl", "unzip")) for line in lines)
    then = f"recognize localize '{root}' --dataset thumos14 --annotations '{root}/annotations'"
    assert lines[-1] == then
    frames = recognize("prepare", "-d", "thumos14", "--root", root, "--frames", "4")
    assert frames.exit_code == 2
    assert "recognize localize reads them as they are" in frames.stderr


def test_the_password_of_an_archive_is_left_to_the_user(
    recognize: Run, tmp_path: Path, file_server: FileServer
) -> None:
    names = "TH14_Temporal_annotations_test.zip", "TH14_Test_set_mp4.zip"
    file_server.files = dict(zip(names, (zip_of({"annotation/Diving_test.txt": b""}), b"locked"), strict=True))
    root = tmp_path / "th"
    stopped = recognize("prepare", "-d", "thumos14", "--root", root, "--mirror", file_server.url, "--run")
    assert stopped.exit_code == 1
    assert f"Run:\n  mkdir -p {root}\n  unzip -o -q {root}/archives/TH14_Test_set_mp4.zip -d {root}" in stopped.stderr
    assert (root / "annotation" / "Diving_test.txt").exists()


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_a_printed_script_takes_spaces_in_addresses_and_folders(
    recognize: Run, tmp_path: Path, file_server: FileServer
) -> None:
    file_server.files = {
        "val.csv": b"label,youtube_id,time_start,time_end\n",
        "k600_val_path.txt": b"https://e/a.tar.gz",
    }
    mirror = f"{file_server.url}/our own & only mirror|'s"
    printed = recognize("prepare", "-d", "k600", "--root", tmp_path / "it's k600", "--mirror", mirror).stdout
    subprocess.run(["/bin/sh", "-c", printed.partition("# then")[0]], capture_output=True)
    assert file_server.names() == ["val.csv", "k600_val_path.txt", "a.tar.gz"]
    assert (tmp_path / "it's k600" / "annotations" / "val.csv").exists()


HEADER = "label,youtube_id,time_start,time_end,split\n"
GOOD, BAD, GONE = "aaaaaaaaaaa_000001_000011", "bbbbbbbbbbb_000005_000015", "ccccccccccc_000000_000010"


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_a_kinetics_replacement_is_read_in_place_of_a_corrupted_video(recognize: Run, tmp_path: Path) -> None:
    new = "replacement/replacement_for_corrupted_k400"
    touch(tmp_path, f"val/{GOOD}.mp4", f"val/{BAD}.mp4", f"{new}/{BAD}.mp4", f"{new}/trained_on_0_1.mp4")
    rows = f"yoga,{GOOD[:11]},1,11,val\nyoga,{BAD[:11]},5,15,val\nzumba,{GONE[:11]},0,10,val\nold name,d,0,1,val\n"
    (tmp_path / "val.csv").write_text(HEADER + rows)
    found = find_videos(load("k400"), tmp_path)
    paths = {video.id: video.path and video.path.relative_to(tmp_path).as_posix() for video in found.videos}
    assert paths == {GOOD: f"val/{GOOD}.mp4", BAD: f"{new}/{BAD}.mp4", GONE: None}
    assert found.skipped == {
        str(SkipReason.REPLACED): 1,
        str(SkipReason.REPLACES_NOTHING): 1,
        str(SkipReason.NOT_IN_DATASET): 1,
    }
    about = recognize("prepare", "-d", "k400", "--root", tmp_path).stdout.splitlines()[2]
    assert "holds 2 of 3 videos of 1 of 400 classes (Kinetics list val.csv); skipped: " in about
    assert "1 class not in the dataset" in about


def test_a_replacement_folder_beside_class_folders_is_no_class(tmp_path: Path) -> None:
    touch(tmp_path, f"val/yoga/{GOOD}.mp4", f"val/zumba/{BAD}.mp4", f"replacement/{BAD}.mp4", f"replacement/{GONE}.mp4")
    found = find_videos(load("k400"), tmp_path)
    assert [(video.label, video.path) for video in found.videos] == [
        (398, tmp_path / f"val/yoga/{GOOD}.mp4"),
        (399, tmp_path / f"replacement/{BAD}.mp4"),
    ]
    assert found.skipped_files == (
        (f"replacement/{GONE}.mp4", SkipReason.REPLACES_NOTHING),
        (f"val/zumba/{BAD}.mp4", SkipReason.REPLACED),
    )
