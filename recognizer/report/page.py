"""The findings about a run as one HTML page, complete without network, other files or scripts."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from db.local_paths import public_names, public_run, without_folders
from db.records import Run
from recognizer.evaluation.html import fill_template, signed
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.evaluation.tables import cautions, over_groups
from recognizer.report.confusion import LEVELS, Confusion, draw_matrix
from recognizer.report.findings import Findings, Sort
from recognizer.report.provenance import facts
from recognizer.scoring.metrics import MEASURES
from recognizer.video.pictures import strip_in
from recognizer.video.pool import Decoding, Pool
from recognizer.video.thumbnails import Strip

SHOWN_TEXTS = 8  # of a sample
_SORTS: dict[Sort, tuple[str, str]] = {
    "won": ("Won by the descriptors", "labels alone were wrong, with descriptors right"),
    "lost": ("Lost by the descriptors", "labels alone were right, with descriptors wrong"),
    "right": ("Right by both", "largest lead of the best class"),
    "wrong": ("Wrong by both", "largest lead of a wrong class"),
}
_MEASURED = dict(zip(MEASURES, ("Top-1", "Top-5", "Mean per class"), strict=True))


def write_page(findings: Findings, file: Path, *, decoding: Decoding | None = None) -> int:
    """Write the page to a file; return how many of the sample videos have frames on it.

    `decoding` is how their videos are read; None: as by default.
    """
    run = public_run(findings.run)
    videos = [sample.chosen.prediction.video for sample in findings.samples]
    with Pool(decoding or Decoding()) as pool:
        strips = {video: _public_strip(findings.paths.get(video), pool) for video in videos}
    page = fill_template(
        "recognizer.report",
        "report.html",
        {
            "percent": lambda share: f"{100 * share:.1f}",
            "signed": signed,
            "chance": lambda p: f"p = {p:.3f}" if p >= 0.001 else "p < 0.001",
        },
        findings=findings,
        **_about_run(run, findings),
        strips=strips,
        video_names=public_names(videos),
        **_charts(run, findings),
        **_style_and_script(),
    )
    file.write_text(page, encoding="utf-8")
    return sum(not frames.missing for frames in strips.values())


def _about_run(run: Run, findings: Findings) -> dict[str, Any]:
    """Return the facts about a public run, and the words for them."""
    return {
        "run": run,
        "rows": run.results["rows"],
        "label_only": LABEL_ONLY,
        "with_descriptors": WITH_DESCRIPTORS,
        "measured": _MEASURED,
        "facts": facts(run),
        "gone": [without_folders(line) for line in findings.gone],
        "cautions": [
            *over_groups(findings.paired.groups, findings.paired.both),
            *run.results.get("transductive", {}).get("cautions", ()),
            *cautions(run),
        ],
        "rejection": run.results.get("none_of_these"),
        "sorts": _SORTS,
        "shown_texts": SHOWN_TEXTS,
    }


def _charts(run: Run, findings: Findings) -> dict[str, Any]:
    """Return the confusion matrix with the names of its classes, and how to draw the curve of the rejection."""
    names, phrases = zip(*run.settings["classes"], strict=True)
    return {
        "names": names,
        "phrases": phrases,
        "matrix": draw_matrix(findings.confusion, names),
        "cells": _cells(findings.confusion),
        "levels": LEVELS,
        "curve_path": _curve_path,
    }


def _style_and_script() -> dict[str, str]:
    """Return the style and the script of the page, with their hashes."""
    folder = files("recognizer.report") / "templates"
    style, script = ((folder / f"report.{suffix}").read_text("utf-8") for suffix in ("css", "js"))
    return {
        "style": Markup(style),  # noqa: S704 - our own file
        "script": Markup(script),  # noqa: S704 - our own file
        "style_hash": _hash(style),
        "script_hash": _hash(script),
    }


def _public_strip(path: Path | None, pool: Pool) -> Strip:
    frames = strip_in(pool, path)
    return replace(frames, missing=without_folders(frames.missing))


def _curve_path(curve: Sequence[Sequence[float]]) -> str:
    """Return the path of (coverage, top-1) in a picture of 100 x 100, whose y goes down."""
    return "M" + "L".join(f"{100 * coverage:.1f} {100 - 100 * top1:.1f}" for coverage, top1 in curve)


def _hash(text: str) -> str:
    """Return the hash that allows this style or script in a content security policy."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _cells(confusion: Confusion) -> dict[str, Any]:
    """Return the matrix as the script reads it; cells are (column, videos) by row."""
    column = {label: index for index, label in enumerate(confusion.columns)}
    return {
        "rows": confusion.rows,
        "columns": confusion.columns,
        "videos": [confusion.videos[label] for label in confusion.rows],
        "cells": [
            [(column[cell.predicted], cell.videos) for cell in confusion.cells if cell.true == label]
            for label in confusion.rows
        ],
    }
