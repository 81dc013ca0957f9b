"""Prompt templates: read, check, render. A template is front matter (what comes out) and two Jinja blocks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml
from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError
from jinja2 import Template as JinjaTemplate
from jinja2.sandbox import SandboxedEnvironment

from db.errors import UsageError, UserError
from db.records import Action, Template
from descriptor_gen.llms import Message, Request

_FIELDS = {"kind": str, "version": int, "about": str, "max_tokens": int, "output": dict, "examples": list}


@dataclass(frozen=True)
class Prompt:
    """One descriptor kind: how to ask for it.

    Attributes:
        template: kind, version and source, as stored.
        about: one line on what the kind is.
        max_tokens: more than any valid reply needs.
        output_schema: JSON schema of the reply.
        examples: (action phrase, reply) pairs, shown to the model as earlier turns of the conversation.
    """

    template: Template
    about: str
    max_tokens: int
    output_schema: Mapping[str, Any]
    examples: Sequence[tuple[str, Mapping[str, Any]]]
    jinja: JinjaTemplate

    @property
    def kind(self) -> str:
        """The descriptor kind."""
        return self.template.kind

    def request(self, action: Action) -> Request:
        """Return the conversation that asks for an action.

        Raises:
            UserError: the template uses a variable that does not exist.
        """
        messages: list[Message] = [{"role": "system", "content": self._block("system")}]
        for phrase, reply in self.examples:
            messages.append({"role": "user", "content": self._block("user", action=phrase)})
            messages.append({"role": "assistant", "content": json.dumps(reply, ensure_ascii=False)})
        messages.append({"role": "user", "content": self._block("user", action=action.phrase)})
        return Request(tuple(messages), self.output_schema, self.max_tokens)

    def _block(self, name: str, **variables: str) -> str:
        try:
            return "".join(self.jinja.blocks[name](self.jinja.new_context(variables))).strip()
        except UndefinedError as error:
            raise UserError(f"Template {self.kind}, block {name}: {error.message}. Known variables: action") from error


def kinds() -> list[str]:
    """Return the built-in descriptor kinds."""
    return sorted(file.name.removesuffix(".j2") for file in files("prompts").iterdir() if file.name.endswith(".j2"))


def load_prompts(names: Sequence[str]) -> list[Prompt]:
    """Return the prompts of descriptor kinds.

    Raises:
        UsageError: there is no such kind.
    """
    unknown = [name for name in names if name not in kinds()]
    if unknown:
        raise UsageError(f"Unknown kind {', '.join(map(repr, unknown))}. Known: {', '.join(kinds())}")
    return [parse(files("prompts").joinpath(f"{name}.j2").read_text(encoding="utf-8")) for name in dict.fromkeys(names)]


def parse(source: str) -> Prompt:
    """Return the prompt of a template's text.

    Raises:
        UserError: the front matter or the Jinja source is not what it must be; all faults are named at once.
    """
    front, body = _split(source)
    faults = [f"{name} ({kind.__name__})" for name, kind in _FIELDS.items() if not isinstance(front.get(name), kind)]
    if faults:
        raise UserError(f"Template {front.get('kind', '?')}: missing or of another type: {', '.join(faults)}")
    digest = hashlib.sha256(source.encode()).hexdigest()
    return Prompt(
        template=Template(front["kind"], front["version"], digest, source),
        about=front["about"],
        max_tokens=front["max_tokens"],
        output_schema=front["output"],
        examples=tuple((example["action"], example["reply"]) for example in front["examples"]),
        jinja=_compile(front["kind"], body),
    )


def _split(source: str) -> tuple[dict[str, Any], str]:
    parts = source.split("---\n", 2)
    front = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0] else None
    if not isinstance(front, dict):
        raise UserError("A template begins with front matter in YAML between two lines of ---")
    return front, parts[2]


def _compile(kind: str, body: str) -> JinjaTemplate:
    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
    try:
        template = environment.from_string(body)
    except TemplateSyntaxError as error:
        raise UserError(f"Template {kind}, line {error.lineno} of its body: {error.message}") from error
    missing = [name for name in ("system", "user") if name not in template.blocks]
    if missing:
        raise UserError(f"Template {kind} has no block {' and no block '.join(missing)}")
    return template
