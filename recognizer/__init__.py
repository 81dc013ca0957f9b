"""recognize: classify videos by text, without any training. From Python: `Recognizer`, see docs/python.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recognizer.api import Recognizer

__all__ = ["Recognizer"]


def __getattr__(name: str) -> Any:
    """Import `Recognizer` on first use; the commands do not need it."""
    if name in __all__:
        from recognizer.api import Recognizer

        return Recognizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
