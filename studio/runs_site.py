"""The pages about runs: the list, one run with its videos, its confusion matrix, and two runs compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import cache
from pathlib import Path as File
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Path, Query, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, Field

from db.errors import DatabaseError, UsageError, UserError
from db.local_paths import without_folders
from db.records import Run
from db.runs import LONGEST_NAME, LONGEST_NOTE, RunChange, RunContents, RunLabels
from db.storable import LARGEST_INTEGER
from db.store import Store
from descriptor_gen.review import replies
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.session import ReviewSession
from descriptor_gen.review.site import Current, Renderer, Route, Site
from recognizer.datasets.find import find_videos
from recognizer.evaluation.html import interval, signed_interval
from recognizer.evaluation.multi_label import is_multi_label
from recognizer.evaluation.tables import in_words, numbers, run_lines
from recognizer.report.provenance import facts
from recognizer.scoring.metrics import MEASURES
from studio.pictures import MISSING, Pictures, grey
from studio.run_memory import RunMemory, StoredRun
from studio.runs import (
    OUTCOME_NAMES,
    ListChoice,
    VideoChoice,
    compared,
    left_out,
    matrix,
    no_pictures,
    paged,
    rejection,
    run_list,
    shown_run,
    texts_of,
    videos,
)

Number = Annotated[int, Path(ge=1, le=LARGEST_INTEGER)]
Asked = Annotated[int, Query(ge=1, le=LARGEST_INTEGER)]
_FRAME, _FRAMES = 3, 8  # the picture of a video is frame 3 of 8, from 0
_LONGEST_TAGS = 2000

_PAGE: replies.Replies = replies.PAGE | {
    400: {
        "description": "Why it cannot be shown",
        "content": {"text/html": {"schema": {"type": "string"}}, "application/json": {}},
    }
}
_MESSAGE = {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]}
_CHANGED: replies.Replies = replies.CHANGE | {
    200: {"description": "What was done", "content": {"application/json": {"schema": _MESSAGE}}}
}
_CONTENTS: replies.Replies = replies.UNKNOWN_ID | {
    200: {"description": "What goes with a run", "content": {"application/json": {}}}
}
_CLASSES: replies.Replies = replies.UNKNOWN_ID | {
    200: {"description": "The names of the classes", "content": {"application/json": {}}}
}
_FRAME_REPLIES: replies.Replies = replies.UNKNOWN_ID | {
    200: {"description": "A grey picture: there is no other", "content": {"image/jpeg": {}}},
    307: {"description": "Where the picture is"},
}


class LabelsBody(BaseModel):
    """Name, note and tags of a run; the tags are separated by commas."""

    name: str = Field(default="", max_length=LONGEST_NAME)
    note: str = Field(default="", max_length=LONGEST_NOTE)
    tags: str = Field(default="", max_length=_LONGEST_TAGS)


class ChangeBody(LabelsBody):
    """A change of name, note and tags; `read` holds those that the page showed."""

    read: LabelsBody


class ContentsBody(BaseModel):
    """A run to delete, with the contents that the page told the user."""

    run: int = Field(ge=1, le=LARGEST_INTEGER)
    name: str | None
    dataset: str
    created_at: datetime
    predictions: int
    impacts: int


def runs_site(renderer: Renderer, *, store: Store, pictures: Pictures) -> Site:
    """Return the pages about runs; `pictures` has the frames of their videos."""
    routes = _Routes(renderer, store, pictures)
    renderer.share(
        {"newest_run": routes.newest, "outcomes": OUTCOME_NAMES, "in_words": in_words},
        rate=lambda rate: interval(_mapping(rate)),
        change=lambda rate: signed_interval(_mapping(rate)),
        public=without_folders,
        begin=lambda text: text[:1].upper() + text[1:],  # `capitalize` would change the letters of a name
    )
    return Site(
        routes.get,
        "studio",
        routes.post,
        links=(("/runs", "Runs"),),
        scripts=("runs.js",),
        styles=("runs.css",),
        beside=("_runs_of_class.html",),
    )


def _mapping(rate: Any) -> Mapping[str, float]:
    return rate if isinstance(rate, Mapping) else vars(rate)


class _Routes:
    """The routes. They are plain functions, not coroutines, so that each runs in a thread and may wait."""

    def __init__(self, renderer: Renderer, store: Store, pictures: Pictures) -> None:
        self._renderer, self._store, self._pictures = renderer, store, pictures
        self._memory = RunMemory(store)
        self._addresses = cache(self._find)
        self.get: Mapping[str, Route] = {
            "/runs": (self.list, _PAGE),
            "/runs/compare": (self.compare, _PAGE),
            "/runs/{run}": (self.one, _PAGE),
            "/runs/{run}/confusion": (self.confusion, _PAGE),
            "/runs/{run}/classes": (self.classes, _CLASSES),
            "/runs/{run}/contents": (self.contents, _CONTENTS),
            "/runs/{run}/frame/{place}": (self.frame, _FRAME_REPLIES),
        }
        self.post: Mapping[str, Route] = {
            "/runs/{run}": (self.change, _CHANGED),
            "/runs/{run}/delete": (self.delete, _CHANGED),
        }

    def newest(self, dataset: str, name: str) -> tuple[Run, str] | None:
        """Return the newest run of a dataset, and the query of its videos of a class; None if it lacks the class."""
        run = self._store.run_changes().newest(dataset)
        if run is None or name not in (known for known, _ in run.settings.get("classes", ())):
            return None
        return run, urlencode({"label": name})

    def list(self, session: Current, choice: Annotated[ListChoice, Depends()]) -> Response:
        return self._page(session, "runs", lambda: run_list(self._memory, session.dataset, choice))

    def one(self, session: Current, run: Number, choice: Annotated[VideoChoice, Depends()]) -> Response:
        return self._page(session, "run", lambda: self._one(session, run, choice))

    def _one(self, session: ReviewSession, number: int, choice: VideoChoice) -> dict[str, Any]:
        stored = self._memory.get(number)
        try:
            shown = videos(stored, session.dataset, choice) | {"problem": ""}
        except UsageError as error:
            shown = paged([], "1")[1] | {"rows": [], "problem": str(error)}
        public = shown_run(stored)
        heads, rows = numbers(public)
        values = {
            "heads": heads,
            "numbers": rows,
            "gain": public.results.get("gain", {}) if len(rows) > 1 and not is_multi_label(public) else {},
            "measures": MEASURES,
            "lines": run_lines(public),
            "facts": facts(public),
            "left_out": left_out(public),
            "choice": choice,
            "texts": self._texts(session, stored, choice),
            "no_pictures": no_pictures(stored.run),
        }
        return _about(stored, public) | rejection(public) | values | shown

    def _texts(self, session: ReviewSession, stored: StoredRun, choice: VideoChoice) -> Any:
        """Return the texts of the class by which the videos are filtered; of two classes, the true one."""
        name = choice.label or choice.true or choice.predicted
        actions = {action.name: action for action in session.dataset.actions}
        in_use = {d.id: actions[d.action] for d in session.snapshot().descriptors}
        return texts_of(self._store, session.dataset, stored.run, name, in_use)

    def confusion(self, session: Current, run: Number) -> Response:
        return self._page(session, "run_confusion", lambda: self._confusion(session, run))

    def _confusion(self, session: ReviewSession, number: int) -> dict[str, Any]:
        stored = self._memory.get(number)
        about = _about(stored, shown_run(stored))
        is_drawn = about["has_predictions"] and not about["several_labels"]
        return about | (matrix(stored, session.dataset) if is_drawn else {"matrix": None})

    def compare(self, session: Current, a: Asked, b: Asked | None = None, show: str = "", page: str = "1") -> Response:
        """Compare run a with run b; without b, its labels alone with its descriptors."""

        def values() -> dict[str, Any]:
            first, second = self._memory.get(a), self._memory.get(b) if b else None
            return compared(first, second, session.dataset, show=show, page=page)

        return self._page(session, "runs_compare", values)

    def _page(self, session: ReviewSession, name: str, values: Callable[[], dict[str, Any]]) -> Response:
        """Return a page, or one that says why there is none."""
        try:
            return self._renderer.page(session, name, values(), Filter())
        except DatabaseError:
            raise
        except UserError as error:
            refused = self._renderer.page(session, "runs_refused", {"message": str(error)}, Filter())
            refused.status_code = 400
            return refused

    def classes(self, run: Number) -> Response:
        """Answer with the names of the classes, which a page offers when the user begins to type one."""
        return JSONResponse(self._memory.get(run).classes)

    def contents(self, run: Number) -> Response:
        [contents] = self._store.run_changes().contents([run])
        return JSONResponse({**asdict(contents), "created_at": contents.created_at.isoformat()})

    def change(self, run: Number, body: ChangeBody) -> Response:
        """Change name, note and tags of a run to what a form holds."""
        old, new = _tags(body.read.tags), _tags(body.tags)
        change = RunChange(
            name=body.name if body.name != body.read.name else None,
            note=body.note if body.note != body.read.note else None,
            tag=tuple(sorted(new - old)),
            untag=tuple(sorted(old - new)),
        )
        read = RunLabels(body.read.name, body.read.note, tuple(sorted(old)))
        [changed] = self._store.run_changes().change([run], change, read=read)
        return JSONResponse({"message": f"Saved: {changed.title}"})

    def delete(self, run: Number, body: ContentsBody) -> Response:
        """Delete a run if its contents are still those that the page told the user."""
        if body.run != run:
            raise UsageError(f"Nothing was deleted: the request is about run {body.run} and run {run}")
        self._store.run_changes().delete([RunContents(**body.model_dump())])
        return JSONResponse({"message": f"Deleted run {run}"})

    def frame(self, run: Number, place: Annotated[int, Path(ge=0, le=LARGEST_INTEGER)]) -> Response:
        """Redirect to the picture of a video, by its number in the run; answer with a grey one if it is not on disk."""
        stored = self._memory.get(run)
        if place >= len(stored.run.predictions):
            raise UsageError(f"Run {run} has no video {place}. Reload the page")
        settings, video = stored.run.settings, stored.run.predictions[place].video
        try:
            address = self._addresses(stored.run.dataset, settings.get("root") or "", settings.get("split"))
            return RedirectResponse(address(video, _FRAME, _FRAMES), 307)
        except KeyError:
            return _no_picture("The video is no longer there")
        except UserError as error:
            return _no_picture(without_folders(str(error)))

    def _find(self, dataset: str, root: str, split: Any) -> Callable[..., str]:
        """Return the function that gives addresses of frames of the videos in a folder; see `Pictures.offer`."""
        video_list = find_videos(self._store.dataset(dataset), File(root), split=split)
        return self._pictures.offer({video.id: video.path for video in video_list.videos if video.path})


def _about(stored: StoredRun, public: Run) -> dict[str, Any]:
    return {
        "run": public,
        "read": RunLabels.of(public),
        "several_labels": is_multi_label(public),
        "has_predictions": bool(stored.run.predictions),
    }


def _no_picture(reason: str) -> Response:
    return Response(grey(), headers={MISSING: quote(reason)}, media_type="image/jpeg")


def _tags(text: str) -> frozenset[str]:
    return frozenset(filter(None, (" ".join(tag.split()) for tag in text.split(","))))
