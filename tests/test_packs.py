"""Text packs: written by `descgen pack`, installed with pip, used by both programs. The network is never needed."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from packaging.utils import parse_wheel_filename

from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from recognizer import Recognizer
from recognizer.evaluation.sweep import Grid
from tests.fixtures.colours import COLOURS, balls, encoder
from tests.fixtures.commands import Run

__all__ = ["balls", "encoder"]  # fixtures
Install = Callable[..., Path]
WITH = "label + descriptors"
EVAL = ("-e", "fake", "--frames", 3, "--workers", 0, "--json")


@pytest.fixture
def reviewed(descgen: Run, llm: FakeLLM, store: Store, balls: Path) -> Path:
    """The balls with texts of an LLM, a file and a person; one edited, one accepted, one rejected."""
    steps = [[f"a {colour} thing {step}" for step in ("comes", "rolls", "goes")] for colour in ("blue", "green", "red")]
    llm.enqueue(*(json.dumps({"steps": texts}) for texts in steps))
    file = balls.parent / "published_context.json"
    file.write_text(json.dumps({name: [f"a {name.split('_')[1]} on grass", "a field"] for name in COLOURS}))
    for command in (
        ("build", "-d", balls, "--llm", "fake", "-k", "decomposition"),
        ("import", file, "-d", balls),
        ("add", "a hoop", "-d", "balls", "-a", "red_ball", "-k", "context", "--reviewer", "kim"),
    ):
        assert descgen(*command).exit_code == 0
    texts = store.descriptors(store.dataset("balls"))
    for text, decision in ((texts[0], ("edit", "a red toy")), (texts[1], ("accept",)), (texts[2], ("reject",))):
        assert descgen(decision[0], text.id, *decision[1:], "--reviewer", "kim").exit_code == 0
    return balls


@pytest.fixture
def pack(descgen: Run, tmp_path: Path) -> Callable[..., Path]:
    """Write a pack, and return its wheel."""

    def written(name: str, *options: Any, into: str = "dist") -> Path:
        chosen = ("-d", "balls", "--licence", "cc-by-4.0", "-o", tmp_path / into)
        result = descgen("pack", name, *chosen, *options, "--json")
        assert result.exit_code == 0, result.output
        return Path(json.loads(result.stdout)["file"])

    return written


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a wheel where this process finds it, as pip does (`by_pip` takes pip itself); return the folder."""

    def installed(wheel: Path, *, into: str = "site", by_pip: bool = False) -> Path:
        folder = tmp_path / into
        if by_pip:
            command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index"]
            done = subprocess.run([*command, "--target", folder, wheel], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        else:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
        monkeypatch.syspath_prepend(str(folder))
        return folder

    return installed


@pytest.fixture
def elsewhere(other_db_url: str) -> Callable[..., Any]:
    """Run a command of either program on a database that has nothing."""
    from descriptor_gen.cli import descgen
    from recognizer.cli import recognize

    programs = {"descgen": descgen, "recognize": recognize}

    def run(program: str, *arguments: Any) -> Any:
        given = list(map(str, arguments))
        return CliRunner().invoke(programs[program], given, env={"DESCGEN_DB": other_db_url})

    return run


def evaluated(result: Any) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    run: dict[str, Any] = json.loads(result.stdout)
    return run


def facts_of(wheel: Path) -> dict[str, Any]:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/pack.json")]
        facts: dict[str, Any] = json.loads(archive.read(name))
        return facts


def test_an_installed_pack_gives_the_same_run(
    recognize: Run, reviewed: Path, pack: Callable[..., Path], install: Install, elsewhere: Callable[..., Any]
) -> None:
    before = evaluated(recognize("eval", reviewed, "--llm", "fake", "--llm", "published", *EVAL))
    wheel = pack("balls-made", "--version", "1.2")
    install(wheel, by_pip=True)
    imported = elsewhere("descgen", "import", "--pack", "balls-made")
    assert imported.exit_code == 0, imported.output
    assert "pack balls-made 1.2\nballs: 15 texts about 3 of 3 classes\nlicence: CC-BY-4.0\n" in imported.stderr
    assert (
        "balls: 15 added, 0 already stored; context, decomposition of 3 classes, from pack balls-made"
        in imported.stdout
    )
    assert "0 added, 15 already" in elsewhere("descgen", "import", "--pack", "balls-made").stdout
    after = evaluated(elsewhere("recognize", "eval", reviewed, "--texts", "pack:balls-made", *EVAL))
    for part in ("predictions", "results", "counts", "dataset"):
        assert after[part] == before[part]
    assert len(before["predictions"]) == 6
    kept = ("action", "kind", "text", "status", "source", "llm", "origin", "original", "template")
    assert [[d[name] for name in kept] for d in after["descriptors"]] == [
        [d[name] for name in kept] for d in sorted(before["descriptors"], key=lambda d: after_order(d, after))
    ]
    digest = facts_of(wheel)["texts_sha256"]
    assert after["settings"]["choice"]["texts"] == f"pack:balls-made 1.2 sha256:{digest[:12]}"
    shown = elsewhere("recognize", "eval", reviewed, "--texts", "pack:balls-made", *EVAL[:-1]).stdout
    assert f"texts of pack:balls-made 1.2 sha256:{digest[:12]}" in " ".join(shown.split())
    for command in (("impact", 1), ("report", 1, "-o", reviewed.parent / "run.html"), ("controls", 1)):
        result = elsewhere("recognize", *command)
        assert result.exit_code == 0, result.output


def after_order(text: dict[str, Any], run: dict[str, Any]) -> int:
    """Return the place of a text of one run among the texts of another, whose rows have other ids."""
    same = ("action", "kind", "text", "position")
    return [tuple(d[name] for name in same) for d in run["descriptors"]].index(tuple(text[name] for name in same))


def test_only_the_texts_of_the_pack_are_used(
    descgen: Run, recognize: Run, reviewed: Path, pack: Callable[..., Path], install: Install
) -> None:
    install(pack("balls-steps", "-k", "decomposition"))
    run = evaluated(recognize("eval", reviewed, "--texts", "pack:balls-steps", *EVAL))
    assert [(d["kind"], d["status"]) for d in run["descriptors"]] == [("decomposition", "pending")] * 8
    assert run["settings"]["kinds"] == ["decomposition"]
    missing = recognize("eval", reviewed, "--texts", "pack:balls-steps", "-k", "context", *EVAL)
    assert missing.exit_code == 1
    assert "of kind context" in missing.stderr


def test_a_sweep_keeps_to_the_pack(
    recognize: Run, reviewed: Path, pack: Callable[..., Path], install: Install, db_url: str, features: Path
) -> None:
    install(pack("balls-steps", "-k", "decomposition"))
    with_pack = Recognizer(
        "balls",
        encoder="fake",
        frames=3,
        texts="pack:balls-steps",
        db=db_url,
        features=features,
        workers=0,
        progress=False,
    )
    runs = with_pack.sweep(reviewed, Grid(kinds=(None, ()), methods=("mean", "max")))
    choices = sorted((len(run.descriptor_ids), run.settings["choice"]["texts"] or "") for run in runs)
    assert [(count, texts.partition(" ")[0]) for count, texts in choices] == [
        (0, ""), (8, "pack:balls-steps"), (8, "pack:balls-steps")
    ]  # fmt: skip
    lists = ("--kinds", "every", "--kinds", "label", "--method", "mean", "--method", "max")
    result = recognize("sweep", reviewed, "--texts", "pack:balls-steps", *lists, *EVAL)
    rows = json.loads(result.stdout)
    assert [(row["descriptors"], row["texts"], row["top1"]) for row in rows] == [
        (len(run.descriptor_ids), run.settings["choice"]["texts"] or "", run.results["rows"][WITH]["top1"]["value"])
        for run in runs
    ]
    shown = recognize("sweep", reviewed, "--texts", "pack:balls-steps", *lists, *EVAL[:-1]).stdout
    assert "texts of pack:balls-steps 1.0" in shown


@pytest.mark.parametrize("change", ["edit", "reject", "reorder", "phrase"])
def test_a_text_that_was_changed_here_is_told(
    descgen: Run, recognize: Run, store: Store, reviewed: Path, pack: Callable[..., Path], install: Install, change: str
) -> None:
    install(pack("balls-steps", "-k", "decomposition"))
    green = store.descriptors(store.dataset("balls"), kinds=["decomposition"])[2:5]
    first, second, third = (text.id for text in green)
    command: dict[str, tuple[Any, ...]] = {
        "edit": ("edit", first, "a blue toy"),
        "reject": ("reject", first),
        "reorder": ("reorder", second, first, third),
        "phrase": (),
    }
    said = {
        "edit": "1 of the 8 texts of the pack balls-steps are not in use in this database: ",
        "reject": f"1 texts of the pack balls-steps were rejected here, so this is not the pack any more. Run: descgen "
        f"restore {first}",
        "reorder": "2 of the 8 texts of the pack balls-steps are not in use",
        "phrase": "other phrases of 1 classes, such as 'red ball' for red_ball, which is 'a red one' here",
    }
    if change == "phrase":
        labels = reviewed.parent / "balls.tsv"
        labels.write_text("blue_ball\tblue ball\ngreen_ball\tgreen ball\nred_ball\ta red one\n")
        assert descgen("datasets", "add", labels, "--name", "balls").exit_code == 0
    else:
        assert descgen(*command[change], "--reviewer", "kim").exit_code == 0
    folder = reviewed if change != "phrase" else "balls"
    root = () if change != "phrase" else ("--root", reviewed, "-d", "balls")
    refused = recognize("eval", *(root or (folder,)), "--texts", "pack:balls-steps", *EVAL)
    assert refused.exit_code == 1
    assert said[change] in refused.stderr


def test_a_pack_that_cannot_be_used_says_why(
    recognize: Run,
    descgen: Run,
    reviewed: Path,
    pack: Callable[..., Path],
    install: Install,
    elsewhere: Callable[..., Any],
) -> None:
    def refused(texts: str, run: Run = recognize) -> str:
        result = run("eval", reviewed, "--texts", texts, *EVAL)
        assert result.exit_code in (1, 2)
        assert "Traceback" not in result.output
        return str(result.stderr)

    assert "--texts mine: give pack: and the name of an installed pack" in refused("mine")
    assert "Unknown pack 'balls-made'" in refused("pack:balls-made")
    assert "Unknown pack 'balls-made'" in descgen("import", "--pack", "balls-made").stderr
    folder = install(pack("balls-made"))
    assert "Did you mean balls-made" in refused("pack:balls-mad")
    empty = elsewhere("recognize", "eval", reviewed, "--texts", "pack:balls-made", *EVAL)
    assert "descgen" in empty.stderr
    texts, facts = (folder / "descgen_pack_balls_made" / name for name in ("texts.json", "pack.json"))
    texts.write_text(texts.read_text().replace("a hoop", "a loop"))
    assert "The pack balls-made is damaged: texts.json is not the file that it was made with" in refused(
        "pack:balls-made"
    )
    whole = facts.read_text()
    facts.write_text(whole.replace('"version"', '"no version"'))
    assert "is damaged: pack.json lacks one of version, dataset, texts_sha256" in refused("pack:balls-made")
    facts.write_text(whole.replace("version 1", "version 9"))
    assert "is not a 'descgen pack, version 1'" in refused("pack:balls-made")
    facts.write_text("{")
    assert "is damaged: pack.json or texts.json cannot be read" in refused("pack:balls-made")
    facts.unlink()
    assert "is damaged: pack.json or texts.json cannot be read" in refused("pack:balls-made")


def test_another_version_than_the_one_that_was_chosen_is_refused(
    recognize: Run, store: Store, reviewed: Path, pack: Callable[..., Path], install: Install
) -> None:
    from recognizer.evaluation.settings import Options
    from recognizer.scoring.selection import choose_descriptors

    install(pack("balls-made", "--version", "1.0"))
    choice = Options(texts="pack:balls-made").settings.choice
    assert len(choose_descriptors(store, store.dataset("balls"), choice)) == 15
    install(pack("balls-made", "--version", "2.0"), into="newer")
    with pytest.raises(Exception, match=r"pack:balls-made 1.0 .* was chosen, and pack:balls-made 2.0"):
        choose_descriptors(store, store.dataset("balls"), choice)


def test_the_wheel_is_one_by_the_standard_and_the_same_each_time(
    descgen: Run,
    reviewed: Path,
    pack: Callable[..., Path],
    install: Install,
    elsewhere: Callable[..., Any],
    tmp_path: Path,
) -> None:
    wheel = pack("balls-made", "--version", "1.10")
    assert pack("balls-made", "--version", "1.10", into="again").read_bytes() == wheel.read_bytes()
    name, version, _, tags = parse_wheel_filename(wheel.name)
    assert (name, str(version), [str(tag) for tag in tags]) == ("descgen-pack-balls-made", "1.10", ["py3-none-any"])
    with zipfile.ZipFile(wheel) as archive:
        files = {member.filename: archive.read(member) for member in archive.infolist()}
    info = "descgen_pack_balls_made-1.10.dist-info"
    rows = list(csv.reader(io.StringIO(files[f"{info}/RECORD"].decode())))
    assert {row[0] for row in rows} == files.keys()
    for path, digest, size in rows:
        if path != f"{info}/RECORD":
            raw = hashlib.sha256(files[path]).digest()
            assert digest == f"sha256={base64.urlsafe_b64encode(raw).decode().rstrip('=')}"
            assert int(size) == len(files[path])
    metadata = message_from_bytes(files[f"{info}/METADATA"])
    assert (metadata["Name"], metadata["Version"]) == ("descgen-pack-balls-made", "1.10")
    assert metadata["License-Expression"] == "CC-BY-4.0"
    assert str(tmp_path) not in "".join(content.decode() for content in files.values())
    install(wheel)
    assert elsewhere("descgen", "import", "--pack", "balls-made").exit_code == 0
    again = elsewhere(
        "descgen",
        "pack",
        "balls-made",
        "-d",
        "balls",
        "--licence",
        "CC-BY-4.0",
        "--version",
        "1.10",
        "-o",
        tmp_path / "b",
    )
    assert again.exit_code == 0, again.output
    assert (tmp_path / "b" / wheel.name).read_bytes() == wheel.read_bytes()  # what was imported packs as it came
    assert descgen("add", "a net", "-d", "balls", "-a", "red_ball", "-k", "context", "--reviewer", "k").exit_code == 0
    other = descgen("pack", "balls-made", "-d", "balls", "--licence", "MIT", "--version", "1.10", "-o", wheel.parent)
    assert other.exit_code == 1
    assert "holds other texts or facts. Give the changed ones a new --version" in other.stderr


def test_the_facts_say_who_wrote_what_its_review_and_what_lint_says(
    descgen: Run, reviewed: Path, pack: Callable[..., Path]
) -> None:
    facts = facts_of(pack("balls-made"))
    template = json.loads(descgen("show", "-d", "balls", "--json").stdout)
    used = {text["template"] for text in template if text["template"]}
    assert facts["kinds"] == {"context": 7, "decomposition": 8}
    assert facts["models"] == [{"provider": "fake", "model": "fake", "revision": "1"}]
    assert {item["sha256"] for item in facts["templates"]} == used
    assert sum(facts["writers"].values()) == facts["texts"] == 15
    assert facts["writers"]["fake"] == 8
    assert facts["review"] == {"accepted": 3, "pending": 12, "edited": 1, "by_hand": 1}
    linted = json.loads(descgen("lint", "-d", "balls", "--json").stdout)
    assert (facts["lint"]["errors"], facts["lint"]["warnings"]) == (linted["errors"], linted["warnings"])
    assert facts["run"] is None


def test_a_run_is_told_with_its_controls(
    descgen: Run, recognize: Run, reviewed: Path, pack: Callable[..., Path]
) -> None:
    options = ("-k", "decomposition", "--run", 1)
    run = evaluated(recognize("eval", reviewed, "-k", "decomposition", *EVAL))
    without = descgen("pack", "balls", "-d", "balls", "--licence", "MIT", *options)
    assert without.exit_code == 1
    assert "Run 1 has no controls yet, and a pack includes them. Run: recognize controls 1" in without.stderr
    assert recognize("controls", 1, "--permutations", 5).exit_code == 0
    facts = facts_of(pack("balls-made", *options))
    assert facts["run"]["rows"] == run["results"]["rows"]
    assert facts["run"]["gain"] == run["results"]["gain"]
    assert any("the texts of other classes" in verdict for verdict in facts["run"]["controls"]["verdicts"])
    assert str(reviewed.parent) not in json.dumps(facts)
    told = descgen(
        "pack", "balls-made", "-d", "balls", "--licence", "CC-BY-4.0", *options, "-o", reviewed.parent / "dist"
    )
    assert "6 videos, encoder fake, protocol default, method mean" in told.stdout
    assert "controls: These texts" in told.stdout
    other = descgen("pack", "balls", "-d", "balls", "--licence", "MIT", "--run", 1)
    assert other.exit_code == 1
    assert "which are not the 15 of this pack on balls" in other.stderr


def test_two_packages_with_one_pack_are_refused(
    descgen: Run, reviewed: Path, pack: Callable[..., Path], install: Install
) -> None:
    folder = install(pack("balls-made"))
    install(pack("other-balls"))
    points = folder / "descgen_pack_other_balls-1.0.dist-info" / "entry_points.txt"
    points.write_text(points.read_text().replace("other-balls =", "balls-made ="))
    refused = descgen("import", "--pack", "balls-made")
    assert refused.exit_code == 2
    assert "offered by several packages (descgen-pack-balls-made, descgen-pack-other-balls)" in refused.stderr


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("Balls", [], "'Balls' cannot be the name of a pack"),
        ("-balls", [], "No such option"),
        ("b" * 61, [], "60 characters at most"),
        ("balls", ["--version", "one"], "'one' is not a version"),
        ("balls", ["--licence", "free for all"], "'free for all' is not an SPDX licence expression"),
        ("balls", ["--run", 9], "No run 9"),
        ("balls", ["-k", "situation"], "No pending or accepted descriptors of kind situation of balls"),
    ],
)
def test_what_cannot_be_packed_is_refused(
    descgen: Run, reviewed: Path, tmp_path: Path, name: str, options: list[Any], said: str
) -> None:
    licence = [] if "--licence" in options else ["--licence", "MIT"]
    result = descgen("pack", name, "-d", "balls", *licence, "-o", tmp_path / "dist", *options)
    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert not (tmp_path / "dist").exists()


def test_import_takes_a_file_or_a_pack(descgen: Run, reviewed: Path) -> None:
    for arguments, said in (
        ((), "Give either FILE, or --pack NAME"),
        (("x.json", "--pack", "y"), "Give either FILE, or --pack NAME"),
        (("x.json",), "Which dataset are the texts of x.json about?"),
    ):
        refused = descgen("import", *arguments)
        assert refused.exit_code == 2
        assert said in refused.stderr
