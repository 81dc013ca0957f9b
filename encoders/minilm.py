"""all-MiniLM-L6-v2, a small sentence encoder, from package data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from encoders.bundled import MINILM
from encoders.towers import best_device, encode_in_batches
from encoders.transformers import quiet_transformers

WIDTH = 384
CONTEXT_LENGTH = 256  # as trained (sentence_bert_config.json); the model has 512 positions


class MiniLM:
    """The encoder `minilm`: sentences to unit vectors; see the protocol `TextEncoder`."""

    id = "minilm"
    revision = MINILM.sha256
    width = WIDTH
    context_length = CONTEXT_LENGTH

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model = model
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path) -> MiniLM:
        """Load the weights and the tokenizer of a folder, such as that of `bundled.MINILM`."""
        from transformers import AutoModel, AutoTokenizer

        with quiet_transformers():
            model = (
                AutoModel.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False).eval().to(best_device())
            )
            return cls(model, AutoTokenizer.from_pretrained(folder, trust_remote_code=False))

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings [K, 384] of texts, unit norm; float32 on the CPU."""
        return encode_in_batches(texts, self._encode, width=self.width, size=64)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        return [len(ids) for ids in self._tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]]

    def _encode(self, texts: list[str]) -> Tensor:
        tokens = self._tokenizer(
            texts, padding=True, truncation=True, max_length=CONTEXT_LENGTH, return_tensors="pt"
        ).to(self._model.device)
        states = self._model(**tokens).last_hidden_state  # [K, L, 384]
        mask = tokens["attention_mask"].unsqueeze(-1)  # [K, L, 1]
        return normalize((states * mask).sum(dim=1) / mask.sum(dim=1), dim=-1)
