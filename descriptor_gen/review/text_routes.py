"""The routes around texts: words replaced in many of them, what is said about them, and their download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from descriptor_gen.review import replace_page, replies
from descriptor_gen.review.asked import LONGEST_NAME, LONGEST_QUERY, LONGEST_TEXT, Asked
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.replacing import Words
from descriptor_gen.review.session import ReviewSession
from descriptor_gen.review.site import Current, Renderer, Route


class ReplaceBody(BaseModel):
    """Words to be replaced in the texts of a filter; `stamp` is that of the preview."""

    old: str = Field(max_length=LONGEST_TEXT)
    new: str = Field(default="", max_length=LONGEST_TEXT)
    whole: bool = False
    case: bool = False
    query: str = Field(default="", max_length=LONGEST_QUERY)
    stamp: str = Field(max_length=LONGEST_NAME)


class TextRoutes:
    """The routes; plain functions, as all of the review."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        self.get: Mapping[str, Route] = {
            "/replace": (self.preview, replies.PAGE | replies.CHANGE),
        }
        self.post: Mapping[str, Route] = {
            "/replace": (self.replace, replies.DONE | replies.CHANGE),
        }

    def preview(self, session: Current, chosen: Annotated[replace_page.Choice, Depends()], filter_: Asked) -> Response:
        return self._renderer.page(session, "replace", replace_page.page(session, chosen, filter_), filter_)

    def replace(self, session: Current, body: ReplaceBody) -> Response:
        words = Words(body.old, body.new, whole=body.whole, case=body.case)
        filter_ = Filter.from_query(dict(parse_qsl(body.query)))
        decision = replace_page.apply(session, words, filter_, body.stamp)
        count = len(decision.changes)
        return _done(session, f"Replaced words in {count} text{'s' if count > 1 else ''}; one undo restores them")


def _done(session: ReviewSession, message: str) -> Response:
    return JSONResponse({"message": message, "decided": session.totals().decided, "left": session.time_left()})
