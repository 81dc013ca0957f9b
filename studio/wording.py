"""What the pages say about videos, in words and small pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from db.local_paths import without_folders
from db.records import Action, Descriptor
from recognizer.evaluation.firing import Firing
from recognizer.scoring.intervals import mcnemar
from recognizer.scoring.metrics import Rate
from studio.evidence import Evidence
from studio.findings import Effect
from studio.watch import View

_POINTS = 60  # of a sparkline
_WIDTH, _HEIGHT, _EDGE = 96, 20, 3  # of a sparkline


def sparkline(firing: Firing) -> dict[str, Any] | None:
    """Return the line of a text's mean cosines with the videos of each class, highest first; None without videos."""
    means = np.sort(firing.means[~np.isnan(firing.means)])[::-1]
    if not len(means):
        return None
    at = np.unique(np.linspace(0, len(means) - 1, min(_POINTS, len(means))).round().astype(int))
    height = float(means[0] - means[-1]) or 1.0

    def place(index: int) -> tuple[float, float]:
        across = index / max(1, len(means) - 1)
        up = float(means[index] - means[-1]) / height
        return (
            round(_EDGE + across * (_WIDTH - 2 * _EDGE), 1),
            round(_HEIGHT - _EDGE - up * (_HEIGHT - 2 * _EDGE), 1),
        )

    own = f"its own class is number {firing.rank}" if firing.rank else "its own class has no videos"
    return {
        "points": " ".join(f"{x},{y}" for x, y in map(place, at.tolist())),
        "own": place(firing.rank - 1) if firing.rank else None,
        "title": f"Mean cosine with the videos of each of {len(means)} classes, from {means[0]:.3f} down to "
        f"{means[-1]:.3f}; {own}",
        "size": (_WIDTH, _HEIGHT),
    }


def chip(effect: Effect, view: View, firing: Firing) -> dict[str, str]:
    """Return what leaving a text out changes: the word of its colour, the words of the chip, and its title."""
    evidence, net = view.evidence, effect.gained - effect.lost
    videos = len(evidence.features.videos)
    verb = "costs" if net > 0 else "earns" if net < 0 else "even"
    words = f"{verb} {abs(net)} of {videos:,} videos" if net else "no effect"
    stale = " (being counted again)" if not view.is_fresh else ""
    return {"verb": verb, "words": words + stale, "title": without(effect, view, firing) + stale}


def without(effect: Effect, view: View, firing: Firing) -> str:
    """Return what becomes of the videos without a text."""
    return (
        f"Without this text, {effect.gained} of {len(view.evidence.features.videos):,} videos become right and "
        f"{effect.lost} wrong ({firing.videos:,} videos are of its class; {left_out(view.evidence)}). McNemar's p "
        f"{mcnemar(effect.gained, effect.lost):.2g}, not corrected for the number of texts"
    )


def left_out(evidence: Evidence) -> str:
    """Return how many listed videos are left out, and why."""
    if not evidence.left_out:
        return "none left out"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in evidence.left_out.items())
    return f"{sum(evidence.left_out.values()):,} left out: {reasons}"


def percent(rate: Rate) -> str:
    """Return a rate with its interval: `61.2 % (58.0 to 64.3)`."""
    return f"{100 * rate.value:.1f} % ({100 * rate.low:.1f} to {100 * rate.high:.1f})"


def source(evidence: Evidence) -> str:
    """Return which run's settings are used, and the main ones."""
    settings = evidence.settings
    of = f"run {evidence.run}" if evidence.run else "a plain eval"
    how = f"{without_folders(settings.encoder)}, protocol {settings.protocol}, method {settings.method}"
    return f"Settings of {of}: {how}"


def facts(view: View, label: int) -> dict[str, str]:
    """Return what was evaluated, its numbers, and what they must not be used for."""
    evidence, findings = view.evidence, view.findings
    assert findings is not None  # noqa: S101 - the caller looked
    return {
        "source": source(evidence),
        "videos": f"{len(evidence.features.videos):,} videos, {left_out(evidence)}",
        "numbers": _numbers(view, label),
        "refused": without_folders(findings.refused),
        "advice": "" if not evidence.advice else f"Embed the others: {without_folders(evidence.advice)}",
        "caution": _caution(evidence),
    }


def _numbers(view: View, label: int) -> str:
    findings = view.findings
    if findings is None or findings.by_labels is None:
        return ""
    rows = view.evidence.members[label]
    by_labels = findings.by_labels
    alone = f"by labels alone {percent(by_labels.accuracy.top1)}"
    right_alone = int(by_labels.right[rows].sum())
    if findings.by_texts is None:
        return f"Top-1 {alone}. Of this class {right_alone} of {len(rows)} videos are right"
    right = int(findings.by_texts.right[rows].sum())
    again = " These numbers are being counted again." if not view.is_fresh else ""
    return (
        f"Top-1 {percent(findings.by_texts.accuracy.top1)}, {alone}. Of this class {right} of {len(rows)} videos are "
        f"right, by labels alone {right_alone}.{again}"
    )


def _caution(evidence: Evidence) -> str:
    if evidence.is_benchmark:
        return (
            f"If these videos are the test set of {evidence.dataset.name}, an accuracy on them is no valid estimate "
            "once texts are chosen by this."
        )
    return "Evaluate texts chosen by this on other videos: on these they look better than they are."


def outcome(view: View, video: int) -> str:
    """Return how a video is classified by the current texts."""
    scores = view.findings.scores if view.findings else None
    if scores is None:
        return ""
    if scores.right[video]:
        return "right"
    values = scores.values[video].clone()
    values[view.evidence.features.videos[video].label] = -np.inf  # a tie is wrong
    return f"taken for {view.evidence.dataset.actions[int(values.argmax())].phrase}"


def detail(view: View, action: Action, descriptor: Descriptor) -> tuple[str, str]:
    """Return the verdict about a text in full, compared with its label alone: the main numbers, then the others."""
    phrases = [action.phrase for action in view.evidence.dataset.actions]
    firing, label = view.firing(descriptor.id, action.label), view.firing(None, action.label)
    effect = view.findings.effects.get(descriptor.id) if view.findings else None
    areas = f"AUROC {_area(firing)}, its label alone {_area(label)}" if firing.area else ""
    left_out = without(effect, view, firing) if effect else ""
    rest = (_against(firing) if firing.area else "", _best(firing, phrases), left_out)
    return _sentences(firing.sentence(phrases), areas), _sentences(*rest)


def label_detail(view: View, action: Action) -> tuple[str, str]:
    """Return what the label alone fires on: the main numbers, then the others."""
    phrases = [action.phrase for action in view.evidence.dataset.actions]
    firing = view.firing(None, action.label)
    areas = f"AUROC {_area(firing)}" if firing.area else ""
    rest = (_against(firing) if firing.area else "", _best(firing, phrases))
    return _sentences(f"the label alone {firing.sentence(phrases)}", areas), _sentences(*rest)


def _sentences(*parts: str) -> str:
    return " ".join(f"{part[0].upper()}{part[1:]}." for part in parts if part)


def _area(firing: Firing) -> str:
    area = firing.area
    return f"{area.value:.2f} ({area.low:.2f} to {area.high:.2f})" if area else "not known"


def _against(firing: Firing) -> str:
    return f"AUROC of {firing.videos:,} videos of its class against {firing.others:,} others"


def _best(firing: Firing, phrases: Sequence[str]) -> str:
    order = [int(c) for c in np.argsort(-firing.means) if not np.isnan(firing.means[c])]
    best = ", ".join(f"{phrases[c]} {firing.means[c]:.3f}" for c in order[:3])
    return f"Highest mean cosines: {best}"
