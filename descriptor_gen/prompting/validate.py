"""Find everything that is wrong with a prompt template before it is used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import Template, TemplateSyntaxError, meta, nodes

from db.errors import UserError
from db.storable import LARGEST_INTEGER
from descriptor_gen.prompting.jinja import VARIABLES, block, environment, split, uses
from descriptor_gen.prompting.reply import cleaned, texts

KIND = re.compile(r"[a-z][a-z0-9_-]{0,99}")
"""The name of a descriptor kind."""

_KEYWORDS = {
    "object": ("additionalProperties", "properties", "required"),
    "array": ("items", "maxItems", "minItems"),
    "string": ("enum", "pattern"),
}
_ANYWHERE = ("description", "title", "type")
_OTHER_TEMPLATES = (nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)


def faults(source: str) -> list[str]:
    """Return the faults of a template's text, one line each; empty if it can be used."""
    try:
        front, body = split(source)
    except UserError as error:
        return [str(error)]
    parts = (_field_faults(front), _output_faults(front), _example_faults(front), _body_faults(body))
    return [fault for part in parts for fault in part] or [*_rival_faults(front["examples"], body)]


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_INTEGER


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "kind": (
        "a name of a-z, 0-9, _ and - that begins with a letter",
        lambda value: isinstance(value, str) and bool(KIND.fullmatch(value)),
    ),
    "version": (f"a whole number from 1 to {LARGEST_INTEGER}", _is_positive),
    "about": ("a line of text", _is_text),
    "max_tokens": (f"a whole number from 1 to {LARGEST_INTEGER}", _is_positive),
    "output": ("the JSON schema of an object", lambda value: isinstance(value, dict)),
    "examples": ("a list of one or more with action and reply", lambda value: isinstance(value, list) and value != []),
}


def _field_faults(front: Mapping[Any, Any]) -> Iterator[str]:
    for name, (expected, is_valid) in _FIELDS.items():
        if name not in front:
            yield f"{name} is missing: {expected}"
        elif not is_valid(front[name]):
            yield f"{name} is {front[name]!r}, not {expected}"
    unknown = [str(name) for name in front if name not in _FIELDS]
    if unknown:
        yield f"unknown in the front matter: {', '.join(unknown)}. Known: {', '.join(_FIELDS)}"


def _output_faults(front: Mapping[Any, Any]) -> Iterator[str]:
    if isinstance(schema := front.get("output"), dict):
        # `_unfit` says more about a wrong type than the meta-schema does
        yield from (fault for fault in _invalid(schema) if ".type: " not in fault)
        if schema.get("type") == "object":
            yield from _unfit(schema, "$")
        else:
            yield f"output: its type is {schema.get('type')!r}, not 'object'"


def _invalid(schema: Any) -> list[str]:
    """Return the violations of JSON Schema (draft 2020-12) by a schema, one line each."""
    from jsonschema import Draft202012Validator as Validator

    meta_schema = Validator(Validator.META_SCHEMA, format_checker=Validator.FORMAT_CHECKER)  # checks `pattern` too
    return [f"output, at {error.json_path}: {error.message}" for error in meta_schema.iter_errors(schema)]


def _unfit(schema: Any, path: str) -> Iterator[str]:
    """Yield where a schema breaks the rules of OpenAI's strict mode, of xgrammar, or of descriptors."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    if not isinstance(kind, str) or kind not in _KEYWORDS:
        yield f"output, at {path}: its type is {kind!r}; texts are 'string', in 'array' or 'object'"
        return
    unsupported = sorted(str(keyword) for keyword in schema if keyword not in (*_KEYWORDS[kind], *_ANYWHERE))
    if unsupported:
        hint = "; give the length in the pattern" if {"minLength", "maxLength"} & set(unsupported) else ""
        yield (
            f"output, at {path}: not every LLM supports {', '.join(unsupported)} (OpenAI's strict mode){hint}. "
            f"Known for {kind}: {', '.join(_KEYWORDS[kind])}"
        )
    if kind == "object":
        yield from _unfit_object(schema, path)
    elif kind == "array":
        yield from _unfit(schema.get("items"), f"{path}.items")


def _unfit_object(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    properties, required = schema.get("properties"), schema.get("required")
    properties = properties if isinstance(properties, dict) else {}
    required = required if isinstance(required, list) else []
    optional = [str(name) for name in properties if name not in required]
    unknown = [str(name) for name in required if name not in properties]
    problems = (
        (not properties, "no properties"),
        (optional, f"every property must be required; add {', '.join(optional)}"),
        (unknown, f"required, but no property: {', '.join(unknown)}"),
        (schema.get("additionalProperties") is not False, "additionalProperties must be false"),
    )
    yield from (f"output, at {path}: {problem}" for is_wrong, problem in problems if is_wrong)
    for name, inner in properties.items():
        if not isinstance(name, str):  # YAML reads yes, on and 1 as other types
            yield f"output, at {path}: property {name!r} is no text; put it in quotes"
        yield from _unfit(inner, f"{path}.properties.{name}")


def _example_faults(front: Mapping[Any, Any]) -> Iterator[str]:
    examples, schema = front.get("examples"), front.get("output")
    usable = schema if isinstance(schema, dict) and not _invalid(schema) else {}  # {} takes any reply
    for number, example in enumerate(examples if isinstance(examples, list) else (), start=1):
        if not isinstance(example, dict) or not _is_text(example.get("action")) or "reply" not in example:
            yield f"example {number}: must have action (text) and reply"
            continue
        name = f"example {number} ({example['action']})"
        yield from (f"{name}, {fault}" for fault in _reply_faults(usable, example["reply"]))
        for text in texts(example["reply"], {}):
            if cleaned(text) != text:
                yield f"{name}: {text!r} would be stored as {cleaned(text)!r}; write it that way"


def _reply_faults(schema: Mapping[str, Any], reply: Any) -> list[str]:
    """Return the violations of a valid schema by a reply, one line each."""
    from jsonschema import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    validator = Draft202012Validator(schema, registry=Registry())  # empty: a $ref never fetches anything
    try:
        errors = sorted(validator.iter_errors(reply), key=lambda error: error.json_path)
    except (Unresolvable, RecursionError):  # a $ref, which `_unfit` reports
        return []
    return [f"at {error.json_path}: {error.message}" for error in errors]


def _rival_faults(examples: Sequence[Mapping[str, Any]], body: str) -> Iterator[str]:
    """Yield examples that lack rivals although the user block uses them, or have rivals although it does not."""
    compares = uses(body, "rivals")
    for number, example in enumerate(examples, start=1):
        rivals = example.get("rivals")
        is_valid = isinstance(rivals, list) and rivals and all(map(_is_text, rivals))
        if compares and not is_valid:
            yield f"example {number} ({example['action']}): it needs rivals, a list of actions: block user uses them"
        elif rivals is not None and not compares:
            yield f"example {number} ({example['action']}): it has rivals, which block user does not use"


def _body_faults(body: str) -> Iterator[str]:
    try:
        template, tree = environment().from_string(body), environment().parse(body)
    except TemplateSyntaxError as error:
        yield f"line {error.lineno}: {error.message}"
        return
    blocks = {node.name: node for node in tree.body if isinstance(node, nodes.Block) and node.name in VARIABLES}
    yield from (f"no block {name}" for name in VARIABLES if name not in blocks)
    yield from _stray_faults(tree)
    static = [*_sandbox_faults(tree)]
    static += [fault for name, node in blocks.items() for fault in _variable_faults(name, node)]
    yield from static or _render_faults(template, blocks)


def _stray_faults(tree: nodes.Template) -> Iterator[str]:
    """Yield text and code outside the two blocks, which would never be sent."""
    for node in tree.body:
        for part in node.nodes if isinstance(node, nodes.Output) else [node]:
            text = part.data if isinstance(part, nodes.TemplateData) else "?"
            is_block = isinstance(part, nodes.Block) and part.name in VARIABLES
            if text.strip() and not is_block and not isinstance(part, _OTHER_TEMPLATES):
                line = part.lineno + text[: -len(text.lstrip())].count("\n")
                yield f"line {line}: text or code outside the blocks system and user would never be sent"


def _sandbox_faults(tree: nodes.Template) -> Iterator[str]:
    for statement in tree.find_all(_OTHER_TEMPLATES):
        yield f"line {statement.lineno}: a template cannot include, import or extend another"
    for access in tree.find_all(nodes.Getattr):
        if access.attr.startswith("_"):
            yield f"line {access.lineno}: the sandbox gives no access to {access.attr}"


def _variable_faults(name: str, node: nodes.Block) -> Iterator[str]:
    alone = nodes.Template([node], lineno=1)
    alone.set_environment(environment())
    used = meta.find_undeclared_variables(alone)
    unknown = sorted(used.difference(VARIABLES[name]))
    if unknown:
        lines = {variable.name: variable.lineno for variable in reversed([*node.find_all(nodes.Name)])}
        places = ", ".join(f"{variable} (line {lines[variable]})" for variable in unknown)
        yield f"block {name}: unknown variables: {places}. Known variables: {', '.join(VARIABLES[name])}"
    if name == "user" and not used & {"action", "name"}:
        yield "block user: it does not use action, so every class would get the same prompt"


def _render_faults(template: Template, names: Mapping[str, Any]) -> Iterator[str]:
    """Yield faults that show only when a block is rendered."""
    for name in names:
        try:
            block(template, name, {**dict.fromkeys(VARIABLES[name], "yo-yo"), "rivals": ["diabolo"]})
        except UserError as error:
            yield str(error)
