"""Embeddings that were made elsewhere, in the feature store: a shelf of videos and one of texts for each name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from db.errors import UsageError, UserError, first_few
from encoders.imported import PREFIX, Imported
from recognizer.features.store import FeatureStore, Shelf, ShelfRow
from recognizer.video.sampling import Sampling

_UNKNOWN = "made elsewhere"  # in place of the preprocessing


def text_key(text: str) -> str:
    """Return the key of a text's embedding."""
    return hashlib.sha256(text.encode()).hexdigest()


def shelf_rows(store: FeatureStore, id_: str) -> list[ShelfRow]:
    """Return the shelves of `imported:NAME`: one of videos, and one of texts if there are any.

    Raises:
        UserError: they are of several imports that do not belong together, joined by `recognize features merge`.
    """
    rows = [row for row in store.shelves() if row.key["encoder"] == id_]
    if len({row.key["revision"] for row in rows}) > 1:
        raise UserError(
            f"The store holds different imports under the name {id_}, from other stores. Delete them and import "
            f"again: recognize features prune --encoder {id_}"
        )
    return rows


def from_store(encoder: Imported, store: FeatureStore) -> Imported:
    """Return the encoder with what the store knows of it.

    Raises:
        UserError: nothing was imported under its name.
    """
    rows = shelf_rows(store, encoder.id)
    if not rows:
        name = encoder.id.removeprefix(PREFIX)
        names = {str(row.key["encoder"]) for row in store.shelves()}
        known = first_few(sorted(name for name in names if name.startswith(PREFIX)))
        raise UserError(
            f"Nothing was imported as {encoder.id} into {store.folder} (imported: {known or 'nothing'}). Import "
            f"embeddings with: recognize features import FILE --name {name}"
        )
    clips = any(row.key["what"] == "clips" for row in rows)
    traits = replace(encoder.traits, clip_frames=1 if clips else None)
    return replace(encoder, revision=rows[0].key["revision"], width=rows[0].shape[-1], traits=traits)


def videos_key(encoder: Imported, shape: Sequence[int]) -> dict[str, Any]:
    """Return the key of the shelf of videos, records [W, T, D]."""
    records = "frames" if encoder.traits.clip_frames is None else "clips"
    sampling = {"frames": shape[1], "clips": shape[0], "crops": 1, "preprocessing": _UNKNOWN}
    return {"encoder": encoder.id, "revision": encoder.revision, "what": records, **sampling}


def texts_key(encoder: Imported) -> dict[str, Any]:
    """Return the key of the shelf of texts."""
    return {"encoder": encoder.id, "revision": encoder.revision, "what": "texts"}


def videos_shelf(store: FeatureStore, id_: str, sampling: Sampling) -> Shelf:
    """Return the shelf of videos, records [W, T, D]; the preprocessing of the sampling is not looked at.

    Raises:
        UsageError: its records have another number of frames or views.
        UserError: there is none.
    """
    row = next((row for row in shelf_rows(store, id_) if row.key["what"] != "texts"), None)
    if row is None:
        raise UserError(f"No embeddings of videos were imported as {id_}")
    views, frames, _ = row.shape
    if (sampling.frames, sampling.clips, sampling.crops) != (frames, views, 1):
        wanted = f"--frames {frames}" + (f" --clips {views}" if views > 1 or sampling.views > 1 else "")
        crops = " and no --crops" if sampling.crops > 1 else ""
        raise UsageError(
            f"{id_} was imported with {Sampling(frames, views)} a video, not with {sampling}. Give {wanted}{crops}"
        )
    return Shelf(store, row.key)


def refuse_missing_texts(id_: str, missing: Sequence[str], total: int) -> None:
    """Refuse texts that were not imported.

    Raises:
        UserError: there are some; the message says how many, and how to import them.
    """
    if missing:
        raise UserError(
            f"{len(missing)} of {total} texts have no embedding in {id_}, such as {missing[0]!r}. List all that are "
            "needed with: recognize features texts, and the dataset and options of this command; encode them, then: "
            f"recognize features import FILE --name {id_.removeprefix(PREFIX)} --texts TEXTS --text-ids texts.txt"
        )
