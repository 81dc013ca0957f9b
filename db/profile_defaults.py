"""The values of the profile as defaults of options: click's `default_map`.

Each value that a command takes is told on standard error, so that no choice comes from a file without a word.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
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
                _add(defaults, program, commands, _Default(name, chosen, tell))
    return defaults


def _add(defaults: dict[str, Any], program: click.Group, commands: list[str], default: _Default) -> None:
    command: click.Command = program
    for name in commands:
        command = command.commands[name]  # type: ignore[attr-defined]
        defaults = defaults.setdefault(name, {})
    option = next(option for option in command.params if f"--{default.name}" in option.opts)
    defaults[str(option.name)] = default


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
