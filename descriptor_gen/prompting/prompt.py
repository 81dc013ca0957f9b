"""Prompts, one for each descriptor kind, built in or from template files. A prompt renders the requests to an LLM."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from db.errors import UsageError, UserError, unknown
from db.given_files import TooLargeError, read_text
from db.kinds import NAME, built_in_kinds
from db.records import Action, Template
from descriptor_gen.llms import Message, Request
from descriptor_gen.prompting import untrusted
from descriptor_gen.prompting.jinja import blocks, environment, split, uses
from descriptor_gen.prompting.language import MORE_TOKENS, instruction, schema_in
from descriptor_gen.prompting.validate import faults

BUILT_IN = "built in"
NO_RIVALS: Mapping[str, Sequence[str]] = {}
Render = Callable[[str, Sequence[Mapping[str, Any]]], list[str]]
"""Returns the text of a block (`system`, `user`) for each set of variables."""


class Example(NamedTuple):
    """A question and its reply, sent as an earlier turn of the conversation; `rivals` are for prompts that compare."""

    action: str
    reply: Mapping[str, Any]
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prompt:
    """How to ask for one descriptor kind.

    Attributes:
        template: kind, version and source, as stored.
        about: one line on what the kind is.
        max_tokens: more than any valid reply needs.
        output_schema: JSON schema of the reply.
        examples: sent to the LLM as earlier turns of the conversation.
        render: renders a block; templates of users in a process with limits, see `prompting.untrusted`.
        origin: the template file, or `built in`.
        compares: whether it asks how an action differs from its rivals.
    """

    template: Template
    about: str
    max_tokens: int
    output_schema: Mapping[str, Any]
    examples: Sequence[Example]
    render: Render
    origin: str
    compares: bool = False
    _openings: dict[str, tuple[Message, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def kind(self) -> str:
        """The descriptor kind."""
        return self.template.kind

    def request(self, action: Action, *, dataset: str = "", rivals: Sequence[str] = (), language: str = "") -> Request:
        """Return the conversation that asks about one action, as `requests` does."""
        return self.requests([action], dataset=dataset, rivals={action.name: tuple(rivals)}, language=language)[0]

    def requests(
        self,
        actions: Sequence[Action],
        *,
        dataset: str = "",
        rivals: Mapping[str, Sequence[str]] = NO_RIVALS,
        language: str = "",
    ) -> list[Request]:
        """Return the conversation that asks about each action.

        The examples are rendered by the same blocks, with the same dataset; their phrase is also their name. With a
        language, the system message and the last question ask for it, and the schema's patterns allow the letters and
        digits of all.

        Args:
            rivals: phrases by action name, for prompts that compare.

        Raises:
            UserError: the template cannot be rendered with an action.
        """
        alone = [action.phrase for action in actions if self.compares and not rivals.get(action.name)]
        if alone:
            raise UserError(f"Kind {self.kind} compares {alone[0]!r} with other actions: give at least one rival")
        asked = [(action.phrase, action.name, rivals.get(action.name, ())) for action in actions]
        opening = self._opening(dataset)
        return [self._request(opening, question, language) for question in self._questions(asked, dataset)]

    def _request(self, opening: tuple[Message, ...], question: Message, language: str) -> Request:
        if not language:
            return Request((*opening, question), self.output_schema, self.max_tokens)
        system, *examples = opening
        last: Message = {"role": "user", "content": f"{question['content']}\nWrite in {language}."}
        asked: Message = {"role": "system", "content": f"{system['content']}\n{instruction(language)}"}
        limit = self.max_tokens * (1 if language == "English" else MORE_TOKENS)
        return Request((asked, *examples, last), schema_in(language, self.output_schema), limit)

    def _opening(self, dataset: str) -> tuple[Message, ...]:
        """Return the system message and the examples: the beginning of every conversation about a dataset."""
        if dataset not in self._openings:
            [system] = self._rendered("system", [{"dataset": dataset, "kind": self.kind}])
            messages: list[Message] = [{"role": "system", "content": system}]
            asked = [(phrase, phrase, rivals) for phrase, _, rivals in self.examples]
            for question, example in zip(self._questions(asked, dataset), self.examples, strict=True):
                reply = json.dumps(example.reply, ensure_ascii=False)
                messages += [question, {"role": "assistant", "content": reply}]
            self._openings[dataset] = tuple(messages)
        return self._openings[dataset]

    def _questions(self, asked: Sequence[tuple[str, str, Sequence[str]]], dataset: str) -> list[Message]:
        """Return the question about each (phrase, name, rivals)."""
        variables = [
            {"dataset": dataset, "kind": self.kind, "action": phrase, "name": name, "rivals": list(rivals)}
            for phrase, name, rivals in asked
        ]
        return [{"role": "user", "content": text} for text in self._rendered("user", variables)]

    def _rendered(self, name: str, variables: Sequence[Mapping[str, Any]]) -> list[str]:
        try:
            return self.render(name, variables)
        except UserError as error:
            raise UserError(f"Template {self.kind} ({self.origin}), {error}") from error


@dataclass(frozen=True)
class TemplateCheck:
    """The faults of a template, one line each; empty if it can be used."""

    template: str
    faults: tuple[str, ...]


def kinds() -> list[str]:
    """Return the built-in descriptor kinds."""
    return built_in_kinds()


def load_prompts(names: Sequence[str], *, own: Sequence[Prompt] = (), stored: Sequence[Template] = ()) -> list[Prompt]:
    """Return the prompts of descriptor kinds.

    Args:
        names: the kinds.
        own: prompts from files; each replaces any other one of its kind.
        stored: templates of the database, oldest first: the newest of a kind that is not built in is that kind.

    Raises:
        UsageError: a kind is unknown.
        UserError: a stored template has faults, or the package `prompts` belongs to another project.
    """
    if not kinds():
        raise UserError(f"The package prompts in {files('prompts')} belongs to another project: it holds no templates")
    by_kind, kept = {prompt.kind: prompt for prompt in own}, stored_kinds(stored)
    known = sorted({*kinds(), *by_kind, *kept})
    for name in names:
        if name not in known:
            raise UsageError(unknown("kind", name, known))
    return [by_kind.get(name) or _kept_or_built_in(name, kept) for name in dict.fromkeys(names)]


def stored_kinds(stored: Sequence[Template]) -> dict[str, list[Template]]:
    """Return the templates of each kind that is not built in, oldest first."""
    built_in, kept = kinds(), dict[str, list[Template]]()
    for template in stored:
        if template.kind not in built_in:
            kept.setdefault(template.kind, []).append(template)
    return kept


def _kept_or_built_in(kind: str, kept: Mapping[str, Sequence[Template]]) -> Prompt:
    if kind not in kept:
        return _built_in_prompt(_built_in(kind))
    *older, template = kept[kind]
    checked = untrusted.check(template.source)
    if checked.faults:
        raise UserError(
            f"The template of {kind} in the database cannot be used by this version: {'; '.join(checked.faults)}. "
            "Give a corrected file with --template"
        )
    origin = f"the database, the newest of {len(older) + 1}" if older else "the database"
    return _prompt_of_user(template.source, checked, origin)


def _built_in(kind: str) -> str:
    return files("prompts").joinpath(f"{kind}.j2").read_text(encoding="utf-8")


def read_prompts(paths: Sequence[Path]) -> list[Prompt]:
    """Return the prompts of template files, and of folders of them.

    Raises:
        UsageError: a file does not exist, or two are of the same kind.
        UserError: templates have faults; the message lists all of them.
    """
    checked = {file: _checked(file) for file in template_files(paths)}
    lines = [f"{file}: {fault}" for file, (_, template) in checked.items() for fault in template.faults]
    if lines:
        raise UserError("\n".join(lines))
    prompts = [_prompt_of_user(source, template, str(file)) for file, (source, template) in checked.items()]
    first = {prompt.kind: prompt for prompt in reversed(prompts)}
    for prompt in prompts:
        if prompt is not first[prompt.kind]:
            raise UsageError(f"{first[prompt.kind].origin} and {prompt.origin} are both of the kind {prompt.kind}")
    return prompts


def choose_prompts(names: Sequence[str], templates: Sequence[Path], stored: Sequence[Template] = ()) -> list[Prompt]:
    """Return the prompts of a build: of the named kinds, else of the given templates, else all built-in ones.

    A kind may also be named by its template in the database: see `load_prompts`.

    Prompts that compare must be named: their questions depend on the other classes. So must `name`, which is for
    labels.

    Raises:
        UsageError: a kind or file does not exist.
        UserError: a template has faults.
    """
    own = read_prompts(templates)
    if names or own:
        return load_prompts(names or [prompt.kind for prompt in own], own=own, stored=stored)
    return [prompt for prompt in load_prompts(kinds()) if not prompt.compares and prompt.kind != NAME]


def origin_notes(prompts: Sequence[Prompt]) -> list[str]:
    """Return what a user should know about where prompts come from: a built-in kind replaced, one of several."""
    notes = []
    for prompt in prompts:
        if prompt.kind in kinds() and prompt.origin != BUILT_IN:
            notes.append(f"{prompt.kind}: {prompt.origin} replaces the built-in template of that kind")
        elif prompt.origin.startswith("the database, "):
            notes.append(
                f"{prompt.kind}: template {prompt.template.sha256[:12]} of {prompt.origin}; others: --template"
            )
    return notes


def template_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files among the paths, and the `.j2` files of the folders among them, each once.

    Raises:
        UsageError: a file does not exist, or a folder has no template.
    """
    template_paths: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.j2")) if path.is_dir() else [path] if path.is_file() else []
        if not inside:
            raise UsageError(f"No template at {path}. Name a file, or a folder with files that end in .j2")
        template_paths += inside
    return list(dict.fromkeys(template_paths))


def check_file(path: Path) -> TemplateCheck:
    """Return the faults of a template file."""
    return TemplateCheck(str(path), _checked(path)[1].faults)


def _checked(path: Path) -> tuple[str, untrusted.CheckedTemplate]:
    """Return the text of a template file, and what is wrong with it."""
    try:
        source = read_text(path, at_most=untrusted.LONGEST_SOURCE)
    except UnicodeDecodeError:
        return "", untrusted.CheckedTemplate(("it is not a text file in UTF-8",), {}, compares=False)
    except TooLargeError as error:
        return "", untrusted.CheckedTemplate((f"it {error.fault}",), {}, compares=False)
    return source, untrusted.check(source)


def check_built_in() -> list[TemplateCheck]:
    """Return the faults of each built-in template."""
    return [TemplateCheck(f"prompts/{kind}.j2", tuple(faults(_built_in(kind)))) for kind in kinds()]


def _built_in_prompt(source: str) -> Prompt:
    """Return the prompt of a built-in template; tests check that they are valid."""
    front, body = split(source)
    template = environment().from_string(body)
    return _prompt(source, front, BUILT_IN, partial(blocks, template), compares=uses(body, "rivals"))


def _prompt_of_user(source: str, checked: untrusted.CheckedTemplate, origin: str) -> Prompt:
    return _prompt(source, checked.front, origin, partial(untrusted.render, source), compares=checked.compares)


def _prompt(source: str, front: Mapping[str, Any], origin: str, render: Render, *, compares: bool) -> Prompt:
    examples = [
        Example(example["action"], example["reply"], tuple(example.get("rivals", ()))) for example in front["examples"]
    ]
    return Prompt(
        template=Template(front["kind"], front["version"], hashlib.sha256(source.encode()).hexdigest(), source),
        about=front["about"],
        max_tokens=front["max_tokens"],
        output_schema=front["output"],
        examples=tuple(examples),
        render=render,
        origin=origin,
        compares=compares,
    )
