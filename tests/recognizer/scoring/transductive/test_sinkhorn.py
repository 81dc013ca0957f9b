"""`sinkhorn` against Newton's method on the dual problem, and the prior from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from db.errors import UserError
from db.records import Action, Dataset
from recognizer.scoring.transductive.prior import read_prior
from recognizer.scoring.transductive.sinkhorn import sinkhorn
from tests.fixtures.parity import Together


def by_newton(p: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Return Q = softmax over classes of log P + b, with b such that the columns have the sums of the prior."""
    b, wanted = np.zeros(p.shape[1]), prior * len(p)
    for _ in range(200):
        q = p * np.exp(b - b.max())
        q /= q.sum(axis=1, keepdims=True)
        missing = wanted - q.sum(axis=0)
        slope = np.diag(q.sum(axis=0)) - q.T @ q  # of the sums, by b
        step = np.linalg.pinv(slope) @ missing
        b += step / max(1.0, np.abs(step).max())
    assert np.abs(missing).max() < 1e-9
    return q


def random_case(seed: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return random predictions of 30 videos and 5 classes, and a prior."""
    random = np.random.default_rng(seed)
    logits = scale * random.normal(size=(30, 5)) + random.normal(size=5)
    prior = np.full(5, 0.2) if seed % 2 else random.dirichlet([2.0] * 5)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), prior


def difference(seed: int) -> float:
    """Return how far the matrix of a random case is from that of Newton's method."""
    p, prior = random_case(seed, scale=3.0)
    found = sinkhorn(torch.tensor(p).log(), torch.tensor(prior)).exp().numpy()
    return float(np.abs(found - by_newton(p, prior)).max())


PARITY = {
    "sinkhorn": Together(
        "the matrix nearest to the predictions with these sums ([arXiv 1306.0895](https://arxiv.org/abs/1306.0895)), "
        "by Newton's method on the dual problem",
        difference,
    )
}


@pytest.mark.parametrize("scale", [1.0, 10.0])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_matrix_nearest_to_the_predictions_with_the_shares_of_the_prior(scale: float, seed: int) -> None:
    p, prior = random_case(seed, scale)
    found = sinkhorn(torch.tensor(p).log(), torch.tensor(prior)).exp().numpy()
    assert np.abs(found - by_newton(p, prior)).max() < 1e-5
    assert np.allclose(found.sum(axis=1), 1)
    assert np.allclose(found.mean(axis=0), prior, atol=1e-5)
    change = np.log(found) - np.log(p)  # one number for each video and one for each class
    assert np.allclose(change - change[:, :1] - change[:1] + change[0, 0], 0, atol=1e-9)


def test_predictions_that_have_these_shares_stay() -> None:
    p = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.double)
    assert torch.allclose(sinkhorn(p.log(), torch.tensor([0.5, 0.5], dtype=torch.double)).exp(), p)


def test_shares_that_cannot_be_reached_are_refused() -> None:
    logits = torch.tensor([[0.0, -1e5], [0.0, -2e5]], dtype=torch.double).log_softmax(dim=1)
    with pytest.raises(UserError, match="do not reach the shares of the classes"):
        sinkhorn(torch.cat([logits, logits.flip(1), logits]), torch.tensor([0.05, 0.95], dtype=torch.double))


@pytest.fixture
def colours() -> Dataset:
    names = ("red_ball", "blue")
    actions = tuple(Action(n, name, name.replace("_", " ")) for n, name in enumerate(names))
    return Dataset("balls", actions, stored_as="balls")


def prior_file(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "prior.csv"
    file.write_text(text)
    return file


def test_a_prior_is_read_by_name_or_phrase_in_any_order_and_brought_to_sum_1(colours: Dataset, tmp_path: Path) -> None:
    file = prior_file(tmp_path, "class,share\nblue,30\nred ball, 10\n\n")
    assert read_prior(file, colours) == {"red_ball": 0.25, "blue": 0.75}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("blue,1\n", "has no share for 1 of 2 classes: red_ball"),
        (
            "blue,1\nred_ball,0\n",
            "line 2: a share is a number above 0, not '0'. For a class without videos, take a small",
        ),
        ("blue,many\nred_ball,1\n", "line 1: a share is a number above 0, not 'many'"),
        ("blue,nan\nred_ball,1\n", "not 'nan'"),
        ("green,1\n", "line 1: not a class of balls and its share: green,1"),
        ("blue,1,2\n", "line 1: not a class of balls and its share"),
        ("blue,1\nBlue,1\n", "line 2: blue is there twice"),
    ],
)
def test_a_wrong_prior_is_refused_with_its_line(colours: Dataset, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        read_prior(prior_file(tmp_path, text), colours)
    assert said in str(raised.value)
