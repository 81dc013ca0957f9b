"""Absolute paths of this machine, taken out of what people send around: pages, pictures, tables, result files.

The database keeps whole paths, since a replay needs them; so does what a command prints in its own terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from db.records import Run

_FOLDERS = re.compile(
    r"(?:(?<![^\s:@=+('\"])/(?![/\s])"  # a root: at the start, or after a space, a quote or a prefix such as `hf:`
    r"|(?<![A-Za-z])[A-Za-z]:[\\/](?!/))"  # a drive of Windows, but not the `s://` of an address
    r"(?:(?:(?! · )[^/\\\n])+[/\\]+)*"  # folders; " · " ends a setting in a line of several
)
_TEXTS = frozenset(("classes", "label_templates", "descriptor_templates", "texts_cut"))  # settings that hold no paths
_VIDEOS = ("rejected", "outside_videos", "outside_rejected")  # lists of videos in the results of `--none-of-these`


def without_folders(text: str) -> str:
    """Return a text with the last part of each absolute path in it: `hf:/home/me/clip` becomes `hf:clip`.

    Text between two paths goes as well, if there is any; a path may hold spaces.
    """
    return _FOLDERS.sub("", text.rstrip("/") if _FOLDERS.match(text) else text)


def public_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings whose values hold no absolute path."""
    return {name: value if name in _TEXTS else _public(value) for name, value in settings.items()}


def public_names(videos: Sequence[str]) -> dict[str, str]:
    """Return a name for each video: a relative path as it is, of absolute ones the shortest ends that are distinct."""
    absolute = list(dict.fromkeys(video for video in videos if without_folders(video) != video))
    names = dict(zip(videos, videos, strict=True))
    return names | dict(zip(absolute, distinct_ends([PurePath(video) for video in absolute]), strict=True))


def distinct_ends(paths: Sequence[PurePath], *, separator: str = "/") -> list[str]:
    """Return the last parts of each absolute path, as many for all as make them distinct."""
    parts = [path.parts[1:] for path in paths]
    for count in range(1, max(map(len, parts), default=0)):
        names = [separator.join(part[-count:]) for part in parts]
        if len(set(names)) == len(set(parts)):
            return names
    return [separator.join(part) for part in parts]


def public_run(run: Run) -> Run:
    """Return a run to show to others: its settings and its videos without absolute paths."""
    rejection = run.results.get("none_of_these", {})
    outside = rejection.get("outside_videos", ())
    names = public_names([*(p.video for p in run.predictions), *(video for video, _ in run.left_out), *outside])
    listed = {
        name: [names.get(v, without_folders(v)) for v in rejection[name]] for name in _VIDEOS if name in rejection
    }
    return replace(
        run,
        settings=public_settings(run.settings),
        left_out=tuple((names[video], without_folders(reason)) for video, reason in run.left_out),
        predictions=tuple(replace(p, video=names[p.video]) for p in run.predictions),
        results={**run.results, "none_of_these": {**rejection, **listed}} if rejection else run.results,
    )


def _public(value: Any) -> Any:
    """Return a JSON value whose texts hold no absolute path."""
    if isinstance(value, str):
        return without_folders(value)
    if isinstance(value, Mapping):
        return {name: _public(item) for name, item in value.items()}
    return [_public(item) for item in value] if isinstance(value, list | tuple) else value
