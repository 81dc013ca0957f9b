"""The models of `llms.api.openai` through OpenAI's Batch API: half the price, with replies within a day."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib.metadata import version
from types import MappingProxyType

from descriptor_gen.llms import ParameterRefusedError, Reply, Request, StoppedEarlyError
from descriptor_gen.llms.api.openai import OpenAILLM
from descriptor_gen.llms.api.rate_limit import AbandonedError
from descriptor_gen.llms.batch.job import BatchJob
from descriptor_gen.llms.options import ApiOptions, Prices


class OpenAIBatch(OpenAILLM):
    """A chat model asked by batch files. Identity, parameters and cache keys are those of `OpenAILLM`.

    Batches are not recorded here. The server lists them, and each line of their files has the cache key of its call.
    So a run may end at any time, and the next one finds the submitted calls, even on another machine or with another
    database.
    """

    calls_at_a_time = 1_000_000  # a build is submitted as a whole, in as many files as necessary
    waiting = 0
    notify: Callable[[str], None] = staticmethod(lambda line: None)
    _stored: Mapping[str, Collection[str]] = MappingProxyType({})

    def _prices(self, options: ApiOptions) -> Prices | None:
        return options.prices and options.prices.in_batches(options.batch_discount)

    def exclude_stored(self, stored: Mapping[str, Collection[str]]) -> None:
        """Skip replies that are stored already: id of the batch -> cache keys."""
        self._stored = stored

    def generate(self, requests: Sequence[Request]) -> Iterator[Sequence[Reply]]:
        """Yield the replies of each batch when it has ended, and an empty group on progress."""
        self.environment = {"openai": version("openai"), "api": "batch"}
        job = BatchJob(self._guarded_model(), requests, stored=self._stored, notify=self.notify)
        try:
            for replies in job.replies():
                self.waiting = job.waiting
                yield replies
        except ParameterRefusedError as refusal:
            job.release()
            self._drop(refusal.name)
            raise
        except AbandonedError:
            raise StoppedEarlyError("handed in" if job.submitted else "interrupt") from None
        finally:
            self.waiting = 0
