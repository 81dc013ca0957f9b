"""The routes of the review. A route reads the request, calls `session` or `pages`, and renders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field

from db.blind_verdicts import REFUSED
from db.records import STATUSES, Action, DescriptorRef
from db.storable import LARGEST_INTEGER
from descriptor_gen.review import compare, conflicts, pages, queue, replies
from descriptor_gen.review.asked import LONGEST_NAME, LONGEST_QUERY, LONGEST_TEXT, Asked, Id, Number
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.session import DecisionRequest, Outcome, ReviewSession
from descriptor_gen.review.site import Current, Renderer, Route, Site
from descriptor_gen.review.text_routes import TextRoutes

KEYS = (
    (("j", "↓"), "next text"),
    (("k", "↑"), "previous text"),
    (("a",), "accept"),
    (("r",), "reject"),
    (("e",), "edit; Ctrl-Enter saves, Escape cancels"),
    (("p",), "restore to pending"),
    (("<", ">"), "move up, down"),
    (("n",), "add a text of your own"),
    (("A",), "accept all pending of the class"),
    (("u",), "undo your last decision"),
    (("c",), "comments on the text"),
    (("h",), "history of the text"),
    (("i",), "prompt and reply"),
    (("[", "]"), "previous, next class"),
    (("g",), "guidelines"),
    (("o",), "overview"),
    (("/",), "search"),
    (("?",), "these keys"),
)
CHANGING_KEYS = ("e", "<", "n")  # first keys of the rows of `KEYS` that change texts: blind reviewers do not see these


class DecisionBody(BaseModel):
    """A decision sent by a page; see `session.DecisionRequest`.

    `label` and `query` are those of the page's address, `compare` is the query of the page that compares; `current` is
    the text that has the focus.
    """

    decision: str = Field(max_length=LONGEST_NAME)
    refs: list[tuple[Number, Number]] = Field(default_factory=list, max_length=100_000)
    text: str = Field(default="", max_length=LONGEST_TEXT)
    kind: str = Field(default="", max_length=LONGEST_NAME)
    label: int | None = None
    query: str = Field(default="", max_length=LONGEST_QUERY)
    stamp: str = Field(default="", max_length=LONGEST_NAME)
    current: int = Field(default=0, ge=0, le=LARGEST_INTEGER)
    compare: str = Field(default="", max_length=LONGEST_QUERY)


class RegenerateBody(BaseModel):
    """A request for new texts of a class and kind."""

    label: int
    kind: str = Field(max_length=LONGEST_NAME)


def review_site(renderer: Renderer) -> Site:
    """Return the pages on which texts are read and decided on."""
    routes, texts = _Routes(renderer), TextRoutes(renderer)
    return Site(
        {**routes.get, **texts.get},
        "descriptor_gen.review",
        {**routes.post, **texts.post},
        links=(("/compare", "Compare"), ("/log", "Decisions")),
        scripts=("review.js", "texts.js"),
        styles=("review.css", "texts.css"),
        blind=True,
    )


class _Routes:
    """The routes. They are plain functions, not coroutines, so that each runs in a thread and may wait."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        shared = {"keys": KEYS, "statuses": STATUSES, "cause": conflicts.cause, "changing_keys": CHANGING_KEYS}
        shared |= {"refused_when_blind": REFUSED}
        renderer.share(shared, marked=pages.marked)
        self.get: Mapping[str, Route] = {
            "/": (self.overview, replies.PAGE),
            "/class/{label}": (self.one_class, replies.PAGE | replies.NOT_FOUND),
            "/class/{label}/panel": (self.panel, replies.PAGE | replies.NOT_FOUND),
            "/compare": (self.compare, replies.PAGE),
            "/log": (self.log, replies.PAGE),
            "/history/{descriptor}": (self.history, replies.PAGE | replies.UNKNOWN_ID),
            "/call/{generation}": (self.call, replies.PAGE | replies.UNKNOWN_ID),
            "/jobs/{job}": (self.job, replies.JOB | replies.NOT_FOUND),
        }
        changed = replies.CHANGE | replies.NOT_FOUND
        self.post: Mapping[str, Route] = {
            "/decide": (self.decide, changed | replies.DECISION),
            "/regenerate": (self.regenerate, changed | replies.JOB),
        }

    def overview(self, session: Current, filter_: Asked, page: str = "", at: str = "") -> Response:
        return self._renderer.page(session, "overview", pages.overview(session, filter_, page, at), filter_)

    def one_class(self, session: Current, label: int, filter_: Asked) -> Response:
        values = pages.one_class(session, action_of(session, label), filter_)
        return self._renderer.page(session, "class", values, filter_)

    def panel(self, session: Current, label: int, filter_: Asked) -> Response:
        return HTMLResponse(self._panel(session, action_of(session, label), filter_))

    def compare(self, session: Current, chosen: Annotated[compare.Choice, Depends()], filter_: Asked) -> Response:
        if filter_.kind == compare.EVERY_KIND:
            filter_ = replace(filter_, kind="")  # for the links to other pages, which have no such kind
        return self._renderer.page(session, "compare", compare.page(session, chosen), filter_)

    def log(self, session: Current, page: str = "") -> Response:
        return self._renderer.page(session, "log", pages.log(session, page), Filter())

    def history(self, session: Current, descriptor: Id) -> Response:
        return HTMLResponse(self._renderer.part(session, "_history", pages.history(session, descriptor)))

    def call(self, session: Current, generation: Id) -> Response:
        return HTMLResponse(self._renderer.part(session, "_call", pages.call(session, generation)))

    def job(self, session: Current, job: Id) -> Response:
        if session.jobs is None or (status := session.jobs.get(job)) is None:
            raise HTTPException(404, f"This server has no job {job}")
        return JSONResponse(asdict(status))

    def decide(self, session: Current, body: DecisionBody) -> Response:
        filter_ = Filter.from_query(dict(parse_qsl(body.query)))
        action = action_of(session, body.label) if body.label is not None else None
        refs = tuple(DescriptorRef(*ref) for ref in body.refs)
        outcome = session.decide(
            DecisionRequest(body.decision, refs, body.text, body.kind, action, filter_, body.stamp)
        )
        if body.compare:
            return self._compared(session, body, outcome)
        if outcome.conflicts:
            return self._conflicted(session, body, outcome, action, filter_)
        assert outcome.decision is not None  # noqa: S101 - there are conflicts, or a decision
        current = body.current or (body.refs[0][0] if body.refs else 0)
        follows = queue.after(session, outcome.decision, action=action, current=current, filter_=filter_)
        message = f"{outcome.message}. {follows.end}" if follows.end else outcome.message
        return JSONResponse(self._answer(session, message, action, follows, filter_))

    def _compared(self, session: ReviewSession, body: DecisionBody, outcome: Outcome) -> Response:
        """Answer a decision that was made on the page that compares."""
        chosen = compare.Choice.from_query(dict(parse_qsl(body.compare)))
        request = {"conflicts": outcome.conflicts, "decision": body.decision, "text": body.text}
        now = [conflict.now.id for conflict in outcome.conflicts if conflict.in_use]
        current = body.current or (body.refs[0][0] if body.refs else 0)
        decision = outcome.decision
        focus, end = compare.focus_after(session, chosen, decision, current) if decision else (None, "")
        values = compare.page(session, chosen, request=request) | {"filter": Filter()}
        answer = {
            "message": f"{outcome.message}. {end}" if end else outcome.message,
            "decided": session.totals().decided,
            "left": session.time_left(),
            "html": self._renderer.part(session, "_compare", values),
            "page": "",
            "label": None,
            "focus": next(iter(now), focus),
        }
        return JSONResponse(answer, 409 if outcome.conflicts else 200)

    def _conflicted(
        self, session: ReviewSession, body: DecisionBody, outcome: Outcome, action: Action | None, filter_: Filter
    ) -> Response:
        now = outcome.conflicts[0]
        request = {"conflicts": outcome.conflicts, "decision": body.decision, "text": body.text}
        follows = queue.Next(action, now.now.id if now.in_use else None)
        return JSONResponse(self._answer(session, outcome.message, action, follows, filter_, request=request), 409)

    def _answer(
        self,
        session: ReviewSession,
        message: str,
        action: Action | None,
        follows: queue.Next,
        filter_: Filter,
        *,
        request: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return what the page needs: its new panel, or the address to go to, and what gets the focus there."""
        goes = action is not None and follows.action is not None and follows.action != action
        return {
            "message": message,
            "decided": session.totals().decided,
            "left": session.time_left(),
            "html": self._panel(session, action, filter_, request) if action and not goes else "",
            "page": f"/class/{follows.action.label}?{filter_.query}" if goes and follows.action else "",
            "label": follows.action.label if follows.action else None,
            "focus": follows.descriptor,
        }

    def regenerate(self, session: Current, body: RegenerateBody) -> Response:
        return JSONResponse(asdict(session.regenerate(action_of(session, body.label), body.kind)))

    def _panel(
        self, session: ReviewSession, action: Action, filter_: Filter, request: dict[str, Any] | None = None
    ) -> str:
        values = pages.panel(session, action, filter_, request=request)
        return self._renderer.part(session, "_class", values | {"filter": filter_})


def action_of(session: ReviewSession, label: int) -> Action:
    """Return the class with a label; an HTTPException with status 404 if there is none."""
    actions = session.dataset.actions
    if not 0 <= label < len(actions):
        raise HTTPException(404, f"{session.dataset.name} has no label {label}")
    return actions[label]
