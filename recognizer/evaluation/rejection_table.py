"""What rejecting videos costs and gains, as lines and tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from db.commandline import table
from db.records import Run
from recognizer.evaluation.html import interval, signed_interval
from recognizer.evaluation.predict import ClassTexts, Ranking

_ABOUT_AURC = "AURC: error rate, mean over all shares kept; lower is better. Kept by chance it would be 100 - top-1"
_SHOWN = (0.2, 0.4, 0.6, 0.8, 1.0)  # shares of videos kept


def rejection_lines(run: Run) -> list[str]:
    """Return what videos were compared with, and how many of no class there are; nothing if none are rejected."""
    result = run.results.get("none_of_these")
    if not result:
        return []
    background, outside = result["background"], result["outside"]
    counts = ", ".join(f"{count} {name}" for name, count in outside.items() if count or name == "evaluated")
    cut = result["texts_cut"]
    return [
        f"none of these: rejected if the classes have less than {result['threshold']:g} of the probability, against "
        + background_words(run.settings["background"], len(background["texts"]), len(background["same"])),
        *([f"{len(cut)} background texts are too long for the encoder and were cut, such as: {cut[0]}"] if cut else []),
        *([f"videos of no class: {counts}"] if outside["listed"] else ["videos of no class: none listed"]),
    ]


def background_words(source: str, texts: int, same: int) -> str:
    """Return how many background texts there are, and how many were left out."""
    left_out = f"; {same} that mean a class are left out" if same else ""
    return f"{texts} background texts ({source}{left_out})"


def rejection_tables(run: Run, names: Sequence[str]) -> list[RenderableType]:
    """Return the tables of risk and coverage, and of the videos of no class if there are any, for the rows `names`."""
    result = run.results.get("none_of_these")
    if not result:
        return []
    tables = [Text(), _risk_table(result, names), Text(), _curve_table(result, names), Text(_ABOUT_AURC)]
    return [*tables, Text(), _detection_table(result, names)] if "detection" in result else tables


def _risk_table(result: Mapping[str, Any], names: Sequence[str]) -> RenderableType:
    rows, gain = result["rows"], result["gain"]
    body = [
        (
            name,
            row["kept"] + row["rejected"],
            row["rejected"],
            interval(row["coverage"]),
            interval(row["top1_of_kept"]) if row["top1_of_kept"] else "none kept",
            interval(row["aurc"]),
        )
        for name in names
        for row in [rows[name]]
    ]
    if len(names) > 1:
        body.append(
            ("difference, points", "", "", signed_interval(gain["coverage"]), "", signed_interval(gain["aurc"]))
        )
    return table("videos of the classes", ">videos", ">rejected", ">kept %", ">top-1 of kept %", ">AURC %", rows=body)


def _curve_table(result: Mapping[str, Any], names: Sequence[str]) -> RenderableType:
    body = [(name, *(_top1_at(result["rows"][name]["curve"], share) for share in _SHOWN)) for name in names]
    return table("top-1 % if this share is kept", *(f">{100 * share:.0f} %" for share in _SHOWN), rows=body)


def _top1_at(curve: Sequence[Sequence[float]], share: float) -> str:
    """Return the top-1 at the smallest coverage that is at least a share."""
    return f"{100 * next(top1 for coverage, top1 in curve if coverage >= share - 1e-9):.1f}"


def _detection_table(result: Mapping[str, Any], names: Sequence[str]) -> RenderableType:
    rows, gain, rates = result["detection"], result["gain"], ("false_accepts", "auroc", "fpr95")
    body = [
        (name, row["kept"] + row["rejected"], row["rejected"], *(interval(row[rate]) for rate in rates))
        for name in names
        for row in [rows[name]]
    ]
    if len(names) > 1:
        body.append(("difference, points", "", "", "", *(signed_interval(gain[rate]) for rate in rates[1:])))
    return table("videos of no class", ">videos", ">rejected", ">false accepts %", ">AUROC %", ">FPR95 %", rows=body)


def rejected_count(rankings: Sequence[Ranking]) -> str:
    """Return how many videos were rejected, as a part of a sentence; nothing if that was not asked."""
    verdicts = [ranking.verdict for ranking in rankings if ranking.verdict]
    return f", {sum(verdict.rejected for verdict in verdicts)} of none of these classes" if verdicts else ""


def background_line(texts: ClassTexts) -> list[str]:
    """Return a line on the background texts of rankings; nothing if none are used."""
    if not (background := texts.background):
        return []
    words = background_words(background.source, len(background.texts), len(background.same))
    return [f"rejected below {texts.settings.threshold:g}, against {words}"]


def verdict_line(ranking: Ranking) -> list[str]:
    """Return the verdict on a video in words; nothing if that was not asked."""
    if not (verdict := ranking.verdict):
        return []
    answer = "none of these" if verdict.rejected else "one of these"
    return [
        f"{answer}: probability of one of these {verdict.one_of_these:.3f}; best background text: {verdict.background}"
    ]
