"""Layouts of datasets, as small trees of empty files, and as the official lists where they are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from db.errors import UserError
from db.records import Action, Dataset
from db.vocabulary import from_labels, load
from recognizer.datasets.find import Split, Video, find_videos
from recognizer.datasets.official import clip_groups

CLIPS = Path(__file__).parents[4] / "shared" / "clips"
CLASSES = Path(__file__).parents[4] / "shared" / "reference" / "classes"
needs_clips = pytest.mark.skipif(not CLIPS.is_dir(), reason="no ../shared/clips with the official lists")


def dataset(name: str, *names: str, stored_as: str = "") -> Dataset:
    actions = tuple(Action(label, each, f"doing {each.lower()}") for label, each in enumerate(names))
    return Dataset(name, actions, stored_as or name)


def tree(root: Path, *files: str) -> Path:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


UCF = dataset("ucf101", "Archery", "HandstandPushups")
HMDB = dataset("hmdb51", "brush_hair", "wave")
KINETICS = dataset("kinetics600", "arm wrestling", "using segway", "curling (sport)")
PART = dataset("kinetics600-zs1", "arm wrestling", stored_as="kinetics600")
OWN = dataset("shop", "PickUp", "put_down")
ARCHERY = "Archery/v_Archery_g01_c01.avi"
PUSHUPS = "HandstandPushups/v_HandStandPushups_g01_c01.avi"
SECOND = "Archery/v_Archery_g08_c01.avi"


@pytest.fixture
def ucf(tmp_path: Path) -> Path:
    lists = tmp_path / "ucfTrainTestlist"
    write(lists / "testlist01.txt", f"{ARCHERY}\r\n{PUSHUPS}\n")
    write(lists / "testlist02.txt", f"{SECOND}\n{ARCHERY}\n{PUSHUPS}\n")
    write(lists / "testlist03.txt", f"{PUSHUPS}\nArchery/v_Archery_g15_c01.avi\n")
    write(lists / "trainlist01.txt", f"{SECOND} 1\n")
    return tmp_path


def test_ucf101_is_split_1_by_default(ucf: Path) -> None:
    tree(ucf / "UCF-101", ARCHERY, SECOND)
    video_list = find_videos(UCF, ucf)
    assert video_list.videos == (
        Video(ARCHERY, 0, ucf / "UCF-101" / ARCHERY, (1,)),
        Video(PUSHUPS, 1, None, (1,)),
    )
    assert {video.id: video.splits for video in find_videos(UCF, ucf, split="all").videos}[PUSHUPS] == (1, 2, 3)
    assert video_list.layout == "UCF101 test split 1, lists in ucfTrainTestlist"
    assert video_list.skipped == {"not in the test split": 1}


@pytest.mark.parametrize(("split", "count"), [("1", 2), ("2", 3), ("3", 2), ("all", 4)])
def test_ucf101_splits(ucf: Path, split: Split, count: int) -> None:
    tree(ucf / "UCF-101", PUSHUPS)
    assert len(find_videos(UCF, ucf, split=split).videos) == count


def test_ucf101_files_may_lie_flat_and_be_spelled_as_their_folder(ucf: Path) -> None:
    tree(ucf, "all/v_Archery_g01_c01.avi", "all/v_HandstandPushups_g01_c01.avi")
    assert [video.path and video.path.name for video in find_videos(UCF, ucf).videos] == [
        "v_Archery_g01_c01.avi",
        "v_HandstandPushups_g01_c01.avi",
    ]


def test_a_folder_of_frames_is_the_video_of_its_name(ucf: Path) -> None:
    folder = "frames/v_Archery_g01_c01"
    tree(ucf, f"{folder}/i_0001.jpg", f"{folder}/i_0002.jpg", f"{folder}/desktop.ini")
    video_list = find_videos(UCF, ucf)
    assert video_list.videos[0].path == ucf / folder
    assert video_list.skipped == {"file of the system": 1}


def test_of_two_files_of_a_name_the_one_in_the_class_folder_counts(ucf: Path) -> None:
    tree(ucf, f"UCF-101/{ARCHERY}", "Again/v_Archery_g01_c01.avi")
    video_list = find_videos(UCF, ucf)
    assert video_list.videos[0].path == ucf / "UCF-101" / ARCHERY
    assert video_list.skipped == {"another file of the same name": 1}


def test_lists_are_looked_for_three_folders_down(ucf: Path) -> None:
    tree(ucf, f"UCF-101/{ARCHERY}")
    deep = ucf / "a" / "b"
    deep.mkdir(parents=True)
    (ucf / "ucfTrainTestlist").rename(deep / "lists")
    assert find_videos(UCF, ucf).layout.startswith("UCF101 test split 1")
    (deep / "c").mkdir()
    (deep / "lists").rename(deep / "c" / "lists")
    assert find_videos(UCF, ucf).layout == "class folders"


def test_a_name_may_be_stored_decomposed(tmp_path: Path) -> None:
    write(tmp_path / "testlist01.txt", "Archery/v_Fl\u00e8che.avi\nHandstandPushups/x.avi\n")
    tree(tmp_path, "Archery/v_Fle\u0300che.avi")
    assert find_videos(UCF, tmp_path).videos[0].path == tmp_path / "Archery/v_Fle\u0300che.avi"


def test_lists_without_any_of_their_videos_are_refused(ucf: Path) -> None:
    tree(ucf, "Archery/other.avi")
    with pytest.raises(UserError, match=r"None of the 2 videos .* holds Archery/other\.avi"):
        find_videos(UCF, ucf)


def test_lists_of_other_classes_are_refused_by_name(ucf: Path) -> None:
    tree(ucf, ARCHERY)
    with pytest.raises(UserError, match=r"only in the lists: HandstandPushups.*without a list: Fencing"):
        find_videos(dataset("ucf101", "Archery", "Fencing"), ucf)


def test_a_part_of_ucf101_leaves_the_other_classes_out(ucf: Path) -> None:
    tree(ucf, ARCHERY)
    video_list = find_videos(dataset("ucf101-half", "Archery", stored_as="ucf101"), ucf)
    assert [video.id for video in video_list.videos] == [ARCHERY]
    assert video_list.skipped == {"class not in the dataset": 1}


def test_a_split_whose_list_is_absent_is_named(ucf: Path) -> None:
    tree(ucf, ARCHERY)
    (ucf / "ucfTrainTestlist" / "testlist03.txt").unlink()
    with pytest.raises(UserError, match=r"No testlist03\.txt .* only testlist01\.txt, testlist02\.txt"):
        find_videos(UCF, ucf, split="all")


def test_every_split_that_is_listed(ucf: Path) -> None:
    tree(ucf, ARCHERY)
    (ucf / "ucfTrainTestlist" / "testlist03.txt").unlink()
    video_list = find_videos(UCF, ucf, split="listed")
    assert video_list.layout == "UCF101 test splits 1, 2, lists in ucfTrainTestlist"
    assert {video.id: video.splits for video in video_list.videos} == {ARCHERY: (1, 2), PUSHUPS: (1, 2), SECOND: (2,)}
    assert (video_list.labels_by, find_videos(OWN, tree(ucf / "own", "PickUp/1.avi")).labels_by) == ("lists", "folders")


def test_without_lists_all_videos_count_and_a_split_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, ARCHERY, SECOND)
    assert [video.splits for video in find_videos(UCF, tmp_path).videos] == [(), ()]
    assert len(find_videos(UCF, tmp_path, split="listed").videos) == 2
    with pytest.raises(UserError, match=r"(?s)Looked for:.*testlist01\.txt.*It holds:\n  Archery\n"):
        find_videos(UCF, tmp_path, split="1")


def hmdb_lists(root: Path) -> Path:
    folder = root / "testTrainMulti_7030_splits"
    for split in (1, 2, 3):
        write(folder / f"brush_hair_test_split{split}.txt", f"(a)!_b.avi {2 if split < 3 else 0} \nt.avi 1 \n")
        write(folder / f"wave_test_split{split}.txt", "w.avi 2 \nu.avi 0 \n")
    return root


@pytest.mark.parametrize("folder", ["hmdb51_org/brush_hair", "flat"])
def test_hmdb51_takes_the_videos_marked_2(tmp_path: Path, folder: str) -> None:
    tree(hmdb_lists(tmp_path), f"{folder}/(a)!_b.avi", f"{folder}/t.avi")
    video_list = find_videos(HMDB, tmp_path)
    assert video_list.videos == (
        Video("brush_hair/(a)!_b.avi", 0, tmp_path / folder / "(a)!_b.avi", (1,)),
        Video("wave/w.avi", 1, None, (1,)),
    )
    everything = find_videos(HMDB, tmp_path, split="all").videos
    assert [video.splits for video in everything if video.path] == [(1, 2)]
    assert video_list.skipped == {"not in the test split": 1}


def test_hmdb51_without_the_list_of_a_class_is_refused(tmp_path: Path) -> None:
    tree(hmdb_lists(tmp_path), "wave/w.avi")
    for list_ in tmp_path.rglob("brush_hair_test_split*.txt"):
        list_.unlink()
    with pytest.raises(UserError, match="Classes without a list: brush_hair"):
        find_videos(HMDB, tmp_path)


KINETICS_LIST = """label,youtube_id,time_start,time_end,split
arm wrestling,aB-_1234567,20,30,val
arm wrestling,Ab-_1234567,5,15,val
"curling (sport)",gone,1,11,val
yoga,noclass,0,10,val
using segway,trained,0,10,train
"""


def test_kinetics_list_joins_files_of_both_namings(tmp_path: Path) -> None:
    write(tmp_path / "annotations" / "val.csv", KINETICS_LIST)
    tree(tmp_path, "val/x/aB-_1234567_000020_000030.mp4", "val/Ab-_1234567.webm", "val/trained.mp4", "val/more.mp4")
    video_list = find_videos(KINETICS, tmp_path)
    assert video_list.videos == (
        Video("Ab-_1234567_000005_000015", 0, tmp_path / "val/Ab-_1234567.webm", ()),
        Video("aB-_1234567_000020_000030", 0, tmp_path / "val/x/aB-_1234567_000020_000030.mp4", ()),
        Video("gone_000001_000011", 2, None, ()),
    )
    assert video_list.layout == "Kinetics list annotations/val.csv"
    assert video_list.skipped == {
        "class not in the dataset": 1,
        "in the training part": 1,
        "not in the list": 1,
    }


def test_kinetics_takes_the_list_that_names_most_of_the_files(tmp_path: Path) -> None:
    write(tmp_path / "test.csv", KINETICS_LIST.replace("aB-", "zz"))
    write(tmp_path / "val.csv", KINETICS_LIST)
    write(tmp_path / "notes.csv", "who,what\nme,that\n")
    tree(tmp_path, "aB-_1234567.mp4", "Ab-_1234567.mp4")
    assert find_videos(KINETICS, tmp_path).layout == "Kinetics list val.csv"


def test_class_folders_are_used_if_a_kinetics_list_names_no_file(tmp_path: Path) -> None:
    write(tmp_path / "val.csv", KINETICS_LIST)
    tree(tmp_path, "val/using_segway/other.mp4")
    assert find_videos(KINETICS, tmp_path).layout == "class folders"


def test_a_kinetics_list_may_come_from_a_spreadsheet(tmp_path: Path) -> None:
    write(tmp_path / "val.csv", "\ufeff" + KINETICS_LIST)
    assert find_videos(KINETICS, tree(tmp_path, "Ab-_1234567.mp4")).layout == "Kinetics list val.csv"


def test_a_list_named_train_is_of_training(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", KINETICS_LIST.replace(",val", ",").replace(",split", ",notes"))
    tree(tmp_path, "using_segway/Ab-_1234567.mp4")
    assert find_videos(KINETICS, tmp_path).layout == "class folders"


def test_kinetics_list_with_a_wrong_time_names_the_row(tmp_path: Path) -> None:
    write(tmp_path / "val.csv", KINETICS_LIST.replace("20,30", "soon,30"))
    with pytest.raises(UserError, match=r"val\.csv.*aB-_1234567.*soon"):
        find_videos(KINETICS, tmp_path)


@pytest.mark.parametrize("folder", ["pick up", "Pick_Up", "PickUp", "pick-up", "doing pickup"])
def test_class_folders_are_matched_however_they_are_written(tmp_path: Path, folder: str) -> None:
    tree(tmp_path, f"{folder}/a.MP4")
    assert find_videos(OWN, tmp_path).videos == (Video(f"{folder}/a.MP4", 0, tmp_path / folder / "a.MP4", ()),)


def test_a_spelling_that_two_classes_share_is_not_guessed(tmp_path: Path) -> None:
    tree(tmp_path, "C++/a.mp4", "C#/b.mp4")
    languages = dataset("languages", "C++", "C#")
    assert [(video.id, video.label) for video in find_videos(languages, tmp_path).videos] == [
        ("C#/b.mp4", 1),
        ("C++/a.mp4", 0),
    ]
    with pytest.raises(UserError, match="their names are not classes of languages:\n  c\n"):
        find_videos(languages, tree(tmp_path / "other", "c/a.mp4"))


def test_class_folders_count_skipped_files(tmp_path: Path) -> None:
    tree(tmp_path, "val/put down/1.avi", "val/put down/._1.avi", "val/put down/thumb.jpg", "val/.DS_Store")
    tree(tmp_path, "val/put down/clip.7/f_1.png", "train/put down/2.avi", "README.md", "stray.mp4")
    video_list = find_videos(OWN, tmp_path)
    assert [video.id for video in video_list.videos] == ["val/put down/1.avi", "val/put down/clip.7"]
    assert video_list.skipped == {
        "AppleDouble file": 1,
        "file of the system": 1,
        "not a video (.jpg)": 1,
        "not a video (.md)": 1,
        "in the training part": 1,
        "not in a class folder": 1,
    }
    assert video_list.skipped_files == (
        ("README.md", "not a video"),
        ("stray.mp4", "not in a class folder"),
        ("train/put down/2.avi", "in the training part"),
        ("val/.DS_Store", "file of the system"),
        ("val/put down/._1.avi", "AppleDouble file"),
        ("val/put down/thumb.jpg", "not a video"),
    )


def test_images_beside_folders_or_videos_are_no_video(tmp_path: Path) -> None:
    tree(tmp_path, "PickUp/cover.jpg", "PickUp/1.avi", "put_down/cover.jpg", "put_down/v_1/f_1.jpg")
    video_list = find_videos(OWN, tmp_path)
    assert [video.id for video in video_list.videos] == ["PickUp/1.avi", "put_down/v_1"]
    assert video_list.skipped == {"not a video (.jpg)": 2}


def test_a_training_part_alone_is_used(tmp_path: Path) -> None:
    assert len(find_videos(OWN, tree(tmp_path, "train/PickUp/1.avi")).videos) == 1


def test_one_class_folder_is_a_dataset_too(tmp_path: Path) -> None:
    assert find_videos(OWN, tree(tmp_path, "PickUp/1.avi") / "PickUp").videos[0].label == 0


def test_unknown_folders_are_all_listed(tmp_path: Path) -> None:
    tree(tmp_path, "PickUp/1.avi", "jump/1.avi", "x/run/1.avi", "empty/readme.txt")
    with pytest.raises(UserError, match=r"not classes of shop:\n  jump\n  x/run\n.*--dataset") as error:
        find_videos(OWN, tmp_path)
    assert "empty" not in str(error.value)


def test_a_part_of_kinetics_skips_the_other_classes(tmp_path: Path) -> None:
    tree(tmp_path, "val/arm_wrestling/1.mp4", "val/yoga/1.mp4", "val/yoga/2.mp4")
    video_list = find_videos(PART, tmp_path)
    assert [video.label for video in video_list.videos] == [0]
    assert video_list.skipped == {"class not in the dataset": 2}
    with pytest.raises(UserError, match=r"No test split '1' of kinetics600-zs1"):
        find_videos(PART, tmp_path, split="1")


def test_a_link_back_to_a_folder_above_ends(tmp_path: Path) -> None:
    tree(tmp_path, "PickUp/1.avi")
    (tmp_path / "PickUp" / "loop").symlink_to(tmp_path)
    assert len(find_videos(OWN, tmp_path).videos) == 1


def test_splits_of_a_manifest(tmp_path: Path) -> None:
    tree(tmp_path, "1.mp4", "2.mp4", "3.mp4")
    listed = tmp_path / "list.csv"
    write(listed, "path,label,split\n1.mp4,PickUp,1\n2.mp4,put_down,2\n1.mp4,PickUp,2\n3.mp4,put_down,train\n")
    videos: dict[Split | None, dict[str, tuple[int, ...]]] = {
        "1": {"1.mp4": (1,)},
        "2": {"1.mp4": (2,), "2.mp4": (2,)},
        "all": {"1.mp4": (1, 2), "2.mp4": (2,)},
        None: {"1.mp4": (), "2.mp4": ()},
    }
    for split, expected in videos.items():
        found = find_videos(OWN, listed, split=split)
        assert {video.id: video.splits for video in found.videos} == expected
    assert find_videos(OWN, listed, split="1").skipped == {"not in the test split": 3}
    assert find_videos(OWN, listed).skipped == {"in the training part": 1}
    with pytest.raises(UserError, match=r"no row with 3 in the column split: it holds 1, 2, train"):
        find_videos(OWN, listed, split="3")
    listed.write_text("path,label\n1.mp4,PickUp\n1.mp4,put_down\n")
    with pytest.raises(UserError, match=r"1\.mp4 has two labels, PickUp and put_down"):
        find_videos(OWN, listed)


def test_parts_of_a_manifest_by_name(tmp_path: Path) -> None:
    tree(tmp_path, "1.mp4", "2.mp4", "3.mp4")
    listed = tmp_path / "list.csv"
    write(listed, "path,label,split\n1.mp4,PickUp,Validation\n2.mp4,put_down,test\n3.mp4,put_down,train\n")
    parts: tuple[tuple[Split, str], ...] = (("val", "1.mp4"), ("test", "2.mp4"))
    for split, expected in parts:
        found = find_videos(OWN, listed, split=split)
        assert [(video.id, video.splits) for video in found.videos] == [(expected, ())]
        assert found.layout == f"manifest list.csv, split {split}"
    with pytest.raises(UserError, match=r"no row with 1 or 2 or 3 in the column split: it holds Validation, test, tra"):
        find_videos(OWN, listed, split="all")
    with pytest.raises(UserError, match=r"No test split 'val' of ucf101"):
        find_videos(UCF, tmp_path, split="val")


def test_a_manifest_of_another_dataset_is_refused(tmp_path: Path) -> None:
    """Such as that of a dataset's old name."""
    tree(tmp_path, "1.mp4")
    write(tmp_path / "list.csv", "path,label,dataset\n1.mp4,PickUp,old name\n")
    with pytest.raises(UserError, match=r"no row of shop: its column dataset holds old name. If shop was renamed"):
        find_videos(OWN, tmp_path / "list.csv")


def test_manifest(tmp_path: Path) -> None:
    tree(tmp_path, "v/a.mp4", "v/frames/1.jpg")
    rows = "\ufeffpath,label,dataset\nv/a.mp4,put down,shop\nv/frames,PickUp,\nv/b.mp4,PickUp,shop\nv/c.mp4,yoga,gym\n"
    write(tmp_path / "list.csv", rows)
    video_list = find_videos(OWN, tmp_path / "list.csv")
    assert video_list.videos == (
        Video("v/a.mp4", 1, tmp_path / "v/a.mp4", ()),
        Video("v/b.mp4", 0, None, ()),
        Video("v/frames", 0, tmp_path / "v/frames", ()),
    )
    assert video_list.skipped == {"of another dataset": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.mp4,fly\nb.mp4,sing\n", "not classes of shop: 'fly', 'sing'"),
        ("file,class\na.mp4,PickUp\n", "it has: file, class"),
        ("path,label\n", "it has: no rows"),
        ("path,label\na.mp4,fly\n", r"a video of no class is \(none of these\)"),
        (
            "path,label\na.mp4,PickUp\na.mp4,put down\n",
            "PickUp and put_down.*If videos have several, name the column lab",
        ),
        ("path,label\na.mp4,PickUp\na.mp4,(none of these)\n", r"two labels, PickUp and \(none of these\)"),
        ("path,label,labels\na.mp4,PickUp,PickUp\n", "both columns label .* and labels"),
        ("path,labels\na.mp4,PickUp; fly\n", "not classes of shop: 'fly'"),
        ("path,labels\na.mp4,\n", "a.mp4 has no label"),
        ("path,labels\na.mp4,PickUp; (none of these)\n", r"a.mp4 has \(none of these\) beside a class"),
        ("path,labels\na.mp4,PickUp\na.mp4,(none of these)\n", r"has two labels"),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path / "list.csv", text)
    with pytest.raises(UserError, match=message):
        find_videos(OWN, tmp_path / "list.csv")


def test_videos_of_no_class_are_listed_apart(tmp_path: Path) -> None:
    rows = "path,label\na.mp4,PickUp\nb.mp4,(none of these)\nc.mp4,(None of These)\n"
    write(tree(tmp_path, "a.mp4", "b.mp4") / "list.csv", rows)
    video_list = find_videos(OWN, tmp_path / "list.csv")
    assert [video.id for video in video_list.videos] == ["a.mp4"]
    assert video_list.outside == (
        Video("b.mp4", -1, tmp_path / "b.mp4", ()),
        Video("c.mp4", -1, None, ()),
    )
    assert video_list.skipped == {"of no class of the dataset": 2}
    every = video_list.with_outside
    assert [video.id for video in every.videos] == ["a.mp4", "b.mp4", "c.mp4"]
    assert (every.outside, every.skipped) == ((), {})


def test_a_manifest_with_several_labels_a_video(tmp_path: Path) -> None:
    rows = (
        "path,labels\na.mp4,put down; Pick Up\nb.mp4,PickUp\nb.mp4,put_down\nb.mp4,pick up\nc.mp4,put down;\n"
        "d.mp4,(none of these)\n"
    )
    write(tree(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4") / "list.csv", rows)
    video_list = find_videos(OWN, tmp_path / "list.csv")
    assert video_list.multi_label
    assert [(video.id, video.label, video.labels) for video in video_list.videos] == [
        ("a.mp4", 0, (0, 1)), ("b.mp4", 0, (0, 1)), ("c.mp4", 1, (1,)), ("d.mp4", -1, ()),
    ]  # fmt: skip
    assert (video_list.outside, video_list.skipped) == ((), {})


def test_a_class_name_with_a_semicolon_is_one_label(tmp_path: Path) -> None:
    odd = from_labels("odd", ["stop; go", "stop"])
    write(tree(tmp_path, "a.mp4") / "list.csv", "path,labels\na.mp4,stop; go\n")
    assert find_videos(odd, tmp_path / "list.csv").videos[0].labels == (0,)


def test_where_nothing_fits_the_error_shows_what_is_there(tmp_path: Path) -> None:
    tree(tmp_path, *(f"note{number:02}.txt" for number in range(12)))
    with pytest.raises(UserError) as error:
        find_videos(KINETICS, tmp_path)
    message = str(error.value)
    assert "Kinetics with a list" in message
    assert "class folders: <class>/" in message
    assert "UCF101" not in message
    assert "note09.txt\n  and 2 more" in message


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        find_videos(OWN, tmp_path / "nowhere")


def official(name: str) -> Dataset:
    return dataset(name, *(CLASSES / f"{name}.txt").read_text().splitlines())


@needs_clips
@pytest.mark.parametrize(
    ("name", "split", "listed", "here"),
    [
        ("ucf101", "1", 3783, 9),
        ("ucf101", "2", 3734, 2),
        ("ucf101", "all", 11213, 11),
        ("hmdb51", "1", 1530, 1),
        ("hmdb51", "all", 4243, 3),
    ],
)
def test_official_lists(name: str, split: Split, listed: int, here: int) -> None:
    videos = find_videos(official(name), CLIPS / name, split=split).videos
    assert (len(videos), sum(video.path is not None for video in videos)) == (listed, here)
    pushups = {video.label for video in videos if "_HandStandPushups_" in video.id}
    assert pushups == ({36} if name == "ucf101" else set())


@needs_clips
def test_kinetics_folders_with_spaces() -> None:
    video_list = find_videos(official("kinetics600"), CLIPS / "kinetics600")
    assert [video.id.split("/")[1] for video in video_list.videos].count("using segway") == 3
    assert not video_list.skipped


def test_a_file_name_that_is_not_utf8_can_be_stored(tmp_path: Path) -> None:
    folder = tmp_path / "wave"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.avi")).touch()
    [video] = find_videos(HMDB, tmp_path).videos
    assert video.id == r"wave/caf\xe9.avi"
    assert video.path is not None
    assert video.path.exists()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Archery/v_Archery_g07_c02.avi", "elsewhere/v_Archery_g07_c11.mp4", True),
        ("Archery/v_Archery_g07_c02.avi", "Archery/v_Archery_g08_c02.avi", False),
        ("v_Archery_g07_c02", "v_Biking_g07_c02", False),
        ("wave/RATRACE_wave_f_nm_np1_fr_goo_37.avi", "wave/RATRACE_wave_u_cm_np2_le_med_2.avi", True),
        ("RATRACE_wave_f_nm_np1_fr_goo_37.avi", "TrumanShow_wave_f_nm_np1_fr_med_26.avi", False),
        ("draw_sword/a_b_draw_sword_f_nm_np1_fr_goo_0.avi", "draw_sword/a_c_draw_sword_f_nm_np1_fr_goo_0.avi", False),
        ("shop/monday.mp4", "shop/monday.mp4", True),
        ("shop/monday.mp4", "yard/monday.mp4", False),
    ],
)
def test_clips_of_one_source_are_known_by_their_names(one: str, other: str, same: bool) -> None:
    """As the datasets' pages say: groups g01 to g25 of UCF101, and HMDB51's names of films before the class."""
    first, second = clip_groups([one, other])
    assert (first == second) == same


@needs_clips
def test_groups_of_the_official_lists() -> None:
    """UCF101's first test list has 7 of 25 groups a class; HMDB51's lists never divide a source into train and test."""
    listed = find_videos(load("ucf101"), CLIPS / "ucf101", split="1").videos
    assert (len(listed), len(set(clip_groups(video.id for video in listed)))) == (3783, 101 * 7)
    for file in (CLIPS / "hmdb51").rglob("*_test_split[123].txt"):
        rows = [line.split() for line in file.read_text().splitlines() if line.strip()]
        train, test = (clip_groups(name for name, mark in rows if mark == part) for part in "12")
        assert set(train).isdisjoint(test)
        assert len(set(test)) < len(test), "several clips of a source"
