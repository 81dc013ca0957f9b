"""`rerank` against a loop over videos and classes that follows FuDD, and its promises about order."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recognizer.scoring.ensemble import Ensemble
from recognizer.scoring.methods import METHODS, attribution, scores
from recognizer.scoring.pooling import VideoBatch
from tests.fixtures.parity import Reference, by_video
from tests.fixtures.random_texts import random_ensemble, random_videos

CLASSES = 14
TEXTS = {"context": [c % 3 for c in range(CLASSES)], "contrast": [c % 4 for c in range(CLASSES)]}  # some have none


def texts_of(ensemble: Ensemble, c: int) -> list[Tensor]:
    """Return the label and the contrast texts of a class, or all of its texts if it has none of these."""
    there = [k for k in range(ensemble.texts.shape[1]) if ensemble.present[c, k]]
    contrasts = [k for k in there if ensemble.kind[c, k] >= 0 and ensemble.kinds[ensemble.kind[c, k]] == "contrast"]
    return [ensemble.texts[c, k] for k in ([0, *contrasts] if contrasts else there)]


def reference(video: Tensor, ensemble: Ensemble) -> tuple[list[int], list[float]]:
    """Return the classes from best to worst, and the follow-up score of the candidates, in this order."""
    classes = range(len(ensemble.texts))
    by_label = {c: float(video @ ensemble.texts[c, 0]) for c in classes}
    order = sorted(classes, key=lambda c: -by_label[c])
    follow_up = {}
    for c in order[:10]:
        mean = torch.stack(texts_of(ensemble, c)).mean(dim=0)
        follow_up[c] = float(video @ mean / mean.norm())
    decided = sorted(follow_up, key=lambda c: -follow_up[c])
    return [*decided, *order[10:]], [follow_up[c] for c in decided]


def score_of_video(frames: Tensor, ensemble: Ensemble) -> Tensor:
    """Return the scores [C]: the worst candidate has that of the tenth label, the others their lead over it on top."""
    video = frames.mean(dim=0) / frames.mean(dim=0).norm()
    by_label = ensemble.texts[:, 0] @ video
    order, follow_up = reference(video, ensemble)
    tenth, found = by_label.sort(descending=True).values[9], by_label.clone()
    for c, value in zip(order, follow_up, strict=False):
        found[c] = tenth + value - follow_up[-1]
    return found


PARITY = {
    "rerank": Reference(
        "FuDD ([arXiv 2309.07593](https://arxiv.org/abs/2309.07593)), section 3, and the authors' `fudd_model.py`",
        by_video(score_of_video),
        TEXTS,
    )
}


@pytest.mark.parametrize("seed", range(5))
def test_candidates_are_ranked_by_their_contrast_texts_above_all_others(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    ensemble, videos = random_ensemble(generator, TEXTS), VideoBatch.of(random_videos(generator))
    found = scores(videos, ensemble, method="rerank")
    by_label = scores(videos, ensemble, method="label")
    for row, labels, video in zip(found, by_label, videos.pooled, strict=True):
        order, follow_up = reference(video, ensemble)
        assert row.argsort(descending=True).tolist() == order
        ranked = row[order]
        gaps = torch.tensor(follow_up, dtype=torch.double) - follow_up[-1]
        assert torch.allclose(ranked[:10], gaps + labels.sort(descending=True).values[9], atol=1e-9)
        assert torch.allclose(ranked[10:], labels[order[10:]], atol=1e-9)
    single = VideoBatch(videos.frames.float(), videos.pooled.float(), "avg")
    assert (scores(single, replace(ensemble, texts=ensemble.texts.float()), method="rerank") - found).abs().max() < 1e-5


def test_between_two_candidates_the_labels_shift_is_the_same() -> None:
    """So the difference of two candidates is made by the texts that are compared, in `explain` too."""
    generator = torch.Generator().manual_seed(0)
    ensemble, videos = random_ensemble(generator, TEXTS), VideoBatch.of(random_videos(generator))
    added = attribution(videos, ensemble, method="rerank")
    assert torch.allclose(added.sum(dim=2), scores(videos, ensemble, method="rerank"), atol=1e-9)
    used = METHODS["rerank"].uses(ensemble)
    assert not added[:, ~used].any()
    apart = attribution(videos, replace(ensemble, present=used), method="mean")
    best = scores(videos, ensemble, method="label").topk(10, dim=1).indices
    shift = (added - apart).sum(dim=2).gather(1, best)  # [V, 10]
    assert torch.allclose(shift, shift[:, :1].expand_as(shift), atol=1e-9)


def test_without_contrast_texts_all_texts_of_the_class_decide_and_their_order_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    ensemble = random_ensemble(generator, {"context": [3] * 10})
    videos = VideoBatch.of(random_videos(generator))
    of_mean, found = (scores(videos, ensemble, method=method) for method in ("mean", "rerank"))
    assert torch.equal(of_mean.argsort(dim=1), found.argsort(dim=1))
    shuffled = ensemble.select((slice(None), [0, 3, 1, 2]))
    assert torch.allclose(scores(videos, shuffled, method="rerank"), found, atol=1e-9)
