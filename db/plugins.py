"""Encoders and LLMs of one's own: `module:name`, or a name that an installed package offers as an entry point."""

from __future__ import annotations

import re
from functools import cache, reduce
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from inspect import getattr_static, signature
from typing import Any

from db.errors import UsageError

_MODULE_AND_NAME = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*(\.[^\W\d]\w*)*)")


@cache
def plugin(group: str, name: str) -> Any:
    """Return what a name means in Python, or None if it is neither an entry point of the group nor `module:name`.

    Raises:
        UsageError: two packages offer the name, or there is no such module, or nothing of that name in it.
    """
    offered = entry_points(group=group, name=name)
    if len({point.value for point in offered}) > 1:
        packages = ", ".join(sorted(point.dist.name if point.dist else point.value for point in offered))
        raise UsageError(f"{name} is offered by several packages ({packages}). Uninstall all but one")
    value = next((point.value for point in offered), name)
    match = _MODULE_AND_NAME.fullmatch(value)
    return _imported(match["module"], match["name"]) if match else None


def offered_names(group: str) -> list[str]:
    """Return the names that installed packages offer as entry points of a group."""
    return sorted(entry_points(group=group).names)


def made_by(title: str, factory: Any, *arguments: Any) -> Any:
    """Return what a factory makes.

    Raises:
        UsageError: it does not take these arguments.
    """
    try:
        signature(factory).bind(*arguments)
    except ValueError:  # some callables of C have no signature
        pass
    except TypeError as error:
        takes = " and ".join(f"one {type(argument).__name__}" for argument in arguments) or "no arguments"
        raise UsageError(f"{title} is made by calling it with {takes}, which it does not take: {error}") from error
    return factory(*arguments)


def check_members(title: str, plugged: object, members: dict[str, str]) -> None:
    """Refuse an object that lacks members; they are looked up without running properties.

    Args:
        title: its name in messages.
        plugged: the object.
        members: the names that it needs, each with what it is.

    Raises:
        UsageError: one is missing.
    """
    missing = [f"{name} ({about})" for name, about in members.items() if not has_member(plugged, name)]
    if missing:
        raise UsageError(f"{title} is a {type(plugged).__name__} without {', '.join(missing)}")


def _imported(module: str, name: str) -> Any:
    if not _exists(module):
        raise UsageError(
            f"{module}:{name} names the module {module}, and Python finds none of that name. Install it, or set "
            f"PYTHONPATH to the folder that holds {module.split('.')[0]}"
        )
    try:
        return reduce(getattr, name.split("."), import_module(module))
    except AttributeError as error:
        if error.name not in name.split("."):
            raise
        raise UsageError(f"The module {module} has no {name}") from error


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):  # a parent is missing, or is no package
        return False


def has_member(plugged: object, name: str) -> bool:
    """Return whether an object has a member of that name, without running properties."""
    absent = object()
    return getattr_static(plugged, name, absent) is not absent
