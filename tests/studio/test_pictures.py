"""Pictures of frames: made once, only of videos that were offered, and grey with a reason where there are none."""

from __future__ import annotations

import threading
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from descriptor_gen.review.security import Guard, access_rules
from recognizer.video.container import UnreadableVideo
from recognizer.video.pool import Pool
from studio.pictures import MISSING, Pictures
from tests.fixtures.videos import STEP, make_video


def client(pictures: Pictures) -> TestClient:
    app = FastAPI()
    app.add_middleware(Guard, rules=access_rules("127.0.0.1"))
    for path, (route, _) in pictures.get.items():
        app.add_api_route(path, route, methods=["GET"])
    return TestClient(app, base_url="http://localhost")


def level(content: bytes) -> float:
    """Return the mean grey level of a JPEG file."""
    with Image.open(BytesIO(content)) as image:
        return float(np.asarray(image).mean())


def test_a_page_gets_the_frames_of_a_video_that_was_offered(tmp_path: Path) -> None:
    pictures = Pictures()
    address = pictures.offer({"a/one.mp4": make_video(tmp_path / "one.mp4", 12)})
    web = client(pictures)
    for n, frame in enumerate((1, 4, 7, 10)):  # of 12 frames the centres of 4 equal parts
        answer = web.get(address("a/one.mp4", n, 4))
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"] == "private, max-age=86400"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert level(answer.content) == pytest.approx(STEP * frame, abs=2)
    assert str(tmp_path) not in address("a/one.mp4", 0)


@pytest.mark.parametrize(
    "path", ["{0}/1?n=0", "{0}/0?n=9&frames=4", "other/0", "{0}/99999999999999999999", "{0}/../../etc/passwd"]
)
def test_nothing_else_can_be_asked_for(path: str, tmp_path: Path) -> None:
    pictures = Pictures()
    key = pictures.offer({"one": make_video(tmp_path / "one.mp4", 12)})("one", 0).split("/")[2]
    answer = client(pictures).get("/frame/" + path.format(key))
    assert answer.status_code == 404
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("query", ["n=-1", "n=64", "frames=0", "frames=65", "n=x"])
def test_numbers_out_of_range_are_refused(query: str) -> None:
    assert client(Pictures()).get(f"/frame/key/0?{query}").status_code == 422


def test_a_broken_video_is_grey_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    pictures = Pictures()
    answer = client(pictures).get(pictures.offer({"é": tmp_path / "broken.mp4"})("é", 0))
    assert answer.status_code == 200
    assert unquote(answer.headers[MISSING]).startswith("The video cannot be read: ")
    assert str(tmp_path) not in unquote(answer.headers[MISSING])
    assert answer.headers["cache-control"] == "no-store"  # it may be mended
    assert level(answer.content) == pytest.approx(128, abs=1)


def test_a_video_is_decoded_once_however_many_ask() -> None:
    calls: list[Path] = []
    free = threading.Event()

    def draw(_pool: Pool, path: Path, frames: int) -> tuple[bytes, ...]:
        calls.append(path)
        assert free.wait(60)
        return tuple(b"%d" % n for n in range(frames))

    pictures = Pictures(draw=draw)
    key = pictures.offer({"one": Path("one")})("one", 0).split("/")[2]
    strips: list[object] = []
    threads = [threading.Thread(target=lambda: strips.append(pictures.strip(key, 0, 3))) for _ in range(6)]
    [thread.start() for thread in threads]
    free.set()
    [thread.join() for thread in threads]
    assert len(calls) == 1
    assert len(strips) == 6
    assert len({id(strip) for strip in strips}) == 1


def test_memory_is_bounded_and_the_oldest_go() -> None:
    calls: list[str] = []

    def draw(_pool: Pool, path: Path, _frames: int) -> tuple[bytes, ...]:
        calls.append(path.name)
        if path.name == "bad":
            raise UnreadableVideo("it is bad")
        return (b"x" * 40,)

    pictures = Pictures(limit=100, draw=draw)
    key = pictures.offer({name: Path(name) for name in ("a", "b", "c", "bad")})("a", 0).split("/")[2]
    for number in (0, 1, 0, 2, 0, 1):  # c takes the place of b, which was used longest ago
        pictures.strip(key, number, 1)
    assert calls == ["a", "b", "c", "b"]
    assert pictures.strip(key, 3, 1).missing == "The video cannot be read: it is bad"


def test_the_same_videos_have_the_same_addresses_and_others_do_not() -> None:
    pictures = Pictures()
    first = pictures.offer({"a": Path("a"), "b": Path("b")})
    assert pictures.offer({"a": Path("a"), "b": Path("b")})("b", 1) == first("b", 1)
    assert pictures.offer({"a": Path("elsewhere"), "b": Path("b")})("b", 1) != first("b", 1)
    assert Pictures().offer({"a": Path("a"), "b": Path("b")})("b", 1) != first("b", 1)  # a browser keeps pictures
