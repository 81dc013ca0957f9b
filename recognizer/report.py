"""Runs and rankings for people: every number with its protocol, its videos, its interval, and the label-only row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from db.records import Dataset, Descriptor, Run
from recognizer.evaluate import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.predict import Ranking

WEAK = "encoder objects is weak: it is there to try everything without a download; for real numbers use CLIP"
_FEW = 100  # videos below which a table says that it shows no more than that everything works


def run_report(run: Run) -> RenderableType:
    """Return everything that one run says."""
    settings = run.settings
    lines = [
        f"protocol {settings['protocol']} · encoder {settings['encoder']} · method {settings['method']} · "
        f"{settings['frames']} frames · {settings['layout']}",
        f"descriptors: {len(run.descriptor_ids)} ({', '.join(settings['kinds'])}) by {', '.join(settings['llms'])}, "
        + ", ".join(f"{count} {status}" for status, count in settings["statuses"].items()),
        "videos: " + ", ".join(f"{count} {name}" for name, count in run.counts.items() if count or name == "evaluated"),
        *_unreadable(run),
        *_warnings(run),
    ]
    number = f"run {run.id} · " if run.id else ""
    title = f"{number}{run.dataset} · {run.seconds:.1f} seconds"
    return Group(Text(title, style="bold"), Text("\n".join(lines)), Text(), _accuracies(run))


def _unreadable(run: Run) -> list[str]:
    return [f"unreadable: {video}: {reason}" for video, reason in run.left_out if reason != "missing"]


def _warnings(run: Run) -> list[str]:
    warnings = [WEAK] if run.settings["encoder"] == "objects" else []
    cut = run.settings["texts_cut"]
    if cut:
        warnings.append(
            f"{len(cut)} texts are longer than the encoder's {run.settings['context_length']} tokens and were cut "
            f"(all of them: --json), such as: {cut[0]}"
        )
    if run.counts["evaluated"] < _FEW:
        warnings.append(f"{run.counts['evaluated']} videos are too few to compare anything: see the intervals")
    return warnings


def _accuracies(run: Run) -> RenderableType:
    rows = run.results["rows"]
    body = [_accuracy_row(name, rows[name]) for name in (LABEL_ONLY, WITH_DESCRIPTORS)]
    for split, of_split in run.results.get("splits", {}).items():
        body += [_accuracy_row(f"{name}, split {split}", of_split[name]) for name in (LABEL_ONLY, WITH_DESCRIPTORS)]
    return table("texts", ">videos", ">top-1 %", ">top-5 %", ">mean per class %", rows=body)


def _accuracy_row(name: str, values: Mapping[str, Any]) -> tuple[object, ...]:
    return (name, values["videos"], *(percent(values[key]) for key in ("top1", "top5", "mean_per_class")))


def percent(rate: Mapping[str, float]) -> str:
    """Return a share in percent with its 95% interval, as `41.2 [38.0, 44.5]`."""
    return f"{100 * rate['value']:.1f} [{100 * rate['low']:.1f}, {100 * rate['high']:.1f}]"


def run_table(runs: Sequence[Run]) -> RenderableType:
    """Return one row for each run."""
    body = [
        (
            run.id,
            f"{run.created_at:%Y-%m-%d %H:%M}" if run.created_at else "",
            run.dataset,
            run.settings["encoder"],
            run.settings["protocol"],
            "+".join(run.settings["kinds"]),
            f"{run.counts['evaluated']}/{run.counts['listed']}",
            percent(run.results["rows"][LABEL_ONLY]["top1"]),
            percent(run.results["rows"][WITH_DESCRIPTORS]["top1"]),
        )
        for run in runs
    ]
    columns = (">run", "UTC", "dataset", "encoder", "protocol", "kinds", ">videos", ">label only, top-1 %", ">top-1 %")
    return table(*columns, rows=body)


def ranking_report(
    dataset: Dataset, rankings: Sequence[Ranking], descriptors: Sequence[Descriptor], settings: Mapping[str, Any]
) -> RenderableType:
    """Return the rankings of videos, and what they were made with."""
    made = f"{len(descriptors)} descriptors" if descriptors else "no descriptors: labels alone"
    note = (
        f"{len(dataset.actions)} classes of {dataset.name}, {made} · protocol {settings['protocol']} · "
        f"encoder {settings['encoder']} · {settings['frames']} frames · score: cosine"
    )
    parts: list[RenderableType] = [Text(note), *([Text(WEAK)] if settings["encoder"] == "objects" else [])]
    for ranking in rankings:
        parts += [Text(), _ranking_table(ranking)]
    return Group(*parts)


def _ranking_table(ranking: Ranking) -> RenderableType:
    if ranking.unreadable:
        return Text(f"{ranking.video}\nunreadable: {ranking.unreadable}")
    body = [(c.rank, c.phrase, f"{c.score:.3f}", c.label_only_rank) for c in ranking.candidates]
    rows = table(">rank", "class", ">score", ">rank by label only", rows=body)
    return Group(Text(ranking.video, style="bold"), rows)
