"""`stata` against the steps of StatA in loops over videos, classes and dimensions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recognizer.scoring.transductive.stata import stata
from tests.fixtures.parity import Together

Row = list[float]


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.sqrt((vector**2).sum())


def softmax(values: Row) -> Row:
    terms = [math.exp(value - max(values)) for value in values]
    return [term / sum(terms) for term in terms]


def links_of(videos: np.ndarray) -> dict[tuple[int, int], float]:
    """Return the cosine of each video i with each of its three nearest others j, by (i, j)."""
    links: dict[tuple[int, int], float] = {}
    for i, video in enumerate(videos):
        others = sorted((j for j in range(len(videos)) if j != i), key=lambda j: -float(video @ videos[j]))
        links |= {(i, j): float(video @ videos[j]) for j in others[:3]}
    return links


def agreeing(links: dict[tuple[int, int], float], z: list[Row], video: int, c: int) -> float:
    """Return the sum over links from and to a video of cosine times the prediction of class c at the other end."""
    return sum(w * (z[j][c] * (i == video) + z[i][c] * (j == video)) for (i, j), w in links.items())


def fitted(
    z: list[Row], c: int, videos: np.ndarray, text: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the variances of class c."""
    members = sum(row.index(max(row)) == c for row in z)
    beta, weight = members / (1 + members), sum(row[c] for row in z)
    own = unit(sum(row[c] * video for row, video in zip(z, videos, strict=True)) / weight)
    mean = unit(beta * own + (1 - beta) * text)
    around = sum(row[c] * (video - mean) ** 2 for row, video in zip(z, videos, strict=True)) / weight
    return mean, beta * around + (1 - beta) * (spread + (text - mean) ** 2)


def reference(first: list[Row], videos: np.ndarray, texts: np.ndarray) -> list[Row]:
    """Return the predictions z [V][C] after ten rounds, from the first ones."""
    links, classes = links_of(videos), range(len(texts))
    differences = [first[i][c] * (video - texts[c]) ** 2 for i, video in enumerate(videos) for c in classes]
    spread = sum(differences) / len(videos)
    z, gaussians = first, [(text, spread) for text in texts]
    for turn in range(11):
        likelihood = [[-0.5 * float(((v - mean) ** 2 / var).sum()) for mean, var in gaussians] for v in videos]
        for _ in range(5):
            logs = [
                [math.log(first[i][c]) + (row[c] + 50 / (2 * 3) * agreeing(links, z, i, c)) / 50 for c in classes]
                for i, row in enumerate(likelihood)
            ]
            z = [softmax(row) for row in logs]
        if turn < 10:
            gaussians = [fitted(z, c, videos, texts[c], spread) for c in classes]
    return z


def difference(seed: int, count: int = 14, scale: float = 100.0) -> float:
    """Return how far predictions for random videos are from the reference."""
    random = np.random.default_rng(seed)
    texts = np.array([unit(row) for row in random.normal(size=(4, 6))])
    shown = texts[random.integers(4, size=count)] + 0.4 * random.normal(size=(count, 6)) + 0.5
    videos = np.array([unit(row) for row in shown])
    first = [softmax(row) for row in (scale * videos @ texts.T).tolist()]
    expected = np.array(reference(first, videos, texts))
    given = torch.tensor(first, dtype=torch.double).log(), torch.tensor(videos), torch.tensor(texts)
    return float(np.abs(stata(*given).exp().numpy() - expected).max())


PARITY = {
    "stata": Together(
        "StatA ([arXiv 2501.03729](https://arxiv.org/abs/2501.03729)) and the authors' numbers, in loops", difference
    )
}


@pytest.mark.parametrize("count", [2, 3, 14])  # also fewer others than neighbours
@pytest.mark.parametrize("scale", [3.0, 100.0])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_the_paper_computes(count: int, scale: float, seed: int) -> None:
    assert difference(seed, count, scale) < 1e-9


def test_a_dimension_without_any_difference_changes_nothing() -> None:
    random = np.random.default_rng(0)
    texts, videos = (np.array([unit(row) for row in random.normal(size=(n, 6))]) for n in (3, 10))
    first = torch.tensor(videos @ texts.T * 5).log_softmax(dim=1)
    found = stata(first, torch.tensor(videos), torch.tensor(texts))
    wider = [torch.tensor(np.pad(rows, [(0, 0), (0, 1)])) for rows in (videos, texts)]
    assert torch.allclose(stata(first, *wider), found, atol=1e-9)
