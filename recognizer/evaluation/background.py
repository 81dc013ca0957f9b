"""Background texts: what videos of no class may show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from db import vocabulary
from db.errors import UserError, first_few
from db.records import Action, Dataset
from db.store import Store
from encoders.protocol import Encoder
from recognizer.evaluation.settings import KNOWN, ScoringSettings
from recognizer.scoring.ensemble import Ensemble, build_ensemble, strings_of
from recognizer.scoring.protocols import Protocol

_DATASETS = ("ucf101", "hmdb51", "kinetics400", "kinetics600")
_NEUTRAL = (  # scenes without an action that has a name
    "an empty room", "a person standing still", "a crowd of people", "a landscape", "a street with cars",
    "an animal", "a close-up of an object", "text on a screen", "a cartoon", "a dark picture",
)  # fmt: skip
_SMALL = frozenset(
    ("a", "an", "and", "another", "as", "at", "by", "do", "doing", "for", "from", "in", "into", "of", "off", "on",
     "onto", "or", "other", "out", "over", "people", "person", "somebody", "someone", "something", "the", "to", "up",
     "using", "with", "without")
)  # fmt: skip
_ENDINGS = ("ing", "es", "ed", "s")
_SHORTEST = 3  # letters of a word that an ending leaves


@dataclass(frozen=True)
class Background:
    """Background texts for the classes of a dataset.

    Attributes:
        source: `known`, or the dataset that the user named.
        texts: as labels are worded.
        same: phrases that were left out, because they mean a class.
    """

    source: str
    texts: tuple[str, ...]
    same: tuple[str, ...]

    @classmethod
    def choose(cls, store: Store, dataset: Dataset, settings: ScoringSettings) -> Background | None:
        """Return the background texts that the settings choose; None if no videos are rejected.

        `known` are the classes of the built-in datasets and some neutral scenes, without those that may mean a class:
        all words of one are words of the other, apart from endings and small words (`riding a bike` and `riding
        mountain bike`). Of a dataset that the user names, all are used but those that are spelled like a class.

        Raises:
            UsageError: there is no such dataset.
            UserError: no text is left.
        """
        if not settings.none_of_these:
            return None
        protocol, own = settings.wording(), settings.background != KNOWN
        texts = dict(_of(store.resolve(settings.background), protocol) if own else _known(protocol))
        means_class = _spelled_alike(dataset) if own else _shares_words(dataset)
        same = tuple(phrase for phrase in texts if means_class(phrase))
        left = tuple(text for phrase, text in texts.items() if phrase not in same)
        if not left:
            raise UserError(
                f"Every background text ({settings.background}) means a class of {dataset.name}: "
                f"{first_few(list(same))}. Give others: --background NAME|PATH"
            )
        return cls(settings.background, left, same)

    def ensemble(self, encoder: Encoder, protocol: Protocol) -> Ensemble:
        """Return the texts as vectors, each as the label of a class, [B, 1, D]."""
        return build_ensemble(self._as_classes, [], encoder, protocol)

    def strings(self, protocol: Protocol) -> list[str]:
        """Return every distinct string that `ensemble` encodes."""
        return strings_of(self._as_classes, [], protocol)

    @property
    def _as_classes(self) -> Dataset:
        actions = tuple(Action(index, text, text) for index, text in enumerate(self.texts))
        return Dataset("background", actions, stored_as="background")


def _of(dataset: Dataset, protocol: Protocol) -> Iterator[tuple[str, str]]:
    """Yield the phrase and the label text of each class."""
    return ((action.phrase, protocol.label_text(dataset, action)) for action in dataset.actions)


def _known(protocol: Protocol) -> Iterator[tuple[str, str]]:
    """Yield the pairs of all built-in datasets, one for each set of words, then the neutral scenes."""
    yielded = set[frozenset[str]]()
    for dataset in map(vocabulary.load, _DATASETS):
        for phrase, text in _of(dataset, protocol):
            if words(phrase) not in yielded:
                yielded.add(words(phrase))
                yield phrase, text
    yield from ((phrase, phrase) for phrase in _NEUTRAL)


def _spelled_alike(dataset: Dataset) -> Callable[[str], bool]:
    find = vocabulary.class_finder(dataset)
    return lambda phrase: find(phrase) is not None


def _shares_words(dataset: Dataset) -> Callable[[str], bool]:
    classes = {words(text) for action in dataset.actions for text in (action.phrase, vocabulary.phrase_of(action.name))}
    return lambda phrase: any(words(phrase) <= each or each <= words(phrase) for each in classes)


def words(phrase: str) -> frozenset[str]:
    """Return the words of a phrase without endings and small words; only small words if it has no others."""
    every = re.findall(r"\w+", phrase.casefold())
    return frozenset(_stem(word) for word in every if word not in _SMALL) or frozenset(every)


def _stem(word: str) -> str:
    """Return a word without its ending: `running`, `runs` -> `run`; `riding`, `ride` -> `rid`."""
    ending = next((end for end in _ENDINGS if word.endswith(end) and len(word) - len(end) >= _SHORTEST), "")
    stem = word.removesuffix(ending)
    doubled = len(stem) > _SHORTEST and stem[-1] == stem[-2]
    return (stem[:-1] if doubled else stem).rstrip("e")
