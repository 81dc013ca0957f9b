"""The findings about the texts of each session, made again in a thread when texts change."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from weakref import WeakKeyDictionary

from db.errors import UserError
from db.local_paths import without_folders
from db.records import Descriptor
from descriptor_gen.review.session import ReviewSession, Snapshot
from recognizer.evaluation.firing import Firing
from studio.evidence import Evidence, Videos
from studio.findings import Findings, Verdicts, find

_log = logging.getLogger(__name__)
_PAUSE = 0.3  # seconds to wait after a change: decisions need the same core

Find = Callable[..., Findings]


@dataclass
class _State:
    """The findings of one session, and the texts that they are about."""

    wanted: Snapshot | None = None  # the newest texts, which the next findings will be about
    known: Snapshot | None = None  # the texts that `findings` are about
    findings: Findings | None = None
    note: str = ""


@dataclass(frozen=True)
class View:
    """What is known about the texts of a session.

    Attributes:
        evidence: the videos.
        verdicts: what each text fires on; not None if there are findings.
        findings: about the current texts, or those before the last change; None until the first ones are made.
        is_fresh: whether the findings are about the current texts.
        note: why there are no findings; empty if there are.
    """

    evidence: Evidence
    verdicts: Verdicts | None
    findings: Findings | None
    is_fresh: bool
    note: str

    def firing(self, descriptor: int | None, label: int) -> Firing:
        """Return what a text of a class fires on, or the label if `descriptor` is None; `findings` must have it."""
        assert self.findings is not None  # noqa: S101 - the caller looked
        assert self.verdicts is not None  # noqa: S101 - as above
        vector = self.findings.labels[label] if descriptor is None else self.findings.vectors[descriptor]
        return self.verdicts.of(vector, label)


class Watcher:
    """Makes findings about the texts of sessions, one session at a time; pages never wait for it."""

    def __init__(self, videos: Videos, *, find: Find = find) -> None:
        """`find` makes the findings about the videos."""
        self._videos, self._find = videos, find
        self._states: WeakKeyDictionary[ReviewSession, _State] = WeakKeyDictionary()
        self._verdicts: Verdicts | None = None
        self._lock = threading.Lock()
        self._waiting: SimpleQueue[tuple[Evidence, _State, Snapshot]] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()  # ends with the process, whatever it does

    def view(self, session: ReviewSession) -> View | None:
        """Return what is known now, and have newer texts looked at; None while no videos are loaded."""
        evidence = self._videos.evidence
        if evidence is None:
            return None
        snapshot = session.snapshot()
        with self._lock:
            state = self._states.setdefault(session, _State())
            if not _same_texts(state.wanted, snapshot):
                state.wanted = snapshot
                self._waiting.put((evidence, state, snapshot))
            is_fresh = _same_texts(state.known, snapshot)
            return View(evidence, self._verdicts, state.findings, is_fresh, state.note)

    def _run(self) -> None:
        while True:
            self._work(*self._waiting.get())

    def _work(self, evidence: Evidence, state: _State, snapshot: Snapshot) -> None:
        if state.findings and state.wanted is snapshot:
            time.sleep(_PAUSE)
        if state.wanted is not snapshot:
            return  # newer texts are in the queue
        self._verdicts = self._verdicts or Verdicts(evidence)
        findings, note = self._findings(evidence, snapshot.descriptors, state.findings)
        with self._lock:
            state.findings, state.note, state.known = findings, note, snapshot

    def _findings(
        self, evidence: Evidence, descriptors: Sequence[Descriptor], before: Findings | None
    ) -> tuple[Findings | None, str]:
        try:
            return self._find(evidence, descriptors, before=before), ""
        except UserError as error:
            return None, f"Numbers are not shown: {without_folders(str(error))}"
        except Exception as error:  # whatever a model's library raises: the review goes on
            if self._videos.is_closed:
                return None, ""
            _log.exception("The texts could not be compared with the videos")
            return None, f"Numbers are not shown: {without_folders(repr(error))}"


def _same_texts(one: Snapshot | None, other: Snapshot) -> bool:
    """Return whether two snapshots hold the same texts: `by_action` is new only if a text is."""
    return one is not None and one.by_action is other.by_action
