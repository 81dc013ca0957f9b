"""The routes around texts: words replaced in many of them, what is said about them, and their download."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, Field

from db.comments import LONGEST_GUIDELINES, OutdatedError
from db.storable import LARGEST_INTEGER
from descriptor_gen.review import downloads, pages, replace_page, replies
from descriptor_gen.review.asked import LONGEST_NAME, LONGEST_QUERY, LONGEST_TEXT, Asked, Id, Number
from descriptor_gen.review.filters import Filter
from descriptor_gen.review.prose import prose
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


class CommentBody(BaseModel):
    """What a reviewer says about a text."""

    descriptor: Number
    text: str = Field(max_length=LONGEST_TEXT)


class GuidelinesBody(BaseModel):
    """Guidelines of the dataset; `replaces`: the id of those that the reviewer read, 0 if there were none."""

    text: str = Field(max_length=LONGEST_GUIDELINES)
    replaces: int = Field(ge=0, le=LARGEST_INTEGER)


class TextRoutes:
    """The routes; plain functions, as all of the review."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer
        renderer.share({}, prose=prose)
        self.get: Mapping[str, Route] = {
            "/replace": (self.preview, replies.PAGE | replies.CHANGE),
            "/download": (self.download, replies.FILE | replies.CHANGE),
            "/comments/{descriptor}": (self.comments, replies.PAGE | replies.UNKNOWN_ID),
            "/guidelines": (self.guidelines, replies.PAGE),
        }
        self.post: Mapping[str, Route] = {
            "/replace": (self.replace, replies.DONE | replies.CHANGE),
            "/comment": (self.comment, replies.DONE | replies.CHANGE),
            "/guidelines": (self.set_guidelines, replies.DONE | replies.NEWER | replies.CHANGE),
        }

    def preview(self, session: Current, chosen: Annotated[replace_page.Choice, Depends()], filter_: Asked) -> Response:
        return self._renderer.page(session, "replace", replace_page.page(session, chosen, filter_), filter_)

    def replace(self, session: Current, body: ReplaceBody) -> Response:
        words = Words(body.old, body.new, whole=body.whole, case=body.case)
        filter_ = Filter.from_query(dict(parse_qsl(body.query)))
        decision = replace_page.apply(session, words, filter_, body.stamp)
        count = len(decision.changes)
        return _done(session, f"Replaced words in {count} text{'s' if count > 1 else ''}; one undo restores them")

    def download(self, session: Current, filter_: Asked, format: str = "csv") -> Response:  # noqa: A002 - of the address
        file = downloads.download(session, filter_, format)
        disposition = {"Content-Disposition": f'attachment; filename="{file.name}"'}
        return Response(file.text, media_type=file.media_type, headers=disposition)

    def comments(self, session: Current, descriptor: Id) -> Response:
        return HTMLResponse(self._renderer.part(session, "_comments", pages.comments(session, descriptor)))

    def comment(self, session: Current, body: CommentBody) -> Response:
        session.comment(body.descriptor, body.text)
        return _done(session, "Comment added")

    def guidelines(self, session: Current) -> Response:
        values = {"guidelines": session.notes.guidelines(session.dataset)}
        return HTMLResponse(self._renderer.part(session, "_guidelines", values))

    def set_guidelines(self, session: Current, body: GuidelinesBody) -> Response:
        try:
            session.set_guidelines(body.text, replaces=body.replaces)
        except OutdatedError as error:
            return JSONResponse({"message": str(error)}, 409)
        return _done(session, "Guidelines saved" if body.text.strip() else "The guidelines were taken away")


def _done(session: ReviewSession, message: str) -> Response:
    return JSONResponse({"message": message, "decided": session.totals().decided, "left": session.time_left()})
