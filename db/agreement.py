"""Agreement of reviewers: their last verdicts, and Cohen's kappa."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from itertools import combinations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.records import Agreement, DecisionKind
from db.review_log import UNDONE
from db.schema import ActionRow, DatasetRow, DescriptorRow, ReviewEventRow

# whether the text is accepted unchanged; None: the verdict was withdrawn
_VERDICTS: Mapping[DecisionKind, bool | None] = {"accept": True, "reject": False, "edit": False, "restore": None}


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


def agreements(verdicts: Mapping[str, Mapping[int, bool]]) -> list[Agreement]:
    """Return the agreement of each pair of reviewers, sorted by name, from their `verdicts`."""
    return [agreement(first, second, verdicts) for first, second in combinations(sorted(verdicts), 2)]


def agreement(first: str, second: str, verdicts: Mapping[str, Mapping[int, bool]]) -> Agreement:
    """Return Cohen's kappa of two reviewers over the descriptors that both judged.

    kappa = (p_o - p_e) / (1 - p_e), with p_o the observed fraction of equal verdicts, and p_e the fraction expected if
    both judged independently, each at their own acceptance rate. After J. Cohen, "A coefficient of agreement for
    nominal scales", Educational and Psychological Measurement 20(1), 1960. Undefined for p_e = 1 and for n = 0.
    """
    by_first, by_second = verdicts[first], verdicts[second]
    cells = Counter((by_first[id_], by_second[id_]) for id_ in by_first.keys() & by_second.keys())
    n = cells.total()
    equal = cells[True, True] + cells[False, False]
    accepted = cells[True, True] + cells[True, False], cells[True, True] + cells[False, True]
    by_chance = accepted[0] * accepted[1] + (n - accepted[0]) * (n - accepted[1])  # p_e * n^2
    undefined = None
    if not n:
        undefined = "no descriptor that both judged"
    elif by_chance == n * n:
        undefined = "both gave every text the same verdict, so chance alone explains it"
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
