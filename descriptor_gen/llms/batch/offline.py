"""The models of `llms.api.openai` asked by files alone: another program, such as vLLM's run-batch, makes the calls."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from db.errors import UserError
from descriptor_gen.llms import Reply, Request, StoppedEarlyError
from descriptor_gen.llms.api.completion import Completion, failure
from descriptor_gen.llms.api.dialect import Form
from descriptor_gen.llms.batch.files import CallError, call_line, endpoint, read_line, read_result
from descriptor_gen.llms.batch.openai_batch import OpenAIBatch
from encoders.weights import sha256_of

Item = TypeVar("Item")


class BatchFiles(OpenAIBatch):
    """A chat model whose calls are lines of a file, and whose answers are lines of others; nothing is sent.

    Identity, parameters, prices and cache keys are those of `OpenAIBatch`. Each line is named by the cache key of its
    call, so the answers may come in any order and in several files, and lines of other builds may lie between them.
    """

    calls_at_a_time = sys.maxsize  # a call without an answer must not keep the answers of later ones from being read
    is_valid: Callable[[Reply], bool] = staticmethod(lambda reply: reply.error is None)
    _lines = _known = _calls = _damaged = 0

    @cached_property
    def _batches(self) -> Mapping[Path, str]:
        """The files of answers, and by what each is known in the database."""
        return {path: f"file:{_digest(path)}" for path in self._options.batch_files or ()}

    @cached_property
    def _form(self) -> Form:
        return self._model.dialect.form  # of all calls: no reply changes what the file of calls asked for

    def batches(self) -> Collection[str]:
        """Return by what the files of answers are known. Raise a UserError if one cannot be read."""
        return self._batches.values()

    def check(self) -> None:
        """Raise a UserError if a file of answers cannot be read."""
        self.batches()

    def _client(self) -> Any:
        return None  # so that no API key is needed

    def line(self, request: Request) -> bytes:
        """Return the line of a call, with the end of the line."""
        return call_line(request.key, self._model.body(request, self._form), url=endpoint(self._server.address or ""))

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        """Yield the replies that the files hold, in small groups: the first valid one to a call, else the first.

        Raises:
            UserError: a file cannot be read, or no line of the files answers a missing call.
            StoppedEarlyError: some calls have no answer there.
        """
        self.environment = {"api": "batch file"}
        waiting = {request.key: request for request in requests}
        self._lines = self._known = self._calls = 0
        others: dict[str, _Place] = {}
        for path in self._batches:
            yield from self._valid(path, waiting, others)
        yield from self._not_valid(waiting, others)
        if not self._known:
            self._refuse_files(len(requests))
        if waiting:
            raise StoppedEarlyError("unanswered")

    def _refuse_files(self, missing: int) -> None:
        if self._calls:
            raise UserError("--read-batch was given a file of calls. Give the answers that the other program wrote")
        raise UserError(
            f"None of the {self._lines} lines of {', '.join(map(str, self._batches))} answers one of the {missing} "
            "missing calls. If it was read before, have the others answered (--write-batch); else give the dataset, "
            "kinds, LLM, --base-url and other options with which the file of calls was written"
        )

    def _valid(self, path: Path, waiting: dict[str, Request], others: dict[str, _Place]) -> Iterator[Sequence[Reply]]:
        """Yield the valid replies of one file, and take their requests from `waiting`.

        In `others` comes where the first answer to a call is that is not valid; not the answer, which may be long.
        """
        self._damaged = offset = 0
        with path.open("rb") as file:
            while lines := self._group(file):
                valid: list[Reply] = []
                for text in lines:
                    reply = self._read(text, path, waiting)
                    if reply and self.is_valid(reply):
                        del waiting[reply.request.key]
                        valid.append(reply)
                    elif reply:
                        others.setdefault(reply.request.key, _Place(path, offset))
                    offset += len(text)
                self._lines += len(lines)
                yield valid
        if self._damaged:
            self.notify(f"{path}: {self._damaged} lines are no answers in JSON; their calls count as unanswered")

    def _not_valid(self, waiting: dict[str, Request], others: Mapping[str, _Place]) -> Iterator[Sequence[Reply]]:
        """Yield the replies that are not valid, of calls without a valid one; take their requests from `waiting`."""
        left = iter([(key, place) for key, place in others.items() if key in waiting])
        while group := self._group(left):
            yield [self._read_again(key, place, waiting) for key, place in group]

    def _group(self, items: Iterator[Item]) -> list[Item]:
        if self._stopped:
            raise StoppedEarlyError("interrupt")
        return list(islice(items, self._options.batches.replies_per_group))

    def _read_again(self, key: str, place: _Place, waiting: dict[str, Request]) -> Reply:
        reply = self._read(place.line(), place.path, {key: waiting.pop(key)})
        if reply is None:
            raise UserError(f"{place.path} changed while it was read. Run the same command again")
        stored = self._stored.get(self._batches[place.path], ())
        return replace(reply, is_stored=key in stored)

    def _read(self, text: bytes, path: Path, waiting: Mapping[str, Request]) -> Reply | None:
        """Return the reply of a line; None if it is damaged, or answers no call that waits."""
        line = read_line(text)
        self._calls += line is not None and "body" in line
        if line is None or not ("response" in line or "error" in line):
            self._damaged += not text.isspace()
            return None
        request = waiting.get(line["custom_id"])
        self._known += request is not None
        return self._reply(request, line, self._batches[path]) if request else None

    def _reply(self, request: Request, line: Mapping[str, Any], batch: str) -> Reply:
        result = read_result(line)
        completion: Completion = failure(str(result)) if isinstance(result, CallError) else result
        cost = 0.0 if isinstance(result, CallError) else None
        return self._model.reply(request, completion, self._form, seconds=0.0, cost=cost, batch=batch)


@dataclass(frozen=True)
class _Place:
    """Where a line begins, in bytes."""

    path: Path
    offset: int

    def line(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.readline()


def _digest(path: Path) -> str:
    """Return the first digits of a file's sha256, by which it is known in the database."""
    try:
        return sha256_of(path)[:16]
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}") from error
