"""What is wrong with a prompt template, found before it is used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import Template as JinjaTemplate
from jinja2 import TemplateSyntaxError, meta, nodes

from db.errors import UserError
from descriptor_gen.prompting.jinja import VARIABLES, block, compiled, environment, split, uses
from descriptor_gen.prompting.reply import plain, texts

_KEYWORDS = {
    "object": ("additionalProperties", "properties", "required"),
    "array": ("items", "maxItems", "minItems"),
    "string": ("enum", "pattern"),
}
_ANYWHERE = ("description", "title", "type")


def invalid(schema: Any) -> list[str]:
    """Return where a value is no JSON schema (draft 2020-12), a line for each place."""
    from jsonschema import Draft202012Validator

    meta = Draft202012Validator(
        Draft202012Validator.META_SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER
    )  # with the formats, because `pattern` is one
    return [f"output, at {error.json_path}: {error.message}" for error in meta.iter_errors(schema)]


def reply_faults(schema: Mapping[str, Any], reply: Any) -> list[str]:
    """Return where a reply is not of a valid schema, a line for each place."""
    from jsonschema import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    validator = Draft202012Validator(schema, registry=Registry())  # empty: a $ref never fetches anything
    try:
        errors = sorted(validator.iter_errors(reply), key=lambda error: error.json_path)
    except (Unresolvable, RecursionError):  # a $ref, which `unfit` names
        return []
    return [f"at {error.json_path}: {error.message}" for error in errors]


def unfit(schema: Any) -> Iterator[str]:
    """Yield where a schema is not of the form that OpenAI's strict mode, xgrammar and descriptors ask for."""
    if isinstance(schema, dict) and schema.get("type") != "object":
        yield f"output: its type is {schema.get('type')!r}, not 'object'"
    else:
        yield from _unfit(schema, "$")


def _unfit(schema: Any, place: str) -> Iterator[str]:
    kind = schema.get("type") if isinstance(schema, dict) else None
    if not isinstance(kind, str) or kind not in _KEYWORDS:
        yield f"output, at {place}: its type is {kind!r}; texts are 'string', in 'array' or 'object'"
        return
    others = sorted(str(keyword) for keyword in schema if keyword not in (*_KEYWORDS[kind], *_ANYWHERE))
    if others:
        hint = "; give the length in the pattern" if {"minLength", "maxLength"} & set(others) else ""
        yield (
            f"output, at {place}: not every LLM takes {', '.join(others)} (OpenAI's strict mode){hint}. "
            f"Known for {kind}: {', '.join(_KEYWORDS[kind])}"
        )
    if kind in _INSIDE:
        yield from _INSIDE[kind](schema, place)


def _unfit_object(schema: Mapping[str, Any], place: str) -> Iterator[str]:
    properties, required = schema.get("properties"), schema.get("required")
    properties = properties if isinstance(properties, dict) else {}
    required = required if isinstance(required, list) else []
    if not properties:
        yield f"output, at {place}: no properties"
    optional = [str(name) for name in properties if name not in required]
    if optional:
        yield f"output, at {place}: every property must be required; add {', '.join(optional)}"
    strange = [str(name) for name in required if name not in properties]
    if strange:
        yield f"output, at {place}: required, but no property: {', '.join(strange)}"
    if schema.get("additionalProperties") is not False:
        yield f"output, at {place}: additionalProperties must be false"
    for name, inner in properties.items():
        if not isinstance(name, str):  # YAML reads yes, on and 1 as no text
            yield f"output, at {place}: property {name!r} is no text; put it in quotes"
        yield from _unfit(inner, f"{place}.properties.{name}")


def _unfit_array(schema: Mapping[str, Any], place: str) -> Iterator[str]:
    yield from _unfit(schema.get("items"), f"{place}.items")


_INSIDE: dict[str, Callable[[Mapping[str, Any], str], Iterator[str]]] = {
    "object": _unfit_object,
    "array": _unfit_array,
}

KIND = re.compile(r"[a-z][a-z0-9_-]{0,99}")
_ALONE = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)


def faults(source: str) -> list[str]:
    """Return all that is wrong with a template's text, a line for each fault; empty when it is fit for use."""
    try:
        front, body = split(source)
    except UserError as error:
        return [str(error)]
    parts = (_field_faults(front), _output_faults(front), _example_faults(front), _body_faults(body))
    found = [fault for part in parts for fault in part]
    return found or [*_rival_faults(front["examples"], body)]


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_kind(value: Any) -> bool:
    return isinstance(value, str) and KIND.fullmatch(value) is not None


_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "kind": ("a name of a-z, 0-9, _ and - that begins with a letter", _is_kind),
    "version": ("a whole number from 1", _is_positive),
    "about": ("a line of text", _is_text),
    "max_tokens": ("a whole number from 1", _is_positive),
    "output": ("the JSON schema of an object", lambda value: isinstance(value, dict)),
    "examples": ("a list of one or more with action and reply", lambda value: isinstance(value, list) and value != []),
}


def _field_faults(front: Mapping[Any, Any]) -> Iterator[str]:
    for name, (what, fits) in _FIELDS.items():
        if name not in front:
            yield f"{name} is missing: {what}"
        elif not fits(front[name]):
            yield f"{name} is {front[name]!r}, not {what}"
    unknown = [str(name) for name in front if name not in _FIELDS]
    if unknown:
        yield f"unknown in the front matter: {', '.join(unknown)}. Known: {', '.join(_FIELDS)}"


def _output_faults(front: Mapping[Any, Any]) -> Iterator[str]:
    if isinstance(schema := front.get("output"), dict):
        # Types are told by `unfit`, in words that say more than the meta-schema's.
        yield from (fault for fault in invalid(schema) if ".type: " not in fault)
        yield from unfit(schema)


def _example_faults(front: Mapping[Any, Any]) -> Iterator[str]:
    examples, schema = front.get("examples"), front.get("output")
    usable = schema if isinstance(schema, dict) and not invalid(schema) else {}  # {} takes any reply
    for number, example in enumerate(examples if isinstance(examples, list) else (), start=1):
        if not isinstance(example, dict) or not _is_text(example.get("action")) or "reply" not in example:
            yield f"example {number}: must have action (text) and reply"
            continue
        place = f"example {number} ({example['action']})"
        yield from (f"{place}, {fault}" for fault in reply_faults(usable, example["reply"]))
        for text in texts(example["reply"], {}):
            if plain(text) != text:
                yield f"{place}: {text!r} would be stored as {plain(text)!r}; write it so"


def _rival_faults(examples: Sequence[Mapping[str, Any]], body: str) -> Iterator[str]:
    """Yield the examples that cannot be asked for in the words of a template that compares."""
    compares = uses(body, "rivals")
    for number, example in enumerate(examples, start=1):
        rivals = example.get("rivals")
        fits = isinstance(rivals, list) and rivals and all(map(_is_text, rivals))
        if compares and not fits:
            yield f"example {number} ({example['action']}): it needs rivals, a list of actions: block user uses them"
        elif rivals is not None and not compares:
            yield f"example {number} ({example['action']}): it has rivals, which block user does not use"


def _body_faults(body: str) -> Iterator[str]:
    try:
        template, tree = compiled(body), environment().parse(body)
    except TemplateSyntaxError as error:
        yield f"line {error.lineno}: {error.message}"
        return
    blocks = {node.name: node for node in tree.body if isinstance(node, nodes.Block) and node.name in VARIABLES}
    yield from (f"no block {name}" for name in VARIABLES if name not in blocks)
    yield from _stray_faults(tree)
    static = [*_sandbox_faults(tree)]
    for name, node in blocks.items():
        static += _variable_faults(name, node)
    yield from static
    if not static:
        yield from _trial_faults(template, blocks)


def _stray_faults(tree: nodes.Template) -> Iterator[str]:
    """Yield what stands outside the two blocks: it would never be sent."""
    for node in tree.body:
        parts = node.nodes if isinstance(node, nodes.Output) else [node]
        for part in parts:
            text = part.data if isinstance(part, nodes.TemplateData) else "?"
            is_block = isinstance(part, nodes.Block) and part.name in VARIABLES
            if text.strip() and not is_block and not isinstance(part, _ALONE):
                line = part.lineno + text[: -len(text.lstrip())].count("\n")
                yield f"line {line}: this is outside the blocks system and user, and would never be sent"


def _sandbox_faults(tree: nodes.Template) -> Iterator[str]:
    for statement in tree.find_all(_ALONE):
        yield f"line {statement.lineno}: a template stands alone; it cannot include, import or extend another"
    for access in tree.find_all(nodes.Getattr):
        if access.attr.startswith("_"):
            yield f"line {access.lineno}: the sandbox gives no access to {access.attr}"


def _variable_faults(name: str, node: nodes.Block) -> Iterator[str]:
    alone = nodes.Template([node], lineno=1)
    alone.set_environment(environment())
    used = meta.find_undeclared_variables(alone)
    unknown = sorted(used.difference(VARIABLES[name]))
    if unknown:
        lines = {found.name: found.lineno for found in reversed([*node.find_all(nodes.Name)])}
        named = ", ".join(f"{variable} (line {lines[variable]})" for variable in unknown)
        yield f"block {name}: unknown variables: {named}. Known variables: {', '.join(VARIABLES[name])}"
    if name == "user" and not used & {"action", "name"}:
        yield "block user: it does not use action, so every class would get the same prompt"


def _trial_faults(template: JinjaTemplate, names: Mapping[str, Any]) -> Iterator[str]:
    """Yield what only shows when a block is rendered."""
    for name in names:
        try:
            block(template, name, {**dict.fromkeys(VARIABLES[name], "yo-yo"), "rivals": ["diabolo"]})
        except UserError as error:
            yield str(error)
