"""The routes of the review application. A route reads the request, calls `session` or `pages`, and renders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any, cast
from urllib.parse import parse_qsl

from fastapi import Depends, FastAPI, HTTPException, Path, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import APIKeyHeader
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from db.errors import DatabaseError, UserError
from db.records import STATUSES, Action, DescriptorRef
from db.storable import LARGEST_INTEGER
from descriptor_gen.review import compare, conflicts, pages, queue, replies
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.security import CSRF_HEADER, AccessRules, Guard
from descriptor_gen.review.session import DecisionRequest, Outcome, ReviewSession

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
    (("h",), "history of the text"),
    (("i",), "prompt and reply"),
    (("[", "]"), "previous, next class"),
    (("o",), "overview"),
    (("/",), "search"),
    (("?",), "these keys"),
)
_LONGEST_TEXT = 2000
_LONGEST_NAME = 300
_LONGEST_QUERY = 4000

Number = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]
Id = Annotated[int, Path(ge=1, le=LARGEST_INTEGER)]


def _asked(query: Annotated[Filter, Depends()]) -> Filter:
    return Filter.from_query(asdict(query))


Asked = Annotated[Filter, Depends(_asked)]


class DecisionBody(BaseModel):
    """A decision sent by a page; see `session.DecisionRequest`.

    `label` and `query` are those of the page's address; `current` is the text that has the focus.
    """

    decision: str = Field(max_length=_LONGEST_NAME)
    refs: list[tuple[Number, Number]] = Field(default_factory=list, max_length=100_000)
    text: str = Field(default="", max_length=_LONGEST_TEXT)
    kind: str = Field(default="", max_length=_LONGEST_NAME)
    label: int | None = None
    query: str = Field(default="", max_length=_LONGEST_QUERY)
    stamp: str = Field(default="", max_length=_LONGEST_NAME)
    current: int = Field(default=0, ge=0, le=LARGEST_INTEGER)


class RegenerateBody(BaseModel):
    """A request for new texts of a class and kind."""

    label: int
    kind: str = Field(max_length=_LONGEST_NAME)


def create_app(session: ReviewSession, rules: AccessRules) -> FastAPI:
    """Return the application of one session; it answers the requests that `rules` allow."""
    app = FastAPI(title="descgen review", docs_url=None, redoc_url=None, openapi_url=None, responses=replies.ANYWHERE)
    app.add_middleware(Guard, rules=rules)
    app.mount("/static", StaticFiles(packages=[("descriptor_gen.review", "static")]), name="static")
    app.add_exception_handler(UserError, _bad_request)
    app.add_exception_handler(DatabaseError, partial(_unavailable, session))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _refused)
    site = _Site(session, rules)
    for path, (route, answers) in site.get.items():
        app.add_api_route(path, route, methods=["GET"], responses=answers)
    secret = Security(APIKeyHeader(name=CSRF_HEADER, auto_error=False))  # for the schema; Guard looks at it
    for path, (route, answers) in site.post.items():
        app.add_api_route(path, route, methods=["POST"], responses=answers, dependencies=[secret])
    return app


_Route = tuple[Callable[..., Response], replies.Replies]  # and what it may answer


class _Site:
    """The routes. They are plain functions, not coroutines, so that each runs in a thread and may wait."""

    def __init__(self, session: ReviewSession, rules: AccessRules) -> None:
        self._session = session
        self._environment = Environment(
            loader=PackageLoader("descriptor_gen.review"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        shared = {"csrf": rules.csrf, "dataset": session.dataset.name, "reviewer": session.reviewer}
        self._environment.globals.update(shared, keys=KEYS, statuses=STATUSES, cause=conflicts.cause)
        self._environment.filters["marked"] = pages.marked
        self.get: Mapping[str, _Route] = {
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
        self.post: Mapping[str, _Route] = {
            "/decide": (self.decide, changed | replies.DECISION),
            "/regenerate": (self.regenerate, changed | replies.JOB),
        }

    def overview(self, filter_: Asked) -> Response:
        return self._page("overview", pages.overview(self._session, filter_), filter_)

    def one_class(self, label: int, filter_: Asked) -> Response:
        return self._page("class", pages.one_class(self._session, self._action(label), filter_), filter_)

    def panel(self, label: int, filter_: Asked) -> Response:
        return HTMLResponse(self._panel(self._action(label), filter_))

    def compare(self, chosen: Annotated[compare.Choice, Depends()], filter_: Asked) -> Response:
        return self._page("compare", compare.page(self._session, chosen), filter_)

    def log(self) -> Response:
        return self._page("log", {"events": pages.events(self._session)}, Filter())

    def history(self, descriptor: Id) -> Response:
        return HTMLResponse(self._rendered("_history", pages.history(self._session, descriptor)))

    def call(self, generation: Id) -> Response:
        return HTMLResponse(self._rendered("_call", pages.call(self._session, generation)))

    def job(self, job: Id) -> Response:
        jobs = self._session.jobs
        if jobs is None or (status := jobs.get(job)) is None:
            raise HTTPException(404, f"This server has no job {job}")
        return JSONResponse(asdict(status))

    def decide(self, body: DecisionBody) -> Response:
        filter_ = Filter.from_query(dict(parse_qsl(body.query)))
        action = self._action(body.label) if body.label is not None else None
        refs = tuple(DescriptorRef(*ref) for ref in body.refs)
        outcome = self._session.decide(
            DecisionRequest(body.decision, refs, body.text, body.kind, action, filter_, body.stamp)
        )
        if outcome.conflicts:
            return self._conflicted(body, outcome, action, filter_)
        assert outcome.decision is not None  # noqa: S101 - there are conflicts, or a decision
        current = body.current or (body.refs[0][0] if body.refs else 0)
        follows = queue.after(self._session, outcome.decision, action=action, current=current, filter_=filter_)
        message = f"{outcome.message}. {follows.end}" if follows.end else outcome.message
        return JSONResponse(self._answer(message, action, follows, filter_))

    def _conflicted(self, body: DecisionBody, outcome: Outcome, action: Action | None, filter_: Filter) -> Response:
        now = outcome.conflicts[0]
        request = {"conflicts": outcome.conflicts, "decision": body.decision, "text": body.text}
        follows = queue.Next(action, now.now.id if now.in_use else None)
        return JSONResponse(self._answer(outcome.message, action, follows, filter_, request=request), 409)

    def _answer(
        self,
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
            "decided": self._session.totals().decided,
            "left": self._session.time_left(),
            "html": self._panel(action, filter_, request) if action and not goes else "",
            "page": f"/class/{follows.action.label}?{filter_.query}" if goes and follows.action else "",
            "label": follows.action.label if follows.action else None,
            "focus": follows.descriptor,
        }

    def regenerate(self, body: RegenerateBody) -> Response:
        return JSONResponse(asdict(self._session.regenerate(self._action(body.label), body.kind)))

    def _action(self, label: int) -> Action:
        actions = self._session.dataset.actions
        if not 0 <= label < len(actions):
            raise HTTPException(404, f"{self._session.dataset.name} has no label {label}")
        return actions[label]

    def _panel(self, action: Action, filter_: Filter, request: dict[str, Any] | None = None) -> str:
        values = pages.panel(self._session, action, filter_, request=request)
        return self._rendered("_class", values | {"filter": filter_})

    def _page(self, name: str, values: Mapping[str, Any], filter_: Filter) -> Response:
        session = self._session
        shared = {"page": name, "filter": filter_, "totals": session.totals(), "left": session.time_left()}
        return HTMLResponse(self._rendered(name, shared | dict(values)))

    def _rendered(self, name: str, values: Mapping[str, Any]) -> str:
        return self._environment.get_template(f"{name}.html").render(values)


async def _bad_request(_request: Request, error: Exception) -> Response:
    return JSONResponse({"message": str(error)}, 400)


async def _unavailable(session: ReviewSession, _request: Request, error: Exception) -> Response:
    return JSONResponse({"message": session.faults.tell(cast(DatabaseError, error))}, 503)


async def _invalid(_request: Request, error: Exception) -> Response:
    """Name the first field that is not as it should be. What was sent is not repeated: JSON cannot hold all of it."""
    first = cast(RequestValidationError, error).errors()[0]
    if first["type"] == "json_invalid":
        return JSONResponse({"message": "The request is not valid JSON"}, 422)
    place, *field = first["loc"]
    name = ".".join(map(str, field)) or f"the {place}"
    return JSONResponse({"message": f"The request is refused. {name}: {first['msg']}"}, 422)


async def _refused(_request: Request, error: Exception) -> Response:
    refusal = cast(StarletteHTTPException, error)
    return JSONResponse({"message": refusal.detail}, refusal.status_code, headers=refusal.headers)
