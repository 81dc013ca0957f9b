"""The process that checks and renders the templates of users, within limits of time and memory.

`descriptor_gen.prompting.untrusted` starts it and talks to it, in lines of JSON. It limits itself before it reads the
first template: no question gets more than `SECONDS` of processor time or `MEBIBYTES` of memory, wherever the system
has such limits (Windows has none: there the other side ends it after a while).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Template

from db.errors import UserError
from descriptor_gen.prompting.jinja import blocks, environment, reason, split, uses
from descriptor_gen.prompting.validate import faults

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

SECONDS = 2
MEBIBYTES = 256
LONGEST_MESSAGE = 100_000  # characters
_LONGEST_ANSWER = 2**25  # characters of JSON
_LONGEST_FAULT = 500
_MOST_FAULTS = 50

TOO_MUCH_MEMORY = f"it needs more than {MEBIBYTES} MiB of memory. Make its loops, recursion and numbers smaller"


def serve() -> None:
    """Answer each line of standard input with one line, until it ends."""
    _import_all()
    _limit_memory()
    for line in sys.stdin:
        _limit_time()
        sys.stdout.write(_answer(json.loads(line)) + "\n")
        sys.stdout.flush()


def _import_all() -> None:
    """Import what checks need now, so that it counts for no template."""
    import jsonschema  # noqa: F401
    import referencing  # noqa: F401


def _limit_memory() -> None:
    if resource is None:
        return
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEBIBYTES * 2**20, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (OSError, ValueError):
        return  # a system without this limit, or with a lower one


def _limit_time() -> None:
    """Allow the next answer its seconds; the system ends this process when they are over."""
    if resource is None:
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    highest = resource.getrlimit(resource.RLIMIT_CPU)[1]
    end = int(usage.ru_utime + usage.ru_stime) + 1 + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (end if highest == resource.RLIM_INFINITY else min(end, highest), highest))


def _answer(request: Mapping[str, Any]) -> str:
    try:
        answer = json.dumps(_ANSWERS[request["do"]](request))
    except UserError as error:
        answer = _error(str(error))
    except MemoryError:
        answer = _error(TOO_MUCH_MEMORY)
    except RecursionError:
        answer = _error("it has too many brackets inside each other")
    except Exception as error:  # whatever a template makes its readers raise
        answer = _error(reason(error))
    return answer if len(answer) <= _LONGEST_ANSWER else _error("its texts are too long")


def _error(message: str) -> str:
    return json.dumps({"error": _one_line(message)})


def _check(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the faults of a template; without any, also its front matter, and whether it compares actions."""
    source = request["source"]
    lines = [_one_line(fault) for fault in faults(source)]
    if lines:
        more = [f"and {len(lines) - _MOST_FAULTS} more faults"] if len(lines) > _MOST_FAULTS else []
        return {"faults": [*lines[:_MOST_FAULTS], *more]}
    front, body = split(source)
    try:
        json.dumps(front, allow_nan=False)
    except (TypeError, ValueError) as error:  # YAML reads 2020-01-01 as a date and .nan as a number
        raise UserError(f"the front matter holds what JSON has not ({error}): put it in quotes") from error
    return {"faults": [], "front": front, "compares": uses(body, "rivals")}


def _render(request: Mapping[str, Any]) -> dict[str, Any]:
    name = request["block"]
    rendered = blocks(_compiled(request["source"]), name, request["variables"])
    if too_long := [len(text) for text in rendered if len(text) > LONGEST_MESSAGE]:
        raise UserError(f"block {name}: its text has {too_long[0]} characters; {LONGEST_MESSAGE} at most")
    return {"texts": rendered}


@lru_cache(maxsize=32)
def _compiled(source: str) -> Template:
    return environment().from_string(split(source)[1])


def _one_line(fault: str) -> str:
    line = " ".join(fault.splitlines())
    return line if len(line) <= _LONGEST_FAULT else f"{line[:_LONGEST_FAULT]} ... (shortened)"


_ANSWERS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {"check": _check, "render": _render}
