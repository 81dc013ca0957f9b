"""The profile: which values it gives to which options, what comes before it, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from db.profile import SETTINGS, profile_path
from descriptor_gen.cli import descgen as descgen_program
from descriptor_gen.llms.testing import FakeLLM
from recognizer.cli import recognize as recognize_program
from tests.fixtures.colours import balls, encoder
from tests.fixtures.commands import Run

__all__ = ["balls", "encoder"]  # fixtures
PROGRAMS: dict[str, click.Group] = {"descgen": descgen_program, "recognize": recognize_program}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder without a profile, and without the variables that come before one."""
    monkeypatch.chdir(tmp_path)
    for setting in SETTINGS.values():
        if setting.environment:
            monkeypatch.delenv(setting.environment, raising=False)


@pytest.fixture
def own_database(database: Path) -> None:
    """A profile in the folder that names the database of this test."""
    profile_path(user=False).write_text(f'db = "{database}"\n')


def test_every_setting_is_an_option_of_its_commands() -> None:
    for setting in SETTINGS.values():
        for path in setting.commands:
            program, *names = path.split()
            command: click.Command = PROGRAMS[program]
            for name in names:
                assert isinstance(command, click.Group)
                command = command.commands[name]
            [option] = [option for option in command.params if f"--{setting.name}" in option.opts]
            assert option.envvar == setting.environment, path
            assert not option.multiple, path


def test_a_value_of_the_profile_is_taken_told_and_recorded(
    descgen: Run, recognize: Run, llm: FakeLLM, balls: Path
) -> None:
    descgen("build", "-d", balls, "-k", "context")
    for name, value in (("encoder", "fake"), ("root", balls)):
        assert descgen("config", "set", name, value).exit_code == 0
    result = recognize("eval", "-d", "balls", "--json")
    assert result.exit_code == 0, result.output
    run = json.loads(result.stdout)["settings"]
    assert (run["encoder"], run["root"]) == ("fake", str(balls))
    assert f"From descgen.toml: root {balls}\n" in result.stderr
    assert "From descgen.toml: encoder fake\n" in result.stderr
    assert "From descgen.toml" not in recognize("runs").stderr
    assert "[default: fake]" in recognize("eval", "--help").stdout


def test_options_come_before_variables_before_the_folder_before_the_user(
    descgen: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def used(*options: str) -> str:
        result = CliRunner().invoke(descgen_program, [*options, "stats"])
        return result.output.split("No database at ")[1].split(".")[0]

    asked = ["config", "--json"]
    assert used() == "descriptors"
    descgen("config", "set", "--user", "db", "of-user.db")
    assert used() == "of-user"
    descgen("config", "set", "db", "of-folder.db")
    assert used() == "of-folder"
    monkeypatch.setenv("DESCGEN_DB", "of-variable.db")
    assert used() == "of-variable"
    assert used("--db", "of-option.db") == "of-option"
    values = {row["name"]: row for row in json.loads(CliRunner().invoke(descgen_program, asked).stdout)}
    assert (values["db"]["value"], values["db"]["origin"]) == ("of-variable.db", "DESCGEN_DB")
    monkeypatch.delenv("DESCGEN_DB")
    values = {row["name"]: row for row in json.loads(CliRunner().invoke(descgen_program, asked).stdout)}
    assert (values["db"]["value"], values["db"]["origin"]) == ("of-folder.db", "descgen.toml")
    assert (values["llm"]["value"], values["llm"]["origin"]) == (None, None)
    descgen("config", "unset", "db")
    assert used() == "of-user"


PRICED = 'llm = "openai:tiny"\nprice-in = 1000.0\nprice-out = 1000\n'


def dry(descgen: Run, *options: str) -> bool:
    """Whether a build of these options knows a price."""
    result = descgen("build", "-d", "hmdb51", "-k", "context", "--dry-run", "--json", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["cost"] is not None


def test_prices_and_server_are_those_of_the_llm_of_the_same_file(descgen: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    profile_path(user=True).parent.mkdir(parents=True, exist_ok=True)
    profile_path(user=True).write_text(PRICED)
    assert dry(descgen)
    assert dry(descgen, "--llm", "openai:tiny")
    assert not dry(descgen, "--llm", "openai:other")
    assert not dry(descgen, "--base-url", "http://127.0.0.1:9/v1")
    profile_path(user=False).write_text('llm = "openai:other"\n')
    assert not dry(descgen)
    assert not dry(descgen, "--llm", "openai:tiny")


def test_a_local_llm_is_not_given_a_price(descgen: Run) -> None:
    profile_path(user=False).write_text(PRICED)
    assert not dry(descgen, "--llm", "smollm2")


def test_a_root_is_not_used_for_a_folder_that_is_named(recognize: Run, balls: Path) -> None:
    profile_path(user=False).write_text('root = "elsewhere"\n')
    unclear = recognize("eval", "-d", "balls", "-e", "fake", "--method", "label")
    assert (unclear.exit_code, "Give balls as FOLDER, or --root elsewhere" in unclear.stderr) == (2, True)
    assert recognize("eval", balls, "-e", "fake", "--method", "label").exit_code == 0
    assert recognize("eval", "-d", balls, "-e", "fake", "--method", "label").exit_code == 0
    checked = recognize("check", balls / "red_ball" / "a")
    assert "Give either" not in checked.stderr
    assert "From descgen.toml" not in checked.stderr


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("colour", "red", "unknown name 'colour' of a profile. Known: db, llm, base-url"),
        ("api-key", "x", "api-key would hold a secret, which is not kept in a profile"),
        ("OPENAI_API_KEY", "x", "Set it as an environment variable, such as OPENAI_API_KEY"),
        ("llm", "sk-1234", "llm would hold a secret"),
        ("llm", "gsk_1234", "llm would hold a secret"),
        ("encoder", "Bearer 1234", "encoder would hold a secret"),
        ("passphrase", "1234", "passphrase would hold a secret"),
        ("db", "postgresql://me:word@host/actions", "db would hold a secret"),
        ("price-in", "much", "price-in is a number, 0 or more, not 'much'"),
        ("price-in", "-1", "price-in is a number, 0 or more, not -1.0"),
        ("price-in", "nan", "price-in is a number, 0 or more, not nan"),
        ("base-url", "http://a", "base-url belongs to an LLM. First: descgen config set llm NAME"),
        ("llm", "", "llm is a text, not ''"),
    ],
)
def test_what_a_profile_refuses(descgen: Run, name: str, value: str, said: str) -> None:
    result = descgen("config", "set", "--", name, value)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not profile_path(user=False).exists()


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ("llm = ", 1, "The profile descgen.toml cannot be read"),
        ('colour = "red"', 2, "descgen.toml: unknown name 'colour' of a profile. Known: db"),
        ('password = "x"', 2, "descgen.toml: password would hold a secret"),
        ("encoder = 3", 2, "descgen.toml: encoder is a text, not 3"),
        ("price-in = true\nllm = 'a'", 2, "descgen.toml: price-in is a number"),
        ("price-in = 3", 2, "descgen.toml: price-in belongs to an LLM: set llm in the same file"),
    ],
)
def test_a_wrong_file_is_told_by_every_command(
    descgen: Run, recognize: Run, content: str, code: int, said: str
) -> None:
    profile_path(user=False).write_text(content)
    for result in (descgen("datasets"), recognize("runs"), descgen("config")):
        assert result.exit_code == code
        assert said in result.stderr
        assert "Traceback" not in result.output


def test_an_llm_with_prices_is_not_replaced_by_another(descgen: Run) -> None:
    profile_path(user=False).write_text(PRICED)
    for arguments in (("set", "llm", "gpt"), ("unset", "llm")):
        result = descgen("config", *arguments)
        assert result.exit_code == 2
        assert "price-in, price-out of descgen.toml belongs to openai:tiny" in result.stderr
        assert "descgen config unset price-in, then descgen config unset price-out" in result.stderr
    assert profile_path(user=False).read_text() == PRICED


def test_other_lines_of_the_file_stay(descgen: Run) -> None:
    file = profile_path(user=False)
    file.write_text('# mine\nencoder = "a"  # why\n\nreviewer = "Zoë"\n')
    descgen("config", "set", "encoder", 'b "c" \\ é')
    assert file.read_text() == '# mine\nencoder = "b \\"c\\" \\\\ é"\n\nreviewer = "Zoë"\n'
    assert descgen("config", "unset", "encoder").exit_code == 0
    assert file.read_text() == '# mine\n\nreviewer = "Zoë"\n'
    missing = descgen("config", "unset", "encoder")
    assert (missing.exit_code, "descgen.toml has no encoder. It has: reviewer" in missing.stderr) == (2, True)


def test_a_form_that_only_a_person_can_edit_stays_as_it_is(descgen: Run) -> None:
    file, content = profile_path(user=False), 'encoder = """\na"""\n'
    file.write_text(content)
    result = descgen("config", "set", "encoder", "b")
    assert (result.exit_code, file.read_text()) == (1, content)
    assert "Edit encoder in it by hand" in result.stderr


@pytest.mark.usefixtures("own_database")
def test_the_password_of_a_variable_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESCGEN_DB", "postgresql://me:word@host/actions")
    shown = CliRunner().invoke(descgen_program, ["config"]).output
    assert "word" not in shown
    assert "me:***@host" in shown


@pytest.mark.usefixtures("own_database")
def test_completing_a_word_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_DESCGEN_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "descgen con")
    monkeypatch.setenv("COMP_CWORD", "1")
    result = CliRunner().invoke(descgen_program, [], prog_name="descgen")
    assert result.output == "plain,config\n"


@pytest.mark.usefixtures("own_database")
def test_both_programs_share_the_profile(database: Path) -> None:
    for program in PROGRAMS.values():
        command = ["runs"] if program is recognize_program else ["stats"]
        result = CliRunner().invoke(program, command)
        assert f"No database at {database}" in result.output
        assert f"From descgen.toml: db {database}" in result.output
