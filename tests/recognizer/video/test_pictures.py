"""Small pictures made in workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recognizer.video.container import UnreadableVideo
from recognizer.video.pictures import frames_in, strip_in
from recognizer.video.pool import Decoding, Pool
from recognizer.video.sampling import Sampling
from recognizer.video.thumbnails import shown_frames, strip
from tests.fixtures import decoders
from tests.fixtures.videos import make_video


@pytest.mark.slow
def test_a_decoder_that_dies_or_hangs_leaves_out_its_own_pictures(tmp_path: Path) -> None:
    paths = [make_video(tmp_path / f"{name}.mp4", 20) for name in ("dies", "whole", "hangs")]
    with Pool(Decoding(workers=1, timeout=0.2)) as pool:
        late = strip_in(pool, paths[2], draw=decoders.draw_or_fail)
    with Pool(Decoding(workers=1)) as pool:
        dead, whole = (strip_in(pool, path, draw=decoders.draw_or_fail) for path in paths[:2])
        with pytest.raises(UnreadableVideo, match="the decoder died"):
            frames_in(pool, paths[0], Sampling(4), show=decoders.show_or_fail)
        shown = frames_in(pool, paths[1], Sampling(4))
    assert dead.missing == "The video can no longer be read: the decoder died: SIGSEGV"
    assert late.missing.startswith("The video can no longer be read: the decoder took too long")
    assert whole == strip(paths[1])
    assert not whole.missing
    for mine, here in zip(shown, shown_frames(paths[1], Sampling(4)), strict=True):
        assert (mine.number, mine.seconds) == (here.number, here.seconds)
        assert np.array_equal(mine.picture, here.picture)
