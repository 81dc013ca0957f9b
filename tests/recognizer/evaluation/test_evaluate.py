"""recognize eval, predict and runs, through the command line."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from encoders.protocol import Logits, Traits
from encoders.testing import FakeEncoder
from tests.fixtures.colours import COLOURS, ColourEncoder, balls, encoder
from tests.fixtures.commands import Run

pytestmark = pytest.mark.usefixtures("trusted_files")

__all__ = ["balls", "encoder"]  # fixtures


def test_a_run_counts_everything_and_keeps_every_prediction(
    descgen: Run, recognize: Run, llm: FakeLLM, balls: Path, store: Store
) -> None:
    descgen("build", "-d", balls, "-k", "context")
    result = recognize("eval", "-d", "balls", "--root", balls, "--encoder", "fake", "--json")
    assert result.exit_code == 0, result.output
    run = json.loads(result.stdout)
    assert run["counts"] == {
        "listed": 7, "evaluated": 6, "truncated": 0, "missing": 0, "unreadable": 1, "beyond the limit": 0,
        "ignored files": 0,
    }  # fmt: skip
    assert run["left_out"] == [["red_ball/broken.mp4", "empty file"]]
    rows = run["results"]["rows"]
    assert rows["label only"]["top1"]["value"] == 1.0
    assert rows["label only"]["top1"]["low"] == pytest.approx(0.6097, abs=1e-4)
    assert rows["label + descriptors"]["videos"] == 6
    assert run["settings"]["kinds"] == ["context"]
    assert run["settings"]["statuses"] == {"pending": 9}
    assert run["descriptor_ids"] == [d.id for d in store.descriptors(store.dataset("balls"))]
    assert {p["video"]: p["label"] for p in run["predictions"]} == {
        f"{name}/{take}": label for label, name in enumerate(sorted(COLOURS)) for take in ("a", "b")
    }
    assert all(p["rank"] == 1 and p["ranking"][0][0] == p["label"] for p in run["predictions"])


def test_a_run_is_shown_as_it_was_stored(descgen: Run, recognize: Run, llm: FakeLLM, balls: Path) -> None:
    descgen("build", "-d", balls, "-k", "context")
    shown = recognize("eval", "-d", "balls", "--root", balls, "--encoder", "fake").stdout
    assert shown == recognize("runs", "1").stdout
    lines = shown.splitlines()
    assert lines[1].startswith("protocol default · encoder fake · method mean · 16 frames · ")
    templates = "a video of {}, a photo of {}, footage of {}, a scene of {}"
    assert lines[2] == f"4 label templates (of protocol default): {templates}"
    assert lines[3] == "descriptors: 9 (context) by fake, 9 pending"
    assert lines[4] == "videos: 7 listed, 6 evaluated, 1 unreadable"
    assert lines[5] == "unreadable: red_ball/broken.mp4: empty file"
    assert lines[6] == "6 videos are too few to compare anything: see the intervals"
    assert "label only" in lines[9]
    assert "100.0 [61.0, 100.0]" in lines[9]
    assert [row["id"] for row in json.loads(recognize("runs", "--json").stdout)] == [1]
    assert "balls" in recognize("runs").stdout


def test_every_choice_of_a_method_is_in_the_run(
    descgen: Run, recognize: Run, llm: FakeLLM, balls: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    descgen("build", "-d", balls, "-k", "decomposition", "-k", "context")
    monkeypatch.chdir(balls.parent)
    Path("mine.txt").write_text("my clip of {}\n")
    chosen = ("--method", "align", "--pooling", "max", "--unit-frames", "--templates", "mine.txt",
              "--condition", "--temperature", 0.5)  # fmt: skip
    result = recognize("eval", "-d", "balls", "--root", balls, "-e", "fake", *chosen)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert " · method align · " in lines[1]
    assert lines[2] == "1 label template (of mine.txt): my clip of {}"
    assert lines[3] == (
        "pooling max · frames to unit length · templates mine.txt · the label before each descriptor · temperature 0.5"
    )
    assert "log loss: 0.000 by label only, 0.0" in result.stdout
    assert "with descriptors, logit scale 100, not calibrated" in result.stdout  # the fake names no scale
    assert {"my clip of red ball", "red ball: someone begins it slowly", "red ball: a ball"} <= set(encoder.encoded)
    run = json.loads(recognize("runs", "1", "--json").stdout)
    assert {name: run["settings"][name] for name in ("method", "pooling", "unit_frames", "condition",
                                                      "temperature")} == {
        "method": "align", "pooling": "max", "unit_frames": True, "condition": True, "temperature": 0.5,
    }  # fmt: skip
    assert run["settings"]["label_templates"] == ["my clip of {}"]
    assert run["settings"]["descriptor_templates"] == ["{}"]


def test_an_encoders_own_templates_and_scale_are_in_the_run(
    descgen: Run, recognize: Run, llm: FakeLLM, balls: Path, encoder: FakeEncoder
) -> None:
    encoder.traits = Traits(label_templates=("see {}",))  # type: ignore[attr-defined]
    encoder.logits = Logits(scale=20.0, bias=-3.0, calibrated=True)  # type: ignore[attr-defined]
    descgen("build", "-d", balls, "-k", "context")
    common = ("eval", "-d", "balls", "--root", balls, "-e", "fake", "--json")
    own, four = (json.loads(recognize(*common, *chosen).stdout) for chosen in ((), ("--templates", "video4")))
    assert own["settings"]["label_templates"] == ["see {}"]
    assert (own["settings"]["logit_scale"], own["settings"]["logit_bias"]) == (20.0, -3.0)
    assert own["settings"]["calibrated"] is True
    assert len(four["settings"]["label_templates"]) == 4
    assert {"see red ball", "a video of red ball"} <= set(encoder.encoded)
    assert "1 label template (of encoder fake): see {}" in recognize("runs", "1").stdout


def test_predict_by_another_method(descgen: Run, recognize: Run, llm: FakeLLM, balls: Path) -> None:
    descgen("build", "-d", balls, "-k", "decomposition")
    asked = ("predict", balls / "blue_ball" / "a", "-d", "balls", "-e", "fake", "--method", "max")
    shown = " ".join(recognize(*asked, "--temperature", 20).stdout.split())
    assert "score: cosine · method max · temperature 20.0 " in shown
    assert " rank class score probability rank by label only 1 blue ball " in shown
    answer = json.loads(recognize(*asked, "--json").stdout)
    assert answer["settings"]["method"] == "max"
    probable = [candidate["probability"] for candidate in answer["rankings"][0]["candidates"]]
    assert sum(probable) == pytest.approx(1)
    assert probable == sorted(probable, reverse=True)


def test_the_digest_of_descriptors_follows_their_texts(descgen: Run, recognize: Run, llm: FakeLLM, balls: Path) -> None:
    digests = []
    for kinds in (["context"], ["context", "description"], ["context"]):
        descgen("build", "-d", balls, *(part for kind in kinds for part in ("-k", kind)))
        chosen = [part for kind in kinds for part in ("-k", kind)]
        run = json.loads(recognize("eval", "-d", "balls", "--root", balls, "-e", "fake", *chosen, "--json").stdout)
        digests.append(run["descriptors_sha256"])
    assert digests[0] == digests[2] != digests[1]


@pytest.fixture
def three_splits(tmp_path: Path) -> Path:
    """A root of HMDB51: official lists of which two red videos are on disk, one waving, one running."""
    from db.vocabulary import load

    lists = tmp_path / "hmdb" / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    colours = dict.fromkeys(("wave", "run"), COLOURS["red_ball"])
    tested = {1: ("wave",), 2: ("wave", "run"), 3: ("run",)}
    for action in load("hmdb51").actions:
        for split, names in tested.items():
            mark = 2 if action.name in names else 1
            listed = f"of_{action.name}.avi {mark} \nabsent_{action.name}.avi 2 \n"
            (lists / f"{action.name}_test_split{split}.txt").write_text(listed)
    for name, colour in colours.items():
        folder = lists.parent / name / f"of_{name}"
        folder.mkdir(parents=True)
        Image.fromarray(np.full((20, 30, 3), colour, np.uint8)).save(folder / "1.png")
    return lists.parent


def test_splits_are_reported_with_their_mean_and_deviation(
    descgen: Run, recognize: Run, llm: FakeLLM, three_splits: Path, encoder: ColourEncoder
) -> None:
    encoder.colours["waving"] = COLOURS["red_ball"]  # the text that lies where the red frames lie
    descgen("build", "-d", "hmdb51", "-k", "context")
    evaluated = ("eval", "-d", "hmdb51", "--root", three_splits, "-e", "fake")
    result = recognize(*evaluated, "--split", "all", "--json")
    assert result.exit_code == 0, result.output
    results = json.loads(result.stdout)["results"]
    of_splits = [results["splits"][split]["label only"]["top1"]["value"] for split in ("1", "2", "3")]
    assert of_splits == [1.0, 0.5, 0.0]
    assert results["over_splits"]["label only"]["top1"] == {"mean": 0.5, "deviation": 0.5}
    shown = recognize("runs", "1").stdout
    assert re.search(r"^label only, mean ± deviation of splits 1, 2, 3 +50\.0 ± 50\.0 +", shown, re.MULTILINE)
    assert re.search(r"^label only, split 2 +2 +50\.0 ", shown, re.MULTILINE)
    one = json.loads(recognize(*evaluated, "--split", "3", "--json").stdout)["results"]
    assert "over_splits" not in one


def test_a_sweep_has_the_numbers_of_every_split(
    descgen: Run, recognize: Run, llm: FakeLLM, three_splits: Path, encoder: ColourEncoder
) -> None:
    encoder.colours["waving"] = COLOURS["red_ball"]
    descgen("build", "-d", "hmdb51", "-k", "context")
    asked = ("-d", "hmdb51", "--root", three_splits, "-e", "fake", "--split", "all")
    result = recognize("sweep", *asked, "--method", "mean", "--method", "max", "--store")
    assert result.exit_code == 0, result.output
    for number in (1, 2):
        swept = json.loads(recognize("runs", number, "--json").stdout)
        alone = json.loads(recognize("eval", *asked, "--method", swept["settings"]["method"], "--json").stdout)
        assert swept["results"]["splits"]["2"]["label only"]["top1"]["value"] == 0.5
        for part in ("rows", "gain", "splits", "over_splits", "splits_without_videos"):
            assert swept["results"][part] == alone["results"][part]


def test_a_split_without_videos_is_told(
    descgen: Run, recognize: Run, llm: FakeLLM, three_splits: Path, encoder: ColourEncoder
) -> None:
    descgen("build", "-d", "hmdb51", "-k", "context")
    for name, counted, without in (("run", "1, 2", "3"), ("wave", "2, 3", "1")):
        moved = (three_splits / name).rename(three_splits.parent / name)
        result = recognize("eval", "-d", "hmdb51", "--root", three_splits, "-e", "fake", "--split", "all")
        assert result.exit_code == 0, result.output
        shown = " ".join(result.stdout.split())
        assert f"WARNING: no video of split {without} was evaluated: all numbers are of splits {counted} alone" in shown
        assert f"label only, mean ± deviation of splits {counted} alone" in shown
        moved.rename(three_splits / name)
    for file in three_splits.glob("*/*_test_split[23].txt"):
        file.write_text("absent.avi 2\n")
    only = recognize("eval", "-d", "hmdb51", "--root", three_splits, "-e", "fake", "--split", "all").stdout
    assert "no video of splits 2, 3 was evaluated: all numbers are of split 1 alone" in " ".join(only.split())
    assert "mean ± deviation" not in only


def test_the_mean_over_runs(
    descgen: Run, recognize: Run, llm: FakeLLM, three_splits: Path, encoder: ColourEncoder
) -> None:
    encoder.colours["waving"] = COLOURS["red_ball"]
    descgen("build", "-d", "hmdb51", "-k", "context")
    evaluated = ("eval", "-d", "hmdb51", "--root", three_splits, "-e", "fake")
    for more in (("--split", "1"), ("--split", "2"), ("--split", "3", "--frames", "4")):
        assert recognize(*evaluated, *more).exit_code == 0
    found = json.loads(recognize("runs", "1", "2", "2", "3", "--json").stdout)
    assert [run["id"] for run in found["runs"]] == [1, 2, 3]
    assert found["over_runs"]["label only"]["top1"] == {"mean": 0.5, "deviation": 0.5}
    assert found["differ"] == ["frames"]
    shown = recognize("runs", "1", "2", "3").stdout
    assert "these runs differ in more than their videos: frames" in shown
    assert re.search(r"^label only, mean of 3 runs +50\.0 ± 50\.0 +", shown, re.MULTILINE)
    assert "differ" not in recognize("runs", "1", "2").stdout
    assert recognize("runs", "1", "9").exit_code == 2


def test_limit_is_spread_over_the_classes(descgen: Run, recognize: Run, llm: FakeLLM, balls: Path) -> None:
    descgen("build", "-d", balls, "-k", "context")
    (balls / "red_ball" / "broken.mp4").unlink()
    run = json.loads(recognize("eval", "-d", "balls", "--root", balls, "-e", "fake", "--limit", 3, "--json").stdout)
    assert sorted(p["label"] for p in run["predictions"]) == [0, 1, 2]
    assert run["counts"]["beyond the limit"] == 3


def test_predict_by_dataset_and_by_labels(
    descgen: Run, recognize: Run, llm: FakeLLM, balls: Path, tmp_path: Path
) -> None:
    descgen("build", "-d", balls, "-k", "context")
    broken = balls / "red_ball" / "broken.mp4"
    result = recognize("predict", balls / "blue_ball" / "a", broken, "-d", "balls", "-e", "fake", "--json")
    best, lost = json.loads(result.stdout)["rankings"]
    assert [c["rank"] for c in best["candidates"]] == [1, 2, 3]
    first, second, _ = best["candidates"]
    assert (first["name"], first["label_only_rank"]) == ("blue_ball", 1)
    assert first["score"] > second["score"] + 0.2
    assert (lost["candidates"], lost["unreadable"]) == ([], "empty file")
    labels = tmp_path / "colours.txt"
    labels.write_text("a green thing\na red thing\n")
    shown = recognize("predict", balls / "green_ball" / "a", "--labels", labels, "-e", "fake")
    assert shown.exit_code == 0
    assert "no descriptors: labels alone" in shown.stdout
    assert shown.stdout.splitlines()[1] == "videos: 1"
    assert shown.stdout.splitlines()[5].split()[:4] == ["1", "a", "green", "thing"]


def test_predict_takes_a_folder_of_videos(recognize: Run, balls: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("red\ngreen\n")
    videos = tmp_path / "my videos"
    (videos / "deep").mkdir(parents=True)
    for name in ("b.mp4", "deep/a.AVI", "._b.mp4", "notes.txt"):
        (videos / name).write_bytes(b"")
    result = recognize("predict", videos, balls / "red_ball" / "a", "--labels", labels, "-e", "fake", "--json")
    assert [Path(ranking["video"]).name for ranking in json.loads(result.stdout)["rankings"]] == ["b.mp4", "a.AVI", "a"]
    assert "2 files skipped: 1 AppleDouble file, 1 not a video (.txt)\n" in result.stderr
    below = recognize(
        "predict", balls, "--labels", labels, "-e", "fake", "--json"
    )  # class folders of folders of frames
    found = [str(Path(ranking["video"]).relative_to(balls)) for ranking in json.loads(below.stdout)["rankings"]]
    assert found == ["blue_ball/a", "blue_ball/b", "green_ball/a", "green_ball/b", "red_ball/a", "red_ball/b",
                     "red_ball/broken.mp4"]  # fmt: skip
    nothing = recognize("predict", videos / "deep", "--labels", labels, "-e", "fake")
    assert nothing.exit_code == 1
    assert "Error: None of the videos can be read (" in nothing.stderr
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds neither videos nor" in recognize("predict", empty, "--labels", labels, "-e", "fake").stderr


def test_predict_with_labels_leaves_no_database_behind(recognize: Run, balls: Path, database: Path) -> None:
    labels = balls.parent / "labels.txt"
    labels.write_text("red\ngreen\n")
    assert recognize("predict", balls / "red_ball" / "a", "--labels", labels, "-e", "fake").exit_code == 0
    assert not database.exists()


def test_classes_without_descriptors_are_refused_by_name(
    descgen: Run, recognize: Run, llm: FakeLLM, balls: Path
) -> None:
    descgen("build", "-d", balls, "-k", "context", "--limit", "2")
    result = recognize("eval", "-d", "balls", "--root", balls, "-e", "fake")
    assert result.exit_code == 1
    assert (
        "for 1 of the 3 classes of balls: red_ball. Write them with: descgen build --dataset balls --kind"
        in result.stderr
    )
    accepted = recognize("eval", "-d", "balls", "--root", balls, "-e", "fake", "--status", "accepted")
    assert "No accepted descriptors for balls" in accepted.stderr


def test_a_run_on_accepted_texts_takes_the_edited_ones(
    descgen: Run, recognize: Run, llm: FakeLLM, store: Store, balls: Path
) -> None:
    descgen("build", "-d", balls, "-k", "context")
    arguments = ("eval", "-d", "balls", "--root", balls, "-e", "fake", "--llm", "fake", "--status", "accepted")
    refused = recognize(*arguments)
    assert "No accepted descriptors by fake for balls. Accept them with: descgen accept --dataset balls --all" in (
        refused.stderr
    )
    texts = store.descriptors(store.dataset("balls"))
    descgen("accept", *(descriptor.id for descriptor in texts if descriptor.position != 1))
    descgen("edit", texts[1].id, "a red ball")
    run = json.loads(recognize(*arguments, "--json").stdout)
    accepted = store.descriptors(store.dataset("balls"), statuses=("accepted",))
    assert run["descriptor_ids"] == [descriptor.id for descriptor in accepted]
    assert len(accepted) == 7
    assert (run["settings"]["statuses"], run["settings"]["edited"]) == ({"accepted": 7}, 1)
    assert "descriptors: 7 (context) by fake, 7 accepted, 1 edited" in recognize("runs", "1").stdout
    descgen("undo")
    assert recognize("runs", "1", "--json").stdout == recognize("runs", "1", "--json").stdout
    assert json.loads(recognize("runs", "1", "--json").stdout)["descriptor_ids"] == run["descriptor_ids"]
    predicted = recognize("predict", balls / "red_ball" / "a", "-d", "balls", "-e", "fake").stdout
    assert "9 descriptors (6 accepted)" in predicted


def test_several_writers_are_not_mixed(descgen: Run, recognize: Run, llm: FakeLLM, balls: Path) -> None:
    from db.records import LLMIdentity

    descgen("build", "-d", balls, "-k", "context")
    llm.identity = LLMIdentity("fake", "other", "1")
    descgen("build", "-d", balls, "-k", "context")
    mixed = recognize("eval", "-d", "balls", "--root", balls, "-e", "fake")
    assert mixed.exit_code == 1
    assert "several sources: fake, other. Choose one with --llm" in mixed.stderr
    run = json.loads(recognize("eval", "-d", "balls", "--root", balls, "-e", "fake", "--llm", "other", "--json").stdout)
    assert (run["settings"]["llms"], len(run["descriptor_ids"])) == (["other"], 9)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-e", "ViT-B/17"], 2, "Unknown encoder 'ViT-B/17'. Did you mean ViT-B/16"),
        (["--method", "median"], 2, "Unknown method 'median'. "),
        (
            ["--templates", "tear15"],
            2,
            "Unknown templates 'tear15'. Did you mean tear16? Known: protocol, video4, tear16, single, none",
        ),
        (["--temperature", "0"], 2, "'--temperature': 0.0 is not in the range x>0"),
        (["--pooling", "min"], 2, "'min' is not one of 'avg', 'max'"),
        (["--root", "nowhere"], 1, "nowhere does not exist"),
        (["--split", "1"], 1, "No test split '1' of balls"),
        (["-d", "bowls"], 2, "Unknown dataset 'bowls'"),
        (["--protocol", "other"], 2, "'other' is not one of 'default', 'tear'"),
        (
            ["-k", "situation"],
            1,
            "(kinds with texts: context). Write them with: descgen build --dataset balls --kind situation",
        ),
        (["-k", "context", "-k", "contxt"], 2, "Unknown kind 'contxt'. Did you mean context or contrast? Known: "),
    ],
)
def test_wrong_use_is_told(
    descgen: Run, recognize: Run, llm: FakeLLM, balls: Path, arguments: list[str], code: int, said: str
) -> None:
    descgen("build", "-d", balls, "-k", "context")
    result = recognize("eval", "-d", "balls", "--root", balls, "-e", "fake", *arguments)
    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_imported_texts_are_not_mixed_with_those_of_a_model(
    descgen: Run, recognize: Run, llm: FakeLLM, balls: Path, tmp_path: Path
) -> None:
    descgen("build", "-d", balls, "-k", "context")
    for author in ("ann", "bob"):
        file = tmp_path / f"{author}_context.json"
        file.write_text(json.dumps({name: [f"a {name.split('_')[0]} thing of {author}"] for name in COLOURS}))
        assert descgen("import", file, "-d", "balls", "-k", "context").exit_code == 0
    evaluated = ("eval", "-d", "balls", "--root", balls, "-e", "fake")
    mixed = recognize(*evaluated)
    assert mixed.exit_code == 1
    assert "several sources: ann_context.json" in mixed.stderr
    assert recognize(*evaluated, "--llm", "context").exit_code == 1  # both files
    run = json.loads(recognize(*evaluated, "--llm", "bob", "--json").stdout)
    assert len(run["descriptor_ids"]) == 3
    assert run["settings"]["llms"][0].startswith("bob_context.json")
    assert len(json.loads(recognize(*evaluated, "--llm", "fake", "--json").stdout)["descriptor_ids"]) == 9


def test_videos_are_looked_for_where_people_put_them(
    descgen: Run, recognize: Run, llm: FakeLLM, balls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descgen("build", "-d", balls, "-k", "context")
    monkeypatch.chdir(balls.parent)
    lost = recognize("eval", "-d", "balls", "-e", "fake")
    assert lost.exit_code == 2
    assert "Not in: data/balls. Give --root or set RECOGNIZE_DATA" in lost.stderr
    monkeypatch.setenv("RECOGNIZE_DATA", str(balls.parent))
    assert recognize("eval", "-d", "balls", "-e", "fake").exit_code == 0


def test_a_missing_run_or_none_at_all(descgen: Run, recognize: Run, llm: FakeLLM, balls: Path) -> None:
    descgen("build", "-d", balls, "-k", "context")
    assert recognize("runs", "7").exit_code == 2
    assert "Make one with: recognize eval" in recognize("runs").stderr


@pytest.mark.parametrize("protocol", ["default", "tear"])
@pytest.mark.parametrize("kind", ["archive", "folder"])
def test_real_formats_of_clip_run_the_same_road(
    descgen: Run, recognize: Run, llm: FakeLLM, shared: Path, tiny_clip_archive: Path, tiny_hf_clip_folder: Path,
    kind: str, protocol: str,
) -> None:  # fmt: skip
    descgen("build", "-d", "ucf101", "-k", "decomposition")
    name = str(tiny_clip_archive) if kind == "archive" else f"hf:{tiny_hf_clip_folder}"
    root = shared / "clips" / "ucf101"
    result = recognize("eval", "-d", "ucf101", "--root", root, "-e", name, "--protocol", protocol, "--json")
    assert result.exit_code == 0, result.output
    run = json.loads(result.stdout)
    assert run["counts"]["listed"] == 3783
    assert run["counts"]["evaluated"] + run["counts"]["missing"] == 3783
    assert run["counts"]["evaluated"] == len(run["predictions"]) == 9
    assert (run["settings"]["encoder"], run["settings"]["preprocessing"]) == (
        name, "tear" if protocol == "tear" else "own",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("bias", "said"),
    [
        (0.0, "dtw of cosines, not ActAlign's sigmoid: the encoder was trained without a bias"),
        (-3.0, "dtw of sigmoid(scale * cosine + bias), as in ActAlign"),
    ],
)
def test_dtw_says_whether_it_is_of_cosines_wherever_the_protocol_is_shown(
    descgen: Run,
    recognize: Run,
    llm: FakeLLM,
    balls: Path,
    encoder: FakeEncoder,
    tmp_path: Path,
    bias: float,
    said: str,
) -> None:
    encoder.logits = Logits(scale=20.0, bias=bias, calibrated=True)  # type: ignore[attr-defined]
    descgen("build", "-d", balls, "-k", "decomposition", "-k", "context")
    common = ("-d", "balls", "--root", balls, "-e", "fake", "--method", "dtw")
    shown = recognize("eval", *common)
    assert said in shown.stdout.splitlines()[3]
    for command in (("runs", "1"), ("leaderboard",), ("controls", "1", "--permutations", 5), ("sweep", *common)):
        shown = recognize(*command)
        assert shown.exit_code == 0, shown.output
        assert said in " ".join(shown.stdout.split()), command
    recognize("report", "1", "-o", tmp_path / "run.html")
    assert said in html.unescape((tmp_path / "run.html").read_text())
    predicted = recognize("predict", balls / "blue_ball" / "a", "-d", "balls", "-e", "fake", "--method", "dtw").stdout
    assert "if the encoder was trained with a bias, else of cosines" in " ".join(predicted.split())
