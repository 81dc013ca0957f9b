"""CSV files for other programs: rows of one kind under a header."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.local_paths import public_names, public_settings, without_folders

if TYPE_CHECKING:  # a sweep writes none of them
    from recognizer.evaluation.predict import ClassTexts, Ranking

_RANKED = ("rank", "class", "phrase", "score", "probability", "label_only_rank", "inductive_rank")
_VERDICT = ("rejected", "one_of_these", "best_background_text")  # only if videos of no class are rejected


def write_rows(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows under a header; a value that a row lacks is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def write_rankings(path: Path, texts: ClassTexts, rankings: Sequence[Ranking]) -> None:
    """Write a row for each class of each ranking; a video that cannot be read has one row with the reason."""
    made_with = {**public_settings(texts.for_programs()), "descriptors": len(texts.descriptors)}
    names = public_names([ranking.video for ranking in rankings])
    rows = [{"video": names[ranking.video], **made_with, **row} for ranking in rankings for row in _rows_of(ranking)]
    verdict = _VERDICT if texts.background else ()
    write_rows(path, ("video", *_RANKED, *verdict, "unreadable", *made_with), rows)


def _rows_of(ranking: Ranking) -> list[dict[str, Any]]:
    if ranking.unreadable:
        return [{"unreadable": without_folders(ranking.unreadable)}]
    values = (
        (c.rank, c.name, c.phrase, c.score, c.probability, c.label_only_rank, c.inductive_rank)
        for c in ranking.candidates
    )
    return [dict(zip(_RANKED, value, strict=True)) | _verdict(ranking) for value in values]


def _verdict(ranking: Ranking) -> dict[str, Any]:
    if not (verdict := ranking.verdict):
        return {}
    values = ("yes" if verdict.rejected else "no", verdict.one_of_these, verdict.background)
    return dict(zip(_VERDICT, values, strict=True))
