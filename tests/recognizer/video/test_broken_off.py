"""Files that break off: told by what their container declares, never taken for whole ones."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from encoders.testing import FakeEncoder
from recognizer.video.broken_off import broken_off, fragments_seconds
from recognizer.video.container import TruncatedVideo, UnreadableVideo
from recognizer.video.frames import frame_indices, read_frames
from recognizer.video.long import embed_long_video
from tests.fixtures.numbered import Numbered, make, number_of

COUNT = 50
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
TELLING = [  # container: what its bytes declare
    ("wmv2", "wmv", False),
    ("msmpeg4", "asf", False),
    ("mpeg2video", "mpg", True),
    ("mpeg1video", "mpg", False),
    ("mpeg2video", "vob", True),
    ("mpeg2video", "ts", True),
    ("libx264", "m2ts", True),
    ("libx264", "flv", True),
    ("libx264", "mkv", True),
    ("mpeg4", "avi", True),
]


def cut(path: Path, share: float) -> Path:
    """Return a copy of the first part of a file, which ends within a packet of a transport stream."""
    data = path.read_bytes()
    size = int(len(data) * share)
    copy = path.with_name(f"cut{path.suffix}")
    copy.write_bytes(data[: size - (size % 188 == 0 or size % 192 == 0)])
    return copy


def refused(path: Path) -> str:
    with pytest.raises(TruncatedVideo, match="--allow-truncated reads what is there") as error:
        read_frames(path, 16)
    return error.value.extent


@pytest.mark.parametrize(("codec", "suffix", "audio"), TELLING)
def test_what_breaks_off_is_told_and_read_only_if_allowed(tmp_path: Path, codec: str, suffix: str, audio: bool) -> None:
    whole = tmp_path / f"whole.{suffix}"
    make(whole, Numbered(codec, suffix, False, audio), count=COUNT, group=10)
    assert (read_frames(whole, 16).total, read_frames(whole, 16, allow_truncated=True).truncated) == (COUNT, "")
    part = cut(whole, 0.6)
    seen = refused(part)
    frames = read_frames(part, 16, allow_truncated=True)
    assert (frames.truncated, frames.reader) == (seen, "pyav")
    assert 15 < frames.total < COUNT
    assert [number_of(pixels) for pixels in frames.pixels] == frame_indices(frames.total, 16)  # none is half a frame


def make_fragments(path: Path, **options: str) -> Path:
    with av.open(str(path), "w", options={**FRAGMENTS, **options}) as out:
        stream = out.add_stream("libx264", rate=25, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(COUNT):
            picture = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def fragments(data: bytes) -> list[int]:
    """Return where the fragments of an MP4 file begin."""
    places, place = [], 0
    while place < len(data):
        if data[place + 4 : place + 8] == b"moof":
            places.append(place)
        place += int.from_bytes(data[place : place + 4], "big")
    return places


def test_an_incomplete_fragment(tmp_path: Path) -> None:
    whole = make_fragments(tmp_path / "whole.mp4")
    assert read_frames(whole, 4).total == COUNT
    assert refused(cut(whole, 0.6)) == "the last fragment is incomplete"
    assert 20 <= read_frames(cut(whole, 0.6), 4, allow_truncated=True).total < COUNT


def test_an_index_of_fragments_that_are_missing(tmp_path: Path) -> None:
    """A cut between two fragments leaves only the index in front to tell."""
    whole = make_fragments(tmp_path / "whole.mp4", movflags="frag_keyframe+empty_moov+default_base_moof+global_sidx")
    data = whole.read_bytes()
    assert b"sidx" in data[: fragments(data)[0]]
    assert read_frames(whole, 4).total == COUNT
    (tmp_path / "part.mp4").write_bytes(data[: fragments(data)[3]])
    assert refused(tmp_path / "part.mp4") == "1.2 of 2.1 seconds"


def test_a_duration_of_all_fragments_in_the_header(tmp_path: Path) -> None:
    data = make_fragments(tmp_path / "whole.mp4").read_bytes()
    place = data.index(b"mvex") - 4
    scale = int.from_bytes(data[(mvhd := data.index(b"mvhd")) + 16 : mvhd + 20], "big")
    mehd = b"\0\0\0\x10mehd" + bytes(4) + (COUNT * scale // 25).to_bytes(4, "big")
    moov = data.index(b"moov") - 4
    lengths = {at: int.from_bytes(data[at : at + 4], "big") + len(mehd) for at in (moov, place)}
    longer = bytearray(data)
    for at, length in lengths.items():
        longer[at : at + 4] = length.to_bytes(4, "big")
    longer[place + 8 : place + 8] = mehd
    (tmp_path / "declared.mp4").write_bytes(longer)
    assert read_frames(tmp_path / "declared.mp4", 4).total == COUNT
    (tmp_path / "part.mp4").write_bytes(longer[: fragments(longer)[3]])
    assert refused(tmp_path / "part.mp4") == "1.2 of 2.0 seconds"


def test_a_gif_without_its_last_pictures(tmp_path: Path) -> None:
    pictures = [Image.fromarray(np.random.default_rng(n).integers(0, 256, (40, 60), np.uint8)) for n in range(20)]
    whole = tmp_path / "a.gif"
    pictures[0].save(whole, save_all=True, append_images=pictures[1:], duration=40)
    assert read_frames(whole, 4).total == 20
    assert "picture" in refused(cut(whole, 0.6))


def test_an_ogg_file_without_its_last_page(tmp_path: Path) -> None:
    whole = tmp_path / "a.ogv"
    with av.open(str(whole), "w") as out:
        stream = out.add_stream("libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(COUNT):
            picture = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert read_frames(whole, 4).total == COUNT
    data = whole.read_bytes()
    assert refused(cut(whole, 0.6)) == "the last page is incomplete"
    (tmp_path / "page.ogv").write_bytes(data[: data.rindex(b"OggS")])
    assert refused(tmp_path / "page.ogv") == "no page is marked as the last"


@pytest.mark.parametrize("suffix", ["wmv", "mpg", "m2ts", "avi", "mkv"])
def test_the_part_of_a_long_video(tmp_path: Path, fake_encoder: FakeEncoder, suffix: str) -> None:
    codec = "wmv2" if suffix == "wmv" else "mpeg2video" if suffix in ("mpg", "m2ts") else "mpeg4"
    whole = tmp_path / f"whole.{suffix}"
    make(whole, Numbered(codec, suffix, False, False), count=COUNT, group=10)
    assert embed_long_video(whole, fake_encoder, fps=5, allow_truncated=True).truncated == ""
    with pytest.raises(UnreadableVideo, match=r"^truncated: "):
        embed_long_video(cut(whole, 0.6), fake_encoder, fps=5)
    part = embed_long_video(cut(whole, 0.6), fake_encoder, fps=5, allow_truncated=True)
    assert part.truncated
    assert 3 <= len(part.frames) < 10


@given(
    start=st.sampled_from([b"", b"OggS", b"GIF89a", b"\0\0\1\xba\x44", b"G", b"\0\0\0\x20moovmvexmehd", b"0&\xb2u"]),
    rest=st.binary(max_size=400),
    container_format=st.sampled_from(["asf", "gif", "mov", "mpeg", "mpegts", "ogg"]),
)
def test_no_bytes_raise_an_error(start: bytes, rest: bytes, container_format: str, any_file: Path) -> None:
    any_file.write_bytes(start + rest)
    assert isinstance(broken_off(any_file, container_format), str)
    assert fragments_seconds(any_file) >= 0


@pytest.fixture(scope="module")
def any_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "file"
