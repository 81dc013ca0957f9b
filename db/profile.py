"""The profile: a file of values that both programs take for options that are not given.

`descgen.toml` in the current folder comes before that in the user's configuration folder; options and environment
variables come before both. Only command lines read it.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_config_path

from db.addresses import hide, is_secret, secrets_in
from db.errors import UsageError, UserError, did_you_mean
from db.given_files import read_text

FILE = "descgen.toml"
_MOST_BYTES = 2**18
Value = str | float


@dataclass(frozen=True)
class Setting:
    """One value of a profile.

    Attributes:
        name: of the option, without its dashes.
        about: what it is.
        commands: the commands that take it.
        environment: the variable that comes before it.
        is_number: whether its value is a number, 0 or more.
    """

    name: str
    about: str
    commands: tuple[str, ...]
    environment: str | None = None
    is_number: bool = False


def _commands(program: str, names: str) -> tuple[str, ...]:
    return tuple(f"{program} {name}" for name in names.split(", "))


_SERVING = ("descgen review", "recognize serve")
_WRITING = ("descgen build", *_SERVING)
_SCORING = _commands("recognize", "eval, predict, explain, embed, sweep, localize")
_VIDEOS = _commands("recognize", "eval, embed, sweep, check")
_STORED = _commands("recognize", "impact, report, features list, features verify, features prune")
_DECIDING = _commands("descgen", "accept, reject, restore, edit, add, reorder, undo")
SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("db", "the database", ("descgen", "recognize"), "DESCGEN_DB"),
        Setting("llm", "the LLM that writes descriptors", _WRITING),
        Setting("base-url", "address of the server of that LLM", _WRITING, "OPENAI_BASE_URL"),
        Setting("price-in", "USD per million input tokens of that LLM", ("descgen build",), is_number=True),
        Setting("price-out", "USD per million output tokens of that LLM", ("descgen build",), is_number=True),
        Setting("reviewer", "name of the reviewer", (*_SERVING, *_DECIDING), "DESCGEN_REVIEWER"),
        Setting("encoder", "the encoder of videos and texts", _SCORING),
        Setting("root", "folder of the videos of a dataset", _VIDEOS),
        Setting("data", "folder that holds a folder for each dataset", _VIDEOS, "RECOGNIZE_DATA"),
        Setting("features", "folder of the stored embeddings", (*_SCORING, *_STORED, *_SERVING), "RECOGNIZE_FEATURES"),
    )
}
OF_THE_LLM = ("base-url", "price-in", "price-out")  # used with the LLM of the same file alone


@dataclass(frozen=True)
class Profile:
    """The values of one file."""

    path: Path
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Origin:
    """A setting with its value, if it has one, and where the value is from: a variable or a file."""

    name: str
    value: Value | None
    origin: str | None
    about: str


def profile_path(*, user: bool) -> Path:
    """Return the file of the current folder, or of the user."""
    return user_config_path("descgen-recognize") / FILE if user else Path(FILE)


def read_profiles() -> tuple[Profile, ...]:
    """Return the files that exist, the one of the current folder first.

    Raises:
        UserError: a file is not TOML.
        UsageError: it has an unknown name, a wrong value or a secret.
    """
    paths = [profile_path(user=user) for user in (False, True)]
    return tuple(Profile(path, _read(path)) for path in paths if path.is_file())


def chosen_values(profiles: Sequence[Profile]) -> dict[str, tuple[Value, Path]]:
    """Return each value with its file: that of the first file that has it.

    What belongs to an LLM is from the file that names the LLM, so that no LLM gets the prices of another.
    """
    chosen: dict[str, tuple[Value, Path]] = {}
    for profile in profiles:
        has_llm = "llm" in chosen
        for name, value in profile.values.items():
            if name not in chosen and not (has_llm and name in OF_THE_LLM):
                chosen[name] = (value, profile.path)
    return chosen


def origins() -> list[Origin]:
    """Return all settings with their values and where these are from."""
    chosen = chosen_values(read_profiles())
    rows = []
    for setting in SETTINGS.values():
        variable = os.environ.get(setting.environment or "")
        value, path = chosen.get(setting.name, (None, None))
        row = (without_secrets(variable), setting.environment) if variable else (value, str(path) if path else None)
        rows.append(Origin(setting.name, *row, setting.about))
    return rows


def without_secrets(value: str) -> str:
    """Return a value without the secrets that its address may have."""
    return hide(value, secrets_in(value))


def _read(path: Path) -> dict[str, Value]:
    try:
        values = tomllib.loads(read_text(path, at_most=_MOST_BYTES))
    except RecursionError as error:
        raise UserError(f"The profile {path} cannot be read: too many brackets inside each other") from error
    except (OSError, ValueError) as error:
        raise UserError(f"The profile {path} cannot be read: {error}") from error
    for name, value in values.items():
        check(name, value, where=f"{path}: ")
    alone = [name for name in OF_THE_LLM if name in values and "llm" not in values]
    if alone:
        raise UsageError(f"{path}: {', '.join(alone)} belongs to an LLM: set llm in the same file")
    return values


def check(name: str, value: object, *, where: str = "") -> None:
    """Check a name and a value of a profile.

    Raises:
        UsageError: the name is unknown, the value is of the wrong type, or it is a secret.
    """
    if is_secret(name, str(value)):
        raise UsageError(
            f"{where}{name} would hold a secret, which is not kept in a profile: others may read it. "
            "Set it as an environment variable, such as OPENAI_API_KEY or DESCGEN_DB"
        )
    setting = SETTINGS.get(name)
    if setting is None:
        raise UsageError(
            f"{where}unknown name {name!r} of a profile. {did_you_mean(name, SETTINGS)}Known: {', '.join(SETTINGS)}"
        )
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if setting.is_number and not (isinstance(value, int | float) and is_number and 0 <= value < float("inf")):
        raise UsageError(f"{where}{name} is a number, 0 or more, not {value!r}")
    if not setting.is_number and not (isinstance(value, str) and value):
        raise UsageError(f"{where}{name} is a text, not {value!r}")


def set_value(path: Path, name: str, text: str) -> None:
    """Write a value to a profile; all other lines stay.

    Raises:
        UsageError: as for `check`; the value belongs to an LLM and the file names none; or the file has prices or a
            server of the LLM that would be replaced.
        UserError: the file cannot be read or written, or has a form that only a person can edit.
    """
    values = _read(path) if path.is_file() else {}
    value = _parsed(name, text)
    check(name, value)
    others = [other for other in OF_THE_LLM if other in values]
    if name in OF_THE_LLM and "llm" not in values:
        raise UsageError(f"{name} belongs to an LLM. First: descgen config set llm NAME")
    if name == "llm" and others and values.get("llm") != value:
        raise UsageError(f"{', '.join(others)} of {path} belongs to {values['llm']}. First: {_unset(others)}")
    _write(path, name, {**values, name: value})


def unset_value(path: Path, name: str) -> None:
    """Remove a value from a profile; all other lines stay.

    Raises:
        UsageError: the file does not have it, or has values that belong to it.
        UserError: the file cannot be read or written, or has a form that only a person can edit.
    """
    values = _read(path) if path.is_file() else {}
    others = [other for other in OF_THE_LLM if other in values]
    if name not in values:
        raise UsageError(f"{path} has no {name}. It has: {', '.join(values) or 'nothing'}")
    if name == "llm" and others:
        raise UsageError(f"{', '.join(others)} of {path} belongs to {values['llm']}. First: {_unset(others)}")
    _write(path, name, {other: value for other, value in values.items() if other != name})


def _unset(names: Sequence[str]) -> str:
    return ", then ".join(f"descgen config unset {name}" for name in names)


def _parsed(name: str, text: str) -> Value:
    if name not in SETTINGS or not SETTINGS[name].is_number:
        return text
    try:
        return float(text)
    except ValueError:
        return text


def _write(path: Path, name: str, values: Mapping[str, Value]) -> None:
    """Replace, add or remove the line of a name, so that the file has these values."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    line = [f"{name} = {json.dumps(values[name], ensure_ascii=False)}"] if name in values else []
    of_name = [number for number, old in enumerate(lines) if re.match(rf"\s*{re.escape(name)}\s*=", old)]
    place = of_name[0] if of_name else len(lines)
    lines[place : place + len(of_name)] = line
    content = "".join(f"{line}\n" for line in lines)
    try:
        written = tomllib.loads(content)
    except tomllib.TOMLDecodeError:
        written = {}
    if written != values:
        raise UserError(f"{path} cannot be changed by a program. Edit {name} in it by hand")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}") from error
