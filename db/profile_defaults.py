"""The values of the profile as defaults of options: click's `default_map`.

Each value that a command takes is told on standard error, so that no choice comes from a file without a word.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from db.profile import OF_THE_LLM, SETTINGS, Value, chosen_values, read_profiles

Tell = Callable[[str], None]


def default_map(program: click.Group, tell: Tell) -> dict[str, Any]:
    """Return the defaults of a program's options, by the names of its commands and parameters.

    Args:
        program: `descgen` or `recognize`.
        tell: is given a line for each value that is taken.

    Raises:
        UserError: a profile cannot be read.
        UsageError: it has an unknown name, a wrong value or a secret.
    """
    chosen, defaults = chosen_values(read_profiles()), dict[str, Any]()
    for name in chosen:
        for path in SETTINGS[name].commands:
            owner, *commands = path.split()
            if owner == program.name:
                _of_command(defaults, program, commands).add(_Default(name, chosen, tell))
    return {**defaults.pop("", {}), **defaults}


def _of_command(defaults: dict[str, Any], program: click.Group, commands: list[str]) -> _Options:
    """Return the place of a command's defaults; that of the program itself has the key ""."""
    for name in commands[:-1]:
        defaults = defaults.setdefault(name, {})
    options: _Options = defaults.setdefault(commands[-1] if commands else "", _Options(program, commands))
    return options


class _Options(Mapping[str, Any]):
    """The defaults of one command by parameter; the command is imported when one of them is asked for."""

    def __init__(self, program: click.Group, commands: list[str]) -> None:
        self._program = program
        self._commands = commands
        self._defaults: list[_Default] = []

    def add(self, default: _Default) -> None:
        self._defaults.append(default)

    @cached_property
    def _by_parameter(self) -> dict[str, _Default]:
        command: click.Command = self._program
        for name in self._commands:
            command = command.commands[name]  # type: ignore[attr-defined]
        parameters = {option: str(parameter.name) for parameter in command.params for option in parameter.opts}
        return {parameters[f"--{default.name}"]: default for default in self._defaults}

    def __getitem__(self, parameter: str) -> _Default:
        return self._by_parameter[parameter]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_parameter)

    def __len__(self) -> int:
        return len(self._by_parameter)


class _Default:
    """A value that click asks for when its option and its environment variable are not given."""

    def __init__(self, name: str, chosen: Mapping[str, tuple[Value, Path]], tell: Tell) -> None:
        self.name = name
        self._chosen = chosen
        self._tell = tell

    def __str__(self) -> str:
        return str(self._chosen[self.name][0])  # shown by --help

    def __call__(self) -> Value | None:
        if not _applies(self.name, self._chosen, click.get_current_context().params):
            return None
        value, path = self._chosen[self.name]
        self._tell(f"From {path}: {self.name} {value}")
        return value


def _applies(name: str, chosen: Mapping[str, tuple[Value, Path]], given: Mapping[str, Any]) -> bool:
    """Return whether a value fits the parameters that are given, which click has read before.

    A server and prices are those of the profile's LLM, and prices also those of its server; a root is not that of a
    folder that is named.
    """
    if name in OF_THE_LLM and given.get("llm_name") != chosen["llm"][0]:
        return False
    if name in ("price-in", "price-out"):
        return _text(given, "base_url") == chosen.get("base-url", ("",))[0]
    return not (name == "root" and _names_folder(given))


def _names_folder(given: Mapping[str, Any]) -> bool:
    """Return whether videos are given as arguments, or the dataset as the path of a folder."""
    dataset = _text(given, "dataset") or _text(given, "name")
    arguments = [given.get(name) for name in ("folder", "paths")]
    return any(isinstance(argument, Path | tuple) and argument for argument in arguments) or (
        os.sep in dataset and Path(dataset).is_dir()
    )


def _text(given: Mapping[str, Any], name: str) -> str:
    """Return the text of a parameter, empty if it is not given: click has a value of its own for that."""
    value = given.get(name)
    return value if isinstance(value, str) else ""
