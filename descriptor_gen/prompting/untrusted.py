"""Templates of users: checked and rendered in a process of their own, with limits of time and memory.

One process serves all templates of a program. It is started when the first one is needed, started anew after a
template that ended it, and ends with the program.
"""

from __future__ import annotations

import atexit
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from db.errors import UserError

LONGEST_SOURCE = 2**18  # characters
_AT_A_TIME = 64  # texts of one question to the process, which share its time
_WALL_SECONDS = 60.0  # for systems without a limit of processor time; generous, since the computer may be busy
_CODE = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {} import serve; serve()"
_PROCESS = "descriptor_gen.prompting.template_process"
_ADVICE = "Make its loops, recursion and numbers smaller"


@dataclass(frozen=True)
class CheckedTemplate:
    """The faults of a template, one line each; without any, its front matter, and whether it compares actions."""

    faults: tuple[str, ...]
    front: Mapping[str, Any]
    compares: bool


def check(source: str) -> CheckedTemplate:
    """Return what is wrong with a template, and its front matter if nothing is."""
    if len(source) > LONGEST_SOURCE:
        return CheckedTemplate((f"it has {len(source)} characters; {LONGEST_SOURCE} at most",), {}, compares=False)
    try:
        answer = _worker().ask({"do": "check", "source": source})
    except UserError as error:
        return CheckedTemplate((str(error),), {}, compares=False)
    return CheckedTemplate(tuple(answer["faults"]), answer.get("front", {}), answer.get("compares", False))


def render(source: str, name: str, variables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the text of a block of a template without faults, once for each set of variables.

    Raises:
        UserError: its code fails, does what the sandbox forbids, or takes too much time or memory.
    """
    rendered: list[str] = []
    for start in range(0, len(variables), _AT_A_TIME):
        part = list(variables[start : start + _AT_A_TIME])
        rendered += _worker().ask({"do": "render", "source": source, "block": name, "variables": part})["texts"]
    return rendered


class _Worker:
    """The process, and one question to it at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()  # the review's jobs ask from a thread

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to a request.

        Raises:
            UserError: the answer is an error, or the template ended the process.
        """
        with self._lock:
            process = self._started()
            timer = threading.Timer(_WALL_SECONDS, process.kill)
            timer.start()
            try:
                line = _exchanged(process, json.dumps(request))
            except BaseException:  # Ctrl-C: the next question must not get the answer to this one
                self.close()
                raise
            finally:
                timer.cancel()
            if not line:
                self._process = None
                raise UserError(_ending(process.wait()))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise UserError(answer["error"])
        return answer

    def _started(self) -> subprocess.Popen[str]:
        """Return the running process; a new one if there is none, or if it has ended since."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with the modules that it has
                [sys.executable, "-I", "-c", _CODE.format(_PROCESS), json.dumps(sys.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="ascii",
                start_new_session=True,  # Ctrl-C is for the program, which may still need it
            )
        return self._process

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _exchanged(process: subprocess.Popen[str], line: str) -> str:
    """Return the line that answers a line; empty if the process has ended."""
    if process.stdin is None or process.stdout is None:
        return ""
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except OSError:
        return ""


def _ending(code: int) -> str:
    """Return why a process ended, by its exit status."""
    too_long = {-int(getattr(signal, name, 0)) for name in ("SIGXCPU", "SIGALRM")} - {0}
    if code in too_long or code == -getattr(signal, "SIGKILL", 9):
        return f"it takes too long. {_ADVICE}"
    return f"it ended the process that renders templates (exit status {code}). {_ADVICE}"


@cache
def _worker() -> _Worker:
    worker = _Worker()
    atexit.register(worker.close)
    return worker
