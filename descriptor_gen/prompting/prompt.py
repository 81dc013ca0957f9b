"""Prompts, one for each descriptor kind: the built-in ones and a user's own. A prompt makes the requests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Template as JinjaTemplate

from db.errors import UsageError, UserError
from db.records import Action, Template
from descriptor_gen.llms import Message, Request
from descriptor_gen.prompting.jinja import block, compiled, split, uses
from descriptor_gen.prompting.validate import faults

BUILT_IN = "built in"


class Example(NamedTuple):
    """A turn of the conversation that shows what is wanted; `rivals` are for templates that compare."""

    action: str
    reply: Mapping[str, Any]
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prompt:
    """One descriptor kind: how to ask for it.

    Attributes:
        template: kind, version and source, as stored.
        about: one line on what the kind is.
        max_tokens: more than any valid reply needs.
        output_schema: JSON schema of the reply.
        examples: shown to the model as earlier turns of the conversation.
        origin: the file that it was read from, or `built in`.
        compares: whether it asks how an action differs from others, its rivals.
    """

    template: Template
    about: str
    max_tokens: int
    output_schema: Mapping[str, Any]
    examples: Sequence[Example]
    jinja: JinjaTemplate
    origin: str
    compares: bool = False
    _openings: dict[str, tuple[Message, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def kind(self) -> str:
        """The descriptor kind."""
        return self.template.kind

    def request(self, action: Action, *, dataset: str = "", rivals: Sequence[str] = ()) -> Request:
        """Return the conversation that asks for an action.

        The examples are asked for in the same words: of the same dataset, with their phrase as their name.

        Args:
            action: what it is about.
            dataset: of the action; empty where there is none.
            rivals: phrases of the actions that it is confused with; for prompts that compare.

        Raises:
            UserError: the template cannot be rendered with this action.
        """
        if self.compares and not rivals:
            raise UserError(f"Kind {self.kind} compares {action.phrase!r} with other actions, and none are given")
        question = self._question(action.phrase, action.name, dataset, rivals)
        return Request((*self._opening(dataset), question), self.output_schema, self.max_tokens)

    def _opening(self, dataset: str) -> tuple[Message, ...]:
        """Return what every conversation about a dataset begins with: the system message and the examples."""
        if dataset not in self._openings:
            shared = {"dataset": dataset, "kind": self.kind}
            messages: list[Message] = [{"role": "system", "content": self._block("system", shared)}]
            for phrase, reply, rivals in self.examples:
                messages.append(self._question(phrase, phrase, dataset, rivals))
                messages.append({"role": "assistant", "content": json.dumps(reply, ensure_ascii=False)})
            self._openings[dataset] = tuple(messages)
        return self._openings[dataset]

    def _question(self, phrase: str, name: str, dataset: str, rivals: Sequence[str]) -> Message:
        variables = {"dataset": dataset, "kind": self.kind, "action": phrase, "name": name, "rivals": list(rivals)}
        return {"role": "user", "content": self._block("user", variables)}

    def _block(self, name: str, variables: Mapping[str, Any]) -> str:
        try:
            return block(self.jinja, name, variables)
        except UserError as error:
            raise UserError(f"Template {self.kind} ({self.origin}), {error}") from error


@dataclass(frozen=True)
class Checked:
    """A template that was looked through: where it is from, and a line for each fault."""

    template: str
    faults: tuple[str, ...]


def kinds() -> list[str]:
    """Return the built-in descriptor kinds."""
    return sorted(file.name.removesuffix(".j2") for file in files("prompts").iterdir() if file.name.endswith(".j2"))


def load_prompts(names: Sequence[str], *, own: Sequence[Prompt] = ()) -> list[Prompt]:
    """Return the prompts of descriptor kinds; one's own take the place of built-in ones.

    Raises:
        UsageError: there is no such kind.
    """
    if not kinds():
        raise UserError(f"The package prompts in {files('prompts')} is not ours: it holds no templates")
    mine = {prompt.kind: prompt for prompt in own}
    known = sorted({*kinds(), *mine})
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"Unknown kind {', '.join(map(repr, unknown))}. Known: {', '.join(known)}")
    return [mine.get(name) or _prompt(_built_in(name), BUILT_IN) for name in dict.fromkeys(names)]


def _built_in(name: str) -> str:
    return files("prompts").joinpath(f"{name}.j2").read_text(encoding="utf-8")


def read_prompts(paths: Sequence[Path]) -> list[Prompt]:
    """Return the prompts of template files, and of folders of them.

    Raises:
        UsageError: there is no such file, or two are of the same kind.
        UserError: the faults of all of them.
    """
    found = template_files(paths)
    wrong = [checked for checked in map(check, found) if checked.faults]
    if wrong:
        raise UserError("\n".join(map(_told, wrong)))
    prompts = [_prompt(file.read_text(encoding="utf-8-sig"), str(file)) for file in found]
    first = {prompt.kind: prompt for prompt in reversed(prompts)}
    for prompt in prompts:
        if prompt is not first[prompt.kind]:
            raise UsageError(f"{first[prompt.kind].origin} and {prompt.origin} are both of the kind {prompt.kind}")
    return prompts


def choose_prompts(names: Sequence[str], templates: Sequence[Path]) -> list[Prompt]:
    """Return the prompts of a build: the kinds that are named, else the templates that are given, else all built in.

    Those that compare are taken only by name: what they ask depends on what else is there.

    Raises:
        UsageError: there is no such kind or file.
        UserError: a template has faults.
    """
    own = read_prompts(templates)
    if names or own:
        return load_prompts(names or [prompt.kind for prompt in own], own=own)
    return [prompt for prompt in load_prompts(kinds()) if not prompt.compares]


def template_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files that are named, and the `.j2` files of folders that are, each once.

    Raises:
        UsageError: there is no such file, or no template in the folder.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.j2")) if path.is_dir() else [path] if path.is_file() else []
        if not inside:
            raise UsageError(f"No template at {path}. Name a file, or a folder with files that end in .j2")
        found += inside
    return list(dict.fromkeys(found))


def check(path: Path) -> Checked:
    """Return the faults of a template file."""
    try:
        return Checked(str(path), tuple(faults(path.read_text(encoding="utf-8-sig"))))
    except UnicodeDecodeError:
        return Checked(str(path), ("it is not a text file in UTF-8",))


def check_built_in() -> list[Checked]:
    """Return the faults of each built-in template."""
    return [Checked(f"prompts/{kind}.j2", tuple(faults(_built_in(kind)))) for kind in kinds()]


def _told(checked: Checked) -> str:
    return "\n".join(f"{checked.template}: {fault}" for fault in checked.faults)


def parse(source: str, *, origin: str = "template") -> Prompt:
    """Return the prompt of a template's text.

    Raises:
        UserError: all faults of the front matter and the Jinja blocks, a line for each.
    """
    if wrong := faults(source):
        raise UserError(_told(Checked(origin, tuple(wrong))))
    return _prompt(source, origin)


def _prompt(source: str, origin: str) -> Prompt:
    """Return the prompt of a text without faults; the tests see to it that the built-in ones have none."""
    front, body = split(source)
    return Prompt(
        template=Template(front["kind"], front["version"], hashlib.sha256(source.encode()).hexdigest(), source),
        about=front["about"],
        max_tokens=front["max_tokens"],
        output_schema=front["output"],
        examples=tuple(
            Example(example["action"], example["reply"], tuple(example.get("rivals", ())))
            for example in front["examples"]
        ),
        jinja=compiled(body),
        origin=origin,
        compares=uses(body, "rivals"),
    )
