"""Small pictures of the frames of videos, made when a page first asks for one and kept in memory."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from fastapi import HTTPException, Query, Response
from fastapi import Path as InPath

from db.errors import UserError
from db.local_paths import without_folders
from descriptor_gen.review.replies import Replies
from descriptor_gen.review.site import Route
from recognizer.video.container import UnreadableVideo
from recognizer.video.pictures import files_in
from recognizer.video.pool import Decoding, Pool, cores
from recognizer.video.thumbnails import compressed

LIMIT = 64 * 2**20  # bytes of pictures that are kept; a strip of 16 takes about 60 kB
SHOWN = 8  # frames of a video, unless a page asks for another number
MOST = 64
MISSING = "x-picture-missing"  # header of a grey picture: why there is no other, percent-encoded
_GREY = 8  # pixels of a grey picture's side: scripts know it by its width
_HEADERS = {"Cache-Control": "private, max-age=86400"}  # addresses are new with each start of the server
_REPLIES: Replies = {
    200: {
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
        "description": "A frame, or a grey picture.",
    },
    404: {"description": "No such video was offered"},
}

Wanted = tuple[str, int, int]  # key of an offer, number of a video in it, how many frames
Draw = Callable[[Pool, Path, int], tuple[bytes, ...]]


@dataclass(frozen=True)
class Strip:
    """Evenly spread frames of a video as JPEG files, in order of time; without any, `missing` says why."""

    files: tuple[bytes, ...] = ()
    missing: str = ""

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(map(len, self.files)) + len(self.missing)


class Pictures:
    """The pictures of the videos that were offered; no other file can be asked for.

    Each video is decoded once, in a worker process, however many threads ask for its frames.
    """

    def __init__(self, *, limit: int = LIMIT, draw: Draw = files_in) -> None:
        """Keep at most `limit` bytes; `draw` makes the pictures of a video."""
        self._limit, self._draw = limit, draw
        self._pool = Pool(Decoding(workers=min(2, cores())))
        self._salt = secrets.token_bytes(16)
        self._offered: dict[str, Sequence[Path]] = {}
        self._strips: OrderedDict[Wanted, Strip] = OrderedDict()  # in order of use, the latest last
        self._bytes = 0
        self._lock = threading.Lock()
        self._drawing: dict[Wanted, threading.Lock] = {}

    def offer(self, videos: Mapping[str, Path]) -> Callable[..., str]:
        """Let pages show videos: id -> file, or folder of frames. The same videos have the same addresses.

        Returns:
            (id, n, frames=8) -> the address of frame n, from 0, of so many evenly spread ones; for <img src>.
        """
        paths = tuple(videos.values())
        key = hashlib.sha256(self._salt + repr(paths).encode("utf-8", "surrogateescape")).hexdigest()[:16]
        numbers = {video: number for number, video in enumerate(videos)}  # an address holds no path
        self._offered[key] = paths
        return lambda video, n, frames=SHOWN: f"/frame/{key}/{numbers[video]}?n={n}&frames={frames}"

    def strip(self, key: str, number: int, frames: int) -> Strip:
        """Return the frames of a video that was offered, by its number in the offer.

        Raises:
            LookupError: it was not offered.
        """
        path, wanted = self._offered[key][number], (key, number, frames)
        with self._lock:
            one_at_a_time = self._drawing.setdefault(wanted, threading.Lock())
        try:
            with one_at_a_time:
                return self._kept(wanted) or self._keep(wanted, self._drawn(path, frames))
        finally:
            with self._lock:
                self._drawing.pop(wanted, None)

    def _kept(self, wanted: Wanted) -> Strip | None:
        with self._lock:
            if wanted in self._strips:
                self._strips.move_to_end(wanted)
            return self._strips.get(wanted)

    def _drawn(self, path: Path, frames: int) -> Strip:
        try:
            return Strip(self._draw(self._pool, path, frames))
        except (UnreadableVideo, UserError) as error:
            return Strip(missing=without_folders(f"The video cannot be read: {error}"))

    def _keep(self, wanted: Wanted, strip: Strip) -> Strip:
        with self._lock:
            self._strips[wanted] = strip
            self._bytes += strip.size
            while self._bytes > self._limit and len(self._strips) > 1:
                self._bytes -= self._strips.popitem(last=False)[1].size
        return strip

    @property
    def get(self) -> dict[str, Route]:
        """The route of the pictures, for a site."""
        return {"/frame/{key}/{number}": (self.frame, _REPLIES)}

    def frame(
        self,
        key: str,
        number: Annotated[int, InPath(ge=0)],
        n: Annotated[int, Query(ge=0, lt=MOST)] = 0,
        frames: Annotated[int, Query(ge=1, le=MOST)] = SHOWN,
    ) -> Response:
        """Answer with frame n of a video, or a grey picture and the reason why there is none."""
        try:
            strip = self.strip(key, number, frames)
        except LookupError:
            raise HTTPException(404, "No such video. Reload the page") from None
        if strip.missing:
            return Response(grey(), headers={MISSING: quote(strip.missing)}, media_type="image/jpeg")
        if n >= len(strip.files):
            raise HTTPException(404, f"The frames are numbered from 0 to {len(strip.files) - 1}")
        return Response(strip.files[n], headers=_HEADERS, media_type="image/jpeg")


@cache
def grey() -> bytes:
    """Return the picture that stands for a frame that cannot be shown."""
    import numpy as np

    return compressed(np.full((_GREY, _GREY, 3), 128, np.uint8), quality=76)
