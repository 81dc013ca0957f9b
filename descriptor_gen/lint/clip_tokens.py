"""CLIP's tokens of a text, without torch: which words the text encoder reads, and which are cut."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from itertools import accumulate
from pathlib import Path
from typing import Any

from db.errors import UserError

CONTEXT_LENGTH = 77  # tokens, of every CLIP model by OpenAI
_START_AND_END = 2


def token_count(text: str) -> int:
    """Return the number of CLIP tokens of a text, including start and end."""
    return _START_AND_END + sum(map(_tokens_of_word, _cleaned(text).split(" ")))


def fits(text: str, context_length: int = CONTEXT_LENGTH) -> bool:
    """Return whether CLIP reads all of a text."""
    # ASCII text has at most one token a character, so most texts need no tokenizer. Other characters may be several
    # tokens each.
    if text.isascii() and len(text) - text.count(" ") + _START_AND_END <= context_length:
        return True
    return token_count(text) <= context_length


def split(text: str, context_length: int = CONTEXT_LENGTH) -> tuple[str, str]:
    """Return the words that CLIP reads and those that are cut, in lower case; a partly cut word counts as cut."""
    words = _cleaned(text).split(" ")
    ends = accumulate(map(_tokens_of_word, words), initial=_START_AND_END)
    read = sum(end <= context_length for end in ends) - 1
    return " ".join(words[:read]), " ".join(words[read:])


def is_word(word: str) -> bool:
    """Return whether a lower-case word is a single token: CLIP has about 40,000, the common words of captions."""
    return f"{word}</w>" in _tokenizer().encoder


def _cleaned(text: str) -> str:
    if text.isascii() and text.isprintable() and "&" not in text:  # nothing to repair, and ftfy is slow
        return " ".join(text.split()).lower()
    module = _module()
    return str(module.whitespace_clean(module.basic_clean(text)).lower())


@lru_cache(maxsize=2**16)
def _tokens_of_word(word: str) -> int:
    tokenizer = _tokenizer()  # its `encode` would clean the text again
    parts = (part.encode() for part in tokenizer.pat.findall(word))
    return sum(len(tokenizer.bpe("".join(map(tokenizer.byte_encoder.get, part))).split(" ")) for part in parts)


@cache
def _tokenizer() -> Any:
    return _module().SimpleTokenizer()


@cache
def _module() -> Any:
    """Return openai-clip's tokenizer, loaded from its file: importing the package itself would import torch."""
    package = find_spec("clip")
    if package is None or not package.submodule_search_locations:
        raise UserError("Counting tokens needs the package openai-clip. Install it with: pip install openai-clip")
    file = Path(package.submodule_search_locations[0]) / "simple_tokenizer.py"
    spec = spec_from_file_location("descriptor_gen._clip_simple_tokenizer", file)
    if spec is None or spec.loader is None:
        raise UserError(f"The package openai-clip has no tokenizer at {file}")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
