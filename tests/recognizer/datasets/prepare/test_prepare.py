"""recognize prepare: what it prints, and every step of it on archives made here, from a server on loopback."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from db.errors import UserError
from db.store import Store
from db.vocabulary import BUILT_IN, load
from encoders.testing import FakeEncoder, registered
from recognizer.datasets.find import find_videos
from recognizer.datasets.official import OFFICIAL_DATASETS
from recognizer.datasets.prepare.archives import unpack, unpack_nested
from recognizer.datasets.prepare.download import fetch
from recognizer.datasets.prepare.extract_frames import extract
from recognizer.video.container import UnreadableVideo
from recognizer.video.extracted import Extracted, refuse_other_frames
from recognizer.video.frames import frame_indices, read_frames
from recognizer.video.pool import Decoding
from tests.fixtures import decoders
from tests.fixtures.archives import rar_of, tar_of, zip_of
from tests.fixtures.commands import Run
from tests.fixtures.file_server import FileServer
from tests.fixtures.videos import make_video, shown

CONTENT = bytes(range(256)) * 4000  # a megabyte


def tool(folder: Path, name: str, *, works: bool = True) -> None:
    """Put a stand-in for a rar tool into a folder: it unpacks zip archives, into its last argument with a slash."""
    body = "zipfile.ZipFile(sys.argv[-2]).extractall(sys.argv[-1])" if works else "sys.exit('no rar of mine')"
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport sys, zipfile\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH; empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_every_published_dataset_is_built_in_and_has_addresses() -> None:
    assert set(OFFICIAL_DATASETS) == {load(name).stored_as for name in BUILT_IN} | {"thumos14"}
    for official in OFFICIAL_DATASETS.values():
        assert official.page.startswith("https://")
        for file in official.files:
            assert all(url.startswith("https://") for url in file.addresses)
            digests = [digest for digest in file.addresses.values() if digest]
            assert all(len(digest) == 64 and not set(digest) - set("0123456789abcdef") for digest in digests)


def test_the_steps_are_printed_and_nothing_is_done(recognize: Run, tmp_path: Path, tools: Path) -> None:
    root = tmp_path / "my data" / "ucf"
    lines = recognize("prepare", "-d", "ucf101", "--root", root).stdout.splitlines()
    assert lines[0] == "# UCF101: https://www.crcv.ucf.edu/data/UCF101.php"
    assert any("Rar archives need one of these tools on the PATH: unrar, unar, bsdtar, 7z" in line for line in lines)
    fetched = next(line for line in lines if line.startswith("curl") and line.endswith("/UCF101.rar"))
    assert f"'{root}/archives/UCF101.rar' https://www.crcv.ucf.edu/data/UCF101/UCF101.rar" in fetched
    assert any("ca8dfadb4c891cb1" in line and line.endswith("sha256sum --check") for line in lines)
    assert f"unrar x -o+ -idq '{root}/archives/UCF101.rar' '{root}/'" in lines
    assert lines[-1] == f"recognize check --dataset ucf101 --root '{root}'"
    steps = json.loads(recognize("prepare", "-d", "hmdb51", "--root", root, "--json").stdout)
    assert [step["about"] for step in steps] == [
        "fetch test_train_splits.rar",
        "unpack test_train_splits.rar",
        "fetch hmdb51_org.rar",
        "unpack hmdb51_org.rar, and the archives in it",
    ]
    assert not any(step["done"] for step in steps)
    assert not root.exists()


def kinetics(server: FileServer) -> None:
    """Serve the validation part of Kinetics-400 in two archives of one video each."""
    rows = ["label,youtube_id,time_start,time_end,split,is_cc", "yoga,aaaaaaaaaaa,1,11,val,0"]
    rows += ['"passing American football (in game)",bbbbbbbbbbb,5,15,val,0', "zumba,ccccccccccc,0,10,val,0"]
    server.files = {
        "val.csv": "\n".join(rows).encode(),
        "k400_val_path.txt": b"https://elsewhere/400/val/part_0.tar.gz\nhttps://elsewhere/400/val/part_1.tar.gz\n",
        "part_0.tar.gz": tar_of({"aaaaaaaaaaa_000001_000011.mp4": b"video"}),
        "part_1.tar.gz": tar_of({"bbbbbbbbbbb_000005_000015.mp4": b"video"}),
    }


def test_kinetics_from_nothing_to_its_layout(recognize: Run, tmp_path: Path, file_server: FileServer) -> None:
    kinetics(file_server)
    prepared = ("prepare", "-d", "k400", "--root", tmp_path / "k400", "--mirror", file_server.url, "--run")
    result = recognize(*prepared)
    assert result.exit_code == 0, result.output
    video_list = find_videos(load("k400"), tmp_path / "k400")
    assert video_list.layout == "Kinetics list annotations/val.csv"
    assert [(video.id, video.label, video.path is not None) for video in video_list.videos] == [
        ("aaaaaaaaaaa_000001_000011", 398, True),
        ("bbbbbbbbbbb_000005_000015", 208, True),
        ("ccccccccccc_000000_000010", 399, False),
    ]
    assert "Now: recognize check --dataset k400 --root" in result.stdout
    asked = file_server.names()
    assert asked == ["val.csv", "k400_val_path.txt", "part_0.tar.gz", "part_1.tar.gz"]
    again = json.loads(recognize(*prepared, "--json").stdout)
    assert [step["said"] for step in again] == ["done before"] * 3
    assert file_server.names() == asked


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
@pytest.mark.parametrize("end", ["\n", ""])
def test_the_printed_script_does_the_same(recognize: Run, tmp_path: Path, file_server: FileServer, end: str) -> None:
    kinetics(file_server)
    archives = file_server.files["k400_val_path.txt"].decode().strip() + end
    file_server.files["k400_val_path.txt"] = archives.encode()
    root = tmp_path / "my k400"
    printed = recognize("prepare", "-d", "k400", "--root", root, "--mirror", f"{file_server.url}/400").stdout
    script = printed.partition("# then")[0]
    subprocess.run(["/bin/sh", "-e", "-c", script], check=True, capture_output=True)
    assert [video.path is not None for video in find_videos(load("k400"), root).videos] == [True, True, False]
    assert file_server.names() == ["val.csv", "k400_val_path.txt", "part_0.tar.gz", "part_1.tar.gz"]


def test_an_interrupted_run_resumes_and_takes_no_archive_twice(
    recognize: Run, tmp_path: Path, file_server: FileServer
) -> None:
    kinetics(file_server)
    whole = file_server.files["part_1.tar.gz"]
    file_server.files["part_1.tar.gz"] = whole[:60]
    prepared = ("prepare", "-d", "k400", "--root", tmp_path, "--mirror", file_server.url, "--run")
    broken = recognize(*prepared)
    assert broken.exit_code == 1
    assert "part_1.tar.gz cannot be unpacked" in broken.stderr
    assert "Delete it and run this again" in broken.stderr
    for archive in (tmp_path / "archives" / "val").glob("*.tar.gz"):
        archive.unlink()  # what is unpacked may be deleted too
    file_server.files["part_1.tar.gz"] = whole
    assert recognize(*prepared).exit_code == 0
    assert file_server.names().count("part_0.tar.gz") == 1
    assert len(list((tmp_path / "val").iterdir())) == 2


def test_a_fetch_resumes_after_a_broken_connection(tmp_path: Path, file_server: FileServer) -> None:
    file_server.files["big.rar"] = CONTENT
    file_server.breaks["big.rar"] = [300_000, 200_000]
    progress: list[tuple[int, int]] = []
    fetch({f"{file_server.url}/big.rar": None}, tmp_path / "big.rar", on_progress=lambda *at: progress.append(at))
    assert (tmp_path / "big.rar").read_bytes() == CONTENT
    assert [asked for _, asked in file_server.asked] == [None, "bytes=300000-", "bytes=500000-"]
    assert progress[-1] == (1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["big.rar"]


def test_a_later_run_resumes_an_earlier_one(tmp_path: Path, file_server: FileServer) -> None:
    file_server.files["big.rar"] = CONTENT
    file_server.breaks["big.rar"] = [300_000, 0]
    addresses = {f"{file_server.url}/big.rar": hashlib.sha256(CONTENT).hexdigest()}
    with pytest.raises(UserError, match=r"(?s)big\.rar could not be fetched.*it ends after 300000 bytes.*Run it again"):
        fetch(addresses, tmp_path / "big.rar", size=len(CONTENT))
    assert not (tmp_path / "big.rar").exists()
    fetch(addresses, tmp_path / "big.rar", size=len(CONTENT))
    assert (tmp_path / "big.rar").read_bytes() == CONTENT
    assert file_server.asked[-1] == ("big.rar", "bytes=300000-")


@pytest.mark.parametrize("ranges", [True, False])
def test_a_complete_download_is_not_spoiled(tmp_path: Path, file_server: FileServer, ranges: bool) -> None:
    file_server.files["big.rar"] = CONTENT
    file_server.ranges = ranges
    file_server.breaks["big.rar"] = [len(CONTENT)] * 2
    url, path = f"{file_server.url}/big.rar", tmp_path / "big.rar"
    with pytest.raises(UserError, match=r"damaged, or was published again: its sha256 is"):
        fetch({url: "0" * 64}, path)
    [part] = tmp_path.iterdir()  # whole, as the server has it
    fetch({url: None}, path)
    assert path.read_bytes() == CONTENT
    assert not part.exists()


def test_a_server_without_ranges_and_a_file_that_shrank(tmp_path: Path, file_server: FileServer) -> None:
    file_server.files["big.rar"] = CONTENT
    file_server.ranges = False
    file_server.breaks["big.rar"] = [300_000]
    fetch({f"{file_server.url}/big.rar": None}, tmp_path / "a.rar")
    assert (tmp_path / "a.rar").read_bytes() == CONTENT
    file_server.ranges = True
    file_server.breaks["big.rar"] = [300_000, 0]
    with pytest.raises(UserError):
        fetch({f"{file_server.url}/big.rar": None}, tmp_path / "b.rar")
    file_server.files["big.rar"] = b"another file by now"
    fetch({f"{file_server.url}/big.rar": None}, tmp_path / "b.rar")
    assert (tmp_path / "b.rar").read_bytes() == b"another file by now"


def test_the_next_address_is_tried_if_one_fails(tmp_path: Path, file_server: FileServer) -> None:
    file_server.files["here.rar"] = b"rar"
    fetch(dict.fromkeys([f"{file_server.url}/gone.rar", f"{file_server.url}/here.rar"]), tmp_path / "x.rar")
    assert (tmp_path / "x.rar").read_bytes() == b"rar"
    file_server.kind = "text/html; charset=utf-8"
    wrong = [f"{file_server.url}/gone.rar", f"{file_server.url}/here.rar", "http://127.0.0.1:9/x", "file:///etc/passwd"]
    with pytest.raises(UserError) as error:
        fetch(dict.fromkeys(wrong), tmp_path / "y.rar")
    lines = str(error.value).splitlines()
    assert lines[1].endswith("the server answers 404 Not Found")
    assert lines[2].endswith("the server answers with a web page")
    assert "refused" in lines[3]
    assert lines[4].endswith("the address is not http or https")
    assert lines[5] == f"Run it again to resume, or put the file at {tmp_path / 'y.rar'}"


def test_a_file_of_another_size_or_digest_is_refused(
    recognize: Run, tmp_path: Path, file_server: FileServer, tools: Path
) -> None:
    name, root = "UCF101TrainTestSplits-RecognitionTask.zip", tmp_path / "ucf"
    prepared = ("prepare", "-d", "ucf101", "--root", root, "--mirror", file_server.url, "--run")
    tool(tools, "unrar")
    file_server.files[name] = b"x" * 100
    short = recognize(*prepared)
    assert "the file there has 100 bytes" in short.stderr
    assert "is known to have 113943" in short.stderr
    assert not list((root / "archives").iterdir())
    (root / "archives" / name).write_bytes(b"x" * 113943)  # put there by hand
    damaged = recognize(*prepared)
    assert (short.exit_code, damaged.exit_code) == (1, 1)
    assert "is known to have 5c0d1a53b8ed364a2ac830a73f405e51bece7d98ce1254fd19ed4a36b224bd27" in damaged.stderr


def hmdb51(server: FileServer) -> None:
    """Serve HMDB51's archives, zip by content: what the stand-in for a rar tool unpacks."""
    lists = {
        f"testTrainMulti_7030_splits/{action.name}_test_split{split}.txt": f"a_{action.name}.avi 2 \n".encode()
        for action in load("hmdb51").actions
        for split in (1, 2, 3)
    }
    videos = {
        f"{name}.rar": zip_of({f"{name}/a_{name}.avi": b"v", f"{name}/(b)!.avi": b"v"}) for name in ("wave", "run")
    }
    server.files = {"test_train_splits.rar": zip_of(lists), "hmdb51_org.rar": zip_of(videos)}


def test_hmdb51_is_an_archive_of_archives(recognize: Run, tmp_path: Path, file_server: FileServer, tools: Path) -> None:
    hmdb51(file_server)
    tool(tools, "unrar")
    root = tmp_path / "hmdb"
    prepared = ("prepare", "-d", "hmdb51", "--root", root, "--mirror", file_server.url, "--run")
    result = recognize(*prepared)
    assert result.exit_code == 0, result.output
    video_list = find_videos(load("hmdb51"), root, split="all")
    assert {video.id for video in video_list.videos if video.path} == {"wave/a_wave.avi", "run/a_run.avi"}
    assert (root / "hmdb51_org" / "wave" / "(b)!.avi").exists()
    assert sorted(path.name for path in (root / "archives").iterdir()) == [
        "hmdb51_org.rar",
        "hmdb51_org.rar.unpacked",
        "test_train_splits.rar",
        "test_train_splits.rar.unpacked",
    ]
    assert all(step["done"] for step in json.loads(recognize(*prepared[:5], "--json").stdout))


def test_a_missing_rar_tool_is_reported_before_anything_is_fetched(
    recognize: Run, tmp_path: Path, file_server: FileServer, tools: Path
) -> None:
    hmdb51(file_server)
    result = recognize("prepare", "-d", "hmdb51", "--root", tmp_path / "h", "--mirror", file_server.url, "--run")
    assert result.exit_code == 1
    assert "one of these tools on the PATH: unrar, unar, bsdtar, 7z" in result.stderr
    assert "libarchive-tools" in result.stderr
    assert file_server.asked == []


def test_the_next_rar_tool_is_tried_if_one_fails(tmp_path: Path, tools: Path) -> None:
    archive = tmp_path / "a.rar"
    archive.write_bytes(zip_of({"x/y.avi": b"v"}))
    tool(tools, "unrar", works=False)
    with pytest.raises(UserError, match=r"(?s)a\.rar cannot be unpacked:\n  unrar x .*: no rar of mine"):
        unpack(archive, tmp_path / "out")
    (tools / "bsdtar").symlink_to("/bin/false")
    with pytest.raises(UserError, match=r"(?s)unrar x .*\n  bsdtar -xf .*: 1$"):
        unpack(archive, tmp_path / "out")
    (tools / "unrar").unlink()
    tool(tools, "unrar")
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out" / "x" / "y.avi").read_bytes() == b"v"
    with pytest.raises(UserError, match=r"holds no \.rar archives"):
        unpack_nested(archive, tmp_path / "out")


@pytest.mark.parametrize("name", ["unrar", "unar", "bsdtar", "7z"])
def test_real_tools_unpack_real_rar_archives(tmp_path: Path, tools: Path, name: str) -> None:
    real = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin")
    if not real:
        pytest.skip(f"{name} is not installed")
    (tools / name).symlink_to(real)
    inner = {"wave.rar": rar_of({"wave/(a)!.avi": CONTENT}), "run.rar": rar_of({"run/b.avi": b"v"})}
    (tmp_path / "all.rar").write_bytes(rar_of(inner))
    try:
        unpack_nested(tmp_path / "all.rar", tmp_path / "out")
    except UserError as error:
        if name != "7z":
            raise
        pytest.skip(f"this 7z was built without rar: {error}")
    assert (tmp_path / "out" / "wave" / "(a)!.avi").read_bytes() == CONTENT
    assert (tmp_path / "out" / "run" / "b.avi").read_bytes() == b"v"


def test_the_zip_of_ucf101_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "splits.zip").write_bytes(zip_of({"ucfTrainTestlist/testlist01.txt": b"x"}))
    unpack(tmp_path / "splits.zip", tmp_path / "root")
    assert (tmp_path / "root" / "ucfTrainTestlist" / "testlist01.txt").read_bytes() == b"x"
    (tmp_path / "bad.zip").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"bad\.zip cannot be unpacked"):
        unpack(tmp_path / "bad.zip", tmp_path / "root")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Own videos: two of 40 frames, and a broken one."""
    root = tmp_path / "shop"
    for name in ("PickUp", "put_down"):
        (root / name).mkdir(parents=True)
        make_video(root / name / "a.mp4", 40)
    (root / "PickUp" / "broken.mp4").write_bytes(b"")
    return root


def test_extracted_frames_are_those_that_an_evaluation_reads(recognize: Run, shop: Path) -> None:
    prepared = ("prepare", "-d", shop, "--root", shop, "--frames", "8", "--run")
    result = recognize(*prepared)
    assert result.exit_code == 0, result.output
    assert "2 written, 0 already existed, 0 missing, 1 failed" in " ".join(result.stderr.split())
    assert "PickUp/broken.mp4: empty file" in result.stderr
    into = shop.with_name("shop-frames")
    assert sorted(path.name for path in (into / "PickUp" / "a").iterdir())[:2] == ["000003.jpg", "000008.jpg"]
    video_list = find_videos(load_own(shop), into)
    assert [video.id for video in video_list.videos] == ["PickUp/a", "put_down/a"]
    assert not video_list.skipped
    from_video, from_images = read_frames(shop / "PickUp" / "a.mp4", 8), read_frames(into / "PickUp" / "a", 8)
    assert shown(from_images) == shown(from_video) == [2, 7, 12, 17, 22, 27, 32, 37]
    assert np.abs(from_images.pixels.astype(int) - from_video.pixels).max() <= 3
    assert "0 written, 2 already existed" in recognize(*prepared).stderr


@pytest.fixture
def eight(recognize: Run, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of 8 of 40 frames each, and one of all 5 frames of a short video."""
    monkeypatch.setenv("RECOGNIZE_CHECKS", str(tmp_path / "checks"))
    make_video(shop / "PickUp" / "short.mp4", 5)
    (shop / "PickUp" / "broken.mp4").unlink()
    into = shop.with_name("shop-frames")
    assert recognize("prepare", "-d", shop, "--root", shop, "--frames", "8", "--run").exit_code == 0
    return into


def test_frames_made_for_another_number_are_refused(recognize: Run, eight: Path, fake_encoder: FakeEncoder) -> None:
    """8 frames hold those that 8 need; 16 of them would be each one twice. A folder of all frames serves any number."""
    with registered(fake_encoder, "fake"):
        for frames, unreadable in ((8, 0), (16, 2), (4, 2)):
            asked = ("embed", "-d", eight, "--root", eight, "-e", "fake", "--frames", frames, "--json")
            report = json.loads(recognize(*asked).stdout)
            assert (report["counts"]["unreadable"], report["counts"]["embedded"]) == (unreadable, 3 - unreadable)
    assert dict(report["unreadable"])["put_down/a"] == (
        "made for another number of frames: `recognize prepare` wrote 8 of 40, and 4 are wanted: evaluate with "
        "--frames 8, or make it again with --frames 4 or --frames all"
    )
    checked = json.loads(recognize("check", eight, "--frames", 16, "--json").stdout)
    kinds = [fault["kind"] for fault in checked["faults"] if fault["harms"]]
    assert kinds == ["same content", *["made for another number of frames"] * 2]
    assert json.loads(recognize("check", eight, "--frames", 8, "--json").stdout)["harmful"] == 1


def test_frames_of_frames_are_used_where_they_are_right(recognize: Run, shop: Path) -> None:
    """Of 24 evenly spread frames every third from the second is one of 8: the pixels say for which numbers it is so."""
    assert recognize("prepare", "-d", shop, "--root", shop, "--frames", "24", "--run").exit_code == 0
    folder = shop.with_name("shop-frames") / "put_down" / "a"
    extracted = Extracted.of(folder)
    assert extracted
    right = {n for n in range(1, 49) if shown(read_frames(folder, n)) == frame_indices(40, n)}
    assert {n for n in range(1, 49) if extracted.serves(n)} == right
    assert {8, 24} <= right
    assert not {12, 16} & right


def test_folders_of_another_number_are_not_taken_for_done(recognize: Run, shop: Path, eight: Path) -> None:
    again = recognize("prepare", "-d", shop, "--root", shop, "--frames", "16", "--run")
    said = " ".join(again.stderr.split())
    assert "0 written, 1 already existed, 0 missing, 2 failed" in said  # all frames of the short one exist
    assert f"{eight / 'put_down' / 'a'} was made with --frames 8; delete it, or give another folder with --into" in said
    (eight / "put_down" / "a" / "000003.jpg").unlink()
    with pytest.raises(UnreadableVideo, match="images are missing: 7 of the 8"):
        refuse_other_frames(eight / "put_down" / "a", 8)


def test_all_frames_of_videos_and_the_lists_beside_them(recognize: Run, shop: Path, tmp_path: Path) -> None:
    (shop / "lists").mkdir()
    (shop / "lists" / "mine.csv").write_text("x,y\n")
    every = ("prepare", "-d", shop, "--root", shop, "--frames", "all", "--into", tmp_path / "all", "--jobs", 1)
    assert "--frames all" in recognize(*every).stdout
    assert not (tmp_path / "all").exists()
    assert recognize(*every, "--run").exit_code == 0
    frames = read_frames(tmp_path / "all" / "put_down" / "a", 40)
    assert (frames.total, shown(frames)) == (40, list(range(40)))
    assert (tmp_path / "all" / "lists" / "mine.csv").read_text() == "x,y\n"


def test_frames_that_were_half_written_are_written_anew(recognize: Run, shop: Path) -> None:
    half = shop.with_name("shop-frames") / "PickUp" / ".a.half"
    half.mkdir(parents=True)
    (half / "000001.jpg").write_bytes(b"half")
    assert recognize("prepare", "-d", shop, "--root", shop, "--frames", "2", "--run").exit_code == 0
    assert not half.exists()
    assert len(list((half.parent / "a").iterdir())) == 2


def load_own(shop: Path) -> object:
    from db.vocabulary import from_path

    return from_path(shop)


def test_wrong_use_is_refused(recognize: Run, shop: Path) -> None:
    unknown = recognize("prepare", "-d", shop)
    assert unknown.exit_code == 2
    assert "No download is known for shop, only for ucf101, hmdb51, kinetics400, kinetics600" in unknown.stderr
    for value in ("0", "many", "-1"):
        wrong = recognize("prepare", "-d", "ucf101", "--frames", value)
        assert wrong.exit_code == 2
        assert "neither a number of frames nor `all`" in wrong.stderr


def test_frames_are_written_while_decoders_die_and_hang(tmp_path: Path) -> None:
    """Only the videos of those decoders are left out, and no half of a folder stays; other frames are the same."""
    root = tmp_path / "clips"
    for name, video in (("a", "dies"), ("a", "whole"), ("b", "hangs")):
        (root / name).mkdir(parents=True, exist_ok=True)
        make_video(root / name / f"{video}.mp4", 20)
    with closing(Store.open("sqlite://", create=True)) as store:
        dataset = store.resolve(str(root))
    into = tmp_path / "frames"
    (root / "b" / "hangs.mp4").rename(tmp_path / "hangs.mp4")
    done = extract(dataset, root, into, frames=4, decoding=Decoding(workers=1), write=decoders.write_or_fail)
    assert (done.written, done.failed) == (1, (("a/dies.mp4", "the decoder died: SIGSEGV"),))
    (root / "a" / "dies.mp4").unlink()
    (tmp_path / "hangs.mp4").rename(root / "b" / "hangs.mp4")
    limited = Decoding(workers=1, timeout=0.2)
    done = extract(dataset, root, into, frames=4, decoding=limited, write=decoders.write_or_fail)
    [(video, reason)] = done.failed
    assert (done.existing, video, reason.partition(":")[0]) == (1, "b/hangs.mp4", "the decoder took too long")
    (root / "b" / "hangs.mp4").unlink()
    extract(dataset, root, tmp_path / "here", frames=4, decoding=Decoding(workers=0))
    files = [path.relative_to(into) for path in into.rglob("*") if path.is_file()]
    assert len(files) == 4
    for file in files:
        assert (into / file).read_bytes() == (tmp_path / "here" / file).read_bytes()
