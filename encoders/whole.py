"""Models of transformers whose files hold all of their weights: what is absent would be filled with random numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import RLock
from typing import Any

from db.errors import UserError, first_few

# Parameters that no embedding reads: X-CLIP's prompt generator, the token of masked training, the head of next tokens.
_UNREAD = re.compile(r"^prompts_|(^|\.)mask_token$|^lm_head\.")
# Buffers are made by the code of a model, except those that were learned.
_LEARNED_BUFFER = re.compile(r"running_(mean|var)$")
OPTIONS = {"output_loading_info": True, "ignore_mismatched_sizes": True}  # what is wrong is told by `whole`
_replacing = RLock()


def whole(
    name: str,
    loaded: tuple[Any, Mapping[str, Any]],
    *,
    unread: re.Pattern[str] | None = _UNREAD,
    gives: str = "embeddings would mean nothing",
) -> Any:
    """Return the model that `from_pretrained(..., **OPTIONS)` gave together with its report.

    Tied weights, and the buffers that a model does not store, are not absent for transformers.

    Args:
        name: of the model, for the message.
        loaded: the model, and the keys that it found missing or of other shapes.
        unread: parameters that nothing reads, so that they may be absent.
        gives: what the message says of random weights.

    Raises:
        UserError: the files lack weights, or hold some in other shapes than config.json says.
    """
    model, report = loaded
    made = {buffer for buffer, _ in model.named_buffers() if not _LEARNED_BUFFER.search(buffer)}
    absent = [key for key in sorted(report["missing_keys"]) if key not in made and not (unread and unread.search(key))]
    other = [f"{key}: {_shape(its)} for {_shape(due)}" for key, its, due in sorted(report["mismatched_keys"])]
    if absent or other:
        lacks = f"lack {len(absent)} ({first_few(absent, count=3)})" if absent else ""
        holds = f"hold {len(other)} in another shape ({first_few(other, count=3)})" if other else ""
        raise UserError(
            f"{name} cannot be used: of the {len(model.state_dict())} tensors of {type(model).__name__}, its files "
            f"{' and '.join(filter(None, (lacks, holds)))}. Random numbers would take their place, and {gives}. "
            f"{_saved_from(model)}Take a folder or repository with all weights of "
            f"{type(model).__name__}"
        )
    return model


@contextmanager
def whole_models(name: str) -> Iterator[None]:
    """Within the block, let `from_pretrained` return no model but a whole one, for a library that opens it by itself.

    Such a library has no option that asks what was found, and what its modules hold afterwards does not show it.

    Raises:
        UserError: as `whole`.
    """
    from transformers import PreTrainedModel

    def checked(cls: Any, *arguments: Any, **options: Any) -> Any:
        return whole(name, original.__func__(cls, *arguments, **{**options, **OPTIONS}))

    with _replacing:
        original = PreTrainedModel.__dict__["from_pretrained"]
        PreTrainedModel.from_pretrained = classmethod(checked)
        try:
            yield
        finally:
            PreTrainedModel.from_pretrained = original


def _saved_from(model: Any) -> str:
    classes = [saved for saved in model.config.architectures or () if saved != type(model).__name__]
    return f"Its config.json names the class {', '.join(classes)}, which has other weights. " if classes else ""


def _shape(sizes: Any) -> str:
    return " x ".join(map(str, sizes)) or "one number"
