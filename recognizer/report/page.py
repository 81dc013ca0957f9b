"""The findings about a run as one page that needs nothing else: no network, no other file, no script to be whole."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from recognizer.evaluation.page import number, template_environment
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.evaluation.tables import cautions
from recognizer.report.confusion import LEVELS, Confusion, draw_matrix
from recognizer.report.findings import Findings, Sort
from recognizer.report.leave_one_out import Pull
from recognizer.report.provenance import facts
from recognizer.scoring.metrics import MEASURES
from recognizer.video.thumbnails import Strip, strip

SHOWN_TEXTS = 8  # of a sample
_SORTS: dict[Sort, tuple[str, str]] = {
    "won": ("Won by the descriptors", "labels alone were wrong, with descriptors right"),
    "lost": ("Lost by the descriptors", "labels alone were right, with descriptors wrong"),
    "right": ("Right by both", "those in which the first class leads by most"),
    "wrong": ("Wrong by both", "those in which a wrong class leads by most"),
}
_MEASURED = dict(zip(MEASURES, ("Top-1", "Top-5", "Mean per class"), strict=True))


def write_page(found: Findings, file: Path) -> int:
    """Write the page to a file; return how many of the sample videos have frames on it."""
    videos = [sample.chosen.prediction.video for sample in found.samples]
    strips = {video: strip(found.paths.get(video)) for video in videos}
    file.write_text(page(found, strips), encoding="utf-8")
    return sum(not made.missing for made in strips.values())


def page(found: Findings, strips: Mapping[str, Strip]) -> str:
    """Return the page.

    Args:
        found: what it says.
        strips: frames of the samples' videos, by id.
    """
    style, script = (Markup(_source(f"report.{suffix}")) for suffix in ("css", "js"))  # noqa: S704 - our own files
    settings = found.run.settings
    return _environment().get_template("report.html").render(
        found=found,
        run=found.run,
        rows=found.run.results["rows"],
        label_only=LABEL_ONLY,
        with_descriptors=WITH_DESCRIPTORS,
        measured=_MEASURED,
        names=[name for name, _ in settings["classes"]],
        phrases=[phrase for _, phrase in settings["classes"]],
        facts=facts(found.run),
        cautions=cautions(found.run),
        matrix=draw_matrix(found.confusion, [name for name, _ in settings["classes"]]),
        cells=_cells(found.confusion),
        levels=LEVELS,
        sorts=_SORTS,
        strips=strips,
        shown_texts=SHOWN_TEXTS,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )  # fmt: skip


def percent(share: float) -> str:
    """Return a share in percent, as `41.2`."""
    return f"{100 * share:.1f}"


def chance(p: float) -> str:
    """Return a p value as `p = 0.012`."""
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _environment() -> Environment:
    made = template_environment("recognizer.report")
    made.filters |= {"percent": percent, "signed": number, "chance": chance}
    made.tests["against"] = _against
    return made


def _against(pull: Pull) -> bool:
    return pull.pull < 0


def _source(name: str) -> str:
    environment = _environment()
    return environment.loader.get_source(environment, name)[0] if environment.loader else ""


def _hash(text: str) -> str:
    """Return what a content security policy calls this very text by."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _cells(found: Confusion) -> dict[str, Any]:
    """Return the matrix for the script that tells what the pointer is on: by row, [column, videos] of each cell."""
    column = {label: place for place, label in enumerate(found.columns)}
    of_row: dict[int, list[list[int]]] = {label: [] for label in found.rows}
    for cell in found.cells:
        of_row[cell.true].append([column[cell.predicted], cell.videos])
    return {
        "rows": found.rows,
        "columns": found.columns,
        "videos": [found.videos[label] for label in found.rows],
        "cells": [of_row[label] for label in found.rows],
    }
