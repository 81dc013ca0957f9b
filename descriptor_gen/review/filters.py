"""Which descriptors a page is about. A filter lives in the address, so that it can be kept, sent and gone back to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields
from urllib.parse import urlencode

from db.records import Descriptor

Flagged = Mapping[int, Collection[str]]
"""Descriptor id -> names of the lint rules that found something in it."""

ORDERS = {"": "by label", "open": "most pending first", "flags": "most flagged first", "impact": "worst impact first"}


@dataclass(frozen=True)
class Filter:
    """What must hold of a descriptor; an empty value asks for nothing. `order` is that of the classes.

    Attributes:
        source: exactly who wrote it: a model's name, an imported file, or `hand`.
        flag: a lint rule that found something, or `any`.
        q: a part of the text, or of the class's name or phrase, in any case.
    """

    kind: str = ""
    source: str = ""
    status: str = ""
    flag: str = ""
    q: str = ""
    order: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filter:
        """Return the filter of an address's query; what it does not know of is left out."""
        known = {field.name: query.get(field.name, "").strip()[:300] for field in fields(cls)}
        return cls(**known | {"order": known["order"] if known["order"] in ORDERS else ""})

    @property
    def query(self) -> str:
        """The filter as the query of an address; empty for no filter."""
        return urlencode({name: value for name, value in asdict(self).items() if value})

    @property
    def words(self) -> str:
        """The filter for people."""
        said = {name: value for name, value in asdict(self).items() if value and name != "order"}
        return ", ".join(f"{_NAMES.get(name, name)} {value!r}" for name, value in said.items())

    def predicate(self, phrases: Mapping[str, str], flagged: Flagged) -> Callable[[Descriptor], bool]:
        """Return what tells whether a descriptor passes.

        Args:
            phrases: class name -> readable phrase.
            flagged: what lint found.
        """
        q = self.q.casefold()
        named = {name for name, phrase in phrases.items() if q in name.casefold() or q in phrase.casefold()}
        tests: list[Callable[[Descriptor], bool]] = [
            test
            for wanted, test in (
                (self.kind, lambda d: d.kind == self.kind),
                (self.source, lambda d: d.writer == self.source),
                (self.status, lambda d: d.status == self.status),
                (self.flag == "any", lambda d: bool(flagged.get(d.id))),
                (self.flag and self.flag != "any", lambda d: self.flag in flagged.get(d.id, ())),
                (q, lambda d: d.action in named or q in d.text.casefold()),
            )
            if wanted
        ]
        return lambda descriptor: all(test(descriptor) for test in tests)


_NAMES = {"source": "by", "q": "with"}
