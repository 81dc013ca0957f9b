"""The routes about several reviewers: their progress, what they did meanwhile, and settling a blind review."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from db.storable import LARGEST_INTEGER
from descriptor_gen.review import people, replies, settling
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.reviewers import Reviewers
from descriptor_gen.review.routes import action_of
from descriptor_gen.review.site import Current, Renderer, Site

Since = Annotated[int, Query(ge=0, le=LARGEST_INTEGER)]


class SettleBody(BaseModel):
    """A decision about all texts of a group; see `settling.settle`."""

    which: settling.Which
    decision: settling.Verdict
    stamp: str = Field(max_length=300)


def people_site(renderer: Renderer, *, reviewers: Reviewers | None = None) -> Site:
    """Return the pages about reviewers; `reviewers`: those of this server, if they are several."""

    def overview(session: Current) -> Response:
        return renderer.page(session, "reviewers", people.page(session, reviewers), Filter())

    def disagreements(session: Current) -> Response:
        return renderer.page(session, "disagreements", settling.page(session), Filter())

    def changes(session: Current, label: int, since: Since) -> Response:
        return JSONResponse({"message": people.changes(session, action_of(session, label), since)})

    def settle(session: Current, body: SettleBody) -> Response:
        outcome = settling.settle(session, body.which, body.decision, expected=body.stamp)
        return JSONResponse({"message": outcome.message}, 409 if outcome.conflicts else 200)

    return Site(
        {
            "/reviewers": (overview, replies.PAGE),
            "/disagreements": (disagreements, replies.PAGE | replies.NOT_BLIND),
            "/class/{label}/changes": (changes, replies.MESSAGE | replies.NOT_FOUND),
        },
        "descriptor_gen.review",
        {"/settle": (settle, replies.CHANGE | replies.SETTLED)},
        links=(("/reviewers", "Reviewers"),),
        scripts=("reviewers.js",),
        blind=True,
    )
