"""Templates of users that loop, recurse, grow or break the reader: refused in one line, and soon."""

from __future__ import annotations

import resource
from itertools import pairwise
from pathlib import Path

import pytest

from db.records import GeneratedTexts, LLMIdentity, Template
from db.store import Store
from descriptor_gen.llms.testing import FakeLLM
from tests.fixtures.commands import Run

TEMPLATE = """\
---
kind: colours
version: 1
about: The two colours that are seen most.
max_tokens: 40
output:
  type: object
  properties: {colour: {type: string, pattern: "^[a-z ]+$"}}
  required: [colour]
  additionalProperties: false
examples:
  - action: raking hay
    reply: {colour: yellow}
---
{% block system %}You name colours.{% endblock %}
{% block user %}Action: {{ action }}{% endblock %}
"""
SOON = 20.0  # processor seconds of a command with all that it starts; what ran on would take hours

LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
DOUBLING = "{% set box = namespace(x='xx') %}{% for i in range(60) %}{% set box.x = box.x ~ box.x %}{% endfor %}"
RECURSION = "{% macro again(n) %}{{ again(n + 1) }}{% endmacro %}{{ again(0) }}"
IN_A_BLOCK = {
    "endless loop": (LOOP, "it takes too long"),
    "recursion": (RECURSION, "its macros call each other without end"),
    "output of 1 GB": ("{{ 'x' * 10**9 }}", "it needs more than 256 MiB of memory"),
    "output that doubles": (DOUBLING, "it needs more than 256 MiB of memory"),
    "output of 200,000 characters": ("{{ action * 40000 }}", "characters; 100000 at most"),
    "huge power": ("{{ 10**(10**8) }}", "it takes too long"),
    "huge integer": ("{{ 10**5000 }}", "an integer has more than 4300 digits"),
    "huge range": ("{% for a in range(10**12) %}{% endfor %}", "Range too big"),
    "huge format": ("{{ '%1000000000d' | format(3) }}", "it needs more than 256 MiB of memory"),
    "deep expression": ("{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}", "too many brackets inside each other"),
    "regular expression that backtracks": ("", "it takes too long"),
}
IN_THE_FRONT = {
    "version of 400 digits": ("version: 1", f"version: 1{'0' * 400}", "not a whole number from 1 to 2147483647"),
    "version of 5,000 digits": (
        "version: 1",
        f"version: 1{'0' * 5000}",
        "the front matter is not YAML: an integer has more",
    ),
    "brackets 10,000 deep": ("version: 1", f"version: {'[' * 10_000}", "too many brackets inside each other"),
    "aliases in a circle": ("version: 1", "version: &a [*a]", "do its aliases (*name) lead in a circle?"),
    "aliases that multiply": (
        "version: 1",
        "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + "".join(f"{after}: &{after} [{','.join([f'*{before}'] * 10)}]\n" for before, after in pairwise("abcdefghi")),
        "do its aliases (*name) lead in a circle?",
    ),
    "a date": (
        'pattern: "^[a-z ]+$"',
        "enum: [yellow, 2020-01-01]",
        "type date is not JSON serializable): put it in quotes",
    ),
    "a long name": ("kind: colours", f"kind: {'K' * 100_000}", "... (shortened)"),
    "too long": ("version: 1", f"version: 1  # {'x' * 300_000}", "256 KiB, the most that is read"),
    "lone surrogate": ("You name", '{{ "\\ud800" }} name', "holds the character '\\ud800'"),
}
SLOW = ("huge power", "regular expression that backtracks")  # 3 seconds each, as the endless loop has


def source(name: str) -> tuple[str, str]:
    """Return a template with a fault, and what is said of it."""
    if name == "regular expression that backtracks":
        slow = TEMPLATE.replace("^[a-z ]+$", "^(([a-z])+.)+[A-Z]([a-z])+$").replace("yellow", "a" * 60)
        return slow, IN_A_BLOCK[name][1]
    if name in IN_A_BLOCK:
        code, said = IN_A_BLOCK[name]
        return TEMPLATE.replace("Action: ", f"Action: {code}"), said
    old, new, said = IN_THE_FRONT[name]
    return TEMPLATE.replace(old, new, 1), said


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in (*IN_A_BLOCK, *IN_THE_FRONT)],
)
def test_a_template_that_does_not_end_or_grows_is_refused_in_one_line(descgen: Run, tmp_path: Path, name: str) -> None:
    file = tmp_path / "mine.j2"
    text, said = source(name)
    file.write_text(text)
    start = processor_seconds()
    result = descgen("prompts", "render", "colours", "-t", file, "-a", "raking")
    assert processor_seconds() - start < SOON
    assert result.exit_code == 1, result.output
    [line] = result.stderr.splitlines()
    assert str(file) in line
    assert said in line
    assert len(line) < 1000


@pytest.fixture
def late_loop(tmp_path: Path) -> Path:
    """A template that passes its check, and loops for the class `chew` alone."""
    file = tmp_path / "late.j2"
    file.write_text(TEMPLATE.replace("Action: ", f"{{% if name == 'chew' %}}{LOOP}{{% endif %}}Action: "))
    return file


def test_a_build_with_a_template_that_loops_for_one_class_asks_nothing(
    descgen: Run, llm: FakeLLM, late_loop: Path, tmp_path: Path
) -> None:
    refused = descgen("build", "-d", "hmdb51", "--template", late_loop)
    assert refused.exit_code == 1
    told = f"Error: Template colours ({late_loop}), it takes too long. Make its loops, recursion and numbers smaller"
    assert told in refused.stderr.splitlines()
    assert llm.history == []
    (good := tmp_path / "good.j2").write_text(TEMPLATE)
    llm.enqueue('{"colour": "brown"}')
    assert descgen("build", "-d", "hmdb51", "--template", good, "--limit", "1").exit_code == 0
    assert llm.history[-1].messages[-1]["content"] == "Action: brushing hair"


def test_a_template_of_the_database_has_the_same_limits(descgen: Run, store: Store) -> None:
    text, said = source("output of 1 GB")
    store.register(dataset := store.dataset("hmdb51"))
    store.save(dataset, LLMIdentity("p", "m", ""), Template("colours", 1, "0" * 64, text), list[GeneratedTexts]())
    refused = descgen("build", "-d", "hmdb51", "-k", "colours")
    assert refused.exit_code == 1
    [line] = refused.stderr.splitlines()
    assert line.startswith("Error: The template of colours in the database cannot be used by this version: ")
    assert said in line
