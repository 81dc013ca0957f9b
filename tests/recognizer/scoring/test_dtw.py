"""`dtw` against every warping path that there is, one video and class at a time, after ActAlign."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from encoders.protocol import Logits
from encoders.testing import FakeEncoder
from recognizer.scoring.ensemble import Ensemble, build_ensemble
from recognizer.scoring.methods import METHODS, attribution, scores
from recognizer.scoring.pooling import VideoBatch
from recognizer.scoring.protocols import PROTOCOLS
from tests.fixtures.parity import Reference, by_video
from tests.fixtures.random_texts import random_ensemble, random_videos
from tests.fixtures.texts import dataset, descriptors

__all__ = ["dataset", "descriptors"]  # fixtures
Path = list[tuple[int, int]]
TEXTS = {"decomposition": [3, 1, 4, 2, 0], "context": [1, 2, 0, 1, 2]}  # the last class has no steps
SIGLIP = {"logit_scale": 112.0, "logit_bias": -16.5}
WIDTH = 400  # random cosines are then between -0.2 and 0.2, as SigLIP's are
BIASES = {"cosines, without a bias": {}, "SigLIP": SIGLIP, "a small scale": {"logit_scale": 5.0, "logit_bias": 1.0}}


def paths(t: int, j: int) -> Iterator[Path]:
    """Yield every path from the first frame and step to frame t and step j: on by a frame, a step, or both."""
    if (t, j) == (0, 0):
        yield [(0, 0)]
    for before in ((t - 1, j - 1), (t - 1, j), (t, j - 1)):
        if min(before) >= 0:
            yield from ([*path, (t, j)] for path in paths(*before))


def reference(frames: Tensor, steps: list[Tensor], ensemble: Ensemble) -> tuple[float, Path]:
    """Return the mean affinity on the path with the largest sum, and the path; steps are unit vectors."""

    def affinity(t: int, j: int) -> float:
        cosine = float(frames[t] @ steps[j] / frames[t].norm() / steps[j].norm())
        if not ensemble.logit_bias:
            return cosine
        return 1 / (1 + math.exp(-(cosine * ensemble.logit_scale + ensemble.logit_bias)))

    best = max(paths(len(frames) - 1, len(steps) - 1), key=lambda path: sum(affinity(t, j) for t, j in path))
    return sum(affinity(t, j) for t, j in best) / len(best), best


def as_cosine(affinity: float, ensemble: Ensemble) -> float:
    """Return the cosine that has an affinity: the inverse of sigmoid(scale * cosine + bias)."""
    if not ensemble.logit_bias:
        return affinity
    return (math.log(affinity / (1 - affinity)) - ensemble.logit_bias) / ensemble.logit_scale


def steps_of(ensemble: Ensemble, c: int) -> list[Tensor]:
    slots = [k for k in range(ensemble.texts.shape[1]) if ensemble.kind[c, k] == ensemble.kinds.index("decomposition")]
    return [ensemble.texts[c, k] for k in slots]


def score_of_video(video: Tensor, ensemble: Ensemble) -> Tensor:
    """Return the scores [C]; a class without steps has the mean of the cosines of its texts with the mean frame."""
    pooled = video.mean(dim=0) / video.mean(dim=0).norm()
    found = []
    for c, present in enumerate(ensemble.present):
        steps = steps_of(ensemble, c)
        texts = ensemble.texts[c][present]
        found.append(reference(video, steps, ensemble)[0] if steps else float((texts @ pooled).mean()))
    return torch.tensor(found, dtype=torch.double)


PARITY = {
    "dtw": Reference(
        "ActAlign ([arXiv 2506.22967](https://arxiv.org/abs/2506.22967)): the best of all warping paths, by trying "
        "each; cosines, without a bias",
        by_video(score_of_video),
        {"context": [1, 0, 2, 1, 1], "decomposition": [3, 1, 4, 2, 0]},
    )
}


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("frames", [1, 2, 6])  # also fewer than steps
@pytest.mark.parametrize("seed", range(3))
def test_the_affinity_is_that_of_the_best_of_all_paths(bias: str, frames: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ensemble = replace(random_ensemble(generator, TEXTS, width=WIDTH), **BIASES[bias])  # type: ignore[arg-type]
    videos = VideoBatch.of(random_videos(generator, videos=4, frames=frames, width=WIDTH))
    found, shown = scores(videos, ensemble, method="dtw"), METHODS["dtw"].frame_steps(videos, ensemble)
    single = VideoBatch(videos.frames.float(), videos.pooled.float(), "avg")
    in_single = scores(single, replace(ensemble, texts=ensemble.texts.float()), method="dtw")
    assert in_single.dtype == torch.float32
    for c in range(len(TEXTS["context"]) - 1):
        for v, video in enumerate(videos.frames):
            affinity, path = reference(video, steps_of(ensemble, c), ensemble)
            expected = as_cosine(affinity, ensemble)
            assert float(found[v, c]) == pytest.approx(expected, abs=1e-9)
            assert float(in_single[v, c]) == pytest.approx(expected, abs=1e-5)
            assert all((t, int(step)) in path for t, step in enumerate(shown[v, :, c]))
    assert (shown[:, :, -1] == -1).all()
    pooled = videos.pooled @ (ensemble.texts[-1] * ensemble.present[-1, :, None]).sum(dim=0) / 3
    assert torch.allclose(found[:, -1], pooled, atol=1e-9)  # without steps: the mean of the cosines of its three texts


def test_a_score_is_exact_where_all_affinities_are_nearly_one() -> None:
    """Cosines of 1 with a scale of 60: 1 - sigmoid(x) is 1e-22, which is lost in 1 - A."""
    generator = torch.Generator().manual_seed(0)
    ensemble = replace(random_ensemble(generator, {"decomposition": [2]}), logit_scale=60.0, logit_bias=-10.0)
    same = ensemble.texts[:, 1:2].expand(1, 3, -1)
    found = scores(VideoBatch.of(same), replace(ensemble, texts=same), method="dtw")
    assert float(found) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("bias", BIASES)
def test_wordings_share_what_their_step_adds_and_label_and_context_add_nothing(bias: str) -> None:
    generator = torch.Generator().manual_seed(0)
    ensemble = replace(random_ensemble(generator, {"context": [1], "decomposition": [3]}), **BIASES[bias])  # type: ignore[arg-type]
    second = ensemble.position.clone()
    second[0, 4] = 1  # the third step is another wording of the second
    ensemble, videos = replace(ensemble, position=second), VideoBatch.of(random_videos(generator))
    added, found = attribution(videos, ensemble, method="dtw")[:, 0], scores(videos, ensemble, method="dtw")[:, 0]
    assert torch.allclose(added.sum(dim=1), found, atol=1e-9)
    assert not added[:, :2].any()
    assert torch.equal(added[:, 3], added[:, 4])
    mean = (ensemble.texts[0, 3] + ensemble.texts[0, 4]) / 2
    alone = ensemble.select((slice(None), [0, 2, 3]))
    merged = replace(alone, texts=torch.stack([alone.texts[0, 0], alone.texts[0, 1], mean])[None])
    assert torch.allclose(scores(videos, merged, method="dtw")[:, 0], found, atol=1e-9)


def test_the_bias_is_that_of_the_encoder(dataset: object, descriptors: object, fake_encoder: FakeEncoder) -> None:
    assert build_ensemble(dataset, descriptors, fake_encoder, PROTOCOLS["default"]).logit_bias == 0  # type: ignore[arg-type]
    fake_encoder.logits = Logits(scale=20.0, bias=-3.0)  # type: ignore[attr-defined]
    built = build_ensemble(dataset, descriptors, fake_encoder, PROTOCOLS["default"])  # type: ignore[arg-type]
    assert (built.logit_scale, built.logit_bias) == (20.0, -3.0)
