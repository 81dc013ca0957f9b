"""Files of labels: every form that is read, what is refused, and lists of names written in each form."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from db.errors import UserError
from db.label_files import read_labels
from db.vocabulary import from_path, load


def names_in(path: Path) -> list[str]:
    return [label.name for label in read_labels(path)]


def file(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8", newline="")
    return path


TWO = ["riding bike", "waving hand"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lines.txt", "riding bike\nwaving hand\n"),
        ("comments.txt", "\ufeff# my classes\r\n\r\nriding bike\r\n  waving hand  \r\n"),
        ("header.txt", "label\nriding bike\nwaving hand\n"),
        ("classInd.txt", "1 riding bike\r\n2 waving hand\r\n"),  # UCF101
        ("out_of_order.txt", "2 waving hand\n1 riding bike\n"),
        ("colon.txt", "0: riding bike\n1: waving hand\n"),  # mmaction2, MultiSports and AVA
        ("point.txt", "0. riding bike\n1. waving hand"),
        ("bracket.txt", "(1) riding bike\n(2) waving hand\n"),
        ("dash.txt", "0 - riding bike\n1 - waving hand\n"),
        ("charades.txt", "c000 riding bike\nc001 waving hand\n"),  # Charades
        ("ntu.txt", "A1. riding bike\nA2. waving hand\n"),  # NTU RGB+D
        ("behind.txt", "riding bike 0\nwaving hand 1\n"),
        ("mmit.txt", "riding bike,0\nwaving hand,1\n"),  # mmaction2, Multi-Moments in Time
        ("before.csv", "0,riding bike\n1,waving hand\n"),
        ("numbers.tsv", "0\triding bike\n1\twaving hand\n"),
        ("kinetics.csv", "id,name\n0,riding bike\n1,waving hand\n"),  # as ViFi-CLIP, TC-CLIP and others have it
        ("semicolon.csv", "Index;Class Name\n1;waving hand\n0;riding bike\n"),
        ("names.yaml", "names:\n  0: riding bike\n  1: waving hand\n"),
        ("one_column.csv", 'name\n"riding bike"\nwaving hand\n'),
        ("quoted.csv", '"id","label"\n"0","riding bike"\n"1","waving hand"\n'),
        ("own.tsv", "label\tname\tphrase\n0\triding bike\tx\n1\twaving hand\ty\n"),
        ("list.json", '["riding bike", "waving hand"]'),
        ("json_in.txt", '["riding bike", "waving hand"]'),
        ("index.json", '{"1": "waving hand", "0": "riding bike"}'),
        ("from_1.json", '{"1": "riding bike", "2": "waving hand"}'),
        ("kinetics_classnames.json", json.dumps({'"waving hand"': 1, '"riding bike"': 0})),  # PyTorchVideo's address
        ("something-something-v2-labels.json", '{"waving hand": "1", "riding bike": "0"}'),
        ("rows.json", '[{"id": 1, "name": "waving hand"}, {"id": 0, "name": "riding bike"}]'),
        ("phrases.json", '{"riding bike": "a person rides", "waving hand": "a hand"}'),
    ],
)
def test_each_form_gives_the_classes_in_their_order(tmp_path: Path, name: str, content: str) -> None:
    assert names_in(file(tmp_path, name, content)) == TWO


def test_activitynet_gives_the_leaves_of_its_tree(tmp_path: Path) -> None:
    nodes = [(0, None, "Root"), (1, 0, "Sports"), (2, 1, "Long jump"), (3, 1, "Archery"), (4, 0, "Zumba")]
    taxonomy = [{"nodeId": i, "parentId": parent, "nodeName": name, "parentName": None} for i, parent, name in nodes]
    document = {"version": "VERSION 1.3", "taxonomy": taxonomy, "database": {"abc": {"subset": "testing"}}}
    assert names_in(file(tmp_path, "anet.json", json.dumps(document))) == ["Long jump", "Archery", "Zumba"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.txt", "launch\tNASA launch\nphone\tusing an iPhone\nRun\t\n"),
        ("labels.csv", "label,phrase\nlaunch,NASA launch\nphone,using an iPhone\nRun,\n"),
        ("three.csv", "id,name,description\n2,Run,\n1,phone,using an iPhone\n0,launch,NASA launch\n"),
        ("labels.json", '{"launch": "NASA launch", "phone": "using an iPhone", "Run": ""}'),
    ],
)
def test_a_second_column_gives_the_phrase_and_a_missing_one_is_made(tmp_path: Path, name: str, content: str) -> None:
    dataset = from_path(file(tmp_path, name, content))
    assert [(action.label, action.name, action.phrase) for action in dataset.actions] == [
        (0, "launch", "NASA launch"),
        (1, "phone", "using an iPhone"),
        (2, "Run", "run"),
    ]


def test_labels_with_numbers_commas_and_brackets_of_their_own_stay(tmp_path: Path) -> None:
    """As in the lists of FineGym, Diving48 and Something-Something."""
    names = [
        "(FX) 2 turn with free leg held upward in 180 split position",
        "round-off, flic-flac with 0.5 turn on, stretched salto",
        "Back+15som+05Twis+FREE",
        "2 turn on one leg",
        "[Something] colliding with [something]",
        "basketball_3-point_shot",
        "playing+fun",
        "eat meal/snack",
    ]
    assert names_in(file(tmp_path, "x.txt", "\n".join(names))) == names


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gap.txt", "7 BaseballPitch\n9 BasketballDunk\n", "the numbers 7, 9, which do not count from 0 or 1"),
        ("twice.txt", "1 walk\n1 run\n", "the numbers 1, 1, which"),
        ("poses.txt", "pose 1\npose 2\npose 3\n", "end with a number, but are not different without it"),
        ("repeated.txt", "1 archery\n2 archery\n", "begin with a number, but are not different"),
        ("title.txt", "My classes\n1 walk\n2 run\n3 sit\n", "some lines that begin with a number"),
        ("tail.txt", "walk\nrun 0\nsit 1\n", "some lines that end with a number"),
        ("both.txt", "0 walk 0\n1 run 1\n", "begin and end with a number"),
        ("numbers.txt", "0\n1\n2\n", "'0', '1', '2', which are numbers, not classes"),
        ("videos.txt", "walking/a.mp4 0\nwaving/b.mp4 1\n", "which are files, not classes"),
        ("videos2.txt", "a.mp4\nb.avi\n", "which are files, not classes"),
        ("texts.txt", "0. Chew: A person eats.\n1. Clap: A person claps.\n", "a text each: descgen import"),
        ("texts.json", '{"0": "Chew: a person eats", "1": "Clap: hands"}', "classes with a text each"),
        ("ragged.txt", "walk\trunning\nsit\n", "rows of different lengths: the first has 2 cells, row 2 has 1"),
        ("no_header.csv", "ride,riding a bike\nwave,waving a hand\n", "1 ',' in each line, as a table or a list has"),
        ("one_line.txt", "walk, run, sit\n", "2 ',' in each line"),
        ("header.csv", "label,beschreibung\nride,riding\n", "the columns 'beschreibung'. Columns that are read: id"),
        ("kinetics.csv", "label,youtube_id,time_start\nwalk,x,0\nrun,y,0\n", "the columns 'youtube_id', 'time_start'"),
        ("epic.csv", "id,key,instances\n0,take,3\n1,put,4\n", "the columns 'key', 'instances'"),
        ("two_names.csv", "name,label\nwalk,walking\nrun,running\n", "One holds the names"),
        ("cells.csv", "id,name\n0,walk\nx,run\n", "the cell 'x' in its column of numbers"),
        ("middle.txt", "walk\nrun\nlabel,phrase\nsit,sitting\n", "'label,phrase', which looks like a header, below"),
        ("data.yaml", "nc: 2\nnames:\n  0: walk\n  1: run\n", "'names:', which looks like a key of YAML"),
        ("bullets.md", "- walk\n- run\n", "'- walk', which looks like an item of a list with bullets"),
        ("map.pbtxt", 'item {\n  name: "walk"\n  id: 1\n}\n', "looks like a piece of JSON"),
        ("python.py", "['walk', 'run']", "looks like a piece of JSON, YAML or code"),
        ("list.txt", '"walk",\n"run"\n', "an item of a list with commas"),
        ("table.md", "| walk |\n| run |\n", "a piece of a page or table"),
        ("broken.json", '["walk", ', "is not JSON"),
        ("lines.json", "walk\nrun\n", "is not JSON"),
        ("twice.json", '{"0": "walk", "0": "run"}', "holds these names twice: 0"),
        ("mixed.json", '{"0": "walk", "run": "1"}', "names are numbers and others .* texts [(]some of them are"),
        ("gap.json", '{"0": "walk", "2": "run"}', "the numbers 0, 2, which do not count"),
        ("nested.json", '{"database": {"v": {}}}', "names are texts and whose values are objects"),
        ("descriptors.json", '{"walk": ["legs"], "run": ["legs"]}', "read them with: descgen import FILE"),
        ("diving.json", '[["Back", "15som"], ["Back", "25som"]]', "is a JSON list of lists, not of labels"),
        ("number.json", "3", "neither a list nor an object"),
        ("null.json", '["walk", null]', "is a JSON list of null and texts"),
        ("nul.json", '["wa\\u0000lk", "run"]', "a control character"),
        ("long.json", json.dumps(["x" * 201]), "201 characters are too long"),
        ("hole.csv", "id,name\n0,walk\n1,\n", "a class without a name"),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_refused_with_what_was_seen(tmp_path: Path, name: str, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        from_path(file(tmp_path, name, content))
    assert str(refused.value).startswith(str(tmp_path / name))
    assert "Forms that are read: one label a line; numbered lines" in str(refused.value)


def test_numbers_that_belong_to_labels_are_kept_in_a_json_list(tmp_path: Path) -> None:
    names = ["100 meter run", "200 meter run"]
    with pytest.raises(UserError, match="If the numbers belong to the labels, write a JSON list"):
        from_path(file(tmp_path, "x.txt", "\n".join(names)))
    assert names_in(file(tmp_path, "x.json", json.dumps(names))) == names


def test_the_official_names_are_read_from_each_form(tmp_path: Path) -> None:
    for dataset in ("ucf101", "hmdb51", "kinetics400", "kinetics600"):
        names = [action.name for action in load(dataset).actions]
        for form, write in FORMS.items():
            assert names_in(file(tmp_path, f"x.{form}", write(names))) == names, (dataset, form)


def _csv(rows: Sequence[Sequence[object]], delimiter: str = ",") -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    return buffer.getvalue()


def _lines(form: str, first: int) -> Callable[[Sequence[str]], str]:
    return lambda names: "\n".join(form.format(number, name) for number, name in enumerate(names, start=first))


Write = Callable[[Sequence[str]], str]
LINES: dict[str, Write] = {  # forms whose lines can stand below those of another
    "plain": "\n".join,
    "space": _lines("{} {}", 1),
    "colon": _lines("{}: {}", 0),
    "point": _lines("{}. {}", 0),
    "letter": _lines("c{:03} {}", 0),
    "behind": _lines("{1} {0}", 0),
    "tabs": lambda names: "\n".join(f"{name}\tsee {name}" for name in names),
    "id_name": lambda names: _csv([("id", "name"), *enumerate(names)]),
    "label_phrase": lambda names: _csv([("label", "phrase"), *((name, f"see {name}") for name in names)]),
}
JSON: dict[str, Write] = {
    "list": json.dumps,
    "index": lambda names: json.dumps(dict(enumerate(names))),
    "from_1": lambda names: json.dumps(dict(enumerate(names, start=1))),
    "back": lambda names: json.dumps({name: number for number, name in enumerate(names)}),
    "texts": lambda names: json.dumps({name: str(number) for number, name in enumerate(names)}),
    "phrases": lambda names: json.dumps({name: f"see {name}" for name in names}),
    "rows": lambda names: json.dumps([{"id": number, "name": name} for number, name in enumerate(names)]),
}
FORMS: dict[str, Write] = {**LINES, **JSON}

_plain_names = st.from_regex(r"[abXYéßд日]{1,4}([ _/-][abcXé]{1,3}){0,2}", fullmatch=True)
_lists = st.lists(_plain_names, min_size=2, max_size=12, unique_by=str.casefold)
_any_lists = st.lists(st.text(max_size=20).map(str.strip), min_size=1, max_size=6, unique=True)


def read_written(text: str, suffix: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        return names_in(file(Path(folder), f"x.{suffix}", text))


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=30)
@given(names=_lists)
@example(names=["Straße", "日本語"])
def test_any_list_of_names_reads_back_the_same(form: str, names: list[str]) -> None:
    suffix = "json" if form in JSON else "txt"
    assert read_written(FORMS[form](names), suffix) == names


@pytest.mark.parametrize("form", ["list", "back", "rows", "id_name", "label_phrase"])
@settings(max_examples=60)
@given(names=_any_lists)
def test_odd_names_read_back_the_same_or_are_refused(form: str, names: list[str]) -> None:
    assume(form in JSON or not any(name.startswith("#") for name in names))  # comments
    try:
        found = read_written(FORMS[form](names), "json" if form in JSON else "csv")
    except UserError:
        return
    assert found == [name[1:-1].replace('""', '"').strip() if _is_quoted(name) else name for name in names]


def _is_quoted(name: str) -> bool:
    return len(name) > 2 and name[0] == name[-1] == '"' and '"' not in name[1:-1].replace('""', "")


@pytest.mark.parametrize("first", LINES)
@settings(max_examples=10)
@given(names=st.lists(_plain_names, min_size=4, max_size=8, unique_by=str.casefold))
@example(names=["a", "b", "c", "d"])
def test_a_file_that_is_two_formats_at_once_is_refused(first: str, names: list[str]) -> None:
    half = len(names) // 2
    for second in FORMS.keys() - {first}:
        text = LINES[first](names[:half]).rstrip() + "\n" + FORMS[second](names[half : 2 * half])
        with pytest.raises(UserError):
            read_written(text, "txt")
