"""The frames beside the texts of a class, and what the videos say about each text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import Response
from fastapi.responses import JSONResponse
from markupsafe import Markup

from db.records import Action, Descriptor
from descriptor_gen.review import replies
from descriptor_gen.review.replies import Replies
from descriptor_gen.review.routes import action_of
from descriptor_gen.review.session import ReviewSession
from descriptor_gen.review.site import Current, Renderer, Site
from studio import wording
from studio.evidence import Videos
from studio.findings import Rival, clips_of, frame_cosines, rival_of
from studio.pictures import Pictures
from studio.watch import View, Watcher

LEVELS = 9  # of tint
_SHOWN = 8  # frames of a clip
_STATE: Replies = {
    200: {
        "description": "Whether the videos are loaded, and what they say about the texts of a class",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


def frames_site(renderer: Renderer, *, videos: Videos, pictures: Pictures) -> Site:
    """Return the column beside the texts of a class, and the route of the pictures."""
    routes = _Routes(renderer, videos, pictures)
    renderer.share({"said_of": routes.said_of, "videos": videos})
    return Site(
        {
            "/videos": (routes.state, _STATE),
            "/class/{label}/frames": (routes.frames, _STATE | replies.NOT_FOUND),
            **pictures.get,
        },
        "studio",
        scripts=("frames.js",),
        styles=("frames.css",),
        beside=("frames.html",),
    )


class _Routes:
    def __init__(self, renderer: Renderer, videos: Videos, pictures: Pictures) -> None:
        self._renderer, self._videos, self._pictures = renderer, videos, pictures
        self._watcher = Watcher(videos)
        self._address: Callable[..., str] | None = None
        self._clips: dict[
            tuple[int, int | None], tuple[list[int], list[int]]
        ] = {}  # kept: a page shows the same clips after each decision

    def state(self) -> Response:
        """Begin to load the videos, and answer whether they are loaded."""
        self._videos.start()
        return JSONResponse(self._loading())

    def _loading(self) -> dict[str, Any]:
        is_there = self._videos.evidence is not None
        return {"loading": self._videos.is_loading, "note": self._videos.note, "videos": is_there}

    def frames(self, session: Current, label: int) -> Response:
        """Return the column beside the texts of a class, and the cosines of its frames with each text."""
        action = action_of(session, label)
        self._videos.start()
        view = self._watcher.view(session)
        if view is None or view.findings is None:
            note = view.note if view else self._videos.note
            return JSONResponse({**self._loading(), "fresh": bool(view and view.is_fresh), "note": note})
        texts = session.snapshot().by_action.get(action.name, ())
        known = [d for d in texts if d.id in view.findings.vectors]
        column = self._column(session, view, action)
        return JSONResponse(
            {
                **self._loading(),
                "fresh": view.is_fresh,
                "html": self._renderer.part(session, "_frames", column),
                "said": {d.id: self.said_of(session, d) for d in known},
                **_tints(view, action, known, column["clips"]),
            }
        )

    def said_of(self, session: ReviewSession, descriptor: Descriptor) -> Markup:
        """Return what the videos say about a text, with its stored impact if no newer one is known; may be empty."""
        view = self._watcher.view(session)
        if view is None or view.findings is None or descriptor.id not in view.findings.vectors:
            return Markup()
        action = next(action for action in session.dataset.actions if action.name == descriptor.action)
        firing = view.firing(descriptor.id, action.label)
        effect = view.findings.effects.get(descriptor.id)
        values = {
            "id": descriptor.id,
            "verdict": firing.sentence([action.phrase for action in session.dataset.actions]),
            "firing": firing,
            "line": wording.sparkline(firing),
            "chip": wording.chip(effect, view, firing) if effect else None,
            "impact": session.snapshot().impacts.get(descriptor.id),
        }
        return Markup(self._renderer.part(session, "_videos_say", values))  # noqa: S704 - a template of ours, which escapes

    def _column(self, session: ReviewSession, view: View, action: Action) -> dict[str, Any]:
        """Return the values of the column: what was evaluated, and the clips of the class and of its rival."""
        assert view.findings is not None  # noqa: S101 - the caller looked
        scores, label = view.findings.scores, action.label
        rival = rival_of(view.evidence, scores, label) if scores else None
        key = label, rival.label if rival else None
        if key not in self._clips:
            self._clips[key] = clips_of(view.evidence, scores, *key)
        own, theirs = self._clips[key]
        return {
            "action": action,
            "rival": session.dataset.actions[rival.label] if rival else None,
            "confusion": _confusion(rival),
            "facts": wording.facts(view, label),
            "clips": [*self._strips(view, own, "own"), *self._strips(view, theirs, "rival")],
            "of_clips": view.evidence.features.of_clips,
            "levels": range(LEVELS),
        }

    def _strips(self, view: View, videos: Sequence[int], side: str) -> list[dict[str, Any]]:
        """Return the clips to show: the addresses of their frames, and how they were classified."""
        evidence = view.evidence
        address = self._address = self._address or self._pictures.offer(evidence.paths)
        settings = evidence.settings
        shown, all_frames = shown_frames(settings.frames), settings.frames * settings.clips
        return [
            {
                "side": side,
                "video": video,
                "name": evidence.names[video],
                "outcome": wording.outcome(view, video),
                "frames": [
                    (t, address(evidence.features.videos[video].id, t * settings.clips, all_frames)) for t in shown
                ],
                "count": settings.frames,
            }
            for video in videos
        ]


def shown_frames(frames: int) -> list[int]:
    """Return which of the T frames of a clip are shown, from 0: at most 8, evenly spread."""
    count = min(_SHOWN, frames)
    return [(2 * i + 1) * frames // (2 * count) for i in range(count)]


def _confusion(rival: Rival | None) -> str:
    if rival is None:
        return ""
    if rival.taken:
        return f"{rival.taken} of {rival.videos} videos are taken for it"
    return f"none of {rival.videos} videos is taken for it; it comes nearest"


def _tints(
    view: View, action: Action, texts: Sequence[Descriptor], clips: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the cosines of the label and of each text with each shown frame, by clip; and their range on this page."""
    import torch

    assert view.findings is not None  # noqa: S101 - the caller looked
    vectors = torch.stack([view.findings.labels[action.label], *(view.findings.vectors[d.id] for d in texts)])
    of_clips = view.evidence.features.of_clips
    cosines = [
        frame_cosines(view.evidence, clip["video"], vectors)[:, [0] if of_clips else [t for t, _ in clip["frames"]]]
        for clip in clips
    ]  # of each clip [1 + texts, frames]
    names = ["label", *(str(d.id) for d in texts)]
    every = torch.cat([of_clip.flatten() for of_clip in cosines]) if cosines else torch.zeros(1)
    return {
        "cosines": {name: [_rounded(of_clip[row]) for of_clip in cosines] for row, name in enumerate(names)},
        "details": {"label": wording.label_detail(view, action)} | {
            str(d.id): wording.detail(view, action, d) for d in texts
        },
        "scale": [round(float(every.min()), 4), round(float(every.max()), 4)],
    }  # fmt: skip


def _rounded(values: Any) -> list[float]:
    return [round(value, 4) for value in values.tolist()]
