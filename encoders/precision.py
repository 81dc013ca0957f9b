"""What `--precision auto` stands for: bfloat16 where the hardware computes in it, else float32."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from encoders.imported import PREFIX as IMPORTED
from encoders.protocol import Precision
from encoders.registry import BY_NAME, own_encoder

_CPU_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


def resolved_precision(encoder: str, precision: Precision | Literal["auto"]) -> Precision:
    """Return the precision in which an encoder is opened, by its name; never `auto`.

    For `auto`, an encoder that computes in one precision keeps its own: float32 opens it, whatever that is.

    Raises:
        UsageError: the name leads to no encoder.
    """
    if precision != "auto":
        return precision
    of_one_precision = encoder in BY_NAME or encoder.startswith(IMPORTED) or own_encoder(encoder) is not None
    return "bfloat16" if not of_one_precision and _computes_in_bfloat16() else "float32"


def _computes_in_bfloat16() -> bool:
    """Return whether the device has instructions for it; where bfloat16 is emulated, it is slower than float32."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch do not tell
    return any(known.get(instruction) for instruction in _CPU_INSTRUCTIONS)
