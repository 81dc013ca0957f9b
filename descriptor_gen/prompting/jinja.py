"""Parse a prompt template (YAML front matter and two Jinja blocks), and render it in a sandbox."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import yaml
from jinja2 import StrictUndefined, Template, meta
from jinja2.sandbox import SandboxedEnvironment

from db.errors import UserError
from db.storable import NOT_STORABLE

VARIABLES = {"system": ("dataset", "kind"), "user": ("action", "dataset", "kind", "name", "rivals")}
"""Variables of each block. The system block is the same for every class, so models process it once."""

_MOST_VALUES = 10_000  # in the front matter, those of an alias counted each time
_DEEPEST = 50  # values inside each other
_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)


def split(source: str) -> tuple[dict[Any, Any], str]:
    """Return front matter and body; the body is padded with empty lines, so that its line numbers are the file's.

    Raises:
        UserError: there is no front matter, or it is not YAML.
    """
    match = _FRONT_MATTER.match(source)
    try:
        front = yaml.safe_load(match[1]) if match else None
    except RecursionError as error:
        raise UserError("the front matter has too many brackets inside each other") from error
    except (yaml.YAMLError, ValueError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        location = f"line {mark.line + 2}: " if mark else ""  # counted from 0, after the first ---
        raise UserError(f"{location}the front matter is not YAML: {problem or reason(error)}") from error
    if match is None or not isinstance(front, dict):
        raise UserError("a template begins with front matter in YAML between two lines of ---")
    if _size(front) > _MOST_VALUES:
        raise UserError(
            f"the front matter has more than {_MOST_VALUES} values, or more than {_DEEPEST} inside each other: do its "
            "aliases (*name) lead in a circle?"
        )
    return front, "\n" * source[: match.end()].count("\n") + source[match.end() :]


def _size(front: dict[Any, Any]) -> int:
    """Count the values of a front matter, up to one more than allowed; too deep a one counts as too many."""
    count, left = 0, [(front, 0)]
    while left and count <= _MOST_VALUES:
        value, depth = left.pop()
        count += 1 if depth <= _DEEPEST else _MOST_VALUES
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left += [(item, depth + 1) for item in inside]
    return count


@cache
def environment() -> SandboxedEnvironment:
    """Return the sandbox: unknown variables are errors, and the same variables always give the same text."""
    sandbox = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    del sandbox.filters["random"], sandbox.globals["lipsum"]  # a random prompt would always miss the cache
    return sandbox


def uses(body: str, variable: str) -> bool:
    """Return whether a valid body uses a variable."""
    return variable in meta.find_undeclared_variables(environment().parse(body))


def block(template: Template, name: str, variables: Mapping[str, Any]) -> str:
    """Return the text of a block.

    Raises:
        UserError: the code in the template fails, or does what the sandbox forbids.
    """
    try:
        text = "".join(template.blocks[name](template.new_context(dict(variables)))).strip()
    except MemoryError:
        raise  # said by the process that has the limit
    except RecursionError as error:
        raise UserError(f"block {name}: its macros call each other without end") from error
    except Exception as error:  # the template's own code may raise anything
        raise UserError(f"block {name}: {reason(error)}") from error
    if bad := NOT_STORABLE.search(text):
        raise UserError(f"block {name}: its text holds the character {bad.group()!r}, which cannot be sent or stored")
    return text


def blocks(template: Template, name: str, variables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the text of a block for each set of variables, as `block` does."""
    return [block(template, name, each) for each in variables]


def reason(error: Exception) -> str:
    """Return what an error of a library says, in words for the author of a template."""
    if "integer string conversion" in str(error):
        return f"an integer has more than {sys.get_int_max_str_digits()} digits"
    return str(error) or type(error).__name__
