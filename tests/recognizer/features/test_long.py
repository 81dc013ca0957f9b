"""Long videos are decoded in a worker process: the same frames, and a decoder that fails takes only its own video."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch

from encoders.testing import FakeEncoder
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.long import load_long_video
from recognizer.features.store import FeatureStore
from recognizer.video.container import REMEMBERED, InaccessibleVideo, UnreadableVideo
from recognizer.video.pool import Decoding
from tests.fixtures.decoders import windows_or_fail
from tests.fixtures.videos import make_video

Open = Callable[..., CachingEncoder]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make_video(tmp_path / "film.mp4", 50)


@pytest.fixture
def opened(fake_encoder: FakeEncoder, tmp_path: Path) -> Iterator[Open]:
    """Open the fake encoder with a feature store of its own for each number of workers."""
    with ExitStack() as stores:

        def open_with(decoding: Decoding) -> CachingEncoder:
            store = stores.enter_context(FeatureStore.open(tmp_path / f"of {decoding.workers}"))
            return CachingEncoder(fake_encoder, store, decoding=decoding)

        yield open_with


def test_a_worker_gives_the_frames_of_this_process(film: Path, opened: Open) -> None:
    here, worker = (load_long_video(film, opened(Decoding(workers=n)), fps=5, read=windows_or_fail) for n in (0, 1))
    assert here.seconds == worker.seconds == 2.0
    assert torch.equal(here.frames, worker.frames)


def test_a_decoder_that_dies_or_hangs_in_mid_film_takes_only_that_film(film: Path, opened: Open) -> None:
    dies, hangs = (Path(shutil.copy(film, film.with_name(f"{name}.mp4"))) for name in ("dies", "hangs"))
    with pytest.raises(InaccessibleVideo, match="the decoder took too long"):  # not remembered
        load_long_video(hangs, opened(Decoding(workers=1, timeout=0.5)), fps=5, read=windows_or_fail)
    encoder = opened(Decoding(workers=1))
    assert load_long_video(film, encoder, fps=4, read=windows_or_fail).seconds == 2.0
    for reason in ("the decoder died: SIGSEGV", REMEMBERED):
        with pytest.raises(UnreadableVideo, match=reason):
            load_long_video(dies, encoder, fps=5, read=windows_or_fail)
