"""The thread that looks at texts: no page waits for it, and texts that were replaced meanwhile are left out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from db.records import Descriptor
from db.store import Store
from descriptor_gen.review.session import DecisionRequest, ReviewSession
from studio.evidence import Evidence, Videos, load_evidence
from studio.findings import Findings, find
from studio.watch import Watcher
from tests.fixtures.colours import balls, encoder
from tests.fixtures.commands import Run
from tests.fixtures.studio import evaluated, many

__all__ = ["balls", "encoder"]  # fixtures

LIMIT = 60  # seconds, which only end a test that hangs


class Held:
    """Makes findings when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Event()
        self.looked_at: list[set[str]] = []  # the rejected texts each time

    def __call__(self, evidence: Evidence, texts: Sequence[Descriptor], *, before: Findings | None) -> Findings:
        self.looked_at.append({d.text for d in texts if d.status == "rejected"})
        self.begun.set()
        assert self.go.wait(LIMIT)
        return find(evidence, texts, before=before)


@contextmanager
def watched(store: Store, features: Path, held: Held) -> Iterator[tuple[Watcher, ReviewSession]]:
    session = ReviewSession(store, store.dataset("balls"), reviewer="anna")
    load = partial(load_evidence, store, session.dataset, videos=None, encoder=None, features=features)
    videos = Videos(load)
    assert videos.wait(LIMIT) is not None
    yield Watcher(videos, find=held), session
    held.go.set()
    session.close()
    videos.close()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def reject(session: ReviewSession, text: str) -> None:
    descriptor = next(d for d in session.snapshot().descriptors if d.text == text)
    session.decide(DecisionRequest("reject", (descriptor.ref,)))


def test_no_page_waits_and_the_newest_texts_win(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls))
    held = Held()
    with watched(store, features, held) as (watcher, session):
        view = watcher.view(session)
        assert view is not None
        assert (view.findings, view.is_fresh, view.note) == (None, False, "")
        assert held.begun.wait(LIMIT)
        for text in ("a blue thing", "a green thing", "a red thing"):  # while the first texts are looked at
            reject(session, text)
            assert watcher.view(session) is not None
        held.go.set()
        until(lambda: (now := watcher.view(session)) and now.is_fresh)
        assert held.looked_at == [set(), {"a blue thing", "a green thing", "a red thing"}]
        view = watcher.view(session)
        assert view is not None
        assert view.findings is not None
        assert len(view.findings.effects) == 3


def test_numbers_of_texts_before_a_decision_are_marked_as_such(
    balls: Path, descgen: Run, recognize: Run, store: Store, features: Path
) -> None:
    evaluated(descgen, recognize, many(balls))
    held = Held()
    held.go.set()
    with watched(store, features, held) as (watcher, session):
        until(lambda: (now := watcher.view(session)) and now.is_fresh)
        held.go.clear()
        reject(session, "a red thing")
        view = watcher.view(session)
        assert view is not None
        assert view.findings is not None
        assert not view.is_fresh
        held.go.set()
        until(lambda: (now := watcher.view(session)) and now.is_fresh)
