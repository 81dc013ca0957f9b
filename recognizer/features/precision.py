"""How far stored embeddings in a lower precision are from those in float32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recognizer.features.maintenance import describe
from recognizer.features.store import FeatureStore, ShelfRow


@dataclass(frozen=True)
class PrecisionGap:
    """The cosines between embeddings of the same inputs in float32 and in another precision, over all vectors."""

    encoder: str
    what: str  # see `describe`; includes the lower precision; the name is that of the `--json` output
    records: int  # videos or texts that are stored in both
    lowest: float
    mean: float


def precision_gaps(store: FeatureStore) -> list[PrecisionGap]:
    """Compare each shelf with that in float32 of the same encoder, sampling and preprocessing, if both share records.

    Raises:
        UserError: the store cannot be read.
    """
    rows = store.shelves()
    full = {_rest(row): row for row in rows if _precision(row) == "float32"}
    lower = [row for row in rows if _precision(row) != "float32" and _rest(row) in full]
    return [gap for row in lower for gap in _gap(store, full[_rest(row)], row)]


def _precision(row: ShelfRow) -> str:
    return str(row.key.get("precision", "float32"))  # not every encoder names it in float32


def _rest(row: ShelfRow) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, repr(value)) for name, value in row.key.items() if name != "precision"))


def _gap(store: FeatureStore, full: ShelfRow, lower: ShelfRow) -> Iterator[PrecisionGap]:
    """Yield the comparison of two shelves; nothing if they share no record."""
    slots = [{k: e.slot for k, e in store.entries(row).items() if e.slot is not None} for row in (full, lower)]
    shared = sorted(slots[0].keys() & slots[1].keys())
    if not shared:
        return
    arrays = [store.arrays(row) for row in (full, lower)]
    cosines = [_cosines(*(array[slot[key]] for array, slot in zip(arrays, slots, strict=True))) for key in shared]
    every = np.concatenate(cosines)
    yield PrecisionGap(lower.key["encoder"], describe(lower), len(shared), float(every.min()), float(every.mean()))


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the cosines of two records [..., D], flat."""
    a, b = (record.reshape(-1, record.shape[-1]).astype(np.float64) for record in (first, second))
    cosines: np.ndarray = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return cosines
