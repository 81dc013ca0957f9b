"""Descriptors on their way out of one database and into another. Only the store calls this."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import queries
from db.records import (
    Added,
    Call,
    DescriptorSource,
    DescriptorStatus,
    LLMIdentity,
    Portable,
    Template,
)
from db.schema import ActionRow, DescriptorRow, GenerationRow, LLMRow, TemplateRow


def read(session: Session, dataset: str) -> Iterator[tuple[int, Portable]]:
    """Yield (row id, descriptor) of those in use; descriptors of one reply share their `Call`."""
    query = queries.descriptor_query(dataset, None).with_only_columns(
        DescriptorRow, ActionRow.name, GenerationRow, LLMRow, TemplateRow
    )
    calls: dict[int, Call] = {}
    for row, action, generation, llm, template in session.execute(query):
        if generation and generation.id not in calls:
            calls[generation.id] = _call(generation, llm, template)
        yield row.id, _portable(row, action, calls.get(row.generation_id))


def _portable(row: DescriptorRow, action: str, call: Call | None) -> Portable:
    return Portable(
        action=action,
        kind=row.kind,
        position=row.position,
        text=row.text,
        source=cast(DescriptorSource, row.source),
        status=cast(DescriptorStatus, row.status),
        origin=row.origin,
        call=call,
    )


def _call(generation: GenerationRow, llm: LLMRow, template: TemplateRow) -> Call:
    return Call(
        queries.generation(generation),
        LLMIdentity(llm.provider, llm.model, llm.revision),
        Template(template.kind, template.version, template.sha256, template.source),
    )


def model(item: Portable) -> str:
    """Return the model that wrote a descriptor, "" where none did."""
    return item.call.llm.model if item.call else ""


class _Place(NamedTuple):
    """Where one reply's descriptors are in use at a time."""

    action_id: int
    kind: str
    model: str
    sample: int


class Import:
    """One import into an open transaction, with what the database held before it."""

    def __init__(self, session: Session, actions: Mapping[str, int]) -> None:
        self._session = session
        self._actions = actions
        self._there: set[tuple[Any, ...]] = set()
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
            self._there.add((row.action_id, row.kind, row.position, row.text, row.source, _content(row.origin), key))
            if llm and row.superseded_at is None:
                self._in_use[_Place(row.action_id, row.kind, llm.model, sample)].add(key)

    def add(self, items: Sequence[Portable]) -> Added:
        """Add what is not there yet."""
        self._stored({item.call.generation.cache_key for item in items if item.call})
        outcomes = Counter(self._outcome(item) for item in items)
        return Added(outcomes["added"], outcomes["already"], outcomes["left_out"])

    def _stored(self, keys: set[str]) -> None:
        for chunk in queries.chunks(sorted(keys)):
            query = select(GenerationRow).where(GenerationRow.cache_key.in_(chunk), GenerationRow.status == "ok")
            for row in self._session.scalars(query.order_by(GenerationRow.attempt)):
                self._generations[row.cache_key] = row.id
                self._replies[row.cache_key] = row.reply

    def _outcome(self, item: Portable) -> str:
        action_id = self._actions[item.action]
        key = item.call.generation.cache_key if item.call else None
        identity = (action_id, item.kind, item.position, item.text, item.source, _content(item.origin), key)
        if identity in self._there:
            return "already"
        if item.call and self._taken(item.call, action_id, item.kind):
            return "left_out"
        self._session.add(self._row(item, action_id))
        return "added"

    def _taken(self, call: Call, action_id: int, kind: str) -> bool:
        """Return whether the same LLM's own reply stands here, to another prompt or another one to the same."""
        key = call.generation.cache_key
        in_use = self._in_use.get(_Place(action_id, kind, call.llm.model, call.generation.sample), set())
        return bool(in_use - {key}) or self._replies.get(key, call.generation.reply) != call.generation.reply

    def _row(self, item: Portable, action_id: int) -> DescriptorRow:
        return DescriptorRow(
            action_id=action_id,
            kind=item.kind,
            position=item.position,
            text=item.text,
            source=item.source,
            status=item.status,
            origin=item.origin,
            generation_id=self._generation_id(item.call, action_id) if item.call else None,
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
