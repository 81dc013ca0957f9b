"""How encoders change texts before they are tokenized, as the authors of the models do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from encoders.protocol import traits_of
from encoders.registry import find_encoder, open_encoder
from recognizer.features.caching_encoder import CachingEncoder
from recognizer.features.store import FeatureStore

TEXTS = ["The Dog's bike, a DOG.", "the  bike", "Move both hands to the bike", "photo"]


def siglip_model(folder: Path) -> Any:
    from transformers import AutoModel

    return AutoModel.from_pretrained(folder).eval()


def embeddings(folder: Path, ids: Any) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = siglip_model(folder).get_text_features(input_ids=ids).pooler_output
    return output


def test_siglip2_texts_have_the_token_ids_of_siglip2tokenizer(tiny_siglip2_folder: Path) -> None:
    from transformers import AutoTokenizer
    from transformers.models.siglip2 import Siglip2Tokenizer

    from encoders.transformers import lower_case

    authors = Siglip2Tokenizer.from_pretrained(tiny_siglip2_folder)
    ours = AutoTokenizer.from_pretrained(tiny_siglip2_folder)
    assert ours(TEXTS)["input_ids"] != authors(TEXTS)["input_ids"]  # Gemma's tokenizer keeps capitals
    assert lower_case(ours)(TEXTS)["input_ids"] == authors(TEXTS)["input_ids"]


def test_siglip2_embeds_and_counts_the_tokens_of_siglip2tokenizer(tiny_siglip2_folder: Path) -> None:
    from transformers.models.siglip2 import Siglip2Tokenizer

    authors = Siglip2Tokenizer.from_pretrained(tiny_siglip2_folder)
    encoder = open_encoder(f"hf:{tiny_siglip2_folder}")
    padded = authors(TEXTS, padding="max_length", max_length=16, truncation=True, return_tensors="pt")["input_ids"]
    torch.testing.assert_close(encoder.encode_texts(TEXTS), embeddings(tiny_siglip2_folder, padded))
    assert encoder.token_counts(TEXTS) == [len(ids) for ids in authors(TEXTS)["input_ids"]]


def test_capitals_do_not_change_a_siglip2_embedding(tiny_siglip2_folder: Path) -> None:
    encoder = open_encoder(f"hf:{tiny_siglip2_folder}")
    assert torch.equal(encoder.encode_texts(["RIDING a Bike"]), encoder.encode_texts(["riding a bike"]))
    assert not torch.equal(encoder.encode_texts(["riding a dog"]), encoder.encode_texts(["riding a bike"]))


def test_siglip1_uses_its_own_tokenizer_which_drops_capitals_and_punctuation(tiny_siglip1_folder: Path) -> None:
    from transformers import SiglipTokenizer

    authors = SiglipTokenizer.from_pretrained(tiny_siglip1_folder)
    encoder = open_encoder(f"hf:{tiny_siglip1_folder}")
    padded = authors(TEXTS, padding="max_length", max_length=16, truncation=True, return_tensors="pt")["input_ids"]
    torch.testing.assert_close(encoder.encode_texts(TEXTS), embeddings(tiny_siglip1_folder, padded))
    assert torch.equal(encoder.encode_texts(["A dog, riding."]), encoder.encode_texts(["a dog riding"]))


def test_the_treatment_of_texts_is_in_the_key_of_stored_ones(tiny_siglip2_folder: Path, tmp_path: Path) -> None:
    """Vectors that were stored without it are not used."""
    encoder = find_encoder(f"hf:{tiny_siglip2_folder}")
    assert traits_of(encoder).texts_key == {"texts": "lower case"}
    with FeatureStore.open(tmp_path) as store:
        CachingEncoder(encoder, store).encode_texts(TEXTS)
        [shelf] = store.shelves()
    assert shelf.key == {
        "encoder": encoder.id, "revision": encoder.revision, "what": "texts", "texts": "lower case"
    }  # fmt: skip


@pytest.mark.parametrize("limit", [8, 1000])
def test_siglip_fills_all_its_positions_whatever_the_tokenizer_says(
    tiny_siglip2_folder: Path, tmp_path: Path, limit: int
) -> None:
    """The tower pools the last of 16 positions; with 8 tokens it would pool another one."""
    from transformers import AutoTokenizer

    for file in tiny_siglip2_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    AutoTokenizer.from_pretrained(tiny_siglip2_folder, model_max_length=limit).save_pretrained(tmp_path)
    ours, expected = open_encoder(f"hf:{tmp_path}"), open_encoder(f"hf:{tiny_siglip2_folder}")
    assert ours.context_length == 16
    torch.testing.assert_close(ours.encode_texts(TEXTS), expected.encode_texts(TEXTS))
