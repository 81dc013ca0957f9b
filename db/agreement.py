"""Agreement of reviewers: their last verdicts, and Cohen's kappa with its interval."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.records import Agreement, DecisionKind
from db.review_log import UNDONE
from db.schema import ActionRow, DatasetRow, DescriptorRow, ReviewEventRow

# whether the text is accepted unchanged; None: the verdict was withdrawn
_VERDICTS: Mapping[DecisionKind, bool | None] = {"accept": True, "reject": False, "edit": False, "restore": None}

_NORMAL_95 = 1.959964  # the quantile of the normal distribution for an interval of 95%


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa of two judges, -1 to 1, and its standard error in large samples; the error is 0 for kappa 1."""

    value: float
    error: float

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of 95%, within -1 and 1; None where the standard error is 0 and says nothing."""
        if self.error <= 0:
            return None
        half = _NORMAL_95 * self.error
        return max(-1.0, self.value - half), min(1.0, self.value + half)


def kappa(table: Sequence[Sequence[int]]) -> Kappa | None:
    """Return Cohen's kappa of a table of counts; None if chance alone explains every verdict, or there is none.

    kappa = (p_o - p_e) / (1 - p_e), with p_o the observed fraction of equal verdicts, and p_e the fraction expected if
    both judged independently, each at their own rates. After J. Cohen, "A coefficient of agreement for nominal scales",
    Educational and Psychological Measurement 20(1), 1960. The standard error is that for kappa other than 0 by Fleiss,
    Cohen and Everitt, "Large sample standard errors of kappa and weighted kappa", Psychological Bulletin 72(5), 1969.

    Args:
        table: [K, K], items that the first judge put in category i and the second in j.
    """
    n = sum(map(sum, table))
    size = range(len(table))
    first, second = [sum(row) for row in table], [sum(row[j] for row in table) for j in size]
    by_chance = sum(a * b for a, b in zip(first, second, strict=True))  # p_e * n^2
    if by_chance == n * n:  # also for n = 0
        return None
    equal = sum(table[i][i] for i in size)
    value, chance = (equal * n - by_chance) / (n * n - by_chance), by_chance / n**2
    on = sum(table[i][i] / n * (1 - (first[i] + second[i]) / n * (1 - value)) ** 2 for i in size)
    off = sum(table[i][j] / n * ((second[i] + first[j]) / n) ** 2 for i in size for j in size if i != j)
    variance = (on + (1 - value) ** 2 * off - (value - chance * (1 - value)) ** 2) / (n * (1 - chance) ** 2)
    return Kappa(value, sqrt(variance) if equal < n and variance > 0 else 0.0)


def verdicts(session: Session, dataset: str | None) -> dict[str, dict[int, bool]]:
    """Return reviewer -> descriptor id -> whether the reviewer's last verdict accepted the text unchanged."""
    query = (
        select(ReviewEventRow.reviewer, ReviewEventRow.descriptor_id, ReviewEventRow.what)
        .join(DescriptorRow, DescriptorRow.id == ReviewEventRow.descriptor_id)
        .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .where(ReviewEventRow.what.in_(list(_VERDICTS)), ReviewEventRow.decision.not_in(UNDONE))
        .order_by(ReviewEventRow.id)
    )
    query = query if dataset is None else query.where(DatasetRow.name == dataset)
    last_verdicts: dict[str, dict[int, bool | None]] = defaultdict(dict)
    for reviewer, descriptor, kind in session.execute(query):
        last_verdicts[reviewer][descriptor] = _VERDICTS[kind]
    return {
        reviewer: {descriptor: accepted for descriptor, accepted in by_id.items() if accepted is not None}
        for reviewer, by_id in last_verdicts.items()
    }


def agreements(verdicts: Mapping[str, Mapping[int, bool]], *, kind: str = "") -> list[Agreement]:
    """Return the agreement of each pair of reviewers, sorted by name, from their `verdicts` on texts of a kind."""
    return [agreement(first, second, verdicts, kind=kind) for first, second in combinations(sorted(verdicts), 2)]


def agreement(first: str, second: str, verdicts: Mapping[str, Mapping[int, bool]], *, kind: str = "") -> Agreement:
    """Return Cohen's kappa of two reviewers over the descriptors that both judged: see `kappa`."""
    by_first, by_second = verdicts[first], verdicts[second]
    cells = Counter((by_first[id_], by_second[id_]) for id_ in by_first.keys() & by_second.keys())
    n = cells.total()
    result = kappa([[cells[a, b] for b in (True, False)] for a in (True, False)])
    undefined = None
    if not n:
        undefined = "no descriptor that both judged"
    elif result is None:
        undefined = "both gave every text the same verdict, so chance alone explains it"
    return Agreement(
        first=first,
        second=second,
        both_accepted=cells[True, True],
        only_first=cells[True, False],
        only_second=cells[False, True],
        both_refused=cells[False, False],
        n=n,
        observed=(cells[True, True] + cells[False, False]) / n if n else None,
        kappa=result.value if result else None,
        undefined=undefined,
        interval=result.interval if result else None,
        kind=kind,
    )
