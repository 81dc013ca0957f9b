"""The results of a sweep: a table, rows for CSV and JSON, and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from db.local_paths import public_settings, without_folders
from db.records import Run
from recognizer.evaluation.csv_files import write_rows
from recognizer.evaluation.html import interval, signed_interval
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.evaluation.tables import cautions, classes_scored_without, counts_line, method_notes, over_groups

CHOICES = ("protocol", "kinds", "method", "templates", "condition", "names", "llm", "status", "pooling")


def row_of(run: Run) -> dict[str, Any]:
    """Return one evaluation of a sweep as a flat row; rates are 0 to 1, with their 95% intervals."""
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
        "texts": settings["choice"].get("texts") or "",
        "classes_without": " ".join(f"{kind}:{count}" for kind, count in settings["classes_without"].items()),
        "texts_cut": len(settings["texts_cut"]),
        "videos": with_descriptors["videos"],
        **_flat("top1", with_descriptors["top1"]),
        **_flat("top5", with_descriptors["top5"]),
        **_flat("mean_per_class", with_descriptors["mean_per_class"]),
        "log_loss": run.results["log_loss"][WITH_DESCRIPTORS],
        **_flat("label_only_top1", label_only["top1"]),
        **_flat("gain", run.results["gain"]["top1"]),
        "corrected_p": run.results["corrected_p"],
    }


def _choices(settings: Mapping[str, Any]) -> dict[str, str]:
    choice = settings["choice"]
    return {
        "protocol": settings["protocol"],
        "kinds": "+".join(settings["kinds"]) or "label",
        "method": settings["method"],
        "templates": settings["templates"],
        "condition": "yes" if settings["condition"] else "no",
        "names": choice.get("names", "off"),
        "llm": "+".join(choice.get("llms") or ([choice["llm"]] if choice.get("llm") else [])),
        "status": "any" if "pending" in choice["statuses"] else "accepted",
        "pooling": settings["pooling"] + (" of unit frames" if settings["unit_frames"] else ""),
    }


def _flat(name: str, rate: Mapping[str, float]) -> dict[str, float]:
    return {name: rate["value"], f"{name}_low": rate["low"], f"{name}_high": rate["high"]}


def _varying(runs: Sequence[Run]) -> list[str]:
    """Return the names of the choices that differ between the runs."""
    choices = [_choices(run.settings) for run in runs]
    return [name for name in CHOICES if len({choice[name] for choice in choices}) > 1]


def sweep_report(runs: Sequence[Run]) -> RenderableType:
    """Return the evaluations as a table, best first: lines with shared choices, columns for the others."""
    first, shared, varying = runs[0], _choices(runs[0].settings), _varying(runs)
    lines = [
        f"encoder {first.settings['encoder']} · {first.settings['frames']} frames · {first.settings['layout']}",
        " · ".join(f"{name} {shared[name]}" for name in CHOICES if name not in varying and _is_shown(name, shared)),
        *dict.fromkeys(f"texts of {pack}" for run in runs if (pack := run.settings["choice"].get("texts"))),
        *_partial(runs),
        counts_line(first),
        *dict.fromkeys(note for run in runs for note in method_notes(run.settings)),
        *_cut(runs),
        *over_groups(first.results["rows"][LABEL_ONLY]["groups"], first.counts["evaluated"]),
        *cautions(first),
    ]
    body = [(number, *_cells(run, varying)) for number, run in enumerate(runs, start=1)]
    measured = (">videos", ">top-1 %", ">label only %", ">gain", ">corrected p")
    columns = (">", *varying, *measured, *((">run",) if first.id else ()))
    caution = (
        f"corrected p: that a gain is chance, for the best of {len(runs)}. {_elsewhere(first)}"
        "To test whether two differ: --store, then recognize compare RUN RUN"
    )
    title = Text(f"{first.dataset} · {len(runs)} evaluations", style="bold")
    return Group(title, Text("\n".join(lines)), Text(), table(*columns, rows=body), Text(), Text(caution))


def _is_shown(name: str, shared: Mapping[str, str]) -> bool:
    return bool(shared[name]) and (name, shared[name]) != ("names", "off")


def _elsewhere(best: Run) -> str:
    """Return a sentence on what the best of a sweep is worth on videos that did not choose it."""
    worth = best.results.get("best_of")
    if not worth:
        return ""
    here, top1, gain, deviation = (100 * worth[name] for name in ("here", "top1", "gain", "deviation"))
    return (
        f"The best of {worth['evaluations']} on one half of the videos has {here:.1f}% there and {top1:.1f}% on the "
        f"other half, {gain:+.1f} ± {deviation:.1f} points against labels alone (means of {worth['halves']} halvings). "
    )


def _cells(run: Run, varying: Sequence[str]) -> tuple[object, ...]:
    row, rows, choices = row_of(run), run.results["rows"], _choices(run.settings)
    return (
        *(choices[name].replace("+", " + ") for name in varying),
        row["videos"],
        interval(rows[WITH_DESCRIPTORS]["top1"]),
        interval(rows[LABEL_ONLY]["top1"]),
        signed_interval(run.results["gain"]["top1"]),
        f"{run.results['corrected_p']:.4f}",
        *((run.id,) if run.id else ()),
    )


def _partial(runs: Sequence[Run]) -> list[str]:
    missing: dict[str, int] = {}
    for run in runs:
        for kind, count in run.settings["classes_without"].items():
            missing[kind] = max(count, missing.get(kind, 0))
    return classes_scored_without(missing)


def _cut(runs: Sequence[Run]) -> list[str]:
    most = max(len(run.settings["texts_cut"]) for run in runs)
    limit = runs[0].settings["context_length"]
    line = f"up to {most} texts of an evaluation are longer than the encoder's {limit} tokens and were cut"
    return [f"{line} (texts_cut of --csv and --json)"] if most else []


def write_csv(runs: Sequence[Run], path: Path) -> None:
    """Write the rows of `row_of`, with a header."""
    rows = [public_settings(row_of(run)) for run in runs]
    write_rows(path, list(rows[0]), rows)


def draw(runs: Sequence[Run], path: Path) -> None:
    """Draw the top-1 of each evaluation with its interval, best on top, and the top-1 of its labels alone."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.4 + 0.24 * len(runs)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rows = range(len(runs))
    labels = [100 * run.results["rows"][LABEL_ONLY]["top1"]["value"] for run in runs]
    axes.plot(labels, rows, "|", color="0.55", markersize=9, markeredgewidth=1.5, label="labels alone")
    rates = [run.results["rows"][WITH_DESCRIPTORS]["top1"] for run in runs]
    low, value, high = ([100 * rate[name] for rate in rates] for name in ("low", "value", "high"))
    axes.hlines(rows, low, high, color="#1f5fa8", linewidth=1)
    axes.plot(value, rows, "o", color="#1f5fa8", markersize=5, label="with descriptors")
    axes.set_yticks(rows, [without_folders(name) for name in _names(runs)], fontsize=7)
    axes.set_ylim(len(runs) - 0.5, -0.5)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(f"top-1 % of {runs[0].counts['evaluated']} videos, with 95% intervals", fontsize=8)
    axes.set_title(f"{runs[0].dataset}, {without_folders(runs[0].settings['encoder'])}", fontsize=10, loc="left")
    figure.legend(loc="outside upper right", fontsize=7, ncols=2, frameon=False)
    figure.savefig(path, dpi=150)


def _names(runs: Sequence[Run]) -> list[str]:
    """Return a name for each evaluation, of its choices that differ."""
    varying, names = _varying(runs), []
    for run in runs:
        choices = _choices(run.settings)
        choices["condition"] = "after the label" if choices["condition"] == "yes" else ""
        names.append(" · ".join(choices[name] for name in varying if choices[name]) or choices["method"])
    return names
