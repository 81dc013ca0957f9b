"""Segments as JSON: everything, or in the format of ActivityNet's result files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from db.local_paths import without_folders
from recognizer.localize.localize import Localization
from recognizer.localize.mean_ap import DetectionMetrics


def as_json(localization: Localization) -> dict[str, Any]:
    """Return a localization as JSON values, with classes by name."""
    names = [action.name for action in localization.dataset.actions]
    videos = []
    for video in localization.videos:
        segments = {
            row: [{"class": names[s.label], "start": s.start, "end": s.end, "score": s.score} for s in row_segments]
            for row, row_segments in video.segments.items()
        }
        videos.append({**asdict(video), "segments": segments})
    return {
        "dataset": localization.dataset.name,
        "settings": localization.settings,
        "counts": localization.counts,
        "results": {row: _metrics(metrics, names) for row, metrics in localization.results.items()},
        "videos": videos,
    }


def _metrics(metrics: DetectionMetrics, names: Sequence[str]) -> dict[str, Any]:
    classes = [names[label] for label in metrics.classes]
    by_class = dict(zip(classes, metrics.average_precision, strict=True))
    return {**asdict(metrics), "classes": classes, "average_precision": by_class}


def as_activitynet(localization: Localization) -> dict[str, Any]:
    """Return the segments in the format of ActivityNet's result files, which other evaluation tools read."""
    names = [action.name for action in localization.dataset.actions]
    return {
        "version": f"descgen-recognize {version('descgen-recognize')}",
        "external_data": {"used": True, "details": f"{without_folders(localization.settings['encoder'])}, zero-shot"},
        "results": {
            video.annotated_as or Path(video.video).stem: [
                {"label": names[s.label], "segment": [s.start, s.end], "score": s.score}
                for s in video.segments[localization.row]
            ]
            for video in localization.videos
            if not video.unreadable
        },
    }
