"""The frames beside the texts of a class, and what the videos say about each text."""

from __future__ import annotations

from fastapi import Response
from fastapi.responses import JSONResponse

from descriptor_gen.review.replies import Replies
from descriptor_gen.review.site import Renderer, Site
from studio.evidence import Videos
from studio.pictures import Pictures

_STATE: Replies = {200: {"description": "Whether the videos are loaded", "content": {"application/json": {}}}}


def frames_site(renderer: Renderer, *, videos: Videos, pictures: Pictures) -> Site:
    """Return the column beside the texts of a class, and the route of the pictures."""
    routes = _Routes(renderer, videos, pictures)
    return Site(
        {"/videos": (routes.state, _STATE), **pictures.get},
        "studio",
        scripts=("frames.js",),
        styles=("frames.css",),
        beside=("frames.html",),
    )


class _Routes:
    def __init__(self, renderer: Renderer, videos: Videos, pictures: Pictures) -> None:
        self._renderer, self._videos, self._pictures = renderer, videos, pictures

    def state(self) -> Response:
        """Begin to load the videos, and say whether they are there."""
        self._videos.start()
        return JSONResponse({"loading": self._videos.is_loading, "note": self._videos.note})
