"""A sweep for people and for other programs: a table, rows for CSV and JSON, and a picture."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from db.errors import UsageError
from db.records import Run
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.evaluation.tables import cautions, percent

CHOICES = ("protocol", "kinds", "method", "templates", "condition", "llm", "status", "pooling")
PICTURES = (".png", ".svg", ".pdf")


def row_of(run: Run) -> dict[str, Any]:
    """Return one evaluation of a sweep as a flat row; shares are between 0 and 1, with their 95% intervals."""
    settings, rows = run.settings, run.results["rows"]
    with_descriptors, label_only = rows[WITH_DESCRIPTORS], rows[LABEL_ONLY]
    return {
        "run": run.id,
        "dataset": run.dataset,
        "encoder": settings["encoder"],
        **_choices(settings),
        "temperature": settings["temperature"],
        "descriptors": len(run.descriptor_ids),
        "by": "+".join(settings["llms"]),
        "texts_cut": len(settings["texts_cut"]),
        "videos": with_descriptors["videos"],
        **_flat("top1", with_descriptors["top1"]),
        **_flat("top5", with_descriptors["top5"]),
        **_flat("mean_per_class", with_descriptors["mean_per_class"]),
        "log_loss": run.results["log_loss"][WITH_DESCRIPTORS],
        **_flat("label_only_top1", label_only["top1"]),
        "gain": with_descriptors["top1"]["value"] - label_only["top1"]["value"],
    }


def _choices(settings: Any) -> dict[str, str]:
    choice = settings["choice"]
    return {
        "protocol": settings["protocol"],
        "kinds": "+".join(settings["kinds"]) or "label",
        "method": settings["method"],
        "templates": settings["templates"],
        "condition": "yes" if settings["condition"] else "no",
        "llm": choice["llm"] or "",
        "status": "any" if "pending" in choice["statuses"] else "accepted",
        "pooling": settings["pooling"],
    }


def _flat(name: str, rate: dict[str, float]) -> dict[str, float]:
    return {name: rate["value"], f"{name}_low": rate["low"], f"{name}_high": rate["high"]}


def sweep_report(runs: Sequence[Run]) -> RenderableType:
    """Return the evaluations, best first: what they have in common above, what differs in columns."""
    first, choices = runs[0], [_choices(run.settings) for run in runs]
    varying = _varying(choices)
    common = [f"{name} {choices[0][name]}" for name in CHOICES if name not in varying and choices[0][name]]
    lines = [
        f"encoder {first.settings['encoder']} · {first.settings['frames']} frames · {first.settings['layout']}",
        " · ".join(common),
        "videos: " + ", ".join(f"{n} {name}" for name, n in first.counts.items() if n or name == "evaluated"),
        *_cut(runs),
        *cautions(first),
    ]
    body = [
        (number, *(choice[name].replace("+", " + ") for name in varying), *_numbers(run))
        for number, (run, choice) in enumerate(zip(runs, choices, strict=True), start=1)
    ]
    columns = (">", *varying, ">videos", ">top-1 %", ">label only %", ">gain", *_run_column(runs))
    title = Text(f"{first.dataset} · {len(runs)} evaluations", style="bold")
    return Group(title, Text("\n".join(lines)), Text(), table(*columns, rows=body), Text(), Text(_caution(runs)))


def _numbers(run: Run) -> tuple[object, ...]:
    row, rows = row_of(run), run.results["rows"]
    stored = (run.id,) if run.id else ()
    return (row["videos"], percent(rows[WITH_DESCRIPTORS]["top1"]), percent(rows[LABEL_ONLY]["top1"]),
            f"{100 * row['gain']:+.1f}", *stored)  # fmt: skip


def _run_column(runs: Sequence[Run]) -> tuple[str, ...]:
    return (">run",) if runs[0].id else ()


def _cut(runs: Sequence[Run]) -> list[str]:
    most = max(len(run.settings["texts_cut"]) for run in runs)
    limit = runs[0].settings["context_length"]
    what = f"up to {most} texts of an evaluation are longer than the encoder's {limit} tokens and were cut"
    return [f"{what} (texts_cut of --csv and --json)"] if most else []


def _caution(runs: Sequence[Run]) -> str:
    return (
        f"The best of {len(runs)} on the videos that chose it is better than it will be on others. "
        "Whether two differ: --store, and recognize compare RUN RUN"
    )


def write_csv(runs: Sequence[Run], path: Path) -> None:
    """Write the rows of `row_of`, with a header."""
    rows = [row_of(run) for run in runs]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def check_outputs(csv_file: Path | None, picture: Path | None) -> None:
    """Raise UsageError where one of the files could not be written; asked before the work, not after it."""
    if picture and picture.suffix.lower() not in PICTURES:
        raise UsageError(f"A picture is one of {', '.join(PICTURES)}, not {picture.name}")
    for path in filter(None, (csv_file, picture)):
        if not path.parent.is_dir():
            raise UsageError(f"There is no folder {path.parent} to write {path.name} to")


def draw(runs: Sequence[Run], path: Path) -> None:
    """Draw top-1 and its interval of each evaluation, best on top, beside that of its labels alone."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.4 + 0.24 * len(runs)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = range(len(runs))
    labels = [100 * run.results["rows"][LABEL_ONLY]["top1"]["value"] for run in runs]
    axes.plot(labels, places, "|", color="0.55", markersize=9, markeredgewidth=1.5, label="labels alone")
    rates = [run.results["rows"][WITH_DESCRIPTORS]["top1"] for run in runs]
    low, value, high = ([100 * rate[name] for rate in rates] for name in ("low", "value", "high"))
    axes.hlines(places, low, high, color="#1f5fa8", linewidth=1)
    axes.plot(value, places, "o", color="#1f5fa8", markersize=5, label="with descriptors")
    axes.set_yticks(places, _names(runs), fontsize=7)
    axes.set_ylim(len(runs) - 0.5, -0.5)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(f"top-1 % of {runs[0].counts['evaluated']} videos, with 95% intervals", fontsize=8)
    axes.set_title(f"{runs[0].dataset}, {runs[0].settings['encoder']}", fontsize=10, loc="left")
    figure.legend(loc="outside upper right", fontsize=7, ncols=2, frameon=False)
    figure.savefig(path, dpi=150)


def _names(runs: Sequence[Run]) -> list[str]:
    """Return what tells each evaluation from the others."""
    choices = [_choices(run.settings) for run in runs]
    said = [{**choice, "condition": "after the label" if choice["condition"] == "yes" else ""} for choice in choices]
    return [
        " · ".join(choice[name] for name in _varying(choices) if choice[name]) or choice["method"] for choice in said
    ]


def _varying(choices: Sequence[dict[str, str]]) -> list[str]:
    return [name for name in CHOICES if len({choice[name] for choice in choices}) > 1]
