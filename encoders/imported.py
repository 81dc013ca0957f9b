"""The encoder `imported:NAME`: embeddings that were made elsewhere. It has no towers; its vectors are stored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from db.errors import UsageError, UserError
from encoders.protocol import Preprocessing, Traits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PREFIX = "imported:"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,59}", re.ASCII)
_TRAITS = Traits(
    notes=("Its embeddings were imported: which frames, preprocessing and weights made them is not known here.",)
)


@dataclass(frozen=True)
class Imported:
    """An `Encoder` in name; `recognizer.features.imported` gives it revision, width and traits from a feature store.

    Attributes:
        id: `imported:NAME`.
        revision: digest of the first import under that name; "" before a store is asked.
    """

    id: str
    revision: str = ""
    width: int = 0
    traits: Traits = _TRAITS
    context_length: int = 0  # not known; no text counts as cut

    def preprocess(self, frames: NDArray[np.uint8], *, preprocessing: Preprocessing = "own") -> NoReturn:
        del frames, preprocessing
        self._refuse()

    def encode_frames(self, pixels: Any) -> NoReturn:
        del pixels
        self._refuse()

    def encode_texts(self, texts: Sequence[str]) -> NoReturn:
        del texts
        self._refuse()

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Return 0 for each text: the number of tokens is not known."""
        return [0] * len(texts)

    def _refuse(self) -> NoReturn:
        raise UserError(f"{self.id} encodes nothing: its embeddings were made elsewhere. Take another encoder here")


def imported_encoder(id_: str) -> Imported:
    """Return the encoder of an id.

    Raises:
        UsageError: what follows the prefix is no name.
    """
    if not _NAME.fullmatch(id_.removeprefix(PREFIX)):
        raise UsageError(
            f"{id_.removeprefix(PREFIX)!r} cannot name imported embeddings. Take 1 to 60 letters, digits, dots, "
            "hyphens and underscores, the first one a letter or digit"
        )
    return Imported(id_)
