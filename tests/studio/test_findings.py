"""What the videos say about current texts, against evaluations that are made for each question."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from db.records import STATUSES, Descriptor
from db.store import Store
from recognizer.features.caching_encoder import open_caching_encoder
from studio.evidence import Evidence, load_evidence
from studio.findings import clips_of, find, frame_cosines, rival_of
from tests.fixtures.colours import balls, encoder
from tests.fixtures.commands import Run
from tests.fixtures.studio import evaluated, many

__all__ = ["balls", "encoder"]  # fixtures


def current(store: Store) -> list[Descriptor]:
    return store.descriptors(store.dataset("balls"), statuses=STATUSES)


def loaded(store: Store, features: Path) -> Evidence:
    with load_evidence(store, store.dataset("balls"), videos=None, encoder=None, features=features) as evidence:
        assert evidence is not None
        return evidence


def right(recognize: Run, balls: Path, *arguments: object) -> set[str]:
    """Return the videos that a new evaluation of the texts as they are now has right."""
    result = recognize("eval", "-d", "balls", "--root", balls, "-e", "fake", "--frames", 4, "--json", *arguments)
    assert result.exit_code == 0, result.output
    return {p["video"] for p in json.loads(result.stdout)["predictions"] if p["rank"] == 1}


@pytest.mark.parametrize("method", ["mean", "ensemble"])
def test_the_effect_of_a_text_is_that_of_rejecting_it(
    method: str, balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls), "--method", method)
    for text, other in (("a green thing", "a red thing, one"), ("a red thing", "a green thing, one")):  # they mislead
        assert descgen("edit", next(d.id for d in current(store) if d.text == text), other).exit_code == 0
    options = ("--method", method, "--partial")
    with_all = right(recognize, balls, *options)
    with load_evidence(store, store.dataset("balls"), videos=None, encoder=None, features=features) as evidence:
        assert evidence is not None
        findings = find(evidence, current(store))
    assert set(findings.effects) == {d.id for d in current(store)}
    assert findings.by_texts is not None
    assert int(findings.by_texts.right.sum()) == len(with_all)
    for descriptor in current(store):
        assert descgen("reject", descriptor.id).exit_code == 0
        without = right(recognize, balls, *options)
        effect = findings.effects[descriptor.id]
        assert (effect.gained, effect.lost) == (len(without - with_all), len(with_all - without)), descriptor.text
        assert descgen("undo").exit_code == 0
    assert any(effect.gained or effect.lost for effect in findings.effects.values())


def test_a_rejected_text_is_compared_with_frames_but_not_scored(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls))
    gone = next(d for d in current(store) if d.text.startswith("a red thing, a red"))
    descgen("reject", gone.id)
    with load_evidence(store, store.dataset("balls"), videos=None, encoder=None, features=features) as evidence:
        assert evidence is not None
        findings = find(evidence, current(store))
    assert gone.id in findings.vectors
    assert gone.id not in findings.effects
    assert findings.by_texts is not None
    assert int(findings.by_texts.right.sum()) == len(right(recognize, balls))


def test_texts_of_several_sources_are_not_mixed_and_the_reason_is_said(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls))
    file = balls.parent / "other.json"
    file.write_text(json.dumps({name: ["a ball"] for name in ("blue_ball", "green_ball", "red_ball")}))
    assert descgen("import", file, "-d", balls, "-k", "context").exit_code == 0
    with load_evidence(store, store.dataset("balls"), videos=None, encoder=None, features=features) as evidence:
        assert evidence is not None
        findings = find(evidence, current(store))
    assert findings.by_texts is None
    assert findings.effects == {}
    assert findings.refused.startswith("Descriptors of kind context are from several sources")
    assert findings.scores is findings.by_labels
    assert len(findings.vectors) == 9


def test_cosines_of_frames_are_those_of_their_embeddings(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls), "--clips", "2", "--crops", "3")
    with load_evidence(store, store.dataset("balls"), videos=None, encoder=None, features=features) as evidence:
        assert evidence is not None
        findings = find(evidence, current(store))
        with open_caching_encoder("fake", features) as plain:
            texts = np.asarray(plain.encode_texts([d.text for d in current(store)]))
    vectors = np.stack([np.asarray(findings.vectors[d.id]) for d in current(store)])
    assert vectors == pytest.approx(texts / np.linalg.norm(texts, axis=1, keepdims=True), abs=1e-6)
    frames = np.asarray(evidence.features.frames).reshape(15, 2, 3, 4, -1)  # videos, clips, crops, frames
    frames = frames / np.linalg.norm(frames, axis=-1, keepdims=True)
    import torch

    for video in (0, 7, 14):
        cosines = frame_cosines(evidence, video, torch.from_numpy(vectors))
        assert np.asarray(cosines) == pytest.approx((frames[video, 0] @ vectors.T).mean(axis=0).T, abs=1e-6)


def test_the_rival_is_the_class_for_which_most_videos_are_taken(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls))
    for action, colour in (("blue_ball", "green"), ("green_ball", "blue")):  # each has the texts of the other
        for descriptor in [d for d in current(store) if d.action == action]:
            assert descgen("edit", descriptor.id, f"a {colour} thing").exit_code == 0
    with load_evidence(store, store.dataset("balls"), videos=None, encoder=None, features=features) as evidence:
        assert evidence is not None
        findings = find(evidence, current(store))
    scores = findings.by_texts
    assert scores is not None
    rivals = [rival_of(evidence, scores, label) for label in range(3)]
    for label, rival in enumerate(rivals):
        assert rival is not None
        own = [v for v, video in enumerate(evidence.features.videos) if video.label == label]
        best = [max((c for c in range(3) if c != label), key=lambda c: float(scores.values[v, c])) for v in own]
        taken = [c for v, c in zip(own, best, strict=True) if scores.values[v, c] >= scores.values[v, label]]
        assert (rival.taken, rival.videos) == (max((taken.count(c) for c in range(3)), default=0), 5)
        mine, theirs = clips_of(evidence, scores, label, rival.label)
        assert {evidence.features.videos[v].label for v in mine} == {label}
        assert {evidence.features.videos[v].label for v in theirs} == {rival.label}
        assert (len(set(mine)), len(set(theirs))) == (3, 2)
    assert rivals[0] is not None
    assert (rivals[0].label, rivals[0].taken) == (1, 5)  # blue balls are taken for green ones


def test_a_run_of_labels_alone_and_a_dataset_without_texts_have_scores(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls), "--method", "label")
    with load_evidence(store, store.dataset("balls"), videos=None, encoder=None, features=features) as evidence:
        assert evidence is not None
        findings = find(evidence, current(store))
        assert findings.by_texts is not None
        assert findings.by_labels is not None
        assert findings.by_texts.accuracy == findings.by_labels.accuracy
        assert findings.effects == {}
        assert len(findings.vectors) == 6
        assert find(evidence, []).vectors == {}
    evaluated(descgen, recognize, balls)
    with load_evidence(store, store.dataset("balls"), videos=None, encoder=None, features=features) as evidence:
        assert evidence is not None
        findings = find(evidence, [])
        assert findings.refused.startswith("No pending and accepted descriptors for balls")
        assert findings.scores is findings.by_labels
