"""The review application: its routes. A route reads the request, asks `desk` or `views`, and renders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import BaseModel, Field

from db.errors import UserError
from db.records import Action
from descriptor_gen.review import compare, pages
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.security import Guard, Rules
from descriptor_gen.review.session import Desk, Wish

KEYS = (
    (("j", "↓"), "next text"),
    (("k", "↑"), "previous text"),
    (("a",), "accept"),
    (("r",), "reject"),
    (("e",), "edit; Ctrl-Enter keeps, Escape leaves"),
    (("p",), "restore to pending"),
    (("<", ">"), "move a step up, down"),
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
_MOST_TEXT = 2000


class Decided(BaseModel):
    """A decision as a page sends it; see `desk.Wish`."""

    what: str
    seen: list[tuple[int, int]] = Field(default_factory=list, max_length=100_000)
    text: str = Field(default="", max_length=_MOST_TEXT)
    kind: str = ""
    label: int | None = None
    query: str = ""
    stamp: str = ""


class Regenerated(BaseModel):
    """A wish for new texts of a class and kind."""

    label: int
    kind: str


def create_app(desk: Desk, rules: Rules) -> FastAPI:
    """Return the application.

    Args:
        desk: the descriptors of one dataset, one reviewer, and the jobs.
        rules: who may talk to it.
    """
    app = FastAPI(title="descgen review", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, rules=rules)
    app.mount("/static", StaticFiles(packages=[("descriptor_gen.review", "static")]), name="static")
    app.add_exception_handler(UserError, _told)
    site = _Site(desk, rules)
    for path, route in site.reading.items():
        app.add_api_route(path, route, methods=["GET"])
    for path, route in site.changing.items():
        app.add_api_route(path, route, methods=["POST"])
    return app


class _Site:
    """The routes. They are no coroutines: each runs in a thread, where the database may take its time."""

    def __init__(self, desk: Desk, rules: Rules) -> None:
        self._desk = desk
        self._environment = Environment(
            loader=PackageLoader("descriptor_gen.review"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        fixed = {"csrf": rules.csrf, "dataset": desk.dataset.name, "reviewer": desk.reviewer, "keys": KEYS}
        self._environment.globals.update(fixed)
        self.reading: Mapping[str, Callable[..., Response]] = {
            "/": self.overview,
            "/class/{label}": self.one_class,
            "/class/{label}/panel": self.panel,
            "/compare": self.compared,
            "/log": self.log,
            "/history/{descriptor}": self.history,
            "/call/{generation}": self.call,
            "/jobs/{job}": self.job,
        }
        self.changing: Mapping[str, Callable[..., Response]] = {
            "/decide": self.decide,
            "/regenerate": self.regenerate,
        }

    def overview(self, request: Request) -> Response:
        chosen = Filter.of(request.query_params)
        return self._page("overview", pages.overview(self._desk, chosen), chosen)

    def one_class(self, request: Request, label: int) -> Response:
        chosen = Filter.of(request.query_params)
        return self._page("class", pages.one_class(self._desk, self._action(label), chosen), chosen)

    def panel(self, request: Request, label: int) -> Response:
        return HTMLResponse(self._panel(self._action(label), Filter.of(request.query_params)))

    def compared(self, request: Request) -> Response:
        query = request.query_params
        return self._page("compare", compare.page(self._desk, query), Filter.of(query))

    def log(self) -> Response:
        return self._page("log", {"events": pages.events(self._desk)}, Filter())

    def history(self, descriptor: int) -> Response:
        return HTMLResponse(self._rendered("_history", pages.history(self._desk, descriptor)))

    def call(self, generation: int) -> Response:
        return HTMLResponse(self._rendered("_call", pages.call(self._desk, generation)))

    def job(self, job: int) -> Response:
        if (found := self._desk.job(job)) is None:
            raise HTTPException(404, f"No job {job} since this server began")
        return JSONResponse(asdict(found))

    def decide(self, decided: Decided) -> Response:
        chosen = Filter.of(dict(parse_qsl(decided.query)))
        action = self._action(decided.label) if decided.label is not None else None
        wish = Wish(decided.what, tuple(decided.seen), decided.text, decided.kind, action, chosen, decided.stamp)
        outcome = self._desk.decide(wish)
        html = self._panel(action, chosen, outcome.conflicts) if action else ""
        body = {"said": outcome.said, "html": html, "decided": self._desk.totals().decided}
        return JSONResponse(body, 409 if outcome.conflicts else 200)

    def regenerate(self, wanted: Regenerated) -> Response:
        return JSONResponse(asdict(self._desk.regenerate(self._action(wanted.label), wanted.kind)))

    def _action(self, label: int) -> Action:
        actions = self._desk.dataset.actions
        if not 0 <= label < len(actions):
            raise HTTPException(404, f"{self._desk.dataset.name} has no label {label}")
        return actions[label]

    def _panel(self, action: Action, chosen: Filter, conflicts: Sequence[str] = ()) -> str:
        return self._rendered("_class", pages.panel(self._desk, action, chosen) | {"conflicts": conflicts})

    def _page(self, name: str, values: Mapping[str, Any], chosen: Filter) -> Response:
        shared = {"page": name, "filter": chosen, "totals": self._desk.totals()}
        return HTMLResponse(self._rendered(name, shared | dict(values)))

    def _rendered(self, name: str, values: Mapping[str, Any]) -> str:
        return self._environment.get_template(f"{name}.html").render(values)


async def _told(_request: Request, error: Exception) -> Response:
    return JSONResponse({"said": str(error)}, 400)
