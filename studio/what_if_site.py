"""What an edit would do to the accuracy, answered while a reviewer types. Nothing is stored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Literal
from weakref import WeakKeyDictionary

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from db.errors import UserError
from db.local_paths import public_names, without_folders
from db.records import Descriptor, DescriptorRef
from db.storable import LARGEST_INTEGER
from descriptor_gen.review import replies
from descriptor_gen.review.replies import Replies
from descriptor_gen.review.routes import action_of
from descriptor_gen.review.session import ReviewSession
from descriptor_gen.review.site import Current, Renderer, Site
from recognizer.evaluation.decided import Possible
from recognizer.evaluation.what_if import Effect, Nearest, WhatIf
from recognizer.scoring.metrics import Rate
from studio import wording
from studio.evidence import LOADING, Evidence, Videos

_log = logging.getLogger(__name__)
_SECONDS = 1.0  # how long a request waits; the page asks again until there is an answer
_LONGEST_TEXT, _LONGEST_NAME = 2000, 300
_SHOWN = 3  # videos that are named
Texts = Mapping[str, Sequence[Descriptor]]  # in use, by class: the same object as long as none of them changes
_OWN_VIDEOS = "Evaluate texts chosen by this on other videos: on these they look better than they are."
_STATE: Replies = {
    200: {
        "description": "What the decision would do; or why that is not known, or not yet",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


class WhatIfBody(BaseModel):
    """A decision that could be made.

    `descriptor` and `version` are of the text as the page has it; for `add`, `label` and `kind` are of the new text.
    """

    decision: Literal["accept", "reject", "restore", "edit", "add"]
    descriptor: int = Field(default=0, ge=0, le=LARGEST_INTEGER)
    version: int = Field(default=0, ge=0, le=LARGEST_INTEGER)
    text: str = Field(default="", max_length=_LONGEST_TEXT)
    kind: str = Field(default="", max_length=_LONGEST_NAME)
    label: int = 0


def what_if_site(_renderer: Renderer, *, videos: Videos, on_test: bool = False) -> Site:
    """Return the route that the line under an editor asks.

    Args:
        videos: of the application.
        on_test: whether it answers on videos of a published test set too.
    """
    questions = Questions(videos, on_test=on_test)
    post = {"/what-if": (questions.what_if, _STATE | replies.CHANGE | replies.NOT_FOUND)}
    return Site({}, "studio", post, scripts=("what_if.js",), styles=("what_if.css",))


@dataclass(frozen=True)
class _Question:
    """A question of a session, about the texts that were in use when it was asked."""

    possible: Possible
    texts: Texts
    effect: Future[Effect] = field(default_factory=Future)


class Questions:
    """The questions of pages. They are answered one at a time, by a thread that keeps the scores of all videos."""

    def __init__(self, videos: Videos, *, on_test: bool) -> None:
        self._videos, self._on_test = videos, on_test
        self._last: WeakKeyDictionary[ReviewSession, _Question] = WeakKeyDictionary()
        self._lock = Lock()
        self._prepared: tuple[WhatIf, Texts] | None = None
        self._waiting: SimpleQueue[tuple[Evidence, _Question]] = SimpleQueue()
        Thread(target=self._run, daemon=True).start()  # ends with the process, whatever it does

    def what_if(self, session: Current, body: WhatIfBody) -> Response:
        """Say what a decision would do."""
        self._videos.start()
        evidence = self._videos.evidence
        if evidence is None:
            loading = self._videos.is_loading
            return _answer("loading" if loading else "off", LOADING if loading else self._videos.note)
        if evidence.is_benchmark and not self._on_test:
            return _answer("off", _off(evidence))
        action = action_of(session, body.label) if body.decision == "add" else None
        possible = Possible(body.decision, body.descriptor, body.text, action.name if action else "", body.kind)
        snapshot = session.snapshot()
        if action is None and DescriptorRef(body.descriptor, body.version) not in {d.ref for d in snapshot.descriptors}:
            return _answer("refused", "This text was changed meanwhile: reload the page to try words in its place")
        return self._answered(session, evidence, possible, snapshot.by_action)

    def _answered(self, session: ReviewSession, evidence: Evidence, possible: Possible, texts: Texts) -> Response:
        try:
            effect = self._asked(session, evidence, possible, texts).result(_SECONDS)
        except (TimeoutError, CancelledError):
            return _answer("loading", "This is being counted.")
        except UserError as error:
            return _answer("refused", without_folders(str(error)))
        except Exception as error:  # whatever a model's library raises: the review goes on
            _log.exception("What an edit does could not be counted")
            return _answer("refused", f"What this does is not known: {without_folders(repr(error))}")
        phrase = session.phrases.__getitem__
        more = {"caution": _caution(evidence), "more": details(effect, evidence, phrase)}
        return _answer("known", short(effect, phrase), **more, numbers=_numbers(effect, phrase))

    def _asked(self, session: ReviewSession, evidence: Evidence, possible: Possible, texts: Texts) -> Future[Effect]:
        """Return the future answer to a question, which may be asked again; another question cancels the last."""
        with self._lock:
            last = self._last.get(session)
            if last and last.possible == possible and last.texts is texts and not last.effect.cancelled():
                return last.effect
            if last:
                last.effect.cancel()
            self._last[session] = question = _Question(possible, texts)
            self._waiting.put((evidence, question))
            return question.effect

    def _run(self) -> None:
        while True:
            evidence, question = self._waiting.get()
            if question.effect.set_running_or_notify_cancel():
                try:
                    question.effect.set_result(self._effect(evidence, question.possible, question.texts))
                except Exception as error:  # raised in the request that waits
                    question.effect.set_exception(error)

    def _effect(self, evidence: Evidence, possible: Possible, texts: Texts) -> Effect:
        with evidence.lock:  # the findings about texts use the same encoder
            what_if, known = self._prepared or (_prepare(evidence), None)
            if known is not texts:
                what_if.update([descriptor for of_class in texts.values() for descriptor in of_class])
                self._prepared = what_if, texts
            return what_if.effect(possible)


def _prepare(evidence: Evidence) -> WhatIf:
    left_out = sum(evidence.left_out.values())
    settings = evidence.settings
    return WhatIf(evidence.dataset, evidence.features, evidence.encoder, settings=settings, left_out=left_out)


def _answer(state: Literal["known", "loading", "refused", "off"], sentence: str, **more: Any) -> Response:
    return JSONResponse({"state": state, "sentence": sentence, **more})


def _off(evidence: Evidence) -> str:
    return (
        f"What an edit does is not shown: once texts are chosen by these videos, their accuracy is no valid estimate, "
        f"and {evidence.dataset.name} is a published test set. To see it, start again with --what-if-on-test"
    )


Phrase = Callable[[str], str]  # of a class, by its name


def short(effect: Effect, phrase: Phrase) -> str:
    """Return what a decision does in one sentence."""
    if not effect.changes:
        return "No number changes: the texts that are scored stay the same."
    before, after = (100 * rate.value for rate in (effect.top1.first, effect.top1.second))
    alone = f"labels alone {100 * effect.label_only.value:.2f}"
    return (
        f"top-1 {before:.2f} → {after:.2f} % (+{effect.top1.gained}, -{effect.top1.lost} of {effect.videos:,} videos, "
        f"{effect.left_out:,} left out; {alone}); nearest class: {phrase(effect.nearest.name)}"
    )


def details(effect: Effect, evidence: Evidence, phrase: Phrase) -> list[str]:
    """Return what else there is to say about a decision: how sure it is, margins, classes, videos, settings."""
    return [
        *(_changes(effect, phrase) if effect.changes else []),
        f"{wording.source(evidence)}. {wording.left_out(evidence).capitalize()}.",
        *([] if evidence.is_benchmark else [_OWN_VIDEOS]),
    ]


def _changes(effect: Effect, phrase: Phrase) -> list[str]:
    own = effect.class_margin_change
    videos = "video" if effect.class_videos == 1 else f"{effect.class_videos:,} videos"
    of_class = f"of the {videos} of the class {own:+.4f}, " if own is not None else ""
    test = "McNemar's" if effect.groups == effect.videos else f"sign flips of {effect.groups:,} groups of clips"
    return [
        f"Difference {_points(effect.top1.difference)}, p {effect.top1.p:.2g} ({test}; not corrected for the number of "
        f"edits that are tried). Labels alone {wording.percent(effect.label_only)}.",
        f"Mean margin {of_class}of all {effect.margin_change:+.4f}.",
        f"Nearest class: {_near(effect.nearest, phrase)}, before {_near(effect.nearest_before, phrase)}.",
        *(f"{name}: {_listed(ids)}." for name, ids in (("Gained", effect.gained), ("Lost", effect.lost)) if ids),
        *(["The encoder cuts this text: it is too long."] if effect.cut else []),
        *(["The class is scored by its label alone then."] if not effect.texts else []),
    ]


def _caution(evidence: Evidence) -> str:
    """Return the caution that stands beside every number; empty for one's own videos."""
    if not evidence.is_benchmark:
        return ""
    return (
        f"These videos are a published test set of {evidence.dataset.name}: once texts are chosen by this, the "
        "accuracy on them is no longer a valid estimate."
    )


def _points(rate: Rate) -> str:
    return f"{100 * rate.value:+.2f} points (95 % interval {100 * rate.low:+.2f} to {100 * rate.high:+.2f})"


def _near(nearest: Nearest, phrase: Phrase) -> str:
    return f"{phrase(nearest.name)} (cosine {nearest.cosine:.3f})"


def _listed(ids: tuple[str, ...]) -> str:
    names = public_names(ids)
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(names[id_] for id_ in ids[:_SHOWN]) + more


def _numbers(effect: Effect, phrase: Phrase) -> dict[str, Any]:
    gained, lost = (public_names(ids) for ids in (effect.gained, effect.lost))
    return {
        "class": phrase(effect.action),
        "changes": effect.changes,
        "top1": {"before": vars(effect.top1.first), "after": vars(effect.top1.second)},
        "difference": vars(effect.top1.difference),
        "p": effect.top1.p,
        "label_only": vars(effect.label_only),
        "videos": effect.videos,
        "groups": effect.groups,
        "left_out": effect.left_out,
        "gained": [gained[id_] for id_ in effect.gained],
        "lost": [lost[id_] for id_ in effect.lost],
        "margin_change": effect.margin_change,
        "class_videos": effect.class_videos,
        "class_margin_change": effect.class_margin_change,
        "nearest": vars(effect.nearest),
        "nearest_before": vars(effect.nearest_before),
        "texts": effect.texts,
        "cut": list(effect.cut),
    }
