"""A local model whose files lack weights: transformers would fill them with random numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.fixtures.commands import Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model of random numbers, with a head of its own."""
    words = Tokenizer(WordLevel({word: number for number, word in enumerate(("?", "</s>", "{", "}"))}, unk_token="?"))  # noqa: S106 - no password
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", unk_token="?")  # noqa: S106
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }} {% endfor %}"
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=4, tie_word_embeddings=False, **sizes))
    for part in (tokenizer, model):
        part.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def build(descgen: Run, folder: Path) -> str:
    options = ("--limit", 1, "--max-tokens", 4, "--attempts", 1)
    result = descgen("build", "-d", "hmdb51", "-k", "context", "--llm", f"hf:{folder}", *options)
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        ("lm_head", "lack 1 (lm_head.weight)"),
        ("model.layers", "lack 9 (model.layers.0.input_layernorm.weight"),
    ],
)
def test_lost_weights_are_refused(descgen: Run, folder: Path, lost: str, told: str) -> None:
    file = folder / "model.safetensors"
    kept = {name: tensor for name, tensor in load_file(file).items() if not name.startswith(lost)}
    save_file(kept, file, metadata={"format": "pt"})
    output = build(descgen, folder)
    assert told in output
    assert "its replies would mean nothing" in output
