"""Controls of a run as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Group, RenderableType
from rich.text import Text

from db.commandline import table
from recognizer.evaluation.controls.results import ClassControl, Control, RunControls
from recognizer.evaluation.html import interval, signed_interval
from recognizer.evaluation.tables import over_groups


def controls_report(controls: RunControls, *, show: int) -> RenderableType:
    """Return the verdicts, the controls of texts and frames, and at most `show` classes."""
    lines = [
        f"protocol {controls.protocol} · encoder {controls.encoder} · method {controls.method} · "
        f"seed {controls.settings.seed}",
        f"videos: {controls.videos} evaluated, {controls.left_out} of the run's list left out",
        f"top-1 %: {interval(asdict(controls.top1))}, by label only {interval(asdict(controls.label_only))}",
        *over_groups(controls.groups, controls.videos),
    ]
    return Group(
        Text(f"run {controls.run} · {controls.dataset} · controls", style="bold"),
        Text("\n".join(lines)),
        Text(),
        *(Text(verdict) for verdict in controls.verdicts),
        *(Text(caution) for caution in controls.cautions),
        *_controls("texts", "kind", (*controls.texts, *controls.kinds)),
        *_controls("frames", "method", controls.frames),
        *_classes(controls.classes, show),
    )


def _controls(title: str, part: str, controls: Sequence[Control]) -> list[RenderableType]:
    body = [
        (
            *(each.name, each.part, each.replicates, f"{100 * each.real:.1f}", _spread(each)),
            *(signed_interval(asdict(each.difference)), "" if each.p is None else f"{each.p:.3f}"),
        )
        for each in controls
    ]
    columns = (part, ">replicates", ">run, top-1 %", ">control, top-1 %", ">difference, points", ">p")
    return [Text(), table(title, *columns, rows=body)] if body else []


def _spread(control: Control) -> str:
    deviation = "" if control.deviation is None else f" ± {100 * control.deviation:.1f}"
    return f"{100 * control.mean:.1f}{deviation}"


def _classes(classes: Sequence[ClassControl], show: int) -> list[RenderableType]:
    """Return a table of the classes with the smallest p; many p-values are below 0.05 by chance alone."""
    body = [(c.name, c.videos, f"{100 * c.real:.0f}", f"{100 * c.swapped:.0f}", f"{c.p:.3f}") for c in classes[:show]]
    rows = table("class", ">videos", ">its texts, right %", ">other classes' texts, right %", ">p", rows=body)
    chance = Text(f"p is for one class: of {len(classes)}, about {0.05 * len(classes):.1f} are below 0.05 by chance")
    return [Text(), rows, chance] if body else []
