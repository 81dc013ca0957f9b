"""The text of a prompt template: front matter and two Jinja blocks, read and rendered in a sandbox."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml
from jinja2 import StrictUndefined, meta
from jinja2 import Template as JinjaTemplate
from jinja2.sandbox import SandboxedEnvironment

from db.errors import UserError

VARIABLES = {"system": ("dataset", "kind"), "user": ("action", "dataset", "kind", "name", "rivals")}
"""What each block may use. The system block is the same for every class, so that its work is shared."""

_FRONT_MATTER = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)


def split(source: str) -> tuple[dict[Any, Any], str]:
    """Return front matter and body; empty lines stand before the body, so that its lines are numbered as the file's.

    Raises:
        UserError: there is no front matter, or it is not YAML.
    """
    match = _FRONT_MATTER.match(source)
    try:
        front = yaml.safe_load(match[1]) if match else None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(_not_yaml(error)) from error
    if match is None or not isinstance(front, dict):
        raise UserError("a template begins with front matter in YAML between two lines of ---")
    return front, "\n" * source[: match.end()].count("\n") + source[match.end() :]


def _not_yaml(error: Exception) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    place = f"line {mark.line + 2}: " if mark else ""  # from 0, and after the first ---
    return f"{place}the front matter is not YAML: {problem or error}"


@cache
def environment() -> SandboxedEnvironment:
    """Return the sandbox: unknown variables are errors, and the same variables give the same text."""
    made = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    del made.filters["random"], made.globals["lipsum"]  # what is random is never found in the cache
    return made


def compiled(body: str) -> JinjaTemplate:
    """Return the Jinja template of a body that has no faults."""
    return environment().from_string(body)


def uses(body: str, variable: str) -> bool:
    """Return whether a body without faults makes use of a variable."""
    return variable in meta.find_undeclared_variables(environment().parse(body))


def block(template: JinjaTemplate, name: str, variables: Mapping[str, Any]) -> str:
    """Return a block's text.

    Raises:
        UserError: the template does what it must not, or what cannot be done.
    """
    try:
        return "".join(template.blocks[name](template.new_context(dict(variables)))).strip()
    except Exception as error:  # whatever it is, the template's own code raised it
        raise UserError(f"block {name}: {error}") from error
