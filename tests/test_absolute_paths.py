"""Files that people send around hold no absolute path of the machine on which they were made."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from db.local_paths import public_names, public_settings, without_folders
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.review.app import create_app
from descriptor_gen.review.security import access_rules
from descriptor_gen.review.session import ReviewSession
from encoders.testing import registered
from tests.fixtures.colours import ColourEncoder, balls, described
from tests.fixtures.commands import Run
from tests.fixtures.films import make_film

__all__ = ["balls", "described"]  # fixtures


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """A folder whose name tells something; the database, videos, texts, templates and weights lie in it."""
    folder = tmp_path / "hush folder"
    folder.mkdir()
    return folder


@pytest.fixture
def encoder(tmp_path: Path) -> Iterator[str]:
    """The name of an encoder in a folder of its own."""
    name = f"hf:{tmp_path / 'weights'}"
    with registered(ColourEncoder(), name):
        yield name


@pytest.fixture
def sent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the files that are sent around."""
    return tmp_path_factory.mktemp("sent")


def refuse_hush(folder: Path, *more: str) -> None:
    """Look into every file (in pictures: all that is readable in their bytes) and page."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files or more
    found = [path.name for path in files if b"hush" in path.read_bytes()]
    assert found == []
    assert [page for page in more if "hush" in page] == []


def run_all(program: Run, *commands: tuple[object, ...]) -> None:
    for command in commands:
        result = program(*command)
        assert result.exit_code == 0, (command, result.output, result.exception)


@pytest.fixture
def asked(described: Path, encoder: str, tmp_path: Path) -> tuple[object, ...]:
    (tmp_path / "own.txt").write_text("a picture of {}\n")
    return ("-d", "balls", "-e", encoder, "--templates", tmp_path / "own.txt", "-k", "context")


def test_runs_reports_tables_and_leaderboards(
    recognize: Run, described: Path, asked: tuple[object, ...], sent: Path, store: Store
) -> None:
    run_all(
        recognize,
        ("eval", *asked, "--root", described, "--csv", sent / "eval"),
        ("report", 1, "--output", sent / "run.html", "--csv", sent / "report"),
        *(("leaderboard", "--output", sent / f"board{suffix}") for suffix in (".md", ".tex", ".csv", ".html", ".json")),
    )
    refuse_hush(sent)
    page = (sent / "run.html").read_text()
    assert re.search(r"<dt>folder</dt>\s*<dd>\s*balls\b", page), "the name of the folder still stands there"
    assert "hush" in store.run(1).settings["root"], "a replay needs the whole path"


def test_a_report_on_videos_that_are_gone(
    recognize: Run, described: Path, asked: tuple[object, ...], sent: Path
) -> None:
    run_all(recognize, ("eval", *asked, "--root", described))
    shutil.rmtree(described)
    run_all(recognize, ("report", 1, "--output", sent / "run.html"))
    refuse_hush(sent)
    assert "cannot be shown" in (sent / "run.html").read_text()


def test_a_manifest_that_names_its_videos_with_absolute_paths(
    recognize: Run, described: Path, asked: tuple[object, ...], sent: Path, tmp_path: Path
) -> None:
    videos = sorted(path for path in described.glob("*/*"))
    lines = [f"{video},{video.parent.name}" for video in (*videos, described / "red_ball" / "gone.mp4")]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines]))
    run_all(
        recognize,
        ("eval", *asked, "--root", tmp_path / "list.csv", "--csv", sent / "eval"),
        ("report", 1, "--output", sent / "run.html"),
    )
    refuse_hush(sent)
    assert "red_ball/a," in (sent / "eval" / "predictions.csv").read_text()
    assert "red_ball/gone.mp4" in (sent / "run.html").read_text()


def test_predictions_explanations_and_sweeps(
    recognize: Run, described: Path, asked: tuple[object, ...], encoder: str, sent: Path
) -> None:
    some = (described / "red_ball", described / "blue_ball")
    run_all(
        recognize,
        ("predict", *some, *asked, "--csv", sent / "predicted.csv"),
        ("explain", *some, *asked, "--output", sent / "page.html"),
        ("explain", *some, *asked, "--output", sent / "pictures"),
        ("explain", described / "red_ball" / "a", *asked, "--output", sent / "one.svg"),
        ("sweep", "-d", "balls", "-e", encoder, "--root", described, "--method", "mean", "--method", "max",
         "--csv", sent / "sweep.csv", "--plot", sent / "sweep.svg"),
    )  # fmt: skip
    refuse_hush(sent)
    page = (sent / "page.html").read_text()
    assert all(f">{name}<" in page for name in ("red_ball/a", "red_ball/b", "blue_ball/a", "red_ball/broken.mp4"))
    assert "hf:weights" in page


def test_segments_and_timelines(
    recognize: Run, asked: tuple[object, ...], encoder: str, sent: Path, tmp_path: Path
) -> None:
    film = make_film(tmp_path / "film.mp4", ("red", 2), ("green", 2))
    command = ("localize", film, "-d", "balls", "-e", encoder, "-k", "context")
    run_all(recognize, (*command, "--plot", sent / "plots", "--predictions", sent / "segments.json"))
    refuse_hush(sent)
    assert "hf:weights, zero-shot" in (sent / "segments.json").read_text()


def test_exports_similarity_and_the_pages_of_review(
    descgen: Run, llm: FakeLLM, described: Path, encoder: str, sent: Path, store: Store, tmp_path: Path
) -> None:
    template = (Path(__file__).parents[1] / "prompts" / "context.j2").read_text()
    (tmp_path / "scenery.j2").write_text(template)
    run_all(
        descgen,
        ("build", "-d", described, "--template", tmp_path / "scenery.j2"),
        *(("export", "-d", "balls", "--output", sent / f"x.{form}", "--format", form) for form in ("json", "csv")),
        ("export", "-d", "balls", "--output", sent / "parquet", "--format", "parquet"),
        ("similarity", "-d", "balls", "-e", encoder, "--plot", sent / "alike.svg", "--csv", sent / "alike.csv"),
    )
    session = ReviewSession(store, store.dataset("balls"), reviewer="anna")
    client = TestClient(create_app(session, access_rules("127.0.0.1")), base_url="http://localhost")
    addresses = ("/", "/class/0", "/class/0/panel", "/compare", "/log", "/history/1", "/call/1", "/history/999")
    refuse_hush(sent, *(client.get(address).text for address in addresses))
    session.close()


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/home/me/my videos/", "my videos"),
        ("hf:/home/me/clip", "hf:clip"),
        ("C:\\Users\\me\\x.pt", "x.pt"),
        ("Cannot open '/a/b c/x.mp4': damaged", "Cannot open 'x.mp4': damaged"),
        *((text, text) for text in ("hf:google/siglip", "openai@http://h:80/v1", "https://x/y", "ViT-B/16",
          "16 frames / clip", "split 1/2", "a/b/c.mp4", "")),
    ],
)  # fmt: skip
def test_only_absolute_paths_lose_their_folders(text: str, public: str) -> None:
    assert without_folders(text) == public


def test_names_stay_distinct_and_texts_stay_as_they_are() -> None:
    assert public_names(["/x/a/1.mp4", "/x/b/1.mp4", "c/1.mp4"]) == {
        "/x/a/1.mp4": "a/1.mp4",
        "/x/b/1.mp4": "b/1.mp4",
        "c/1.mp4": "c/1.mp4",
    }
    settings = {"classes": [["/a/b", "/a/b"]], "root": "/a/b", "choice": {"llms": ["/a/b"]}, "frames": 16}
    assert public_settings(settings) == {**settings, "root": "b", "choice": {"llms": ["b"]}}
