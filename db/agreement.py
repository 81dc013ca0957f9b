"""How far reviewers agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import combinations

from db.records import Agreement

_NONE_IN_COMMON = "no descriptor that both judged"
_NO_CHOICE = "both gave one and the same verdict throughout, so chance alone explains it"


def agreements(verdicts: Mapping[str, Mapping[int, bool]]) -> list[Agreement]:
    """Return the agreement of each two reviewers, by name.

    Args:
        verdicts: reviewer -> descriptor -> whether they accepted it as it was.
    """
    return [agreement(first, second, verdicts) for first, second in combinations(sorted(verdicts), 2)]


def agreement(first: str, second: str, verdicts: Mapping[str, Mapping[int, bool]]) -> Agreement:
    """Return Cohen's kappa of two reviewers over the descriptors that both judged.

    kappa = (p_o - p_e) / (1 - p_e), with p_o the observed share of equal verdicts, and p_e the share expected of two
    reviewers who judge independently of each other, each with the shares of verdicts that they gave here. After
    J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20(1), 1960.
    It is not defined for p_e = 1, nor for n = 0.
    """
    one, other = verdicts[first], verdicts[second]
    cells = Counter((one[item], other[item]) for item in one.keys() & other.keys())
    n = cells.total()
    equal = cells[True, True] + cells[False, False]
    accepted = cells[True, True] + cells[True, False], cells[True, True] + cells[False, True]
    by_chance = accepted[0] * accepted[1] + (n - accepted[0]) * (n - accepted[1])  # p_e times n squared
    undefined = _NONE_IN_COMMON if not n else _NO_CHOICE if by_chance == n * n else None
    return Agreement(
        first=first,
        second=second,
        both_accepted=cells[True, True],
        only_first=cells[True, False],
        only_second=cells[False, True],
        both_refused=cells[False, False],
        n=n,
        observed=equal / n if n else None,
        kappa=None if undefined else (equal * n - by_chance) / (n * n - by_chance),
        undefined=undefined,
    )
