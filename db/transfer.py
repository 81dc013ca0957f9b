"""Descriptors on their way out of one database and into another. Only the store calls this."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import current as in_use
from db import queries
from db.records import (
    Added,
    Call,
    DescriptorSource,
    DescriptorStatus,
    LLMIdentity,
    Original,
    Portable,
    Template,
)
from db.schema import ActionRow, DescriptorRow, GenerationRow, LLMRow, TemplateRow, utc_now


def read(session: Session, dataset: str) -> Iterator[tuple[in_use.Place, Portable]]:
    """Yield (place, descriptor) of those in use; descriptors of one reply share their `Call`."""
    query = queries.descriptor_query(dataset, None).with_only_columns(
        DescriptorRow, ActionRow.name, GenerationRow, LLMRow, TemplateRow
    )
    rows = session.execute(query).all()
    originals = in_use.originals(session, [row.id for row, *_ in rows if row.edited_from_id])
    calls: dict[int, Call] = {}
    for row, action, generation, llm, template in rows:
        if generation and generation.id not in calls:
            calls[generation.id] = _call(generation, llm, template)
        item = _portable(row, action, calls.get(row.generation_id), originals.get(row.id, ()))
        model = llm.model if llm else ""
        yield in_use.Place(action, row.kind, model, row.generation_id, row.origin, row.position, row.id), item


def _portable(row: DescriptorRow, action: str, call: Call | None, originals: Sequence[DescriptorRow]) -> Portable:
    return Portable(
        action=action,
        kind=row.kind,
        position=row.position,
        text=row.text,
        source=cast(DescriptorSource, row.source),
        status=cast(DescriptorStatus, row.status),
        origin=row.origin,
        call=call,
        originals=tuple(
            Original(of.text, cast(DescriptorSource, of.source), cast(DescriptorStatus, of.status)) for of in originals
        ),
    )


def _call(generation: GenerationRow, llm: LLMRow, template: TemplateRow) -> Call:
    return Call(
        queries.generation(generation),
        LLMIdentity(llm.provider, llm.model, llm.revision),
        Template(template.kind, template.version, template.sha256, template.source),
    )


class _Place(NamedTuple):
    """Where one reply's descriptors are in use at a time."""

    action_id: int
    kind: str
    model: str
    sample: int


class _Identity(NamedTuple):
    """What makes two texts one; repeats of a text are told apart by their number, for reviewers move them."""

    action_id: int
    kind: str
    text: str
    source: str
    content: str | None
    cache_key: str | None


class Import:
    """One import into an open transaction, with what the database held before it."""

    def __init__(self, session: Session, actions: Mapping[str, int]) -> None:
        self._session = session
        self._actions = actions
        self._there: dict[_Identity, list[int]] = defaultdict(list)  # -> positions
        self._in_use: dict[_Place, set[str]] = defaultdict(set)
        self._look()
        self._generations: dict[str, int] = {}
        self._replies: dict[str, str] = {}

    def _look(self) -> None:
        """Note every descriptor of these actions, out of use as well: what was taken out must not come back."""
        ids = select(ActionRow.dataset_id).where(ActionRow.id.in_(list(self._actions.values())[:1]))
        query = (
            select(DescriptorRow, GenerationRow.cache_key, GenerationRow.sample, LLMRow)
            .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
            .outerjoin(GenerationRow, GenerationRow.id == DescriptorRow.generation_id)
            .outerjoin(LLMRow, LLMRow.id == GenerationRow.llm_id)
            .where(ActionRow.dataset_id.in_(ids))
        )
        for row, key, sample, llm in self._session.execute(query):
            identity = _Identity(row.action_id, row.kind, row.text, row.source, _content(row.origin), key)
            self._there[identity].append(row.position)
            if llm and row.superseded_at is None:
                self._in_use[_Place(row.action_id, row.kind, llm.model, sample)].add(key)

    def add(self, items: Sequence[Portable]) -> Added:
        """Add what is not there yet."""
        self._stored({item.call.generation.cache_key for item in items if item.call})
        found = [self._found(item, item.position) for item in items]  # first, lest a repeat take its place
        outcomes = Counter(self._outcome(item, there=there) for item, there in zip(items, found, strict=True))
        return Added(outcomes["added"], outcomes["already"], outcomes["left_out"])

    def _stored(self, keys: set[str]) -> None:
        for chunk in queries.chunks(sorted(keys)):
            query = select(GenerationRow).where(GenerationRow.cache_key.in_(chunk), GenerationRow.status == "ok")
            for row in self._session.scalars(query.order_by(GenerationRow.attempt)):
                self._generations[row.cache_key] = row.id
                self._replies[row.cache_key] = row.reply

    def _found(self, item: Portable, position: int | None = None) -> bool:
        """Return whether a text is there, at that position if one is given; each row that is there counts once."""
        positions = self._there.get(self._identity(item, item), [])
        if not positions or (position is not None and position not in positions):
            return False
        positions.remove(positions[0] if position is None else position)
        return True

    def _identity(self, item: Portable, of: Portable | Original) -> _Identity:
        key = item.call.generation.cache_key if item.call else None
        return _Identity(self._actions[item.action], item.kind, of.text, of.source, _content(item.origin), key)

    def _outcome(self, item: Portable, *, there: bool) -> str:
        if there or self._found(item):
            return "already"
        action_id = self._actions[item.action]
        if item.call and self._taken(item.call, action_id, item.kind):
            return "left_out"
        if any(self._identity(item, original) in self._there for original in item.originals):
            return "left_out"
        self._add(item, action_id)
        return "added"

    def _taken(self, call: Call, action_id: int, kind: str) -> bool:
        """Return whether the same LLM's own reply stands here, to another prompt or another one to the same."""
        key = call.generation.cache_key
        keys = self._in_use.get(_Place(action_id, kind, call.llm.model, call.generation.sample), set())
        return bool(keys - {key}) or self._replies.get(key, call.generation.reply) != call.generation.reply

    def _add(self, item: Portable, action_id: int) -> None:
        """Add a text, and what it was edited from, out of use."""
        edited_from = None
        for original in reversed(item.originals):
            row = self._row(item, original, action_id, edited_from)
            row.superseded_at, row.withdrawn = utc_now(), True
            self._session.add(row)
            self._session.flush()
            edited_from = row.id
        self._session.add(self._row(item, item, action_id, edited_from))

    def _row(self, item: Portable, of: Portable | Original, action_id: int, edited_from: int | None) -> DescriptorRow:
        return DescriptorRow(
            action_id=action_id,
            kind=item.kind,
            position=item.position,
            text=of.text,
            source=of.source,
            status=of.status,
            origin=item.origin,
            generation_id=self._generation_id(item.call, action_id) if item.call else None,
            edited_from_id=edited_from,
        )

    def _generation_id(self, call: Call, action_id: int) -> int:
        key = call.generation.cache_key
        if key not in self._generations:
            llm_id = queries.llm_id(self._session, call.llm)
            template_id = queries.template_id(self._session, call.template)
            self._generations[key] = queries.add_generation(
                self._session, call.generation, action_id, llm_id, template_id
            )
        return self._generations[key]


def _content(origin: str | None) -> str | None:
    """Return the digest that ends an origin, so that a file which was renamed is still the same file."""
    return origin and origin.rpartition(" ")[2]
