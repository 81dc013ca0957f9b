"""The review application: its sites behind one guard, and what is answered when something goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from fastapi import Depends, FastAPI, HTTPException, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException as StarletteHTTPException

from db.errors import DatabaseError, UserError
from descriptor_gen.review import replies
from descriptor_gen.review.people_site import people_site
from descriptor_gen.review.reviewers import Reviewers
from descriptor_gen.review.routes import review_site
from descriptor_gen.review.security import CSRF_HEADER, AccessRules, Guard
from descriptor_gen.review.session import ReviewSession
from descriptor_gen.review.site import Current, Renderer, Site

MakeSite = Callable[[Renderer], Site]


def create_app(
    session: ReviewSession, rules: AccessRules, *, sites: Sequence[MakeSite] = (), reviewers: Reviewers | None = None
) -> FastAPI:
    """Return the application of one reviewer or several; it answers the requests that `rules` allow.

    Args:
        session: that of the reviewer; if there are several, that of the person who started the server.
        rules: of access.
        sites: what other packages add to the review.
        reviewers: the others; the rules must have their `identities`.
    """
    app = FastAPI(title="descgen review", docs_url=None, redoc_url=None, openapi_url=None, responses=replies.ANYWHERE)
    app.state.session_of = reviewers.session_of if reviewers else lambda _request: session
    app.add_middleware(Guard, rules=rules)
    app.add_exception_handler(UserError, _bad_request)
    app.add_exception_handler(DatabaseError, partial(_unavailable, session))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _refused)
    renderer = Renderer(lambda of: rules.csrf_of(reviewers.key(of) if reviewers else ""))
    makers: Sequence[MakeSite] = (review_site, partial(people_site, reviewers=reviewers), *sites)
    for make in makers:
        site = make(renderer)
        renderer.include(site)
        _add(app, site)
    return app


def _add(app: FastAPI, site: Site) -> None:
    app.mount(f"/static/{site.package}", StaticFiles(packages=[(site.package, "static")]), name=site.package)
    allowed = [] if site.blind else [Depends(_refuse_blind)]
    for path, (route, answers) in site.get.items():
        app.add_api_route(path, route, methods=["GET"], responses=answers, dependencies=allowed)
    secret = Security(APIKeyHeader(name=CSRF_HEADER, auto_error=False))  # for the schema; Guard looks at it
    for path, (route, answers) in site.post.items():
        app.add_api_route(path, route, methods=["POST"], responses=answers, dependencies=[*allowed, secret])


def _refuse_blind(session: Current) -> None:
    if session.blind:
        raise HTTPException(403, "Blind reviewers do not see this page: it may tell what others decided")


async def _bad_request(_request: Request, error: Exception) -> Response:
    return JSONResponse({"message": str(error)}, 400)


async def _unavailable(session: ReviewSession, _request: Request, error: Exception) -> Response:
    return JSONResponse({"message": session.faults.tell(cast(DatabaseError, error))}, 503)


async def _invalid(_request: Request, error: Exception) -> Response:
    """Name the first invalid field. What was sent is not repeated: JSON cannot hold all of it."""
    first = cast(RequestValidationError, error).errors()[0]
    if first["type"] == "json_invalid":
        return JSONResponse({"message": "The request is not valid JSON"}, 422)
    place, *field = first["loc"]
    name = ".".join(map(str, field)) or f"the {place}"
    return JSONResponse({"message": f"The request is refused. {name}: {first['msg']}"}, 422)


async def _refused(_request: Request, error: Exception) -> Response:
    refusal = cast(StarletteHTTPException, error)
    return JSONResponse({"message": refusal.detail}, refusal.status_code, headers=refusal.headers)
