"""The facts of a pack in words: in its metadata, and when it is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db.errors import UserError
from db.packs import FACTS, Pack
from db.texts import clean


def metadata(facts: Mapping[str, Any]) -> str:
    """Return the METADATA of a pack's wheel."""
    about = f"{facts['texts']} texts about the {facts['classes']} classes of {facts['dataset']}"
    return (
        "Metadata-Version: 2.4\n"
        f"Name: descgen-pack-{facts['name']}\n"
        f"Version: {facts['version']}\n"
        f"Summary: {about}, for video recognition with descgen and recognize\n"
        f"License-Expression: {facts['licence']}\n"
        "Description-Content-Type: text/plain\n\n" + "\n".join(lines(facts)) + "\n"
    )


def facts_lines(pack: Pack) -> list[str]:
    """Return what a user should know about the texts of an installed pack, a line each.

    Raises:
        UserError: a fact is missing, or is of another type.
    """
    try:
        return [f"pack {pack.name} {pack.facts['version']}", *map(clean, lines(pack.facts))]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"The pack {pack.name} is damaged: {FACTS} lacks facts. Install it again") from error


def lines(facts: Mapping[str, Any]) -> list[str]:
    """Return the facts of a pack, a line each."""
    counted = {name: ", ".join(f"{n} {key}" for key, n in facts[name].items()) for name in ("kinds", "review")}
    templates = ", ".join(f"{t['kind']} {t['version']} ({t['sha256'][:8]})" for t in facts["templates"])
    rules = ", ".join(f"{count} {rule}" for rule, count in facts["lint"]["rules"].items())
    lint = f"{facts['lint']['errors']} errors, {facts['lint']['warnings']} warnings" + (f" ({rules})" if rules else "")
    return [
        f"{facts['dataset']}: {facts['texts']} texts about {facts['classes_with_texts']} of {facts['classes']} classes",
        f"licence: {facts['licence']}",
        f"kinds: {counted['kinds']}",
        f"written by: {', '.join(f'{name} ({count})' for name, count in facts['writers'].items())}",
        *(f"model: {m['model']}, {m['provider']}, revision {m['revision'] or 'not given'}" for m in facts["models"]),
        *([f"prompt templates: {templates}"] if templates else []),
        f"review: {counted['review'].replace('by_hand', 'by hand')}",
        f"lint: {lint}",
        *_run_lines(facts["run"]),
    ]


def _run_lines(run: Mapping[str, Any] | None) -> list[str]:
    if run is None:
        return ["run: none"]
    rows = run["rows"]
    accuracies = ", ".join(f"{name} {_interval(row['top1'])}" for name, row in rows.items())
    return [
        f"run: top-1 % {accuracies}; {run['counts']['evaluated']} videos, encoder {run['encoder']}, protocol "
        f"{run['protocol']}, method {run['method']}",
        *(f"controls: {verdict}" for verdict in run["controls"]["verdicts"]),
    ]


def _interval(rate: Mapping[str, float]) -> str:
    return f"{100 * rate['value']:.1f} [{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]"
