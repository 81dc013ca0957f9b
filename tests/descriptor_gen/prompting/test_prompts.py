"""Prompt templates: the built-in ones, a user's own, and all that can be wrong with them."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from db.errors import UserError
from db.kinds import built_in_kinds
from db.records import Action
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from descriptor_gen.prompting.prompt import Prompt, choose_prompts, kinds, load_prompts, read_prompts
from tests.fixtures.commands import Run
from tests.fixtures.light import LIGHT

COLOURS = """\
---
kind: colours
version: 1
about: The two colours that are seen most.
max_tokens: 40
output:
  type: object
  properties:
    objects:
      type: array
      items: {type: string, pattern: "^[a-z]+$"}
      minItems: 2
      maxItems: 2
  required: [objects]
  additionalProperties: false
examples:
  - action: raking hay
    reply: {objects: [yellow, blue]}
---
{% block system -%}
You name colours.
{%- endblock %}
{% block user -%}
Action: {{ action }}
{%- endblock %}
"""
REPLY = json.dumps({"objects": ["red", "white"]})


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """A template of a kind of one's own."""
    file = tmp_path / "colours.j2"
    file.write_text(COLOURS)
    return file


def prompt_of(source: str, folder: Path) -> Prompt:
    """Return the prompt of a template's text, read from my.j2 in the folder."""
    file = folder / "my.j2"
    file.write_text(source)
    [prompt] = read_prompts([file])
    return prompt


def test_the_built_in_templates_have_no_faults(descgen: Run, database: Path) -> None:
    result = descgen("prompts", "check")
    assert result.stdout == "".join(f"prompts/{kind}.j2: good\n" for kind in kinds())
    assert result.exit_code == 0
    assert not database.exists()


@pytest.mark.parametrize("kind", kinds())
def test_a_built_in_template_asks_in_its_own_bytes(kind: str) -> None:
    """Replies are cached by what was sent: one byte more, and all of them would be asked for again."""
    [prompt] = load_prompts([kind])
    _, front, body = prompt.template.source.split("---\n")
    expected = [body.split("{% block system -%}\n")[1].split("\n{%- endblock %}")[0]]
    for example in yaml.safe_load(front)["examples"]:
        expected += [_question(example["action"], example.get("rivals")), json.dumps(example["reply"])]
    yo_yo, rivals = Action(0, "YoYo", "playing with a yo-yo"), ["juggling", "knitting"] if kind == "contrast" else []
    request = prompt.request(yo_yo, dataset="ucf101", rivals=rivals)
    assert [message["content"] for message in request.messages] == [*expected, _question(yo_yo.phrase, rivals)]
    assert request == prompt.request(yo_yo, rivals=rivals)


def _question(action: str, rivals: Sequence[str] | None) -> str:
    return f"Action: {action}" + (f"\nLooks like: {'; '.join(rivals)}" if rivals else "")


def test_list_shows_built_in_and_own(descgen: Run, colours: Path) -> None:
    rows = json.loads(descgen("prompts", "list", "--template", colours, "--json").stdout)
    assert [(row["kind"], row["version"], row["from"]) for row in rows] == [
        ("colours", 1, str(colours)),
        *((kind, 1, "built in") for kind in kinds()),
    ]
    digest = hashlib.sha256(COLOURS.encode()).hexdigest()
    assert rows[0]["sha256"] == digest
    header, *lines = descgen("prompts", "list").stdout.splitlines()
    assert header.split() == ["kind", "version", "from", "sha256", "about"]
    assert lines[0].split()[:5] == ["context", "1", "built", "in", rows[1]["sha256"][:12]]


def test_show_prints_the_source(descgen: Run, colours: Path) -> None:
    assert descgen("prompts", "show", "colours", "-t", colours).stdout == COLOURS
    shown = descgen("prompts", "show", "context").stdout
    assert shown == load_prompts(["context"])[0].template.source
    unknown = descgen("prompts", "show", "colour", "-t", colours)
    assert unknown.exit_code == 2
    known = "colours, context, contrast, decomposition, description, name, situation"
    assert f"Unknown kind 'colour'. Did you mean colours? Known: {known}" in unknown.stderr


def test_the_help_says_which_kinds_must_be_named(descgen: Run) -> None:
    unnamed = sorted(set(built_in_kinds()) - {prompt.kind for prompt in choose_prompts([], [])})
    assert f"[all but {' and '.join(unnamed)}]" in " ".join(descgen("build", "--help").stdout.split())


def test_render_shows_what_would_be_sent(descgen: Run, colours: Path, database: Path) -> None:
    assert descgen("prompts", "render", "colours", "--action", "yo-yo", "-t", colours).stdout == (
        "[system]\nYou name colours.\n\n"
        "[user]\nAction: raking hay\n\n"
        '[assistant]\n{"objects": ["yellow", "blue"]}\n\n'
        "[user]\nAction: yo-yo\n"
    )
    rendered = json.loads(descgen("prompts", "render", "context", "-a", "YoYo", "-d", "ucf101", "--json").stdout)
    [prompt] = load_prompts(["context"])
    [yo_yo] = [action for action in Store.open("sqlite://").dataset("ucf101").actions if action.name == "YoYo"]
    assert rendered["messages"] == list(prompt.request(yo_yo).messages)
    assert (rendered["output_schema"], rendered["max_tokens"]) == (prompt.output_schema, prompt.max_tokens)
    unknown = descgen("prompts", "render", "context", "-a", "YoYos", "-d", "ucf101")
    assert unknown.exit_code == 2
    assert "ucf101 has no action YoYos" in unknown.stderr
    assert not database.exists()


def test_all_variables_are_there_and_examples_are_asked_in_the_same_words(descgen: Run, tmp_path: Path) -> None:
    file = tmp_path / "colours.j2"
    source = COLOURS.replace("You name colours.", "You name {{ kind }}{% if dataset %} in {{ dataset }}{% endif %}.")
    file.write_text(source.replace("{{ action }}", "{{ action }} ({{ name }}, {{ dataset }}, {{ kind }})"))
    arguments = ("prompts", "render", "colours", "-t", file, "--json", "-a")
    asked = json.loads(descgen(*arguments, "wave", "-d", "hmdb51").stdout)["messages"]
    assert [message["content"] for message in asked if message["role"] != "assistant"] == [
        "You name colours in hmdb51.",
        "Action: raking hay (raking hay, hmdb51, colours)",
        "Action: waving a hand (wave, hmdb51, colours)",
    ]
    asked = json.loads(descgen(*arguments, "Yo-Yo").stdout)["messages"]
    assert asked[0]["content"] == "You name colours."
    assert asked[-1]["content"] == "Action: Yo-Yo (Yo-Yo, , colours)"


def test_an_own_kind_is_built_listed_and_shown(descgen: Run, llm: FakeLLM, colours: Path, store: Store) -> None:
    llm.enqueue(REPLY, REPLY)
    built = descgen("build", "-d", "hmdb51", "--template", colours, "--limit", "2")
    assert built.exit_code == 0, built.output
    assert built.stdout.startswith("hmdb51: 0 cached, 2 generated, 0 invalid, 0 failed")
    assert llm.history[-1].messages[-1]["content"] == "Action: doing a cartwheel"
    written = store.descriptors(store.dataset("hmdb51"))
    assert [(d.action, d.kind, d.text) for d in written] == [
        ("brush_hair", "colours", "red"),
        ("brush_hair", "colours", "white"),
        ("cartwheel", "colours", "red"),
        ("cartwheel", "colours", "white"),
    ]
    assert {d.template for d in written} == {hashlib.sha256(COLOURS.encode()).hexdigest()}
    listed = descgen("list", "-d", "hmdb51", "--kind", "colours").stdout.splitlines()
    assert listed[2].split() == ["0", "brush_hair", "brushing", "hair", "2"]
    assert descgen("show", "-d", "hmdb51", "-a", "cartwheel", "--kind", "colours").stdout == (
        "cartwheel (doing a cartwheel)\n└── colours, by fake\n    ├── red  [pending]\n    └── white  [pending]\n"
    )
    for command in ("list", "show"):
        unknown = descgen(command, "-d", "hmdb51", "-k", "colour")
        assert unknown.exit_code == 2
        assert "Unknown kind 'colour'. Did you mean colours? Known: colours, context, contrast" in unknown.stderr


def test_which_kinds_a_build_takes(descgen: Run, llm: FakeLLM, colours: Path) -> None:
    def built(*arguments: object) -> list[str]:
        result = descgen("build", "-d", "hmdb51", "--limit", "1", "--json", *arguments)
        return json.loads(result.stdout)["kinds"] if result.exit_code == 0 else [result.stderr]

    llm.enqueue(REPLY)
    assert built("-t", colours) == ["colours"]
    assert built("-t", colours, "-k", "colours", "-k", "context") == ["colours", "context"]
    assert built("-t", colours, "-k", "context") == ["context"]
    [unknown] = built("-t", colours, "-k", "colour")
    assert "Unknown kind 'colour'. Did you mean colours? Known: colours, context, contrast" in unknown


def test_a_folder_and_a_replaced_built_in_kind(descgen: Run, llm: FakeLLM, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("not a template")
    (folder / "b.j2").write_text(COLOURS)
    (folder / "a.j2").write_text(COLOURS.replace("kind: colours", "kind: context"))
    llm.enqueue(REPLY, REPLY)
    built = descgen("build", "-d", "hmdb51", "--limit", "1", "--template", folder, "--json")
    assert json.loads(built.stdout)["kinds"] == ["context", "colours"]
    assert {request.messages[0]["content"] for request in llm.history} == {"You name colours."}
    (folder / "c.j2").write_text(COLOURS)
    twice = descgen("prompts", "list", "-t", folder)
    assert twice.exit_code == 2
    assert f"{folder / 'b.j2'} and {folder / 'c.j2'} are both of the kind colours" in " ".join(twice.stderr.split())
    for missing in (tmp_path / "none.j2", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        result = descgen("build", "-d", "hmdb51", "-t", missing)
        assert result.exit_code == 2
        assert f"No template at {missing}" in result.stderr


BROKEN = """\
---
kind: My Colours
version: true
max_tokens: 0
colour: red
output:
  type: object
  properties:
    objects:
      type: array
      items: {type: string, maxLength: 9, pattern: "^[a-z]+$"}
    shade: {type: string, pattern: "["}
    count: {type: integer}
  required: [objects, tint]
examples:
  - action: raking hay
    reply: {objects: [Yellow], shade: dark, count: 1}
  - reply: {}
---
Be kind.
{% block user -%}
{{ acton }} {{ objct }}
{{ kind.__class__ }} {{ acton }}
{%- endblock %}
"""


def test_check_names_every_fault_of_every_template(descgen: Run, colours: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.j2"
    broken.write_text(BROKEN)
    (tmp_path / "bytes.j2").write_bytes(b"\xff\xfe")
    result = descgen("prompts", "check", broken, colours, tmp_path / "bytes.j2")
    assert result.exit_code == 1
    assert result.stdout.replace(f"{tmp_path}/", "").splitlines() == [
        "broken.j2: kind is 'My Colours', not a name of a-z, 0-9, _ and - that begins with a letter",
        "broken.j2: version is True, not a whole number from 1 to 2147483647",
        "broken.j2: about is missing: a line of text",
        "broken.j2: max_tokens is 0, not a whole number from 1 to 2147483647",
        "broken.j2: unknown in the front matter: colour. "
        "Known: kind, version, about, max_tokens, output, examples",
        "broken.j2: output, at $.properties.shade.pattern: '[' is not a 'regex'",
        "broken.j2: output, at $: every property must be required; add shade, count",
        "broken.j2: output, at $: required, but no property: tint",
        "broken.j2: output, at $: additionalProperties must be false",
        "broken.j2: output, at $.properties.objects.items: not every LLM supports maxLength (OpenAI's strict mode); "
        "give the length in the pattern. Known for string: enum, pattern",
        "broken.j2: output, at $.properties.count: its type is 'integer'; texts are 'string', in 'array' or 'object'",
        "broken.j2: example 1 (raking hay): 'Yellow' would be stored as 'yellow'; write it that way",
        "broken.j2: example 2: must have action (text) and reply",
        "broken.j2: no block system",
        "broken.j2: line 20: text or code outside the blocks system and user would never be sent",
        "broken.j2: line 23: the sandbox gives no access to __class__",
        "broken.j2: block user: unknown variables: acton (line 22), objct (line 22). "
        "Known variables: action, dataset, kind, name, rivals",
        "broken.j2: block user: it does not use action, so every class would get the same prompt",
        "colours.j2: good",
        "bytes.j2: it is not a text file in UTF-8",
    ]  # fmt: skip
    assert result.stderr == "Error: 2 of 3 templates cannot be used\n"
    as_json = json.loads(descgen("prompts", "check", tmp_path, "--json").stdout[:-1])
    assert [len(row["faults"]) for row in as_json] == [18, 1, 0]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (COLOURS, "", "a template begins with front matter in YAML between two lines of ---"),
        ("---\nkind", "kind", "a template begins with front matter in YAML between two lines of ---"),
        ("version: 1", "version: [1", "line 4: the front matter is not YAML: expected ',' or ']', but got ':'"),
        ("version: 1\n", "", "version is missing: a whole number from 1"),
        ("kind: colours", "kind: 7", "kind is 7, not a name of a-z, 0-9, _ and - that begins with a letter"),
        ("  type: object", "  type: objekt", "output: its type is 'objekt', not 'object'"),
        (
            'pattern: "^[a-z]+$"',
            "$ref: 'http://x/y'",
            "output, at $.properties.objects.items: not every LLM supports $ref",
        ),
        (
            'pattern: "^[a-z]+$"',
            "$ref: '#/properties/objects/items'",
            "output, at $.properties.objects.items: not every",
        ),
        ("[objects]\n", "objects\n", "output, at $.required: 'objects' is not of type 'array'"),
        ("    objects:\n", "    yes:\n", "output, at $: property True is no text; put it in quotes"),
        ("[yellow, blue]", "[yellow]", "example 1 (raking hay), at $.objects: ['yellow'] is too short"),
        ("[yellow, blue]", "[yellow, no]", "example 1 (raking hay), at $.objects[1]: False is not of type 'string'"),
        (
            "[yellow, blue]",
            "[blue, red.]",
            "example 1 (raking hay): 'red.' would be stored as 'red'; write it that way",
        ),
        ("{{ action }}", "{{ action", "line 25: expected token 'end of print statement', got '{'"),
        ("{{ action }}", "{{ action | uper }}", "line 24: No filter named 'uper'."),
        ("{{ action }}", "{{ [action] | random }}", "line 24: No filter named 'random'."),
        ("{% block user", "{% block question", "no block user"),
        ("You name", "For {{ action }} name", "block system: unknown variables: action (line 21)"),
        ("{{ action }}", "{{ action.colour }}", "block user: 'str object' has no attribute 'colour'"),
        ("{{ action }}", "{{ action.__class__ }}", "line 24: the sandbox gives no access to __class__"),
        ("{{ action }}", "{{ action | attr('__class__') }}", "block user: access to attribute '__class__' of 'str'"),
        ("{{ action }}", "{{ action + 1 }}", "block user: can only concatenate str"),
        ("{{ action }}", "{{ action }}{% include 'x' %}", "line 24: a template cannot include"),
        ("{% block user", "{% set a = 1 %}{% block user", "line 23: text or code outside the blocks system and user"),
        ("{{ action }}", "the same", "block user: it does not use action, so every class would get the same prompt"),
    ],
)
def test_a_fault_is_reported_with_its_place(old: str, new: str, fault: str, tmp_path: Path) -> None:
    assert old in COLOURS
    with pytest.raises(UserError) as caught:
        prompt_of(COLOURS.replace(old, new, 1), tmp_path)
    assert f"my.j2: {fault}" in str(caught.value)


def test_a_build_with_faulty_templates_names_them_all_and_asks_nothing(
    descgen: Run, llm: FakeLLM, tmp_path: Path
) -> None:
    (tmp_path / "a.j2").write_text(COLOURS.replace("{{ action }}", "{{ acton }}"))
    (tmp_path / "b.j2").write_text(COLOURS.replace("version: 1\n", ""))
    result = descgen("build", "-d", "hmdb51", "-t", tmp_path)
    assert result.exit_code == 1
    assert "a.j2: block user: unknown variables: acton (line 24)" in result.stderr
    assert "b.j2: version is missing" in result.stderr
    assert llm.history == []


def test_the_template_in_the_documents_has_no_faults(tmp_path: Path) -> None:
    document = (Path(__file__).parents[3] / "docs" / "prompts.md").read_text()
    [source] = re.findall(r"^```jinja\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    assert prompt_of(source, tmp_path).kind == "colours"


def test_comments_between_the_blocks_and_macros_inside_are_allowed(tmp_path: Path) -> None:
    quoted = "{% macro quoted(text) %}<{{ text }}>{% endmacro %}{{ quoted(action) }}"
    source = COLOURS.replace("{% block user", "{# why #}{% block user").replace("{{ action }}", quoted)
    prompt = prompt_of(source, tmp_path)
    assert prompt.request(Action(0, "a", "waving")).messages[-1]["content"] == "Action: <waving>"


@pytest.mark.parametrize("arguments", [["list"], ["check"], ["show", "context"], ["render", "context", "-a", "yo-yo"]])
def test_prompts_need_no_model(tmp_path: Path, arguments: list[str]) -> None:
    words = ["--db", str(tmp_path / "none.db"), "prompts", *arguments]
    code = LIGHT.format(module="descriptor_gen.cli", name="descgen", arguments=words)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_kind_that_was_built_once_stays_known(
    descgen: Run, llm: FakeLLM, colours: Path, store: Store, tmp_path: Path
) -> None:
    llm.enqueue(REPLY, REPLY)
    descgen("build", "-d", "hmdb51", "--template", colours, "--limit", "1")
    colours.unlink()
    [row] = [row for row in json.loads(descgen("prompts", "list", "--json").stdout) if row["kind"] == "colours"]
    assert (row["from"], row["sha256"]) == ("the database", hashlib.sha256(COLOURS.encode()).hexdigest())
    assert descgen("prompts", "show", "colours").stdout == COLOURS
    assert descgen("prompts", "render", "colours", "-a", "yo-yo").stdout.endswith("Action: yo-yo\n")
    built = descgen("build", "-d", "hmdb51", "-k", "colours", "--limit", "2")
    assert built.stdout.startswith("hmdb51: 1 cached, 1 generated")
    assert "colours" not in built.stderr
    unknown = descgen("build", "-d", "hmdb51", "-k", "colour")
    assert "Unknown kind 'colour'. Did you mean colours? Known: colours, context, contrast" in unknown.stderr


def test_of_several_templates_of_a_kind_the_newest_is_taken_and_told(
    descgen: Run, llm: FakeLLM, colours: Path, store: Store
) -> None:
    edited = COLOURS.replace("You name colours.", "You name two colours.")
    for source in (COLOURS, edited):
        colours.write_text(source)
        llm.enqueue(REPLY)
        descgen("build", "-d", "hmdb51", "--template", colours, "--limit", "1")
    llm.enqueue(REPLY)
    built = descgen("build", "-d", "hmdb51", "-k", "colours", "--limit", "2")
    assert built.stdout.startswith("hmdb51: 1 cached, 1 generated")
    assert llm.history[-1].messages[0]["content"] == "You name two colours."
    digest = hashlib.sha256(edited.encode()).hexdigest()[:12]
    assert f"colours: template {digest} of the database, the newest of 2; others: --template" in built.stderr
    assert descgen("prompts", "show", "colours").stdout == edited


def test_a_built_in_kind_is_replaced_by_a_file_alone_and_never_silently(
    descgen: Run, llm: FakeLLM, tmp_path: Path, store: Store
) -> None:
    file = tmp_path / "mine.j2"
    file.write_text(COLOURS.replace("kind: colours", "kind: context"))
    llm.enqueue(REPLY)
    replaced = descgen("build", "-d", "hmdb51", "--template", file, "--limit", "1")
    assert f"context: {file} replaces the built-in template of that kind" in replaced.stderr
    built = descgen("build", "-d", "hmdb51", "-k", "context", "--limit", "1")
    assert built.exit_code == 0, built.output
    assert "replaces" not in built.stderr
    assert llm.history[-1].messages[0]["content"] != "You name colours."
    [row] = [row for row in json.loads(descgen("prompts", "list", "--json").stdout) if row["kind"] == "context"]
    assert row["from"] == "built in"


def test_a_stored_template_that_this_version_refuses_is_told(descgen: Run, store: Store) -> None:
    from db.records import GeneratedTexts, LLMIdentity, Template

    template = Template("colours", 1, "0" * 64, "no front matter")
    store.register(store.dataset("hmdb51"))
    store.save(store.dataset("hmdb51"), LLMIdentity("p", "m", ""), template, list[GeneratedTexts]())
    refused = descgen("prompts", "show", "colours")
    assert refused.exit_code == 1
    assert "The template of colours in the database cannot be used by this version: a template begins" in refused.stderr
