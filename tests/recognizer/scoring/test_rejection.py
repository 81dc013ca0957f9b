"""The log odds that a video is of one of the classes, against a plain loop."""

from __future__ import annotations

from math import exp, log

import pytest
import torch

from recognizer.scoring.rejection import log_odds


def plain(scores: list[float], by_label: list[float], background: list[float], scale: float) -> float:
    shift = sum(by_label) / len(by_label) - sum(scores) / len(scores)
    known = sum(exp(scale * (score + shift)) for score in scores) / len(scores)
    return log(known) - log(sum(exp(scale * score) for score in background) / len(background))


def test_log_odds_are_those_of_a_plain_loop() -> None:
    random = torch.Generator().manual_seed(0)
    scores, by_label, background = (torch.rand(4, n, generator=random).double() for n in (3, 3, 7))
    found = log_odds(scores, by_label, background, logit_scale=20.0, temperature=2.0)
    rows = zip(scores.tolist(), by_label.tolist(), background.tolist(), strict=True)
    assert found.tolist() == pytest.approx([plain(*row, 10.0) for row in rows])


def test_even_texts_give_even_odds_however_many_there_are() -> None:
    even = log_odds(torch.full((1, 3), 0.2), torch.full((1, 3), 0.2), torch.full((1, 500), 0.2))
    assert even.tolist() == pytest.approx([0.0], abs=1e-5)
    assert log_odds(torch.tensor([[0.3]]), torch.tensor([[0.3]]), torch.tensor([[0.2, 0.1]])).sigmoid() > 0.999


def test_a_level_that_all_classes_share_is_no_evidence() -> None:
    """Descriptors that raise the scores of all classes alike leave the odds of the labels alone."""
    by_label, background = torch.tensor([[0.1, 0.3]]), torch.tensor([[0.2, 0.25]])
    raised = log_odds(by_label + 0.4, by_label, background)
    assert raised.tolist() == pytest.approx(log_odds(by_label, by_label, background).tolist(), abs=1e-4)


def test_odds_too_large_for_single_precision_keep_their_order() -> None:
    scores = torch.tensor([[0.9, 0.0], [0.8, 0.0]])
    odds = log_odds(scores, scores, torch.zeros(2, 3))
    assert odds[0] > odds[1] > 50
