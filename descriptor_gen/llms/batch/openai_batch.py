"""The same models by the Batch API of OpenAI: half the price, within a day, and no need to wait for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib.metadata import version

from descriptor_gen.llms import GREEDY, Reply, Request, Sampling, StoppedEarlyError
from descriptor_gen.llms.api.openai import OpenAILLM
from descriptor_gen.llms.api.rate_limit import AbandonedError
from descriptor_gen.llms.batch.job import BatchJob
from descriptor_gen.llms.options import ApiOptions

_ALL = 1_000_000  # calls: a build should be under way as a whole, in as many files as it takes


class OpenAIBatch(OpenAILLM):
    """A chat model asked by batch files. A reply is the same reply, so its identity, parameters and keys are too.

    Nothing about batches is kept on this side before their replies are. The server is asked which batches there are,
    and their lines say which calls they hold, since each is named by its cache key. So a run may end at any moment,
    and on another machine the next one, on this database or not, finds what was handed in.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        sampling: Sampling = GREEDY,
        options: ApiOptions | None = None,
    ) -> None:
        """Name the model and the server; None is OpenAI itself. Prices are those of the Batch API. No call is made."""
        super().__init__(model, base_url=base_url, sampling=sampling, options=options)
        self.calls_at_a_time = _ALL
        self.waiting = 0
        self.tell: Callable[[str], None] = lambda line: None
        self._stored: Mapping[str, Collection[str]] = {}

    def recall(self, stored: Mapping[str, Collection[str]]) -> None:
        """Take note of the replies that are stored: by batch, the keys of their calls."""
        self._stored = stored

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        """Yield the replies of each batch when it has ended, and an empty group at each look before."""
        self.environment = {"openai": version("openai"), "api": "batch"}
        job = BatchJob(self._service, requests, stored=self._stored, tell=self.tell)
        try:
            for replies in job.replies():
                self.waiting = job.waiting
                yield replies
        except AbandonedError:
            raise StoppedEarlyError("handed in" if job.under_way else "interrupt") from None
        finally:
            self.waiting = 0
