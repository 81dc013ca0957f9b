"""What CONTRIBUTING.md says about the code, as far as a program can see it: names, lengths, places."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("db", "descriptor_gen", "encoders", "recognizer", "studio", "tools", "benchmarks")
VAGUE = {"found", "told", "seen", "what"}
STORED = {  # columns of the database and keys of JSON, whose names stay
    "db/records.py",
    "db/schema.py",
    "recognizer/features/maintenance.py",
    "recognizer/features/merge.py",
    "recognizer/features/precision.py",
}
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def named(node: ast.AST) -> str:
    """Return the name that a node gives to a value or function; empty if it gives none."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.FunctionDef(name=name):
            return name
    return ""


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function has after its docstring."""
    first, *rest = function.body
    start = rest[0] if rest and ast.get_docstring(function) is not None else first
    return (function.end_lineno or 0) - start.lineno + 1


def test_names_say_what_the_values_are() -> None:
    vague = {
        f"{place(path)}: {name}"
        for path in MODULES
        if place(path) not in STORED
        for node in nodes(path)
        if (name := named(node)).strip("_").lower() in VAGUE
    }
    assert not vague


def test_no_function_is_longer_than_40_lines() -> None:
    functions = [(path, node) for path in MODULES if "migrations" not in path.parts for node in nodes(path)]
    lengths = {
        f"{place(path)}: {node.name}": body_lines(node)
        for path, node in functions
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(lengths) > 2000  # it did look
    assert {name: lines for name, lines in lengths.items() if lines > 40} == {}


@pytest.mark.parametrize(("package", "rooms"), [("recognizer", 15), ("descriptor_gen", 15), ("studio", 20)])
def test_a_package_has_few_rooms(package: str, rooms: int) -> None:
    entries = [path for path in (ROOT / package).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()]
    assert len(entries) <= rooms, sorted(path.name for path in entries)
