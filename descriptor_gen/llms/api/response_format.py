"""Response format modes: JSON by schema, any JSON, or the prompt alone; the strictest one that the server supports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from descriptor_gen.llms import Request

_STRIKES = 3  # after this many replies without JSON, and none with, the server is taken to ignore the mode


def _schema(request: Request) -> dict[str, Any]:
    schema = {"name": "descriptors", "schema": dict(request.output_schema), "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


_MODES: Mapping[str, Callable[[Request], dict[str, Any]]] = {
    "json_schema": _schema,
    "json_object": lambda request: {"response_format": {"type": "json_object"}},
    "none": lambda request: {},
}
"""Mode -> what it adds to the body of a call; from the strictest mode to the one that every server supports."""


def format_arguments(mode: str, request: Request) -> dict[str, Any]:
    """Return what a mode adds to the body of a call."""
    return _MODES[mode](request)


def mode_of_body(body: Mapping[str, Any]) -> str:
    """Return the mode of a call from its body."""
    return str((body.get("response_format") or {}).get("type", "none"))


class FormatNegotiation:
    """Finds the mode for all calls of a run.

    Attributes:
        mode: the strictest one not known to fail.
    """

    def __init__(self) -> None:
        self.mode = next(iter(_MODES))
        self._strikes = 0
        self._confirmed = False
        self._lock = threading.Lock()

    def refused(self, mode: str) -> bool:
        """Record that the server refused a mode; return whether another one can be tried."""
        with self._lock:
            if mode == self.mode:
                self._step_down()
            return mode != self.mode

    def answered(self, mode: str, *, is_json: bool) -> None:
        """Record a reply; after several replies without JSON, the next mode is used."""
        with self._lock:
            if mode != self.mode or self._confirmed:
                return
            self._confirmed = is_json
            self._strikes += not is_json
            if self._strikes >= _STRIKES:
                self._step_down()

    def _step_down(self) -> None:
        modes = list(_MODES)
        self.mode = modes[min(modes.index(self.mode) + 1, len(modes) - 1)]
        self._strikes, self._confirmed = 0, False
