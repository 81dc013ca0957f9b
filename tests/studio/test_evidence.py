"""The stored embeddings that the application loads: those of the newest run, or of a folder; nothing is decoded."""

from __future__ import annotations

import json
import shlex
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from db.errors import UserError
from db.records import STATUSES
from db.store import Store
from encoders.testing import FakeEncoder
from recognizer.datasets.find import Video
from recognizer.evaluation.replay import replay
from recognizer.features.caching_encoder import open_caching_encoder
from recognizer.scoring.ensemble import Ensemble
from studio.evidence import Evidence, Videos, load_evidence
from tests.fixtures.colours import balls, described, encoder
from tests.fixtures.commands import Run

__all__ = ["balls", "described", "encoder"]  # fixtures

GROUP = ("-d", "balls", "-e", "fake", "--root")


def evaluated(recognize: Run, root: Path, *arguments: object) -> int:
    result = recognize("eval", *GROUP, root, "--json", *arguments)
    assert result.exit_code == 0, result.output
    return int(json.loads(result.stdout)["id"])


def loaded(store: Store, features: Path, videos: Path | None = None, encoder: str | None = None) -> Evidence:
    """Return the evidence; its encoder is closed."""
    with load_evidence(store, store.dataset("balls"), videos=videos, encoder=encoder, features=features) as evidence:
        assert evidence is not None
        return evidence


def test_the_newest_run_gives_videos_settings_and_texts(
    described: Path, recognize: Run, store: Store, features: Path
) -> None:
    evaluated(recognize, described, "--protocol", "tear")
    number = evaluated(recognize, described, "--frames", "4", "-k", "context", "--method", "ensemble")
    run = store.run(number)
    with load_evidence(store, store.dataset("balls"), videos=None, encoder=None, features=features) as evidence:
        assert evidence is not None
        assert (evidence.run, evidence.settings.frames, evidence.settings.method) == (number, 4, "ensemble")
        everything = store.descriptors(store.dataset("balls"), statuses=STATUSES)
        chosen = evidence.choose(everything)
        assert {d.id for d in chosen} == set(run.descriptor_ids)
        assert {video.id for video in evidence.features.videos} == {p.video for p in run.predictions}
        assert evidence.left_out == {"unreadable": 1}
        with open_caching_encoder("fake", features) as again:
            reference = replay(store, run, again)
        assert evidence.ensemble(chosen).texts.equal(reference.ensemble.texts)
        assert evidence.batch.pooled.equal(reference.batch.pooled)


def test_a_folder_has_the_settings_of_a_plain_eval(
    described: Path, recognize: Run, store: Store, features: Path
) -> None:
    evaluated(recognize, described, "--frames", "4")
    plain = store.run(evaluated(recognize, described))
    evaluated(recognize, described, "--method", "label")
    evidence = loaded(store, features, videos=described, encoder="fake")
    assert evidence.run is None
    chosen = evidence.choose(store.descriptors(store.dataset("balls"), statuses=STATUSES))
    assert {d.id for d in chosen} == set(plain.descriptor_ids)
    assert evidence.features.frames.shape[:2] == (6, 16)


def test_what_is_not_embedded_is_counted_and_the_command_embeds_it(
    described: Path, recognize: Run, store: Store, features: Path, encoder: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated(recognize, described, "--frames", "4")
    for name in ("c", "d"):
        folder = described / "red_ball" / name
        folder.mkdir()
        Image.fromarray(np.full((20, 30, 3), 9, np.uint8)).save(folder / "frame_1.png")
    monkeypatch.setattr("recognizer.features.decode.content_of", None)  # nothing may be hashed, or decoded
    before = list(encoder.frames)
    evidence = loaded(store, features)
    assert evidence.left_out == {"not embedded yet": 2, "unreadable": 1}
    assert len(evidence.features.videos) == 6
    assert encoder.frames == before
    monkeypatch.undo()
    monkeypatch.setenv("RECOGNIZE_FEATURES", str(features))
    assert recognize(*shlex.split(evidence.advice)[1:]).exit_code == 0
    evidence = loaded(store, features)
    assert evidence.left_out == {"unreadable": 1}
    assert (len(evidence.features.videos), evidence.advice) == (8, "")


def test_a_link_to_the_videos_is_the_same_videos(
    described: Path, recognize: Run, store: Store, features: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(described)
    evaluated(recognize, link)
    for videos in (None, link, described):
        evidence = loaded(store, features, videos=videos, encoder="fake")
        assert (len(evidence.features.videos), evidence.left_out) == (6, {"unreadable": 1})


def test_videos_that_nobody_embedded_are_refused_with_the_command(
    described: Path, recognize: Run, store: Store, features: Path
) -> None:
    with pytest.raises(UserError, match=r"Embed them: recognize embed --dataset balls --encoder fake --root \S+$"):
        loaded(store, features, videos=described, encoder="fake")
    evaluated(recognize, described)
    with pytest.raises(UserError, match=r"No run with the encoder other \(runs have: fake\)"):
        loaded(store, features, encoder="other")


def test_without_a_run_there_is_no_evidence(described: Path, store: Store, features: Path) -> None:
    videos = Videos(lambda: load_evidence(store, store.dataset("balls"), videos=None, encoder=None, features=features))
    assert (videos.is_loading, videos.note != "") == (True, True)
    assert videos.wait(60) is None
    assert (videos.is_loading, videos.note) == (False, "")
    videos.close()


def test_a_failure_is_said_in_one_line_without_folders(
    described: Path, recognize: Run, store: Store, features: Path, tmp_path: Path
) -> None:
    evaluated(recognize, described)
    described.rename(tmp_path / "elsewhere")
    lines: list[str] = []
    load = lambda: load_evidence(store, store.dataset("balls"), videos=None, encoder=None, features=features)  # noqa: E731
    videos = Videos(load, lines.append)
    assert videos.wait(60) is None
    assert str(described) in lines[0]
    assert videos.note.startswith("Videos are not shown: ")
    assert str(tmp_path) not in videos.note


def test_each_string_is_encoded_once_by_any_thread(
    described: Path, recognize: Run, store: Store, features: Path, encoder: FakeEncoder
) -> None:
    evaluated(recognize, described)
    with load_evidence(store, store.dataset("balls"), videos=None, encoder=None, features=features) as evidence:
        assert evidence is not None
        chosen = [replace(d, text=f"new {d.text}") for d in store.descriptors(store.dataset("balls"))]
        before = len(encoder.encoded)
        ensembles: list[Ensemble] = []
        threads = [threading.Thread(target=lambda: ensembles.append(evidence.ensemble(chosen))) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert sorted(encoder.encoded[before:]) == sorted({descriptor.text for descriptor in chosen})
        assert len(ensembles) == 8
        assert all(ensemble.texts.equal(ensembles[0].texts) for ensemble in ensembles)


def test_only_the_videos_of_the_store_have_paths(described: Path, recognize: Run, store: Store, features: Path) -> None:
    evaluated(recognize, described)
    evidence = loaded(store, features)
    assert set(evidence.paths) == {video.id for video in evidence.features.videos}
    assert isinstance(evidence.features.videos[0], Video)
