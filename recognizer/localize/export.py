"""What was found in long videos, for programs: our own JSON, and the result files of ActivityNet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recognizer.localize.localize import Localization, VideoSegments
from recognizer.localize.mean_ap import Detection


def as_json(localization: Localization) -> dict[str, Any]:
    """Return all of it for programs, classes by their names."""
    names = [action.name for action in localization.dataset.actions]
    return {
        "dataset": localization.dataset.name,
        "settings": localization.settings,
        "counts": localization.counts,
        "results": {row: _result_json(result, names) for row, result in localization.results.items()},
        "videos": [_video_json(video, names) for video in localization.videos],
    }


def _result_json(result: Detection, names: Sequence[str]) -> dict[str, Any]:
    by_class = dict(zip((names[label] for label in result.classes), result.average_precision, strict=True))
    return {**asdict(result), "classes": list(by_class), "average_precision": by_class}


def _video_json(video: VideoSegments, names: Sequence[str]) -> dict[str, Any]:
    named = {
        row: [{"class": names[s.label], "start": s.start, "end": s.end, "score": s.score} for s in segments]
        for row, segments in video.segments.items()
    }
    return {**asdict(video), "segments": named}


def as_activitynet(localization: Localization) -> dict[str, Any]:
    """Return the segments in the form of ActivityNet's result files, which other evaluations read."""
    names = [action.name for action in localization.dataset.actions]
    return {
        "version": f"descgen-recognize {version('descgen-recognize')}",
        "external_data": {"used": True, "details": f"{localization.settings['encoder']}, zero-shot"},
        "results": {
            video.annotated_as or Path(video.video).stem: [
                {"label": names[s.label], "segment": [s.start, s.end], "score": s.score}
                for s in video.segments[localization.row]
            ]
            for video in localization.videos
            if not video.unreadable
        },
    }
