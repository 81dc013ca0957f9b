"""Frame numbers, and pixels of real, made and broken videos."""

from __future__ import annotations

import pickle
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from recognizer.video.frames import UnreadableVideo, frame_indices, has_rising_times, read_frames
from tests.fixtures.videos import CLIPS, STEP, make_images, make_video, needs_clips, shown


def decoded(path: Path) -> list[NDArray[np.uint8]]:
    """Decode a whole video from its start, the reference for every reader."""
    with av.open(str(path), metadata_errors="replace") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def reason(path: Path) -> str:
    with pytest.raises(UnreadableVideo) as error:
        read_frames(path, 16)
    return error.value.reason


@pytest.mark.parametrize(
    ("total", "frames", "expected"),
    [(10, 4, [1, 3, 6, 8]), (2, 4, [0, 0, 1, 1]), (1, 3, [0, 0, 0]), (5, 1, [2]), (4, 4, [0, 1, 2, 3])],
)
def test_frame_indices_are_the_centres_of_equal_parts(total: int, frames: int, expected: list[int]) -> None:
    assert frame_indices(total, frames) == expected


@given(total=st.integers(1, 10**6), frames=st.integers(1, 64))
def test_frame_indices_are_those_of_tear(total: int, frames: int) -> None:
    tick = Fraction(total, frames)
    indices = frame_indices(total, frames)
    assert indices == [int(tick / 2 + tick * x) for x in range(frames)]
    assert indices == sorted(indices)
    assert indices[-1] < total


@pytest.mark.parametrize(("total", "frames"), [(0, 16), (10, 0), (-1, 1)])
def test_no_frames_of_nothing(total: int, frames: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        frame_indices(total, frames)


def test_a_video_gives_the_frames_of_its_indices(tmp_path: Path) -> None:
    frames = read_frames(make_video(tmp_path / "a.mp4", 40), 8)
    assert frames.indices == (2, 7, 12, 17, 22, 27, 32, 37)
    assert shown(frames) == list(frames.indices)
    assert (frames.pixels.shape, frames.pixels.dtype) == ((8, 64, 128, 3), np.uint8)
    assert (frames.total, frames.reader) == (40, "decord")


def test_a_short_video_repeats_its_frames(tmp_path: Path) -> None:
    frames = read_frames(make_video(tmp_path / "a.mp4", 3), 7)
    assert shown(frames) == list(frames.indices) == [0, 0, 1, 1, 1, 2, 2]


def test_an_avi_without_time_stamps_is_decoded_from_its_start(tmp_path: Path) -> None:
    frames = read_frames(make_video(tmp_path / "a.avi", 40, b_frames=2), 8)
    assert frames.reader == "pyav"
    assert shown(frames) == list(frames.indices) == [2, 7, 12, 17, 22, 27, 32, 37]


@pytest.mark.parametrize(
    ("starts", "expected"),
    [([0, 0.1, 0.2], True), ([0, 0.1, 0.1], False), ([0, 0.2, 0.1], False), ([-0.1, 0, 0.1], False), ([0, 0.1], False)],
)
def test_decord_is_trusted_only_with_rising_time_stamps(starts: list[float], expected: bool) -> None:
    class Video:
        def __len__(self) -> int:
            return len(starts)

        def get_frame_timestamp(self, numbers: range) -> NDArray[np.float32]:
            return np.array([[starts[i], starts[i] + 0.1] for i in numbers], dtype=np.float32)

    assert has_rising_times(Video(), 3) is expected


def test_frames_hidden_by_an_edit_list_do_not_count(tmp_path: Path) -> None:
    frames = read_frames(make_video(tmp_path / "cut.mp4", 40, first=6), 8)
    assert frames.total == 34
    assert shown(frames) == [index + 6 for index in frames.indices]


@pytest.mark.parametrize(("first", "reader"), [(0, "decord"), (6, "pyav")])
def test_a_rotated_video_stands_upright(tmp_path: Path, first: int, reader: str) -> None:
    one, none, minus = (number.to_bytes(4, "big") for number in (0x10000, 0, 0xFFFF0000))
    upright, turned = b"".join([one, none, none, none, one]), b"".join([none, one, none, minus, none])
    path = make_video(tmp_path / "phone.mp4", 20, first=first)
    before, header, after = path.read_bytes().partition(b"tkhd")
    path.write_bytes(before + header + after.replace(upright, turned, 1))
    frames = read_frames(path, 2)
    assert (frames.reader, frames.pixels.shape) == (reader, (2, 128, 64, 3))


def test_images_are_read_in_order_of_their_number(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "v", ["frame_1.png", "frame_2.png", "frame_10.png", "cam0_frame_11.bmp"])
    (folder / "desktop.ini").touch()
    (folder / "._frame_1.png").touch()
    frames = read_frames(folder, 4)
    assert frames.pixels[:, 0, 0].tolist() == [[0, 0, 255], [5, 0, 255], [10, 0, 255], [15, 0, 255]]
    assert (frames.total, frames.reader, frames.pixels.shape) == (4, "images", (4, 6, 8, 3))


def test_only_the_wanted_images_are_opened(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "v", ["1.png", "2.png", "3.png"])
    (folder / "1.png").write_bytes(b"broken")
    assert read_frames(folder, 1).indices == (1,)
    assert reason(folder) == "broken image"


def test_images_of_several_sizes_are_refused(tmp_path: Path) -> None:
    folder = make_images(tmp_path / "v", ["1.png"])
    make_images(folder, ["2.png"], size=(9, 6))
    with pytest.raises(UnreadableVideo, match="frames differ in size: 8x6, 9x6"):
        read_frames(folder, 2)


def test_the_reason_is_named_for_a_file_that_is_no_video(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "a.mp4", 40).read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.avi").write_text("this is not a video\n" * 50)
    (tmp_path / "folder").mkdir()
    assert reason(tmp_path / "half.mp4") == "no index"
    assert reason(tmp_path / "empty.mp4") == "empty file"
    assert reason(tmp_path / "text.avi") == "not a video"
    assert reason(tmp_path / "folder") == "no images"
    assert reason(tmp_path / "nowhere.mp4") == "cannot be opened"


def test_a_truncated_avi_is_not_taken_for_a_short_one(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "a.avi", 50).read_bytes()
    (tmp_path / "half.avi").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(UnreadableVideo, match=r"^truncated: \d\d of 50 frames; --allow-truncated "):
        read_frames(tmp_path / "half.avi", 4)


def test_a_truncated_mp4_with_its_index_in_front(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "a.mp4", 50, faststart=True).read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    assert reason(tmp_path / "half.mp4") == "truncated"


def test_a_header_that_lies_does_not_end_the_process(tmp_path: Path) -> None:
    data = bytearray(make_video(tmp_path / "a.mp4", 5).read_bytes())
    count = data.index(b"stts") + 12  # samples of the first entry: four bytes
    data[count] = 0x47
    (tmp_path / "a.mp4").write_bytes(data)
    frames = read_frames(tmp_path / "a.mp4", 5)
    assert (frames.total, frames.reader, shown(frames)) == (5, "pyav", [0, 1, 2, 3, 4])


def test_a_video_whose_packets_do_not_decode_is_damaged(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.avi", 40, b_frames=2)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for place, size in places[10:]:
        data[place : place + size] = bytes(size)
    path.write_bytes(data)
    assert reason(path) == "damaged"


def test_the_reason_survives_a_worker_process() -> None:
    error = UnreadableVideo("truncated", "85 of 187 frames")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (copy.reason, copy.detail, str(copy)) == (error.reason, error.detail, str(error))


@needs_clips
@pytest.mark.parametrize(
    ("name", "total", "reader"),
    [
        ("ucf101/UCF-101/YoYo/v_YoYo_g01_c01.avi", 187, "decord"),
        ("ucf101/UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi", 164, "pyav"),
        ("hmdb51/hmdb51_org/cartwheel/Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi", 83, "pyav"),
        ("hmdb51/hmdb51_org/wave/TrumanShow_wave_f_nm_np1_fr_med_26.avi", 48, "pyav"),
        ("kinetics600/val/using segway/SOX5yA1l24A.mp4", 332, "decord"),
        ("kinetics600/val/flipping pancake/flipping_a_pancake.mkv", 310, "decord"),
    ],
)
def test_real_clips_give_exactly_the_frames_of_their_numbers(name: str, total: int, reader: str) -> None:
    frames = read_frames(CLIPS / name, 16)
    assert (frames.total, frames.reader) == (total, reader)
    assert frames.indices == tuple(frame_indices(total, 16))
    reference = decoded(CLIPS / name)
    assert all((got == reference[index]).all() for got, index in zip(frames.pixels, frames.indices, strict=True))


@needs_clips
@pytest.mark.parametrize("size", [28593, 62000, 145000, 222761])
def test_a_real_avi_is_truncated_wherever_it_breaks_off(tmp_path: Path, size: int) -> None:
    source = CLIPS / "hmdb51/hmdb51_org/wave/TrumanShow_wave_f_nm_np1_fr_med_26.avi"  # 242 688 bytes
    (tmp_path / "part.avi").write_bytes(source.read_bytes()[:size])
    assert reason(tmp_path / "part.avi") == "truncated"


@needs_clips
def test_a_frame_that_is_declared_but_cannot_be_decoded_does_not_count() -> None:
    path = CLIPS / "hmdb51/hmdb51_org/wave/TrumanShow_wave_f_nm_np1_fr_med_26.avi"  # 48 frames, says 49
    frames = read_frames(path, 48)
    assert (frames.total, frames.indices) == (48, tuple(range(48)))
    assert (frames.pixels == np.stack(decoded(path))).all()


@needs_clips
def test_a_cut_between_key_frames_hides_what_lies_before_it(tmp_path: Path) -> None:
    source, path = CLIPS / "kinetics600/val/using segway/R6llTwEh07w.mp4", tmp_path / "cut.mp4"
    with av.open(str(source)) as whole, av.open(str(path), "w") as cut:
        video = whole.streams.video[0]
        copy = cut.add_stream_from_template(video)
        for packet in whole.demux(video):
            if packet.dts is not None and packet.pts is not None:
                packet.pts, packet.dts = packet.pts - 20 * packet.duration, packet.dts - 20 * packet.duration
                packet.stream = copy
                cut.mux(packet)
    frames, reference = read_frames(path, 16), decoded(source)[20:]
    assert (frames.total, frames.reader) == (283, "pyav")
    assert all((got == reference[i]).all() for got, i in zip(frames.pixels, frames.indices, strict=True))


@needs_clips
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("._applemeta.mp4", "not a video"),
        ("audio_only.mp4", "no video stream"),
        ("empty.mp4", "empty file"),
        ("random.mp4", "no index"),
        ("text.avi", "not a video"),
        ("truncated_half.avi", "truncated"),
        ("truncated_half.mp4", "no index"),
        ("truncated_header.avi", "no index"),
    ],
)
def test_broken_files_say_why(name: str, expected: str) -> None:
    assert reason(CLIPS / "broken" / name) == expected


@needs_clips
@pytest.mark.parametrize(("name", "total"), [("bit_errors.avi", 187), ("five_frames.mp4", 5), ("one_frame.mp4", 1)])
def test_odd_files_that_play_are_read(name: str, total: int) -> None:
    frames = read_frames(CLIPS / "broken" / name, 16)
    assert (frames.total, len(frames.pixels)) == (total, 16)


@needs_clips
def test_extracted_frames_of_a_real_video() -> None:
    frames = read_frames(CLIPS / "frames" / "ApplyEyeMakeup" / "v_000001", 16)
    assert (frames.total, frames.reader, frames.pixels.shape) == (25, "images", (16, 256, 340, 3))


def coded(path: Path, *, pictures: bool = False) -> Path:
    """Make a video of 40 frames; with a cover picture as its first stream, and a second video that is the default."""
    from av.stream import Disposition

    with av.open(str(path), "w") as out:
        first = out.add_stream("mpeg4", rate=25)
        default = out.add_stream("mpeg4", rate=25)
        first.disposition = Disposition.attached_pic if pictures else Disposition(0)
        default.disposition = Disposition.default
        for stream in (first, default):
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(40):
            for stream, grey in ((first, 250), (default, number * STEP)):
                if stream is default or number == 0 or not pictures:
                    frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), grey, np.uint8), format="rgb24")
                    frame.pts = number
                    out.mux(stream.encode(frame))
        for stream in (first, default):
            out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("pictures", [False, True])
def test_the_default_video_is_read_and_never_a_cover_picture(tmp_path: Path, pictures: bool) -> None:
    frames = read_frames(coded(tmp_path / "two.mkv", pictures=pictures), 4)
    assert shown(frames) == list(frames.indices) == [5, 15, 25, 35]


def test_a_name_like_a_protocol_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_video(tmp_path / "a.mp4", 10).rename(tmp_path / "12:30:00.mp4")
    monkeypatch.chdir(tmp_path)
    assert read_frames(Path("12:30:00.mp4"), 2).total == 10


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "libx264"), ("flv", "flv"), ("webm", "libvpx")])
def test_a_file_that_breaks_off_is_refused(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=10, options={"g": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(50):
            picture = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    assert read_frames(path, 4).total == 50
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    assert reason(path) == "truncated"


def test_a_mirrored_video_is_shown_mirrored(tmp_path: Path) -> None:
    one, none, minus = (number.to_bytes(4, "big") for number in (0x10000, 0, 0xFFFF0000))
    upright, mirrored = b"".join([one, none, none, none, one]), b"".join([minus, none, none, none, one])
    path = tmp_path / "selfie.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = np.zeros((48, 64, 3), np.uint8)
        picture[:, :32] = 255  # white on the left
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    before, header, after = path.read_bytes().partition(b"tkhd")
    path.write_bytes(before + header + after.replace(upright, mirrored, 1))
    pixels = read_frames(path, 1).pixels[0]
    assert pixels[:, :20].mean() < 40 < 200 < pixels[:, 44:].mean()


def test_an_animated_webp_is_refused_as_what_it_is(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (20, 10), (0, 0, STEP * number)) for number in range(5)]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:], duration=40)
    with pytest.raises(UnreadableVideo, match=r"^animated WebP: FFmpeg cannot read it; make a GIF of it"):
        read_frames(tmp_path / "a.webp", 4)
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.webp").rename(tmp_path / "folder" / "1.webp")
    with pytest.raises(UnreadableVideo, match=r"^an animation among the frames: 1\.webp$"):
        read_frames(tmp_path / "folder", 4)
    pictures[0].save(tmp_path / "folder" / "1.webp")
    assert read_frames(tmp_path / "folder", 4).total == 1
