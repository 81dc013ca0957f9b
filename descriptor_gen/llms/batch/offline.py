"""The models of `llms.api.openai` asked by files alone: another program, such as vLLM's run-batch, makes the calls."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from db.errors import UserError
from descriptor_gen.llms import Reply, Request, StoppedEarlyError
from descriptor_gen.llms.api.completion import Completion, failure
from descriptor_gen.llms.batch.files import CallError, call_line, endpoint, read_lines, read_result
from descriptor_gen.llms.batch.openai_batch import OpenAIBatch
from encoders.weights import sha256_of


class BatchFiles(OpenAIBatch):
    """A chat model whose calls are lines of a file, and whose answers are lines of others; nothing is sent.

    Identity, parameters, prices and cache keys are those of `OpenAIBatch`. Each line is named by the cache key of its
    call, so the answers may come in any order and in several files, and lines of other builds may lie between them.
    """

    calls_at_a_time = sys.maxsize  # a call without an answer must not keep the answers of later ones from being read
    _lines = _known = _calls = 0

    @property
    def _paths(self) -> tuple[Path, ...]:
        return self._options.batch_files or ()

    def check(self) -> None:
        """Raise a UserError if a file of answers cannot be read."""
        for path in self._paths:
            _digest(path)

    def _client(self) -> Any:
        return None  # so that no API key is needed

    def line(self, request: Request) -> bytes:
        """Return the line of a call, with the end of the line."""
        body = self._model.body(request, self._model.dialect.form)
        return call_line(request.key, body, url=endpoint(self._server.address or ""))

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        """Yield the replies that the files hold, in small groups.

        Raises:
            UserError: a file cannot be read, or no line of the files answers a missing call.
            StoppedEarlyError: some calls have no answer there.
        """
        self.environment = {"api": "batch file"}
        waiting = {request.key: request for request in requests}
        self._lines, self._known, self._calls = 0, 0, 0
        for path in self._paths:
            yield from self._answers(path, waiting)
        names = ", ".join(map(str, self._paths))
        if self._calls and not self._known:
            raise UserError("--read-batch was given a file of calls. Give the answers that the other program wrote")
        if not self._known:
            raise UserError(
                f"None of the {self._lines} lines of {names} answers one of the {len(requests)} missing calls. If it "
                "was read before, write the rest with --write-batch; else give the dataset, kinds, LLM, --base-url and "
                "other options with which the file of calls was written"
            )
        if waiting:
            raise StoppedEarlyError("unanswered")

    def _answers(self, path: Path, waiting: dict[str, Request]) -> Iterator[Sequence[Reply]]:
        """Yield the replies of one file, and take their requests from `waiting`; the first answer to a call counts."""
        batch = f"file:{_digest(path)}"
        stored, damaged = self._stored.get(batch, ()), 0
        with path.open("rb") as file:
            while lines := list(islice(file, self._options.batches.replies_per_group)):
                if self._stopped:
                    raise StoppedEarlyError("interrupt")
                answers = [line for line in read_lines(b"".join(lines)) if self._is_answer(line)]
                self._lines += len(lines)
                damaged += sum(not line.isspace() for line in lines) - len(answers)
                ours = [answer for answer in answers if answer["custom_id"] in waiting]
                new: dict[str, dict[str, Any]] = {}
                for answer in ours:
                    new.setdefault(answer["custom_id"], answer)
                self._known += len(ours)
                yield [self._reply(waiting.pop(key), new[key], batch) for key in new if key not in stored]
        if damaged:
            self.notify(f"{path}: {damaged} lines are no answers in JSON; their calls count as unanswered")

    def _is_answer(self, line: Mapping[str, Any]) -> bool:
        self._calls += "body" in line
        return "response" in line or "error" in line

    def _reply(self, request: Request, line: Mapping[str, Any], batch: str) -> Reply:
        result = read_result(line)
        completion: Completion = failure(str(result)) if isinstance(result, CallError) else result
        form, model = self._model.dialect.form, self._model
        cost = 0.0 if isinstance(result, CallError) else None
        return model.reply(request, completion, form, seconds=0.0, cost=cost, batch=batch)


def _digest(path: Path) -> str:
    """Return the first digits of a file's sha256, by which it is known in the database."""
    try:
        return sha256_of(path)[:16]
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}") from error
