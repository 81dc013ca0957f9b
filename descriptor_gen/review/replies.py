"""What the routes may answer, as their OpenAPI schema says it."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from descriptor_gen.review.jobs import Job

Replies = dict[int | str, dict[str, Any]]
_TEXT = {"type": "string"}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _refusal(description: str) -> dict[str, Any]:
    return _json(description, _object(message=_TEXT))


def _text(description: str, media_type: str = "text/plain") -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": _TEXT}}}


_NUMBER = {"type": ["integer", "null"]}
_DECIDED = _object(
    message=_TEXT, html=_TEXT, page=_TEXT, left=_TEXT, decided={"type": "integer"}, label=_NUMBER, focus=_NUMBER
)
_DONE = _object(message=_TEXT, left=_TEXT, decided={"type": "integer"})

ANYWHERE: Replies = {
    303: {"description": "The token of the address is now in a cookie; go on without it"},
    401: _text("The token is missing"),
    411: _refusal("The request does not give its length"),
    413: _refusal("The request is too long"),
    421: _text("The server has another name"),
    422: _refusal("A value is not what it should be"),
    503: _refusal("The database cannot be read or changed now"),
}
CHANGE: Replies = {
    400: _refusal("This cannot be done; nothing was changed"),
    403: _refusal("The request is not from a page of this server"),
}
PAGE: Replies = {200: _text("A page, or a part of one", "text/html")}
NOT_FOUND: Replies = {404: _refusal("There is no such class or job")}
MESSAGE: Replies = {200: _refusal("A message, empty if there is nothing to say")}
SETTLED: Replies = MESSAGE | {409: _refusal("Nothing was changed: others have changed these texts")}
NOT_BLIND: Replies = {400: _refusal("The reviewer is blind")}
UNKNOWN_ID: Replies = {400: _refusal("There is no such text or call")}
JOB: Replies = {200: _json("The state of the job", TypeAdapter(Job).json_schema())}
DECISION: Replies = {
    200: _json("The decision was made", _DECIDED),
    409: _json("Nothing was changed: others have changed these texts", _DECIDED),
}
DONE: Replies = {200: _json("It was done", _DONE)}
FILE: Replies = {
    200: {
        "description": "A file that descgen import reads",
        "content": {"text/csv": {"schema": _TEXT}, "application/json": {"schema": {"type": "object"}}},
    }
}
NEWER: Replies = {409: _refusal("Somebody else was faster; nothing was changed")}
