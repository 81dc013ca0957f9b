"""Tables of runs, rankings, comparisons and impact for the terminal."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from db.records import Run
from encoders.protocol import LOGIT_SCALE
from recognizer.evaluation.html import interval, signed_interval
from recognizer.evaluation.means import means_of
from recognizer.evaluation.multi_label import is_multi_label
from recognizer.evaluation.multi_label_table import Numbers, multi_label_lines, precisions
from recognizer.evaluation.ranking import LABEL_ONLY, WITH_DESCRIPTORS
from recognizer.evaluation.rejection_table import (
    background_line,
    rejected_count,
    rejection_lines,
    rejection_tables,
    verdict_line,
)
from recognizer.evaluation.run_list import shown_rows, summary
from recognizer.evaluation.run_table import run_table
from recognizer.scoring.methods import METHODS
from recognizer.scoring.metrics import MEASURES, Spread
from recognizer.scoring.protocols import NAMES, PROTOCOLS
from recognizer.scoring.selection import classes_without
from recognizer.scoring.transductive import TRANSDUCTIVE
from recognizer.video.sampling import Sampling

if TYPE_CHECKING:  # a sweep uses none of them
    from recognizer.evaluation.compare import ClassChange, Comparison, Paired, PairedRates
    from recognizer.evaluation.impact import RunImpact, TextImpact
    from recognizer.evaluation.predict import ClassTexts, Ranking, Together

WEAK = "encoder objects is weak: it is there to try everything without a download; for real numbers use CLIP"
UNCALIBRATED = "probabilities are not calibrated: encoder objects has no trained logit scale, 100 is taken"
FEW = 100  # with fewer videos, a table warns that they are too few
_ROWS = (LABEL_ONLY, WITH_DESCRIPTORS)
_MEASURED = ("texts", ">videos", ">top-1 %", ">top-5 %", ">mean per class %")


def run_report(run: Run) -> RenderableType:
    """Return one run in full."""
    number = f"run {run.id} · " if run.id else ""
    title = f"{number}{run.dataset} · {run.seconds:.1f} seconds"
    rejection = rejection_tables(run, shown_rows(run))
    heads, rows = numbers(run)
    said = Text("\n".join(run_lines(run)))
    return Group(Text(title, style="bold"), said, Text(), table(*heads, rows=rows), *rejection)


def run_lines(run: Run) -> list[str]:
    """Return what stands beside the numbers of a run, a line each: choices, what was left out, cautions."""
    settings = run.settings
    return [
        f"protocol {settings['protocol']} · encoder {settings['encoder']} · method {settings['method']} · "
        f"{_transductive(run)}{_sampling(settings)} · {settings['layout']}",
        *_label_templates(settings),
        *([" · ".join(choices)] if (choices := changed_choices(settings)) else []),
        _descriptors(run),
        *classes_scored_without(settings.get("classes_without", {})),
        counts_line(run),
        *_log_loss(run),
        *([f"ignored: {in_words(settings['ignored'])}"] if settings.get("ignored") else []),
        *(f"truncated, scored by what is there: {video}: {extent}" for video, extent in _truncated(settings)),
        *(f"unreadable: {video}: {reason}" for video, reason in run.left_out if reason != "missing"),
        *texts_cut(settings),
        *(f"note: {note}" for note in settings.get("encoder_notes", ())),
        *over_groups(run.results["rows"][LABEL_ONLY].get("groups"), run.counts["evaluated"]),
        *multi_label_lines(run),
        *rejection_lines(run),
        *transductive_lines(run),
        *(f"controls: {verdict}" for verdict in run.results.get("controls", {}).get("verdicts", ())),
        *(f"worlds: {line}" for line in run.results.get("worlds", {}).get("lines", ())),
        *cautions(run),
    ]


def _transductive(run: Run) -> str:
    together = run.results.get("transductive")
    return f"transductive {together['name']} · " if together else ""


def transductive_lines(run: Run) -> list[str]:
    """Return what the transductive row of a run is, if it has one, and its cautions, a line each."""
    together = run.results.get("transductive")
    if not together:
        return []
    prior = f", class prior {together['class_prior']}" if TRANSDUCTIVE[together["name"]].uses_prior else ""
    return [
        f"transductive {together['name']}{prior}: each video is scored with the {run.counts['evaluated'] - 1} others; "
        f"{signed_interval(together['gain']['top1'])} points of top-1 over the row above it; all "
        "other numbers and the predictions are of that row, each video by itself",
        classes_line(together["classes_present"], len(run.settings["classes"])),
        *(f"WARNING: {caution}" for caution in together["cautions"]),
    ]


def classes_line(present: float, classes: int) -> str:
    """Return the estimated number of classes with videos."""
    return f"the videos seem to be of about {present:.1f} of the {classes} classes (estimated without their labels)"


def _truncated(settings: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    parts: Mapping[str, str] = settings.get("truncated", {})  # older versions did not record it
    return parts.items()


def _label_templates(settings: Mapping[str, Any]) -> list[str]:
    """Return a line: which templates were put around the labels, and whose they are."""
    used = list(settings.get("label_templates", ()))
    source = settings.get("templates", "protocol")
    if source == "protocol":
        default = list(PROTOCOLS[settings["protocol"]].label_templates)
        source = f"protocol {settings['protocol']}" if used == default else f"encoder {settings['encoder']}"
    shown = ", ".join(used[:4]) + (", ..." if len(used) > 4 else "")
    return [f"{len(used)} label template{'s' if len(used) > 1 else ''} (of {source}): {shown}"] if used else []


def counts_line(run: Run) -> str:
    """Return how many videos were listed, evaluated, missing and so on."""
    counts = (f"{count} {name}" for name, count in run.counts.items() if count or name == "evaluated")
    return f"videos: {', '.join(counts)}"


def _descriptors(run: Run) -> str:
    if not run.descriptor_ids:
        return "descriptors: none, labels alone"
    kinds, writers = ", ".join(run.settings["kinds"]), ", ".join(run.settings["llms"])
    statuses = ", ".join(f"{count} {status}" for status, count in run.settings["statuses"].items())
    edited = f", {run.settings['edited']} edited" if run.settings.get("edited") else ""
    return f"descriptors: {len(run.descriptor_ids)} ({kinds}) by {writers}, {statuses}{edited}"


def classes_scored_without(missing: Mapping[str, int]) -> list[str]:
    """Return a line if some classes lack descriptors of a kind; `missing` is kind -> number of classes."""
    parts = ", ".join(f"{count} class{'es' if count > 1 else ''} without {kind}" for kind, count in missing.items())
    return [f"partial: {parts}; a class without any descriptor is scored by its label alone"] if missing else []


def changed_choices(settings: Mapping[str, Any]) -> list[str]:
    """Return the choices besides protocol and method that differ from their defaults, and the method's note."""
    defaults = {"precision": "float32", "pooling": "avg", "unit_frames": False, "templates": "protocol",
                "names": "off", "condition": False, "temperature": 1}  # fmt: skip
    values = {name: settings.get(name, default) for name, default in defaults.items()}
    changed = [name for name, default in defaults.items() if values[name] != default]
    in_words = {"condition": "the label before each descriptor", "unit_frames": "frames to unit length"}
    in_words["names"] = NAMES[values["names"]]
    words = [*method_notes(settings), *(in_words.get(name, f"{name} {values[name]}") for name in changed)]
    if pack := settings.get("choice", {}).get("texts"):
        words.append(f"texts of {pack}")
    return [*words, "truncated videos allowed"] if settings.get("allow_truncated") else words


def method_notes(settings: Mapping[str, Any]) -> list[str]:
    """Return the note that belongs to the numbers of a method, if it has one: see `Method.note`."""
    method = METHODS.get(settings["method"])  # that of a run may be another version's
    note = method.note(settings.get("logit_bias")) if method else ""
    return [note] if note else []


def _log_loss(run: Run) -> list[str]:
    """Return the log loss if the temperature is not the default: accuracies do not show its effect."""
    if run.settings.get("temperature", 1) == 1 or is_multi_label(run):
        return []
    label_only, with_descriptors = (run.results["log_loss"][row] for row in _ROWS)
    line = f"log loss: {label_only:.3f} by {LABEL_ONLY}, {with_descriptors:.3f} with descriptors"
    scale = f", logit scale {run.settings.get('logit_scale', LOGIT_SCALE):.4g}"
    return [line + scale + ("" if run.settings.get("calibrated", True) else ", not calibrated")]


def _sampling(settings: Mapping[str, Any]) -> str:
    return str(Sampling(settings["frames"], settings.get("clips", 1), settings.get("crops", 1)))


def texts_cut(settings: Mapping[str, Any]) -> list[str]:
    """Return a line if texts of a run or localization were cut."""
    cut = settings["texts_cut"]
    if not cut:
        return []
    line = f"{len(cut)} texts are longer than the encoder's {settings['context_length']} tokens and were cut"
    return [f"{line} (all of them: --json), such as: {cut[0]}"]


def cautions(run: Run) -> list[str]:
    """Return warnings about the numbers of a run or others on the same videos, a line each."""
    if absent := run.results.get("splits_without_videos"):
        none, counted = (f"split{'s' if len(n) > 1 else ''} {', '.join(n)}" for n in (absent, run.results["splits"]))
        splits = f"WARNING: no video of {none} was evaluated: all numbers are of {counted} alone"
        return [splits, *cautions(replace(run, results={}))]
    few = f"{run.counts['evaluated']} videos are too few to compare anything: see the intervals"
    weak = [WEAK] if run.settings["encoder"] == "objects" else []
    return [*weak, few] if run.counts["evaluated"] < FEW else weak


def numbers(run: Run) -> Numbers:
    """Return the numbers of a run as a table: its heads, `>` before those of numbers, and its rows."""
    if is_multi_label(run):
        return precisions(run, shown_rows(run))
    splits = run.results.get("splits", {})
    parts = {"": run.results["rows"], **{f", split {split}": rows for split, rows in splits.items()}}
    body = [
        (f"{_row_name(run, name)}{part}", rows[name]["videos"], *(interval(rows[name][key]) for key in MEASURES))
        for part, rows in parts.items()
        for name in shown_rows(run)
    ]
    if together := run.results.get("transductive"):
        row, above = together["row"], _row_name(run, shown_rows(run)[-1])
        name = f"{above}, transductive: {together['name']}"
        body.insert(len(shown_rows(run)), (name, row["videos"], *(interval(row[key]) for key in MEASURES)))
    for name, values in run.results.get("over_splits", {}).items():
        if name not in shown_rows(run):
            continue
        spreads = {key: Spread(**spread) for key, spread in values.items()}
        alone = " alone" if run.results.get("splits_without_videos") else ""
        body.append(
            _spread_row(f"{_row_name(run, name)}, mean ± deviation of splits {', '.join(splits)}{alone}", spreads)
        )
    return _MEASURED, body


def _row_name(run: Run, name: str) -> str:
    """Return the name of a row as it is shown: a run of labels alone has no descriptors to name."""
    return name if run.descriptor_ids or name == LABEL_ONLY else f"labels alone by {run.settings['method']}"


def _spread_row(name: str, values: Mapping[str, Spread]) -> tuple[object, ...]:
    return (name, None, *(f"{100 * values[key].mean:.1f} ± {100 * values[key].deviation:.1f}" for key in MEASURES))


def over_groups(groups: int | None, videos: int) -> list[str]:
    """Return a line if intervals are over groups of clips."""
    several = groups is not None and groups < videos
    return [f"95% intervals over {groups} groups of clips cut from one source (by file name)"] if several else []


def mean_report(runs: Sequence[Run]) -> RenderableType:
    """Return a table of several runs, and the mean and deviation over them."""
    means = means_of(runs)
    rows = [_spread_row(f"{row}, mean of {len(runs)} runs", each) for row, each in means["over_runs"].items()]
    differ = f"these runs differ in more than their videos: {', '.join(means['differ'])}"
    warning = [Text(differ)] if means["differ"] else []
    return Group(run_table([summary(run) for run in runs]), Text(), *warning, table(*_MEASURED, rows=rows))


def ranking_report(texts: ClassTexts, rankings: Sequence[Ranking]) -> RenderableType:
    """Return the rankings of videos, below lines on the settings."""
    unreadable = sum(ranking.unreadable is not None for ranking in rankings)
    counted = f"videos: {len(rankings)}" + (f", {unreadable} of them cannot be read" if unreadable else "")
    counted += rejected_count(rankings)
    parts: list[RenderableType] = [Text(line) for line in (*made_with(texts), counted)]
    together = next((ranking.together for ranking in rankings if ranking.together), None)
    if together:
        parts += [Text(line) for line in _scored_together(texts, together)]
    for ranking in rankings:
        parts += [Text(), _ranking_table(ranking, with_probability=texts.settings.temperature != 1)]
    return Group(*parts)


def _scored_together(texts: ClassTexts, together: Together) -> list[str]:
    return [
        f"each video is scored with the {together.videos - 1} others; rank alone is without them",
        classes_line(together.classes_present, len(texts.dataset.actions)),
        *(f"WARNING: {caution}" for caution in together.cautions),
    ]


def made_with(texts: ClassTexts) -> list[str]:
    """Return the settings of rankings, and any warning, a line each."""
    settings, descriptors = texts.settings, texts.descriptors
    reviewed = {
        "accepted": sum(descriptor.status == "accepted" for descriptor in descriptors),
        "edited": sum(descriptor.edited_from is not None for descriptor in descriptors),
    }
    counts = ", ".join(f"{count} {name}" for name, count in reviewed.items() if count)
    used = f"{len(descriptors)} descriptors" if descriptors else "no descriptors: labels alone"
    parts = [
        f"{len(texts.dataset.actions)} classes of {texts.dataset.name}, {used}{f' ({counts})' if counts else ''}",
        f"protocol {settings.protocol}",
        f"encoder {settings.encoder}",
        str(settings.sampling),
        "score: log of the probability / logit scale" if settings.transductive else "score: cosine",
        *([] if settings.method == "mean" else [f"method {settings.method}"]),
        *([f"transductive {settings.transductive}"] if settings.transductive else []),
        *([f"class prior {settings.class_prior}"] if settings.class_prior else []),
        *changed_choices({**asdict(settings), "names": settings.choice.names}),
    ]
    missing = classes_without(texts.dataset, descriptors)
    shows_probability = settings.temperature != 1 or texts.background is not None
    weak = [WEAK, *([UNCALIBRATED] if shows_probability else [])] if settings.encoder == "objects" else []
    return [" · ".join(parts), *background_line(texts), *classes_scored_without(missing), *weak]


def _ranking_table(ranking: Ranking, *, with_probability: bool) -> RenderableType:
    if ranking.unreadable:
        return Text(f"{ranking.video}\nunreadable: {ranking.unreadable}")
    part = f" · truncated: {ranking.truncated}" if ranking.truncated else ""
    body = [
        (
            *(c.rank, c.phrase, f"{c.score:.3f}"),
            *([f"{c.probability:.3f}"] if with_probability else []),
            *([c.inductive_rank] if ranking.together else []),
            c.label_only_rank,
        )
        for c in ranking.candidates
    ]
    probability = (">probability",) if with_probability else ()
    alone = (">rank alone",) if ranking.together else ()
    rows = table(">rank", "class", ">score", *probability, *alone, ">rank by label only", rows=body)
    return Group(Text(f"{ranking.video}{part}", style="bold"), *map(Text, verdict_line(ranking)), rows)


def compare_report(comparison: Comparison, *, names: tuple[str, str], show: int) -> RenderableType:
    """Return a comparison of the runs `names`, with at most `show` gained classes and videos, and as many lost."""
    won = [c for c in comparison.classes if c.second > c.first]
    lost = [c for c in reversed(comparison.classes) if c.second < c.first]
    lines = [
        *(f"{name}: {in_words(first)} → {in_words(second)}" for name, (first, second) in comparison.changed.items()),
        f"videos: {comparison.both} in both, {comparison.only_first} only in {names[0]}, {comparison.only_second} only "
        f"in {names[1]}",
        *over_groups(comparison.groups, comparison.both),
    ]
    accuracies = table(
        *("%", *(f">{name}" for name in names), ">difference", ">gained", ">lost", ">p"),
        rows=[
            ("top-1", *_paired_row(comparison.top1)),
            ("top-5", *_paired_row(comparison.top5)),
            ("mean per class", *_rates_row(comparison.mean_per_class), "", "", ""),
        ],
    )
    unchanged = len(comparison.classes) - len(won) - len(lost)
    return Group(
        Text(f"{comparison.dataset} · {names[0]} → {names[1]}", style="bold"),
        Text("\n".join(lines)),
        Text(),
        accuracies,
        Text(f"\nclasses: {len(won)} won, {len(lost)} lost, {unchanged} unchanged"),
        *_class_table(won[:show], names),
        *_class_table(lost[:show], names),
        *_video_table(comparison, names, show),
    )


def in_words(value: Any, *, separator: str = "+") -> str:
    """Return a setting of a run as text: counts by name, items joined, or the value itself."""
    if isinstance(value, Mapping):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "none"
    return (separator.join(map(str, value)) or "none") if isinstance(value, list | tuple) else str(value)


def _rates_row(paired: PairedRates) -> tuple[str, str, str]:
    rates = (interval(asdict(paired.first)), interval(asdict(paired.second)))
    return (*rates, signed_interval(asdict(paired.difference)))


def _paired_row(paired: Paired) -> tuple[object, ...]:
    p = f"{paired.p:.3f}" if paired.p >= 0.001 else "< 0.001"
    return (*_rates_row(paired), paired.gained, paired.lost, p)


def _table_if_any(*columns: str, rows: Sequence[Sequence[object]], title: str | None = None) -> list[RenderableType]:
    return [Text(), table(*columns, title=title, rows=rows)] if rows else []


def _class_table(classes: Sequence[ClassChange], names: tuple[str, str]) -> list[RenderableType]:
    body = [(c.name, c.videos, c.first, c.second, f"{c.second - c.first:+d}") for c in classes]
    return _table_if_any("class", ">videos", *(f">right in {name}" for name in names), ">difference", rows=body)


def _video_table(comparison: Comparison, names: tuple[str, str], show: int) -> list[RenderableType]:
    gained = [video for video in comparison.videos if video.second == 1]
    lost = [video for video in comparison.videos if video.first == 1]
    body = [(video.video, video.name, video.first, video.second) for video in (*gained[:show], *lost[:show])]
    rows = _table_if_any("video that changed", "class", *(f">rank in {name}" for name in names), rows=body)
    every = len(comparison.videos)
    more = f"and {every - len(body)} more videos that changed (all of them: --json, or --show {every})"
    return [*rows, Text(more)] if 0 < len(body) < every else rows


def impact_report(result: RunImpact, *, show: int) -> RenderableType:
    """Return the texts with the largest gain and the largest loss when left out, at most `show` of each."""
    better = [text for text in result.texts if _effect(text) > (0, 0)]
    worse = [text for text in reversed(result.texts) if _effect(text) < (0, 0)]
    effects = Counter((text.gained > text.lost) - (text.gained < text.lost) for text in result.texts)
    lines = [
        f"{result.videos} videos, top-1 % {interval(asdict(result.top1))}, by labels alone "
        f"{interval(asdict(result.label_only))}",
        f"{len(result.texts)} descriptors, each left out by itself: {effects[1]} gain videos, {effects[-1]} lose "
        f"videos, {effects[0]} do not change the number of right videos",
        *over_groups(result.groups, result.videos),
        *_impact_cautions(result),
    ]
    return Group(
        Text(f"run {result.run} · {result.dataset}", style="bold"),
        Text("\n".join(lines)),
        *_impact_table("better without", better[:show]),
        *_impact_table("worse without", worse[:show]),
        Text(f"\nReview them in this order: descgen review --dataset {shlex.quote(result.dataset)}"),
    )


def _effect(text: TextImpact) -> tuple[int, float]:
    return (text.gained - text.lost, text.margin_change)


def _impact_cautions(result: RunImpact) -> list[str]:
    reordered = f"{result.ranked_otherwise} videos rank differently than in the stored run: texts were reordered since"
    benchmark = (
        f"WARNING: these videos are the test set of {result.dataset}. Selecting texts by this uses the test set; "
        "test accuracy is then no longer a valid estimate. Select by videos of your own, or by another dataset"
    )
    own = "Evaluate texts selected by this on other videos: on these they look better than they are"
    return [*([reordered] if result.ranked_otherwise else []), benchmark if result.is_benchmark else own]


def _impact_table(title: str, texts: Sequence[TextImpact]) -> list[RenderableType]:
    body = [
        (
            *(getattr(text.descriptor, name) for name in ("id", "action", "kind", "text")),
            f"{100 * text.top1_change:+.2f}",
            text.gained,
            text.lost,
            f"{text.margin_change:+.4f}",
        )
        for text in texts
    ]
    columns = (">id", "class", "kind", "text", ">top-1, points", ">gained", ">lost", ">margin")
    return _table_if_any(*columns, title=title, rows=body)
