"""An encoder that caches its results in the feature store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

from db.errors import UsageError
from db.progress import ProgressBars, no_bars
from encoders.checks import check_frames, check_texts
from encoders.imported import Imported
from encoders.protocol import Encoder, Logits, Precision, Preprocessing, logits_of, traits_of
from encoders.registry import find_encoder
from recognizer.features.imported import from_store, refuse_missing_texts, text_key, videos_shelf
from recognizer.features.store import FeatureStore, NewRecord, Shelf, StoredRecords
from recognizer.video.frames import DECODING
from recognizer.video.pool import Decoding
from recognizer.video.sampling import Sampling

if TYPE_CHECKING:
    from torch import Tensor


_TEXTS_AT_ONCE = 512  # encoded before they are stored


class CachingEncoder:
    """An `Encoder` that encodes each distinct text once; the weights load only for texts that are not stored.

    Frames are not cached here: `embed_videos` and `load_long_video` cache them by video.

    Attributes, besides those of `Encoder`:
        retry: whether they read videos again that are stored as unreadable.
        kept: the videos that were asked for and whose features are in the store.
        decoding: in how many processes they read videos, and how long.
        imported: whether its embeddings were made elsewhere: it has those in the store alone, and encodes nothing.
        uncached: the encoder itself.
    """

    def __init__(
        self,
        encoder: Encoder,
        store: FeatureStore,
        *,
        retry: bool = False,
        decoding: Decoding | None = None,
        bars: ProgressBars = no_bars,
    ) -> None:
        self.imported = isinstance(encoder, Imported)
        if isinstance(encoder, Imported):
            encoder = cast(Encoder, from_store(encoder, store))
        self.retry = retry
        self.kept: set[Path] = set()
        self.decoding = decoding or Decoding()
        self.id = encoder.id
        self.revision = encoder.revision
        self.preprocess = encoder.preprocess
        self.uncached = encoder
        self._store, self._bars = store, bars
        self.traits = traits_of(encoder)
        self._texts = self._shelf(what="texts", **self.traits.texts_key)
        self._last: tuple[tuple[str, ...], list[str], StoredRecords] | None = None

    def _shelf(self, **key: object) -> Shelf:
        """Return the shelf of a key, which the store keeps with these names; `what`: texts, frames, clips or long."""
        return Shelf(self._store, {"encoder": self.id, "revision": self.revision, **self.traits.key, **key})

    def frames_shelf(self, sampling: Sampling) -> Shelf:
        """Return the shelf of the embeddings of videos with one sampling: [W, T, D], or [W, 1, D] of clips.

        Those of videos that break off are on it too, under keys of their own (`decode.truncated_key`).

        Raises:
            UsageError: the encoder takes clips of another number of frames, or its embeddings were imported and are
                of another number of frames or views.
        """
        if self.imported:
            return videos_shelf(self._store, self.id, sampling)
        key = asdict(sampling)
        del key["allow_truncated"]
        if self.clip_frames is None:
            return self._shelf(what="frames", **key, decoding=DECODING)
        if sampling.frames != self.clip_frames:
            raise UsageError(
                f"{self.id} takes clips of {self.clip_frames} frames, not of {sampling.frames}. Give --frames "
                f"{self.clip_frames}; for more frames of a video, several clips: --clips N"
            )
        return self._shelf(what="clips", **key, stride="spread", decoding=DECODING)

    def long_shelf(self, *, fps: float, preprocessing: Preprocessing) -> Shelf:
        """Return the shelf of the frames of long videos at one rate; see features/long.py.

        Raises:
            UsageError: the embeddings were imported; they are of short videos.
        """
        if self.imported:
            raise UsageError(f"{self.id} has no embeddings of long videos. Take another encoder with --encoder")
        return self._shelf(what="long", fps=fps, preprocessing=preprocessing, decoding=DECODING)

    @property
    def clip_frames(self) -> int | None:
        """T of an encoder of clips; None for an encoder of frames."""
        return self.traits.clip_frames

    def refuse_clips(self, why: str, instead: str = "Take an encoder of frames with --encoder") -> None:
        """Refuse an encoder of clips for what needs the vector of each frame.

        Raises:
            UsageError: the encoder gives one vector for a clip.
        """
        if self.clip_frames is not None:
            raise UsageError(f"{why}, but {self.id} gives one vector for a clip of {self.clip_frames}. {instead}")

    @property
    def width(self) -> int:
        row = self._texts.row()
        return row.shape[0] if row else self.uncached.width

    @property
    def context_length(self) -> int:
        row = self._texts.row()
        return int(row.facts["context_length"]) if row else self.uncached.context_length

    @property
    def logits(self) -> Logits:
        """Scale and bias of the model; its weights load only if they are not stored with its texts."""
        row = self._texts.row()
        return Logits(**row.facts["logits"]) if row and "logits" in row.facts else logits_of(self.uncached)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings [K, D] of texts; float32, memory-mapped if adjacent in this order in the file.

        Raises:
            UserError: the vectors are not finite, or the same for different texts.
        """
        import torch

        if not texts:
            return torch.empty(0, self.width)
        keys, stored = self._stored(texts)
        rows = torch.from_numpy(stored.rows(keys))
        check_texts(self.id, texts, rows)
        return rows

    def encode_frames(self, pixels: Tensor) -> Tensor:
        """Return the embeddings [N, D] of preprocessed frames [N, 3, S, S].

        Raises:
            UserError: the vectors are not finite, or the same for different frames.
        """
        vectors = self.uncached.encode_frames(pixels)
        check_frames(self.id, pixels, vectors)
        return vectors

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return each text's length in tokens, start and end included, before any cut."""
        keys, stored = self._stored(texts)
        return [int(stored.entries[key].note) for key in keys]

    def _stored(self, texts: Sequence[str]) -> tuple[list[str], StoredRecords]:
        """Encode and store the texts that are not stored; return their keys, and the records of all.

        Those of the last call are kept: texts are encoded, then counted.
        """
        if self._last is None or self._last[0] != tuple(texts):
            keys = [text_key(text) for text in texts]
            self._last = tuple(texts), keys, self._loaded(dict(zip(keys, texts, strict=True)))
        return self._last[1:]

    def _loaded(self, by_key: Mapping[str, str]) -> StoredRecords:
        """Return the records of texts by key; those that are not stored are encoded and stored before."""
        stored = self._texts.load(by_key)
        missing = [text for key, text in by_key.items() if key not in stored.entries]
        if self.imported:
            refuse_missing_texts(self.id, missing, len(by_key))
        with (self._bars if len(missing) > _TEXTS_AT_ONCE else no_bars)(f"texts, {self.id}", "texts") as advance:
            for start in range(0, len(missing), _TEXTS_AT_ONCE):
                advance(start, len(missing))
                self._encode(missing[start : start + _TEXTS_AT_ONCE])
        return self._texts.load(by_key) if missing else stored

    def _encode(self, texts: Sequence[str]) -> None:
        encoded = self.uncached.encode_texts(texts)  # [K, D]
        check_texts(self.id, texts, encoded)
        vectors = encoded.numpy()
        counts = self.uncached.token_counts(texts)
        new = [
            NewRecord(text_key(text), row, str(count)) for text, row, count in zip(texts, vectors, counts, strict=True)
        ]
        facts = {"context_length": self.uncached.context_length, "logits": asdict(logits_of(self.uncached))}
        self._texts.add(new, shape=vectors.shape[1:], facts=facts)


@contextmanager
def open_caching_encoder(
    name: str,
    folder: Path,
    *,
    precision: Precision = "float32",
    retry: bool = False,
    decoding: Decoding | None = None,
    bars: ProgressBars = no_bars,
) -> Iterator[CachingEncoder]:
    """Open an encoder by its `--encoder` name, cached in the feature store in a folder; see `CachingEncoder`.

    `bars` opens a progress bar while many texts are encoded.

    Raises:
        UsageError: no encoder has that name, or not that precision.
        UserError: the store cannot be opened, or no embeddings were imported under that name.
    """
    encoder = find_encoder(name, precision=precision)
    with FeatureStore.open(folder) as store:
        yield CachingEncoder(encoder, store, retry=retry, decoding=decoding, bars=bars)
