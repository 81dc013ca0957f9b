"""Parse a prompt template (YAML front matter and two Jinja blocks), and render it in a sandbox."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml
from jinja2 import StrictUndefined, Template, meta
from jinja2.sandbox import SandboxedEnvironment

from db.errors import UserError

VARIABLES = {"system": ("dataset", "kind"), "user": ("action", "dataset", "kind", "name", "rivals")}
"""Variables of each block. The system block is the same for every class, so models process it once."""

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)


def split(source: str) -> tuple[dict[Any, Any], str]:
    """Return front matter and body; the body is padded with empty lines, so that its line numbers are the file's.

    Raises:
        UserError: there is no front matter, or it is not YAML.
    """
    match = _FRONT_MATTER.match(source)
    try:
        front = yaml.safe_load(match[1]) if match else None
    except (yaml.YAMLError, ValueError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        location = f"line {mark.line + 2}: " if mark else ""  # counted from 0, after the first ---
        raise UserError(f"{location}the front matter is not YAML: {problem or error}") from error
    if match is None or not isinstance(front, dict):
        raise UserError("a template begins with front matter in YAML between two lines of ---")
    return front, "\n" * source[: match.end()].count("\n") + source[match.end() :]


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
        return "".join(template.blocks[name](template.new_context(dict(variables)))).strip()
    except Exception as error:  # the template's own code may raise anything
        raise UserError(f"block {name}: {error}") from error
