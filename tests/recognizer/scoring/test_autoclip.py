"""`autoclip` against a plain reading of AutoCLIP's algorithm: one video at a time, the gradient by autograd."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods import attribution, scores
from recognizer.scoring.pooling import VideoBatch
from tests.fixtures.parity import Reference, by_video
from tests.fixtures.random_texts import random_ensemble, random_videos


def groups_of(ensemble: Ensemble) -> list[tuple[str, int]]:
    """Return the (kind, position) that some class has a text of, in any order."""
    rows = zip(ensemble.kind.tolist(), ensemble.position.tolist(), ensemble.present.tolist(), strict=True)
    return sorted({(k, p) for row in rows for k, p, there in zip(*row, strict=True) if there})


def reference(video: Tensor, ensemble: Ensemble) -> Tensor:
    """Return the weighted cosines [C, K] of one video: weights of classes, a step on logsumexp, bisected step size."""
    groups = groups_of(ensemble)
    logits = torch.zeros(len(groups), dtype=torch.double, requires_grad=True)

    def classes(weights: Tensor) -> list[list[Tensor]]:
        rows = []
        for c in range(len(ensemble.texts)):
            there = [k for k in range(ensemble.texts.shape[1]) if ensemble.present[c, k]]
            of = [groups.index((int(ensemble.kind[c, k]), int(ensemble.position[c, k]))) for k in there]
            total = sum(weights[g] for g in of)
            cosines = [video @ ensemble.texts[c, k] / video.norm() for k in there]
            rows.append([weights[g] / total * cosine for g, cosine in zip(of, cosines, strict=True)])
        return rows

    class_scores = torch.stack([torch.stack(row).sum() for row in classes(logits.softmax(dim=0))])
    (gradient,) = torch.autograd.grad(class_scores.logsumexp(dim=0), logits)
    low, high, wanted = 0.0, 1e7, 0.85 * float(torch.tensor(len(groups), dtype=torch.double).log())
    for _ in range(200):
        middle = (low + high) / 2
        weights = (middle * gradient).softmax(dim=0)
        entropy = -float(sum(w * w.log() for w in weights if w > 0))
        low, high = (middle, high) if entropy > wanted else (low, middle)
    found = torch.zeros(ensemble.present.shape, dtype=torch.double)
    for c, row in enumerate(classes((low * gradient).softmax(dim=0))):
        found[c, ensemble.present[c]] = torch.stack(row).detach()
    return found


def score_of_video(frames: Tensor, ensemble: Ensemble) -> Tensor:
    return reference(frames.mean(dim=0), ensemble).sum(dim=1)


PARITY = {
    "autoclip": Reference(
        "AutoCLIP ([arXiv 2309.16414](https://arxiv.org/abs/2309.16414)), sections 3.2 and 3.4, and the authors' "
        "`auto_clip_simulated.py`",
        by_video(score_of_video),
    )
}
SHAPES = {
    "the same texts in each class, as in the paper": {"look": [4] * 5},
    "classes with different texts": {"context": [1, 0, 2, 1, 0], "decomposition": [3, 3, 0, 2, 0]},
    "one class": {"look": [3]},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_the_paper_computes(shape: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ensemble, videos = random_ensemble(generator, SHAPES[shape]), VideoBatch.of(random_videos(generator))
    expected = torch.stack([reference(video, ensemble) for video in videos.pooled])
    assert (attribution(videos, ensemble, method="autoclip") - expected).abs().max() < 1e-9
    assert (scores(videos, ensemble, method="autoclip") - expected.sum(dim=2)).abs().max() < 1e-9
    single = VideoBatch(videos.frames.float(), videos.pooled.float(), "avg")
    found = scores(single, replace(ensemble, texts=ensemble.texts.float()), method="autoclip")
    assert (found - expected.sum(dim=2)).abs().max() < 1e-5


def test_the_kind_of_text_that_fits_the_video_gets_the_largest_weight() -> None:
    """As in the paper's simulation: texts are a class plus a template, videos a class plus one of the templates."""
    generator = torch.Generator().manual_seed(0)
    ensemble = random_ensemble(generator, {"look": [6] * 10}, width=64)
    of_class, of_template = (torch.randn(n, 64, generator=generator, dtype=torch.double) for n in (10, 7))
    ensemble = replace(ensemble, texts=normalize(of_class[:, None] + of_template, dim=-1))
    noise = torch.randn(70, 3, 64, generator=generator, dtype=torch.double)
    template = torch.arange(70) % 7
    videos = VideoBatch.of((of_class[torch.arange(70) // 7] + of_template[template])[:, None] + noise)
    weights = attribution(videos, ensemble, method="autoclip") / videos.pooled.inner(ensemble.texts)  # [V, C, K]
    assert (weights[:, 0].argmax(dim=1) == template).all()
    assert torch.allclose(weights.sum(dim=2), torch.ones(70, 10, dtype=torch.double))
    entropy = -(weights * weights.log()).sum(dim=2)
    assert torch.allclose(entropy, torch.full_like(entropy, 0.85 * math.log(7)), atol=1e-6)


def test_equal_texts_keep_equal_weights_and_their_order_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    ensemble, videos = random_ensemble(generator, {"look": [4] * 5}), VideoBatch.of(random_videos(generator))
    repeated = replace(ensemble, texts=ensemble.texts[:, :1].expand_as(ensemble.texts))
    cosine = videos.pooled @ ensemble.texts[:, 0].T
    assert torch.allclose(scores(videos, repeated, method="autoclip"), cosine, atol=1e-9)
    shuffled = ensemble.select((slice(None), [3, 0, 4, 2, 1]))
    one, other = (scores(videos, e, method="autoclip") for e in (ensemble, shuffled))
    assert torch.allclose(one, other, atol=1e-9)
