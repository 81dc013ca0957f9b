"""Writing anew from a page: one build at a time, in a thread, with words on how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from db.errors import UserError
from db.records import Action, Dataset
from db.store import Store
from descriptor_gen.generate.build import BuildReport, build_descriptors
from descriptor_gen.generate.calls import Options
from descriptor_gen.llms import LLM
from descriptor_gen.prompting.prompt import Prompt

OpenLLM = Callable[[int], LLM]
"""From a seed to an LLM that draws by it; greedy decoding would write the same again."""


@dataclass(frozen=True)
class Job:
    """One build: how it stands, in words."""

    id: int
    said: str
    done: bool = False
    ok: bool = False


class Jobs:
    """The builds that pages of this server asked for."""

    def __init__(self, store: Store, dataset: Dataset, open_llm: OpenLLM) -> None:
        self._store, self._dataset, self._open_llm = store, dataset, open_llm
        self._jobs: dict[int, Job] = {}
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(max_workers=1)

    def start(self, action: Action, prompt: Prompt) -> Job:
        """Ask for new texts of one class and kind; return at once."""
        with self._lock:
            job = Job(len(self._jobs) + 1, f"{prompt.kind} of {action.phrase}: waiting for the model")
            self._jobs[job.id] = job
        self._worker.submit(self._run, job.id, action, prompt)
        return job

    def get(self, job_id: int) -> Job | None:
        """Return how a job stands; None where there is none of that id."""
        return self._jobs.get(job_id)

    def close(self) -> None:
        """Begin no further job; the one at work is awaited, for it may be paid."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _run(self, job_id: int, action: Action, prompt: Prompt) -> None:
        try:
            llm = self._open_llm(self._seed(action, prompt))
            self._jobs[job_id] = Job(job_id, f"{llm.identity.model} writes: {prompt.kind} of {action.phrase}")
            options = Options(actions=(action.name,), refresh=True)
            report = build_descriptors(self._store, self._dataset, llm=llm, prompts=[prompt], options=options)
            self._jobs[job_id] = _ended(job_id, report)
        except UserError as error:
            self._jobs[job_id] = Job(job_id, str(error), done=True)
        except Exception as error:  # a job must end in words, whatever the model's library raises
            self._jobs[job_id] = Job(job_id, f"It failed: {error!r}", done=True)

    def _seed(self, action: Action, prompt: Prompt) -> int:
        """Return another seed for each time: the number of calls made so far."""
        calls = self._store.history(self._dataset, kinds=[prompt.kind])
        return 1 + sum(entry.action == action.name for entry in calls)


def _ended(job_id: int, report: BuildReport) -> Job:
    if report.generated:
        return Job(job_id, f"Written anew by {report.llm} in {report.seconds:.0f} seconds", done=True, ok=True)
    why = report.problems[0].reason if report.problems else "nothing came back"
    return Job(job_id, f"{report.llm} gave nothing that can be used: {why}. The texts stay as they were", done=True)
