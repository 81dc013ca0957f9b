"""Class names and phrases against the datasets' own lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.errors import UsageError, UserError
from db.vocabulary import BUILT_IN, class_finder, from_labels, from_path, load, phrase_of, tear_name


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("ucf101", "ucf101"),
        ("hmdb51", "hmdb51"),
        ("kinetics600", "kinetics600"),
        *((f"kinetics600-zs{n}", f"kinetics600_zeroshot_split{n}") for n in (1, 2, 3)),
    ],
)
def test_names_and_label_order_are_the_official_ones(shared: Path, name: str, reference: str) -> None:
    official = (shared / "reference" / "classes" / f"{reference}.txt").read_text().splitlines()
    actions = load(name).actions
    assert [action.name for action in actions] == official
    assert [action.label for action in actions] == list(range(len(official)))


def test_kinetics400_is_the_list_that_its_pretrained_models_count_by() -> None:
    """Against torchvision's list; 369 of the names are, but for case, also those of Kinetics-600."""
    from torchvision.models._meta import _KINETICS400_CATEGORIES

    actions = load("k400").actions
    assert [action.name for action in actions] == _KINETICS400_CATEGORIES
    assert [action.label for action in actions] == list(range(400))
    assert len({action.phrase for action in actions} & {action.phrase for action in load("k600").actions}) == 369
    football = actions[208]
    assert (football.name, football.phrase) == (
        "passing American football (in game)",
        "passing american football (in game)",
    )
    assert tear_name(load("k400"), football) == football.phrase


@pytest.mark.parametrize("name", BUILT_IN)
def test_phrases_are_readable_and_tell_classes_apart(name: str) -> None:
    phrases = [action.phrase for action in load(name).actions]
    assert len(set(phrases)) == len(phrases)
    assert all(phrase == phrase.lower().strip() and "_" not in phrase for phrase in phrases)


def test_phrases_say_which_sense_is_meant() -> None:
    ucf, hmdb = ({a.name: a.phrase for a in load(name).actions} for name in ("ucf101", "hmdb51"))
    assert (ucf["YoYo"], ucf["TaiChi"], ucf["HandstandPushups"]) == ("yo-yo", "tai chi", "handstand pushups")
    assert hmdb["flic_flac"] == "back handspring (flic flac)"
    assert (hmdb["turn"], hmdb["wave"], hmdb["dive"]) == ("turning around", "waving a hand", "diving into water")
    assert "stick" in hmdb["hit"]


def test_aliases_and_subsets() -> None:
    assert load("k600") == load("kinetics600")
    parent = {action.name: action.phrase for action in load("k600").actions}
    subset = load("k600-zs1")
    assert subset.stored_as == "kinetics600"
    assert all(parent[action.name] == action.phrase for action in subset.actions)


def test_thumos14_is_twenty_classes_of_ucf101_and_shares_their_descriptors() -> None:
    """Class ids 7 to 97 of THUMOS are label indices of UCF101 counted from 1."""
    thumos, ucf = load("thumos14"), load("ucf101")
    assert thumos.stored_as == "ucf101"
    ids = (7, 9, 12, 21, 22, 23, 24, 26, 31, 33, 36, 40, 45, 51, 68, 79, 85, 92, 93, 97)
    assert [action.name for action in thumos.actions] == [ucf.actions[number - 1].name for number in ids]
    assert [action.label for action in thumos.actions] == list(range(20))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'hmdb52'.*ucf101, hmdb51, kinetics400, kinetics600, kinetics600-zs1"):
        load("hmdb52")


@pytest.mark.parametrize(
    ("label", "phrase"),
    [
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("peel_potatoes", "peel potatoes"),
        ("washing  up", "washing up"),
        ("Walking the Dog", "walking the dog"),
        ("Blow-drying hair", "blow drying hair"),
        ("TVWatching", "TV watching"),
        ("NASA", "NASA"),
        ("NASALaunch", "NASA launch"),
        ("iPhone", "iPhone"),
        ("using_iPhone", "using iPhone"),
        ("Using an iPhone", "using an iPhone"),
        ("Decorating the Christmas tree", "decorating the Christmas tree"),
        ("playing McDonald's (Jr)", "playing McDonald's (Jr)"),
        ("BMX", "BMX"),
        ("applyEye", "apply eye"),
        ("b-side", "b side"),
    ],
)
def test_phrases_of_own_labels(label: str, phrase: str) -> None:
    assert phrase_of(label) == phrase


def test_own_labels_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    def labels(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    with pytest.raises(UserError, match="No labels in empty"):
        from_path(labels("empty.txt", b"\n# nothing\n"))
    with pytest.raises(UserError, match="mean the same class: peel potatoes"):
        from_path(labels("twice.txt", b"peel_potatoes\nPeelPotatoes\n"))
    with pytest.raises(UserError, match="not a text file"):
        from_path(labels("binary.txt", b"\xff\xfe\x00\x81"))
    with pytest.raises(UsageError, match=r"built-in dataset ucf101"):
        from_path(labels("ucf101.txt", b"one\n"))


@pytest.mark.parametrize("name", ["YoYo", "yoyo", "Yo Yo", "yo-yo", "yo_yo", "\uff39\uff4f\uff39\uff4f"])
def test_a_class_is_found_however_its_name_is_written(name: str) -> None:
    action = class_finder(load("ucf101"))(name)
    assert action is not None
    assert action.name == "YoYo"


def test_a_class_is_found_by_its_phrase() -> None:
    find = class_finder(load("hmdb51"))
    assert [action and action.name for action in map(find, ("Waving a hand", "waving", ""))] == ["wave", None, None]


def test_a_spelling_that_two_classes_share_finds_neither() -> None:
    find = class_finder(from_labels("languages", ["C++", "C#", "Fle\u0300che"]))
    names = ("C++", "c#", "c", "fl\u00e8che")
    assert [action and action.label for action in map(find, names)] == [0, 1, None, 2]
