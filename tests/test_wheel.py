"""The wheel works alone: built, installed away from the checkout, and used as in the demo."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from descriptor_gen.cli import descgen
from recognizer.cli import recognize
from tests.fixtures.chat_server import ChatServer
from tests.fixtures.films import make_film
from tests.fixtures.wheel import ROOT, add, build_wheel, install

PACKAGES = ("db", "descriptor_gen", "encoders", "prompts", "recognizer", "studio")
DEVELOPERS_ONLY = "db/migrations/script.py.mako"  # what a new revision is written from
OF_THE_CHECKOUT = re.compile(r"\bdocs/|\boffline\.txt|\bconstraints\.txt|\bMakefile|\bmake (setup|demo|test)|\btests/")


@dataclass(frozen=True)
class Installed:
    """The commands of a wheel, run in an empty folder with an empty home."""

    commands: Path
    home: Path

    @property
    def environment(self) -> Mapping[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "OPENAI_API_KEY": "none", "PYTHONSAFEPATH": "1"}

    def run(self, name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [self.commands / name, *map(str, arguments)],
            capture_output=True, text=True, cwd=self.home, env=self.environment,
        )  # fmt: skip
        assert done.returncode == 0, f"{name} {arguments}: {done.stdout}{done.stderr}"
        return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    home = tmp_path_factory.mktemp("home")
    return Installed(install(wheel, tmp_path_factory.mktemp("environment")), home)


@pytest.mark.slow
def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    wanted = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert not [name for name in archive.namelist() if str(ROOT).encode() in archive.read(name)]
    assert held == wanted - {DEVELOPERS_ONLY}


@pytest.mark.slow
def test_the_demo_runs_from_the_wheel(installed: Installed, server: ChatServer) -> None:
    origins = installed.run(
        "python", "-c", f"import {', '.join(PACKAGES)}; print([m.__file__ for m in ({', '.join(PACKAGES)})])"
    )
    assert str(ROOT) not in origins.stdout
    built = installed.run(
        "descgen", "build", "-d", "hmdb51", "--llm", "openai:m", "--base-url", server.url, "--limit", 2, "-k", "context"
    )
    assert "hmdb51: 0 cached, 2 generated, 0 invalid, 0 failed" in built.stdout
    assert "a wide green field" in installed.run("descgen", "show", "-d", "hmdb51", "-a", "cartwheel").stdout
    with review(installed, "-d", "hmdb51") as page:
        assert "cartwheel" in page
    for name in ("red", "green"):
        (installed.home / "clips" / name).mkdir(parents=True)
        make_film(installed.home / "clips" / name / "a.mp4", (name, 1))
    run = json.loads(installed.run("recognize", "eval", "clips", "--method", "label", "-e", "objects", "--json").stdout)
    assert run["counts"]["evaluated"] == 2
    assert "clips" in installed.run("recognize", "runs").stdout
    installed.run("recognize", "report", run["id"], "-o", "run.html")
    assert "<!doctype html>" in (installed.home / "run.html").read_text().lower()
    assert json.loads(installed.run("recognize", "doctor", "--json").stdout)["usable"]


@pytest.mark.slow
def test_a_text_pack_gives_the_same_run_in_a_new_environment(
    wheel: Path, installed: Installed, server: ChatServer, tmp_path: Path
) -> None:
    """Both have a feature store of their own: the last bits of a stored text's vector depend on its batch."""
    (tmp_path / "first").mkdir()
    (tmp_path / "home").mkdir()
    installed = Installed(installed.commands, tmp_path / "first")
    folder = installed.home / "packed"
    for name in ("red", "green"):
        (folder / name).mkdir(parents=True)
        make_film(folder / name / "a.mp4", (name, 1))
    installed.run("descgen", "build", "-d", folder, "--llm", "openai:m", "--base-url", server.url, "-k", "description")
    before = json.loads(installed.run("recognize", "eval", folder, "-e", "objects", "--json").stdout)
    told = ("--licence", "CC0-1.0", "--output", tmp_path, "--json")
    pack = json.loads(installed.run("descgen", "pack", "films", "-d", "packed", *told).stdout)["file"]
    other = Installed(install(wheel, tmp_path / "environment"), tmp_path / "home")
    add(Path(pack), other.commands)
    assert "licence: CC0-1.0" in other.run("descgen", "import", "--pack", "films").stderr
    run = ("eval", folder, "-e", "objects", "--texts", "pack:films", "--json")
    after = json.loads(other.run("recognize", *run).stdout)
    assert (after["predictions"], after["results"]) == (before["predictions"], before["results"])
    assert len(after["predictions"]) == 2
    assert {d["text"] for d in after["descriptors"]} == {d["text"] for d in before["descriptors"]} != set()


@contextmanager
def review(installed: Installed, *arguments: str) -> Iterator[str]:
    """Serve the review, and yield its first page."""
    command = [installed.commands / "descgen", "review", *arguments, "--no-browser"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=installed.home,
        env=installed.environment,
    )
    assert process.stdout
    try:
        address = next(found.group() for line in process.stdout if (found := re.search(r"http://\S+", line)))
        with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - an address of this machine
            yield answer.read().decode()
    finally:
        process.terminate()
        process.wait()


# --- what it says


def shown_strings(file: Path) -> Iterator[str]:
    """Yield the strings of a file that are not docstrings, joined as in a message."""
    tree = ast.parse(file.read_text())
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docstrings = {id(node.body[0].value) for node in ast.walk(tree)
                  if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)}  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def helps(name: str, command: click.Command) -> Iterator[tuple[str, str]]:
    yield name, command.get_help(click.Context(command))
    for part, subcommand in command.commands.items() if isinstance(command, click.Group) else ():
        yield from helps(f"{name} {part}", subcommand)


def test_no_message_names_a_file_that_only_the_checkout_has() -> None:
    said = [
        (file, text) for package in PACKAGES for file in (ROOT / package).rglob("*.py") for text in shown_strings(file)
    ]
    pages = [(file, file.read_text()) for package in PACKAGES for file in (ROOT / package).rglob("*.html")]
    assert len(said) > 1000
    assert len(pages) > 5
    assert [(file.name, text) for file, text in (*said, *pages) if OF_THE_CHECKOUT.search(text)] == []


def test_no_help_names_a_file_that_only_the_checkout_has() -> None:
    texts = [*helps("descgen", descgen), *helps("recognize", recognize)]
    assert [(name, text) for name, text in texts if OF_THE_CHECKOUT.search(text)] == []
