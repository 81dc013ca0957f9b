"""`recognize features export`, `import` and `texts`: embeddings for other programs, and those that they made."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save_file

from encoders.testing import FakeEncoder
from tests.fixtures.colours import COLOURS, balls, described, encoder
from tests.fixtures.commands import Run

__all__ = ["balls", "described", "encoder"]  # fixtures

IDS = [f"{name}/{take}" for name in sorted(COLOURS) for take in "ab"]


@pytest.fixture
def distinct(described: Path) -> Path:
    """The described balls, with a black pixel in the second video of each colour: no two have the same content."""
    for picture in described.glob("*/b/*.png"):
        with Image.open(picture) as opened:
            opened.putpixel((0, 0), (0, 0, 0))
            opened.save(picture)
    return described


def export(recognize: Run, root: Path, file: Path, *options: object) -> Any:
    result = recognize(
        "features", "export", "-d", "balls", "--root", root, "-e", "fake", "--to", file.suffix[1:], "-o", file, *options
    )
    assert result.exit_code == 0, result.output
    return result


def texts_of(recognize: Run, file: Path, vectors: Any, *options: str) -> tuple[object, ...]:
    """Write the texts of the balls and their vectors; return the options that import them."""
    printed = recognize("features", "texts", "-d", "balls", *options)
    assert printed.exit_code == 0, printed.output
    file.write_text(printed.stdout)
    np.save(file.with_suffix(".npy"), np.asarray(vectors(printed.stdout.splitlines()), np.float32))
    return "--texts", file.with_suffix(".npy"), "--text-ids", file


def scored(recognize: Run, root: Path, *options: object) -> dict[str, Any]:
    result = recognize("eval", "-d", "balls", "--root", root, *options, "--json")
    assert result.exit_code == 0, result.output
    run: dict[str, Any] = json.loads(result.stdout)
    return run


def test_what_is_exported_and_imported_gives_the_same_run_bit_for_bit(
    recognize: Run, distinct: Path, tmp_path: Path, encoder: FakeEncoder
) -> None:
    file = tmp_path / "balls.safetensors"
    sampling = ("--frames", 3, "--clips", 2)
    shown = export(recognize, distinct, file, *sampling)
    assert "6 videos (V) x 2 views (W) x 3 frames (T) x 32 numbers (D)" in shown.output
    assert "not in the file: 1 unreadable" in shown.output
    texts = texts_of(recognize, tmp_path / "texts.txt", encoder.encode_texts)
    imported = ("features", "import", file, "-d", "balls", "--root", distinct, "--name", "mine", *texts)
    done = recognize(*imported)
    assert done.exit_code == 0, done.output
    assert "6 videos (6 new)" in done.output
    assert "6 videos (0 new)" in recognize(*imported).output  # the same numbers again
    frames = list(encoder.frames)
    for method in ("mean", "align", "soft"):
        before = scored(recognize, distinct, "-e", "fake", "--method", method, *sampling)
        after = scored(recognize, distinct, "-e", "imported:mine", "--method", method, *sampling)
        assert after["results"] == before["results"]
        assert after["predictions"] == before["predictions"]
    assert encoder.frames == frames  # nothing was encoded
    assert after["left_out"] == [["red_ball/broken.mp4", "no embedding of it was imported as imported:mine"]]
    assert "was imported" not in str(before["left_out"])


def test_the_exported_file_says_what_it_holds_and_no_path(recognize: Run, distinct: Path, tmp_path: Path) -> None:
    file = tmp_path / "balls.safetensors"
    export(recognize, distinct, file, "--frames", 3)
    with safe_open(file, framework="np") as opened:
        frames, facts = opened.get_tensor("frames"), {n: json.loads(v) for n, v in opened.metadata().items()}
    assert (frames.shape, frames.dtype) == ((6, 1, 3, 32), np.float32)
    assert (facts["ids"], facts["labels"]) == (IDS, [name.partition("/")[0] for name in IDS])
    expected = [COLOURS[label] for label in facts["labels"]]  # the fake encoder gives the mean colour
    np.testing.assert_allclose(frames[:, 0, :, :3], np.repeat(np.array(expected)[:, None], 3, axis=1), atol=1)
    assert (facts["encoder"], facts["revision"], facts["what"], facts["dataset"]) == ("fake", "1", "frames", "balls")
    assert (facts["sampling"]["frames"], facts["precision"]) == (3, "float32")
    assert str(tmp_path).encode() not in file.read_bytes()


def test_exported_labels_are_all_labels_of_a_video_or_say_that_it_has_none(
    recognize: Run, distinct: Path, tmp_path: Path
) -> None:
    rows = ("red_ball/a,red_ball;blue_ball", "red_ball/b,(none of these)", "blue_ball/a,blue_ball")
    for column, skipped in (("labels", 0), ("label", 1)):
        (distinct / "list.csv").write_text("\n".join([f"path,{column}", *rows[skipped:]]))
        export(recognize, distinct / "list.csv", tmp_path / "balls.safetensors")
        with safe_open(tmp_path / "balls.safetensors", framework="np") as opened:
            facts = {name: json.loads(value) for name, value in opened.metadata().items()}
        labels = dict(zip(facts["ids"], facts["labels"], strict=True))
        assert labels["red_ball/b"] == "(none of these)"
        assert labels["blue_ball/a"] == "blue_ball"
        assert labels.get("red_ball/a", "blue_ball;red_ball") == "blue_ball;red_ball"


def test_parquet_has_a_row_a_video(
    recognize: Run, distinct: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    export(recognize, distinct, tmp_path / "features.parquet", "--frames", 3, "--clips", 2)
    export(recognize, distinct, tmp_path / "whole.safetensors", "--frames", 3, "--clips", 2)
    table = parquet.read_table("features.parquet")
    with safe_open("whole.safetensors", framework="np") as opened:
        frames = opened.get_tensor("frames")
    assert table.column_names == ["id", "label", "embedding"]
    assert table["id"].to_pylist() == IDS
    np.testing.assert_allclose(np.array(table["embedding"].to_pylist()), frames.mean(axis=(1, 2)), rtol=1e-6)
    assert json.loads(table.schema.metadata[b"sampling"])["clips"] == 2
    assert str(tmp_path).encode() not in Path("features.parquet").read_bytes()


@pytest.mark.parametrize(("shape", "factor"), [((16,), 1), ((4, 16), 1), ((2, 4, 16), 5e13), ((2, 4, 16), 4e-9)])
def test_a_pipeline_of_ones_own_is_right_as_often_as_numpy_says(
    recognize: Run, distinct: Path, tmp_path: Path, shape: tuple[int, ...], factor: float
) -> None:
    """Random vectors around a planted class, with so much noise that some are wrong; as long and short as may be."""
    random = np.random.default_rng(3)
    planted = random.normal(size=(3, 16))
    classes = [name.split("_")[0] for name in sorted(COLOURS)]
    labels = [classes.index(name.split("_")[0]) for name in IDS]
    noise = random.normal(size=(len(IDS), *shape)) * 2.5
    centres = planted[labels].reshape(len(IDS), *(1,) * (len(shape) - 1), 16)
    videos = ((centres + noise) * factor).astype(np.float32)
    vector_of: dict[str, Any] = {}

    def vectors(texts: list[str]) -> Any:
        for text in texts:
            own = [c for c, name in enumerate(classes) if name in text][-1]
            vector_of[text] = (planted[own] + random.normal(size=16)).astype(np.float32)
        return list(vector_of.values())

    np.save(tmp_path / "videos.npy", videos)
    (tmp_path / "ids.txt").write_text("\n".join(IDS))
    texts = texts_of(recognize, tmp_path / "texts.txt", vectors, "--method", "label")
    done = recognize("features", "import", tmp_path / "videos.npy", "--ids", tmp_path / "ids.txt", distinct,
                     "--name", "own", *texts)  # fmt: skip
    assert done.exit_code == 0, done.output
    typed = re.search(r"(--frames \d+.*)", done.output)
    assert typed
    run = scored(recognize, distinct, "-e", "imported:own", "--method", "label", *typed[1].split())

    def unit(array: Any) -> Any:
        return array / np.linalg.norm(array, axis=-1, keepdims=True)

    of_class = [unit(np.array([v for t, v in vector_of.items() if name in t])).sum(0) for name in classes]
    videos = videos.astype(np.float64)
    views = unit(videos.reshape(len(IDS), -1, shape[-2] if len(shape) > 1 else 1, 16)).mean(axis=2)
    guesses = (unit(views) @ unit(np.array(of_class)).T).mean(axis=1).argmax(axis=1)
    right = np.mean(guesses == np.array(labels))
    assert run["results"]["rows"]["label only"]["top1"]["value"] == pytest.approx(right)
    assert [p["ranking"][0][0] for p in run["predictions"]] == guesses.tolist()
    assert run["settings"]["encoder_notes"]


@pytest.fixture
def given(tmp_path: Path) -> tuple[Path, Path]:
    """Good embeddings of all balls, [V, T, D], and their ids."""
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(6, 2, 8)).astype(np.float32))
    (tmp_path / "ids.txt").write_text("\n".join(IDS) + "\n")
    return tmp_path / "v.npy", tmp_path / "ids.txt"


def changed(**cells: float) -> Any:
    vectors = np.random.default_rng(0).normal(size=(6, 2, 8))
    vectors[4, 1] = cells.get("row", vectors[4, 1])
    vectors[2, 0, 3] = cells.get("cell", vectors[2, 0, 3])
    return vectors


@pytest.mark.parametrize(
    ("vectors", "ids", "message"),
    [
        (changed(), ["nothing", *IDS[1:]], "1 of 6 ids are no videos of the dataset: nothing"),
        (changed(), [IDS[1], *IDS[1:]], "1 ids of v.npy stand there twice: blue_ball/b"),
        (changed(), ["a", *IDS[1:]], "1 of 6 ids are names of several videos: a"),
        (changed(), IDS[1:], "the shape [6, 2, 8], and there are 5 ids"),
        (changed(cell=np.nan), IDS, "not finite as float32 for 1 of 6 ids: green_ball/a"),
        (changed(cell=1e300), IDS, "not finite as float32 for 1 of 6 ids: green_ball/a"),
        (changed(row=0), IDS, "a vector that is zero for 1 of 6 ids: red_ball/a"),
        (changed() * 1e20, IDS, "norm is not from 1e-08 to 1e+15 for 6 of 6 ids: blue_ball/a"),
        (changed(row=6e14), IDS, "norm is not from 1e-08 to 1e+15 for 1 of 6 ids: red_ball/a"),  # 6e14 sqrt(8) = 1.7e15
        (changed(row=3e-9), IDS, "norm is not from 1e-08 to 1e+15 for 1 of 6 ids: red_ball/a"),  # 8.5e-9
        (changed(row=1e-44), IDS, "compare such vectors rightly: multiply all by one number"),
        (np.ones((6, 2, 8)), IDS, "the same numbers for all 6 ids"),
        (np.ones((6, 2, 8), np.int64), IDS, "holds int64"),
        (np.ones((6, 1, 1, 1, 8)) * np.arange(1, 7).reshape(6, 1, 1, 1, 1), IDS, "Known: [V, D], [V, T, D]"),
        (np.array([{"a": 1}] * 6, object), IDS, "cannot be read as an array of numbers"),
    ],
)
def test_wrong_input_is_refused_and_nothing_is_stored(
    recognize: Run, distinct: Path, given: tuple[Path, Path], features: Path, vectors: Any, ids: list[str],
    message: str,
) -> None:  # fmt: skip
    np.save(given[0], vectors, allow_pickle=True)
    given[1].write_text("\n".join(ids))
    result = recognize("features", "import", given[0], "--ids", given[1], distinct, "--name", "x")
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())
    shown = recognize("features", "list", "--json")
    assert "imported" not in shown.stdout


def test_other_numbers_shapes_and_widths_under_the_same_name_are_refused(
    recognize: Run, distinct: Path, given: tuple[Path, Path], tmp_path: Path
) -> None:
    first = ("features", "import", given[0], "--ids", given[1], distinct, "--name", "x")
    assert recognize(*first).exit_code == 0
    before = recognize("features", "list", "--json").stdout
    for vectors, message in (
        (changed(cell=5.0), "1 of 6 videos are stored with other numbers as imported:x: green_ball/a"),
        (changed()[:, :1], "imported:x has 1 views x 2 frames x 8 numbers, and this file has 1 views x 1 frames"),
        (changed()[..., :7], "this file has 1 views x 2 frames x 7 numbers"),
    ):
        np.save(given[0], vectors)
        result = recognize(*first)
        assert result.exit_code != 0
        assert message in " ".join(result.output.split())
        assert "recognize features prune --encoder imported:x" in " ".join(result.output.split())
    np.save(tmp_path / "t.npy", np.eye(2, 7))
    (tmp_path / "t.txt").write_text("one\ntwo")
    np.save(given[0], changed())
    wrong = recognize(*first, "--texts", tmp_path / "t.npy", "--text-ids", tmp_path / "t.txt")
    assert "The embeddings of texts have the shape [2, 7], not [N, 8]" in wrong.output
    assert recognize("features", "list", "--json").stdout == before


def test_eval_says_which_number_of_frames_and_which_texts(
    recognize: Run, distinct: Path, given: tuple[Path, Path]
) -> None:
    asked = ("eval", "-d", "balls", "--root", distinct, "-e", "imported:x", "--method", "label")
    assert "Nothing was imported as imported:x" in recognize(*asked).output
    assert recognize("features", "import", given[0], "--ids", given[1], distinct, "--name", "x").exit_code == 0
    frames = recognize(*asked)
    assert frames.exit_code != 0
    assert "imported with 2 frames a video, not with 16 frames. Give --frames 2" in " ".join(frames.output.split())
    texts = recognize(*asked, "--frames", 2)
    assert texts.exit_code != 0
    assert "12 of 12 texts have no embedding in imported:x" in " ".join(texts.output.split())
    assert recognize("features", "texts", "-d", "balls", "--method", "label").stdout.count("\n") == 12
    assert recognize(*asked, "--precision", "float16").exit_code != 0


def test_one_vector_a_video_is_refused_where_frames_are_compared(
    recognize: Run, distinct: Path, given: tuple[Path, Path]
) -> None:
    np.save(given[0], changed()[:, 0])
    assert recognize("features", "import", given[0], "--ids", given[1], distinct, "--name", "x").exit_code == 0
    shown = recognize("eval", "-d", "balls", "--root", distinct, "-e", "imported:x", "--frames", 1, "--method", "align")
    assert shown.exit_code != 0
    assert "compares texts with single frames" in shown.output


def test_safetensors_of_other_programs(recognize: Run, distinct: Path, tmp_path: Path) -> None:
    file = tmp_path / "v.safetensors"
    save_file({"embeddings": changed().astype(np.float32)}, file, metadata={"ids": json.dumps(IDS)})
    done = recognize("features", "import", file, distinct, "--name", "x", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["new_videos"] == 6
    save_file({"embeddings": changed().astype(np.float32)}, file, metadata={"ids": '["a", 1]'})
    assert "no JSON list of texts" in recognize("features", "import", file, distinct, "--name", "y").output
    file.write_bytes(b"no tensors")
    assert "cannot be read as .safetensors" in recognize("features", "import", file, distinct, "--name", "y").output
    torch.save([1], tmp_path / "v.pt")
    assert (
        "Known: .npy, .safetensors"
        in recognize("features", "import", tmp_path / "v.pt", distinct, "--name", "y").output
    )


def test_files_with_the_same_content_must_have_the_same_numbers(
    recognize: Run, described: Path, given: tuple[Path, Path]
) -> None:
    asked = ("features", "import", given[0], "--ids", given[1], described, "--name", "x")
    result = recognize(*asked)
    assert result.exit_code != 0
    shown = " ".join(result.output.split())
    assert "3 of 6 videos have the same content as another one, and other numbers: blue_ball/b and blue_ball/a" in shown
    np.save(given[0], changed()[[0, 0, 2, 2, 4, 4]])
    assert "6 videos (3 new)" in recognize(*asked).output


def test_a_moved_video_is_found_by_its_content(recognize: Run, distinct: Path, given: tuple[Path, Path]) -> None:
    np.save(given[0], changed()[:, 0])
    assert recognize("features", "import", given[0], "--ids", given[1], distinct, "--name", "x").exit_code == 0
    moved = distinct.parent / "moved"
    distinct.rename(moved)
    (moved / "red_ball" / "a").rename(moved / "red_ball" / "z")
    embedded = recognize("embed", moved, "-e", "imported:x", "--frames", 1, "--json")
    counts = json.loads(embedded.stdout)["counts"]
    assert (counts["stored before"], counts["embedded"], counts["unreadable"]) == (6, 0, 1)
