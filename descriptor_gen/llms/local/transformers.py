"""Local models: any instruct model that transformers loads, decoded in batches under a JSON grammar."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from db.errors import UserError
from db.records import LLMIdentity
from descriptor_gen.llms import GREEDY, OFFLINE, FinishReason, Message, Reply, Request, Sampling
from descriptor_gen.llms.local.chat import ChatTemplate
from descriptor_gen.llms.local.gumbel import GumbelSampling


class TransformersLLM:
    """A causal language model on this machine: bf16 on all GPUs, or float32 on the CPU if there are none."""

    def __init__(
        self,
        identity: LLMIdentity,
        *,
        source: Path | None = None,
        batch_size: int = 16,
        repetition_penalty: float = 1.0,
        sampling: Sampling = GREEDY,
        share_prefix: bool = True,
    ) -> None:
        """Name the model; nothing is loaded yet.

        Args:
            identity: model and revision.
            source: a folder or a GGUF file; None loads `identity.model` from the hub or its cache.
            batch_size: conversations decoded together.
            repetition_penalty: divides the logits of tokens that are in the reply already (Keskar et al., 2019); tokens
                of the prompt are exempt. Very small models repeat themselves without it.
            sampling: temperature and seed; temperature 0 is greedy.
            share_prefix: compute the key-value cache of the common beginning of all prompts only once.
        """
        self.identity = identity
        self.parameters: Mapping[str, Any] = {
            **({"temperature": sampling.temperature, "seed": sampling.seed} if sampling.temperature else {}),
            "do_sample": bool(sampling.temperature),
            "repetition_penalty": repetition_penalty,
        }
        self.environment: Mapping[str, Any] = {}
        self._source = source
        self._batch_size = batch_size
        self._share_prefix = share_prefix

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        """Yield the replies batch by batch, in the order of the requests; a batch shares schema and token limit."""
        for _, group in groupby(requests, key=lambda request: (str(request.output_schema), request.max_tokens)):
            alike = list(group)
            for start in range(0, len(alike), self._batch_size):
                batch = alike[start : start + self._batch_size]
                yield self._decoder.reply(batch, self.parameters)

    @cached_property
    def _decoder(self) -> _Decoder:
        model, tokenizer = _load(self.identity, self._source)
        chat = ChatTemplate(tokenizer, name=self.identity.model)
        decoder = _Decoder(model, tokenizer, chat, share_prefix=self._share_prefix)
        self.environment = decoder.environment | {"batch_size": self._batch_size}
        return decoder


class _Decoder:
    """A loaded model: tokenizer, grammars, and the key-value cache of the prompt prefix that a batch shares."""

    def __init__(self, model: Any, tokenizer: Any, chat: ChatTemplate, *, share_prefix: bool) -> None:
        import xgrammar

        self._model, self._tokenizer, self._chat, self._share_prefix = model, tokenizer, chat, share_prefix
        stop = model.generation_config.eos_token_id
        self._stop_ids: list[int] = list(stop) if isinstance(stop, list) else [stop or tokenizer.eos_token_id]
        info = xgrammar.TokenizerInfo.from_huggingface(
            tokenizer, vocab_size=model.config.get_text_config().vocab_size, stop_token_ids=self._stop_ids
        )
        self._compiler = xgrammar.GrammarCompiler(info)
        self._prefix: tuple[list[int], Any] = ([], None)
        self.environment = {
            "dtype": str(model.dtype).removeprefix("torch."),
            "device": str(model.device),
            **({"system_message": "in the first question"} if chat.folds_system else {}),
            **{package: version(package) for package in ("torch", "transformers", "xgrammar")},
        }

    def reply(self, batch: Sequence[Request], parameters: Mapping[str, Any]) -> list[Reply]:
        """Decode one batch: greedily, or by temperature and seed."""
        import torch

        start = time.perf_counter()
        with torch.inference_mode():
            inputs, prefix_cache = self._inputs(batch)
            width = inputs["input_ids"].shape[1]
            processors = self._processors(batch, parameters, width)
            output = self._model.generate(
                **inputs,
                past_key_values=prefix_cache,
                logits_processor=processors,
                generation_config=self._generation_config(batch[0].max_tokens),
            )
        seconds = (time.perf_counter() - start) / len(batch)
        prompt_tokens = inputs["attention_mask"].sum(dim=1).tolist()
        new_tokens = output[:, width:].tolist()
        return [self._read(*row, seconds) for row in zip(batch, prompt_tokens, new_tokens, strict=True)]

    def _generation_config(self, max_tokens: int) -> Any:
        """Return generation settings that ignore the checkpoint's own, which are not part of the cache key."""
        from transformers import GenerationConfig

        return GenerationConfig(
            max_new_tokens=max_tokens,
            do_sample=False,  # GumbelSampling draws the samples
            pad_token_id=self._tokenizer.pad_token_id,
            eos_token_id=self._stop_ids,
        )

    def _read(self, request: Request, tokens_in: int, tokens: list[int], seconds: float) -> Reply:
        stop = next((index for index, token in enumerate(tokens) if token in self._stop_ids), None)
        text = self._tokenizer.decode(tokens[:stop], skip_special_tokens=True)
        reason: FinishReason = "length" if stop is None else "stop"
        return Reply(request, text, reason, tokens_in, len(tokens) if stop is None else stop + 1, seconds)

    def _processors(self, batch: Sequence[Request], parameters: Mapping[str, Any], width: int) -> list[Any]:
        """Return the logits processors of one batch; `width` is the prompt's length in tokens."""
        from transformers import RepetitionPenaltyLogitsProcessor
        from xgrammar.contrib.hf import LogitsProcessor

        penalty = parameters["repetition_penalty"]
        grammar = self._compiler.compile_json_schema(dict(batch[0].output_schema), any_whitespace=False)  # cached
        processors: list[Any] = []
        if penalty != 1:
            processors.append(RepetitionPenaltyLogitsProcessor(penalty, prompt_ignore_length=width))
        processors.append(LogitsProcessor(grammar))
        if parameters["do_sample"]:
            processors.append(GumbelSampling(batch, parameters["temperature"], parameters["seed"]))
        return processors

    def _inputs(self, batch: Sequence[Request]) -> tuple[dict[str, Any], Any]:
        """Return padded inputs [B, L] and the key-value cache of the prefix that all rows share.

        The padding stands between the prefix and the rest, so that the prefix is computed once:

            | examples, the same in every row | pad pad | <user> waving a hand <assistant> |
        """
        import torch

        rows = [self._tokens(request.messages, ask=True) for request in batch]
        shared, cache = self._shared(batch[0].messages, rows)
        rests = [row[len(shared) :] for row in rows]
        width = max(map(len, rests))
        pad = self._tokenizer.pad_token_id
        ids = [shared + [pad] * (width - len(rest)) + rest for rest in rests]
        mask = [[1] * len(shared) + [0] * (width - len(rest)) + [1] * len(rest) for rest in rests]
        inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
        if cache is not None:
            cache = copy.deepcopy(cache)  # decoding appends to it
            cache.batch_repeat_interleave(len(batch))
        return {name: value.to(self._model.device) for name, value in inputs.items()}, cache

    def _tokens(self, messages: Sequence[Message], *, ask: bool) -> list[int]:
        text = self._chat.text(messages, ask=ask)
        return cast(list[int], self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _shared(self, messages: Sequence[Message], rows: list[list[int]]) -> tuple[list[int], Any]:
        """Return the tokens of all messages before the last, and their key-value cache.

        Empty if not all rows begin with them, or if the model has a sliding window.
        """
        shared = self._tokens(messages[:-1], ask=False) if len(messages) > 1 and self._share_prefix else []
        alike = bool(shared) and all(row[: len(shared)] == shared and len(row) > len(shared) for row in rows)
        if not alike or getattr(self._model.config.get_text_config(), "sliding_window", None):
            return [], None
        if self._prefix[0] != shared:
            self._prefix = (shared, self._prefill(shared))
        return self._prefix

    def _prefill(self, tokens: list[int]) -> Any:
        import torch
        from transformers import DynamicCache

        cache = DynamicCache(config=self._model.config)
        self._model(input_ids=torch.tensor([tokens], device=self._model.device), past_key_values=cache, use_cache=True)
        return cache


def _load(identity: LLMIdentity, source: Path | None) -> tuple[Any, Any]:
    """Return model and tokenizer.

    Raises:
        UserError: they cannot be loaded; the message says what works without them.
    """
    from descriptor_gen.llms.local.gguf import unpacked
    from encoders.weights import hub_commit, unreachable
    from encoders.whole import OPTIONS as WHOLE
    from encoders.whole import whole

    if source is None:
        hub_commit(identity.model, identity.revision, hint=OFFLINE)  # fails early, before heavy imports
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    gpu = torch.cuda.is_available()
    dtype = torch.bfloat16 if gpu else torch.float32
    if source is not None and source.suffix == ".gguf":
        source = unpacked(source, identity.revision, dtype)
    location: dict[str, Any] = {"revision": identity.revision} if source is None else {"local_files_only": True}
    location["trust_remote_code"] = False  # code in a repository never runs, and nobody is asked whether it may
    name = str(source or identity.model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, padding_side="left", **location)
        options = {"dtype": dtype, "device_map": "auto" if gpu else None, **location, **WHOLE}
        loaded = AutoModelForCausalLM.from_pretrained(name, **options)
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        if source is not None:
            raise UserError(f"Cannot load {name}: {error}") from error
        raise UserError(unreachable(identity.model, error, hint=OFFLINE)) from error
    model = whole(name, loaded, unread=None, gives="its replies would mean nothing")
    if not tokenizer.chat_template:
        raise UserError(f"{identity.model} has no chat template. Use an instruct model, such as --llm smollm2")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return model.eval(), tokenizer
