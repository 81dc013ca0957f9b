"""Runs, comparisons and impact for people: tables and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from db.records import Dataset, Descriptor, Run
from recognizer.evaluation.compare import ClassChange, Comparison, Paired
from recognizer.evaluation.impact import RunImpact, TextImpact
from recognizer.evaluation.predict import Ranking
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.scoring.metrics import MEASURES, Spread, over_splits
from recognizer.video.sampling import Sampling

WEAK = "encoder objects is weak: it is there to try everything without a download; for real numbers use CLIP"
_FEW = 100  # videos below which a table says that it shows no more than that everything works
_MEASURED = ("texts", ">videos", ">top-1 %", ">top-5 %", ">mean per class %")
_OF_THE_VIDEOS = frozenset(
    ("root", "split", "layout", "ignored", "classes", "statuses", "texts_cut", "readers", "device", "versions")
)


def run_report(run: Run) -> RenderableType:
    """Return everything that one run says."""
    settings = run.settings
    lines = [
        f"protocol {settings['protocol']} · encoder {settings['encoder']} · method {settings['method']} · "
        f"{_looked_at(settings)} · {settings['layout']}",
        *([" · ".join(choices)] if (choices := _choices(settings)) else []),
        _descriptors(run),
        "videos: " + ", ".join(f"{count} {name}" for name, count in run.counts.items() if count or name == "evaluated"),
        *_log_loss(run),
        *_unreadable(run),
        *_warnings(run),
    ]
    number = f"run {run.id} · " if run.id else ""
    title = f"{number}{run.dataset} · {run.seconds:.1f} seconds"
    return Group(Text(title, style="bold"), Text("\n".join(lines)), Text(), _accuracies(run))


def _descriptors(run: Run) -> str:
    if not run.descriptor_ids:
        return "descriptors: none, labels alone"
    kinds, writers = ", ".join(run.settings["kinds"]), ", ".join(run.settings["llms"])
    statuses = ", ".join(f"{count} {status}" for status, count in run.settings["statuses"].items())
    edited = f", {run.settings['edited']} edited" if run.settings.get("edited") else ""
    return f"descriptors: {len(run.descriptor_ids)} ({kinds}) by {writers}, {statuses}{edited}"


def _choices(settings: Mapping[str, Any]) -> list[str]:
    """Return what was chosen beside the protocol and the method; a choice that was left as it is says nothing."""
    said = {
        f"pooling {settings.get('pooling')}": settings.get("pooling", "avg") != "avg",
        f"templates {settings.get('templates')}": settings.get("templates", "protocol") != "protocol",
        "the label before each descriptor": settings.get("condition", False),
        f"temperature {settings.get('temperature')}": settings.get("temperature", 1) != 1,
    }
    return [what for what, so in said.items() if so]


def _log_loss(run: Run) -> list[str]:
    """Return what the probabilities are worth, where their temperature was chosen."""
    if run.settings.get("temperature", 1) == 1:
        return []
    of_row = run.results["log_loss"]
    return [f"log loss: {of_row[LABEL_ONLY]:.3f} by {LABEL_ONLY}, {of_row[WITH_DESCRIPTORS]:.3f} with descriptors"]


def _looked_at(settings: Mapping[str, Any]) -> str:
    return str(Sampling(settings["frames"], settings.get("clips", 1), settings.get("crops", 1)))


def _unreadable(run: Run) -> list[str]:
    return [f"unreadable: {video}: {reason}" for video, reason in run.left_out if reason != "missing"]


def _warnings(run: Run) -> list[str]:
    cut = run.settings["texts_cut"]
    warnings = []
    if cut:
        warnings.append(
            f"{len(cut)} texts are longer than the encoder's {run.settings['context_length']} tokens and were cut "
            f"(all of them: --json), such as: {cut[0]}"
        )
    return [*warnings, *cautions(run)]


def cautions(run: Run) -> list[str]:
    """Return what keeps the numbers of a run, and of any on the same videos, from saying much."""
    few = f"{run.counts['evaluated']} videos are too few to compare anything: see the intervals"
    weak = [WEAK] if run.settings["encoder"] == "objects" else []
    return [*weak, few] if run.counts["evaluated"] < _FEW else weak


def _accuracies(run: Run) -> RenderableType:
    rows = run.results["rows"]
    body = [_accuracy_row(name, rows[name]) for name in (LABEL_ONLY, WITH_DESCRIPTORS)]
    for split, of_split in run.results.get("splits", {}).items():
        body += [_accuracy_row(f"{name}, split {split}", of_split[name]) for name in (LABEL_ONLY, WITH_DESCRIPTORS)]
    over = f"mean of splits {', '.join(run.results.get('splits', {}))}"
    for name, values in run.results.get("over_splits", {}).items():
        body.append(_spread_row(f"{name}, {over}", {key: Spread(**each) for key, each in values.items()}))
    return table(*_MEASURED, rows=body)


def _spread_row(name: str, values: Mapping[str, Spread]) -> tuple[object, ...]:
    return (name, None, *(f"{100 * values[key].mean:.1f} ± {100 * values[key].deviation:.1f}" for key in MEASURES))


def _accuracy_row(name: str, values: Mapping[str, Any]) -> tuple[object, ...]:
    return (name, values["videos"], *(percent(values[key]) for key in MEASURES))


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
            run.settings["method"],
            "+".join(run.settings["kinds"]),
            f"{run.counts['evaluated']}/{run.counts['listed']}",
            percent(run.results["rows"][LABEL_ONLY]["top1"]),
            percent(run.results["rows"][WITH_DESCRIPTORS]["top1"]),
        )
        for run in runs
    ]
    columns = (
        ">run",
        "UTC",
        "dataset",
        "encoder",
        "protocol",
        "method",
        "kinds",
        ">videos",
        ">label only, top-1 %",
        ">top-1 %",
    )
    return table(*columns, rows=body)


def means_of(runs: Sequence[Run]) -> dict[str, Any]:
    """Return at least two runs, the mean and deviation of each measure over them, and the choices that differ.

    The 3 x 160 protocol of Kinetics-600 reports such a mean: its three parts have other classes each.
    """
    names = sorted({name for run in runs for name in run.settings} - _OF_THE_VIDEOS)
    return {
        "runs": [replace(run, predictions=()) for run in runs],
        "over_runs": over_splits([run.results["rows"] for run in runs]),
        "differ": [name for name in names if any(run.settings.get(name) != runs[0].settings.get(name) for run in runs)],
    }


def mean_report(runs: Sequence[Run]) -> RenderableType:
    """Return several runs and the mean and deviation over them."""
    means = means_of(runs)
    rows = [_spread_row(f"{row}, mean of {len(runs)} runs", each) for row, each in means["over_runs"].items()]
    differ = f"these runs differ in more than their videos: {', '.join(means['differ'])}"
    warning = [Text(differ)] if means["differ"] else []
    return Group(run_table(runs), Text(), *warning, table(*_MEASURED, rows=rows))


def ranking_report(
    dataset: Dataset, rankings: Sequence[Ranking], descriptors: Sequence[Descriptor], settings: Mapping[str, Any]
) -> RenderableType:
    """Return the rankings of videos, and what they were made with."""
    parts: list[RenderableType] = [Text(line) for line in made_with(dataset, descriptors, settings)]
    for ranking in rankings:
        parts += [Text(), _ranking_table(ranking, with_probability=settings["temperature"] != 1)]
    return Group(*parts)


def made_with(dataset: Dataset, descriptors: Sequence[Descriptor], settings: Mapping[str, Any]) -> list[str]:
    """Return what rankings were made with, and what is to be said against it: a line each."""
    made = f"{len(descriptors)} descriptors{_reviewed(descriptors)}" if descriptors else "no descriptors: labels alone"
    note = (
        f"{len(dataset.actions)} classes of {dataset.name}, {made} · protocol {settings['protocol']} · "
        f"encoder {settings['encoder']} · {_looked_at(settings)} · score: cosine"
        + ("" if settings["method"] == "mean" else f" · method {settings['method']}")
        + "".join(f" · {choice}" for choice in _choices(settings))
    )
    return [note, *([WEAK] if settings["encoder"] == "objects" else [])]


def _reviewed(descriptors: Sequence[Descriptor]) -> str:
    """Return how many of them people accepted and edited, in brackets; nothing where nobody has."""
    counts = {
        "accepted": sum(descriptor.status == "accepted" for descriptor in descriptors),
        "edited": sum(descriptor.edited_from is not None for descriptor in descriptors),
    }
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f" ({told})" if told else ""


def _ranking_table(ranking: Ranking, *, with_probability: bool) -> RenderableType:
    if ranking.unreadable:
        return Text(f"{ranking.video}\nunreadable: {ranking.unreadable}")
    body = [
        (c.rank, c.phrase, f"{c.score:.3f}", *([f"{c.probability:.3f}"] if with_probability else []), c.label_only_rank)
        for c in ranking.candidates
    ]
    probability = (">probability",) if with_probability else ()
    rows = table(">rank", "class", ">score", *probability, ">rank by label only", rows=body)
    return Group(Text(ranking.video, style="bold"), rows)


def compare_report(found: Comparison, *, names: tuple[str, str], show: int) -> RenderableType:
    """Return the comparison, with at most `show` classes and videos of each sort; `names` are those of the runs."""
    won = [c for c in found.classes if c.second > c.first]
    lost = [c for c in reversed(found.classes) if c.second < c.first]
    lines = [
        *(f"{name}: {_said(one)} → {_said(other)}" for name, (one, other) in found.changed.items()),
        f"videos: {found.both} in both, {found.only_first} only in {names[0]}, {found.only_second} only in {names[1]}",
    ]
    as_before = len(found.classes) - len(won) - len(lost)
    return Group(
        Text(f"{found.dataset} · {names[0]} → {names[1]}", style="bold"),
        Text("\n".join(lines)),
        Text(),
        _shares(found, names),
        Text(f"\nclasses: {len(won)} won, {len(lost)} lost, {as_before} as before"),
        *_class_table(won[:show], names),
        *_class_table(lost[:show], names),
        *_video_table(found, names, show),
    )


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "none"
    return ("+".join(map(str, value)) or "none") if isinstance(value, list | tuple) else str(value)


def _shares(found: Comparison, names: tuple[str, str]) -> RenderableType:
    body = [(name, *_share_row(paired)) for name, paired in (("top-1", found.top1), ("top-5", found.top5))]
    columns = ("%", *(f">{name}" for name in names), ">difference", ">gained", ">lost", ">p")
    return table(*columns, rows=body)


def _share_row(paired: Paired) -> tuple[object, ...]:
    gap = paired.difference
    difference = f"{100 * gap.value:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
    rates = [percent({"value": r.value, "low": r.low, "high": r.high}) for r in (paired.first, paired.second)]
    return (*rates, difference, paired.gained, paired.lost, f"{paired.p:.3f}" if paired.p >= 0.001 else "< 0.001")


def _class_table(classes: Sequence[ClassChange], names: tuple[str, str]) -> list[RenderableType]:
    if not classes:
        return []
    body = [(c.name, c.videos, c.first, c.second, f"{c.second - c.first:+d}") for c in classes]
    return [Text(), table("class", ">videos", *(f">right in {name}" for name in names), ">difference", rows=body)]


def _video_table(found: Comparison, names: tuple[str, str], show: int) -> list[RenderableType]:
    gained = [video for video in found.videos if video.second == 1]
    lost = [video for video in found.videos if video.first == 1]
    shown = (*gained[:show], *lost[:show])
    if not shown:
        return []
    more = len(found.videos) - len(shown)
    rest = [Text(f"and {more} more videos that changed (all of them: --json, or --show {len(found.videos)})")]
    body = [(video.video, video.name, video.first, video.second) for video in shown]
    rows = table("video that changed", "class", *(f">rank in {name}" for name in names), rows=body)
    return [Text(), rows, *(rest if more else [])]


def impact_report(found: RunImpact, *, show: int) -> RenderableType:
    """Return the texts that are best left out and those that are best kept, at most `show` of each."""
    better = [text for text in found.texts if _order(text) > (0, 0)]
    worse = [text for text in reversed(found.texts) if _order(text) < (0, 0)]
    lines = [
        f"{found.videos} videos, top-1 % {percent(asdict(found.top1))}, by labels alone "
        f"{percent(asdict(found.label_only))}",
        f"{len(found.texts)} descriptors, each left out by itself: {_count(found, 1)} gain videos, {_count(found, -1)} "
        f"lose videos, {_count(found, 0)} change no number of right ones",
        *_cautions(found),
    ]
    return Group(
        Text(f"run {found.run} · {found.dataset}", style="bold"),
        Text("\n".join(lines)),
        *_table("better without", better[:show]),
        *_table("worse without", worse[:show]),
        Text(f"\nRead and decide, sorted by this: descgen review --dataset {found.dataset}"),
    )


def _order(text: TextImpact) -> tuple[int, float]:
    return (text.gained - text.lost, text.margin_change)


def _count(found: RunImpact, sign: int) -> int:
    return sum((text.gained > text.lost) - (text.gained < text.lost) == sign for text in found.texts)


def _cautions(found: RunImpact) -> list[str]:
    said = []
    if found.ranked_otherwise:
        said.append(f"{found.ranked_otherwise} videos rank otherwise than when the run was stored: texts changed place")
    if found.is_benchmark:
        said.append(
            f"WARNING: these are videos that {found.dataset} is tested on. Texts that are chosen by this have seen the "
            "test; accuracy on it says no more what they are worth. Choose by videos of your own, or by another dataset"
        )
    else:
        said.append("Measure texts that are chosen by this on other videos: on these they look better than they are")
    return said


def _table(title: str, texts: Sequence[TextImpact]) -> list[RenderableType]:
    if not texts:
        return []
    body = [
        (
            text.descriptor.id,
            text.descriptor.action,
            text.descriptor.kind,
            text.descriptor.text,
            f"{100 * text.top1_change:+.2f}",
            text.gained,
            text.lost,
            f"{text.margin_change:+.4f}",
        )
        for text in texts
    ]
    columns = (">id", "class", "kind", "text", ">top-1, points", ">gained", ">lost", ">margin")
    return [Text(), table(*columns, title=title, rows=body)]
