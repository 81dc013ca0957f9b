"""The filter of a page. It is stored in the query of the page's address, so that it can be bookmarked and shared."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields
from urllib.parse import urlencode

from db.records import Descriptor

ORDERS = {"": "by label", "open": "most pending first", "flags": "most flagged first", "impact": "worst impact first"}
_LABELS = {"source": "by", "q": "with"}


@dataclass(frozen=True)
class Filter:
    """Conditions on a descriptor; an empty value is no condition.

    Attributes:
        source: the writer, exactly: the name of a model, an imported file, or `hand`.
        flag: the name of a lint rule, or `any`.
        comments: `any`: the text has comments.
        q: a part of the text, or of the class's name or phrase, in any case.
        order: the order of the classes, a key of `ORDERS`; not a condition.
        classes: `all` includes classes assigned to other reviewers; empty: the reviewer's own.
    """

    kind: str = ""
    source: str = ""
    status: str = ""
    flag: str = ""
    comments: str = ""
    q: str = ""
    order: str = ""
    classes: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Filter:
        """Return the filter in the query of an address; unknown names are ignored."""
        known = {field.name: query.get(field.name, "").strip()[:300] for field in fields(cls)}
        order = known["order"] if known["order"] in ORDERS else ""
        return cls(**known | {"order": order, "classes": "all" if known["classes"] == "all" else ""})

    @property
    def query(self) -> str:
        """The filter as the query of an address; empty for no filter."""
        return urlencode({name: value for name, value in asdict(self).items() if value})

    @property
    def description(self) -> str:
        """The conditions in words."""
        conditions = {name: value for name, value in asdict(self).items() if value and name != "order"}
        if conditions.get("source") == "hand":
            conditions["source"] = "people"
        return ", ".join(f"{_LABELS.get(name, name)} {value!r}" for name, value in conditions.items())

    def predicate(
        self, phrases: Mapping[str, str], rules: Mapping[int, Collection[str]], commented: Collection[int] = ()
    ) -> Callable[[Descriptor], bool]:
        """Return the test whether a descriptor passes.

        Args:
            phrases: class name -> readable phrase.
            rules: descriptor id -> names of the lint rules that flagged it.
            commented: ids of descriptors with comments.
        """
        q = self.q.casefold()
        named = {name for name, phrase in phrases.items() if q in name.casefold() or q in phrase.casefold()}
        conditions: list[tuple[object, Callable[[Descriptor], bool]]] = [
            (self.kind, lambda d: d.kind == self.kind),
            (self.source, lambda d: d.writer == self.source),
            (self.status, lambda d: d.status == self.status),
            (self.flag == "any", lambda d: bool(rules.get(d.id))),
            (self.flag and self.flag != "any", lambda d: self.flag in rules.get(d.id, ())),
            (self.comments, lambda d: d.id in commented),
            (q, lambda d: d.action in named or q in d.text.casefold()),
        ]
        tests = [test for is_active, test in conditions if is_active]
        return lambda descriptor: all(test(descriptor) for test in tests)
