"""`mta` against MTA's steps, one video and frame at a time, and what it is for: frames that do not belong."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods import METHODS, attribution, scores
from recognizer.scoring.methods.mta import modes
from recognizer.scoring.pooling import VideoBatch
from tests.fixtures.parity import Reference, by_video
from tests.fixtures.random_texts import random_ensemble, random_videos

TEXTS = {"context": [1, 0, 2, 1, 0], "decomposition": [3, 3, 0, 2, 0]}


def softmax(values: list[float]) -> list[float]:
    terms = [math.exp(value - max(values)) for value in values]
    return [term / sum(terms) for term in terms]


def reference(video: Tensor, start: Tensor, ensemble: Ensemble) -> Tensor:
    """Return the mode [D] of the frames [T, D] of one video."""
    frames = [frame / frame.norm() for frame in video]
    count = len(frames)
    classes = []
    for texts, present in zip(ensemble.texts, ensemble.present, strict=True):
        mean = texts[present].mean(dim=0)
        classes.append(mean / mean.norm())
    predictions = [softmax([ensemble.logit_scale * float(frame @ mean) for mean in classes]) for frame in frames]
    affinity = [[sum(a * b for a, b in zip(p, q, strict=True)) for q in predictions] for p in predictions]
    variance = []
    for p in range(count):
        others = sorted(float((frames[p] - frames[q]).norm()) ** 2 for q in range(count) if q != p)
        nearest = others[: max(1, int(0.3 * (count - 1)))]
        variance.append(max(sum(nearest) / len(nearest) / 2, 1e-6) if nearest else 1e-6)

    def density(mode: Tensor) -> list[float]:
        return [math.exp(-(float((f - mode).norm()) ** 2) / (2 * v)) for f, v in zip(frames, variance, strict=True)]

    inlierness, mode = [1 / count] * count, start
    for _ in range(5):
        kernel = density(mode)
        for _ in range(5):
            agreement = [sum(a * y for a, y in zip(row, inlierness, strict=True)) for row in affinity]
            inlierness = softmax([(k + 4 * a) / 0.2 for k, a in zip(kernel, agreement, strict=True)])
        for _ in range(5):
            weights = [y * k for y, k in zip(inlierness, density(mode), strict=True)]
            mean = sum(w * frame for w, frame in zip(weights, frames, strict=True)) / sum(weights)
            mode = mean / mean.norm()
    return mode


def score_of_video(video: Tensor, ensemble: Ensemble) -> Tensor:
    """Return the scores [C] of the mode that is reached from the mean frame."""
    mode = reference(video, video.mean(dim=0) / video.mean(dim=0).norm(), ensemble)
    means = [texts[present].mean(dim=0) for texts, present in zip(ensemble.texts, ensemble.present, strict=True)]
    return torch.stack([mode @ mean / mean.norm() for mean in means])


PARITY = {
    "mta": Reference(
        "MTA ([arXiv 2405.02266](https://arxiv.org/abs/2405.02266)) and the authors' `mta.py`, with frames as views, "
        "from their mean on",
        by_video(score_of_video),
    )
}


@pytest.mark.parametrize("scale", [5.0, 100.0])
@pytest.mark.parametrize("frames", [1, 2, 5, 16])
@pytest.mark.parametrize("seed", range(3))
def test_the_mode_is_what_the_paper_computes(scale: float, frames: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ensemble = random_ensemble(generator, TEXTS, logit_scale=scale)
    videos = VideoBatch.of(random_videos(generator, videos=4, frames=frames))
    expected = torch.stack([reference(*pair, ensemble) for pair in zip(videos.frames, videos.pooled, strict=True)])
    assert (modes(videos, ensemble) - expected).abs().max() < 1e-9
    means = normalize(ensemble.text_sums(), dim=-1)
    assert (scores(videos, ensemble, method="mta") - expected @ means.T).abs().max() < 1e-9
    single = VideoBatch(videos.frames.float(), videos.pooled.float(), "avg")
    found = scores(single, replace(ensemble, texts=ensemble.texts.float()), method="mta")
    assert (found - expected @ means.T).abs().max() < 1e-5


def test_the_attribution_is_that_of_the_texts_to_the_mode() -> None:
    generator = torch.Generator().manual_seed(0)
    ensemble, videos = random_ensemble(generator, TEXTS), VideoBatch.of(random_videos(generator))
    added = attribution(videos, ensemble, method="mta")
    assert torch.allclose(added.sum(dim=2), scores(videos, ensemble, method="mta"), atol=1e-9)
    assert not added[:, ~ensemble.present].any()


def test_frames_that_show_something_else_do_not_move_it_far() -> None:
    generator = torch.Generator().manual_seed(0)
    ensemble = random_ensemble(generator, {"context": [1] * 5}, width=64)
    centre, other = torch.randn(2, 20, 1, 64, generator=generator, dtype=torch.double)
    frames = centre + 0.3 * torch.randn(20, 10, 64, generator=generator, dtype=torch.double)
    frames[:, 7:] = 3 * other + 0.3 * torch.randn(20, 3, 64, generator=generator, dtype=torch.double)
    videos = VideoBatch.of(frames)
    found, truth = modes(videos, ensemble), normalize(centre.squeeze(1), dim=-1)
    assert ((videos.pooled * truth).sum(dim=1) < 0.9).all()
    assert ((found * truth).sum(dim=1) > 0.95).float().mean() > 0.8


@pytest.mark.parametrize("repeated", [2, 4, 8])
def test_frames_that_repeat_give_numbers(repeated: int) -> None:
    """Still pictures: distances of 0, and a mean that is far from every frame for bandwidths so small."""
    generator = torch.Generator().manual_seed(0)
    ensemble, videos = random_ensemble(generator, TEXTS), random_videos(generator, frames=8)
    still = videos[:, [t // repeated for t in range(8)]]
    found = modes(VideoBatch.of(still), ensemble)
    assert found.isfinite().all()
    assert torch.allclose(found.norm(dim=1), torch.ones(8, dtype=torch.double))
    if repeated == 8:
        assert torch.allclose(found, normalize(still[:, 0], dim=-1), atol=1e-9)


def test_with_labels_alone_it_pools_all_the_same_and_only_the_baseline_does_not() -> None:
    generator = torch.Generator().manual_seed(0)
    ensemble, videos = random_ensemble(generator, TEXTS).label_only(), VideoBatch.of(random_videos(generator))
    expected = modes(videos, ensemble) @ ensemble.texts[:, 0].T
    assert torch.allclose(scores(videos, ensemble, method="mta"), expected)
    assert not torch.allclose(expected, scores(videos, ensemble, method="label"), atol=1e-3)
    assert METHODS["mta"].pools
