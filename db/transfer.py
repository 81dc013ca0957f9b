"""Copy descriptors with their provenance from one database to another. Only the store calls this."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import queries
from db.progress import Progress
from db.queries import row_values, to_record
from db.records import Call, Descriptor, ImportCounts, LLMIdentity, Original, PortableDescriptor, Template
from db.schema import ActionRow, DescriptorRow, GenerationRow, LLMRow, TemplateRow, utc_now

_SHOWN_EVERY = 100  # texts


def portable(session: Session, descriptors: Sequence[Descriptor]) -> list[PortableDescriptor]:
    """Return descriptors with all of their provenance; those of one reply share their `Call`."""
    calls = _calls(session, sorted({d.generation for d in descriptors if d.generation}))
    originals = queries.originals(session, [d.id for d in descriptors if d.edited_from])
    return [
        to_record(
            PortableDescriptor,
            d,
            call=calls[d.generation] if d.generation else None,
            originals=tuple(to_record(Original, row) for row in originals.get(d.id, ())),
        )
        for d in descriptors
    ]


def _calls(session: Session, generations: Sequence[int]) -> dict[int, Call]:
    query = select(GenerationRow, LLMRow, TemplateRow)
    query = query.join(LLMRow, LLMRow.id == GenerationRow.llm_id)
    query = query.join(TemplateRow, TemplateRow.id == GenerationRow.template_id)
    return {
        row.id: Call(queries.generation(row), to_record(LLMIdentity, llm), to_record(Template, template))
        for chunk in queries.chunks(generations)
        for row, llm, template in session.execute(query.where(GenerationRow.id.in_(chunk)))
    }


class _ReplySlot(NamedTuple):
    """What a reply answers. At most one reply for a slot is in use."""

    action_id: int
    kind: str
    model: str
    sample: int


class _Identity(NamedTuple):
    """Texts with the same identity are the same text; a repeated text is stored once per repetition.

    Not the position, since reviewers change it.
    """

    action_id: int
    kind: str
    text: str
    source: str
    file_digest: str | None
    cache_key: str | None


class Import:
    """One import in an open transaction."""

    def __init__(self, session: Session, actions: Mapping[str, int]) -> None:
        """Prepare an import; `actions` maps the names of one dataset's actions to row ids."""
        self._session = session
        self._actions = actions
        self._positions: dict[_Identity, list[int]] = defaultdict(list)  # of the stored texts that are not matched yet
        self._keys_in_use: dict[_ReplySlot, set[str]] = defaultdict(set)
        self._read_stored()
        self._generations: dict[str, int] = {}  # cache key -> row id
        self._replies: dict[str, str] = {}  # cache key -> raw reply

    def _read_stored(self) -> None:
        """Read every descriptor of the dataset, in use or not: a removed text must not be added again."""
        dataset = select(ActionRow.dataset_id).where(ActionRow.id.in_(list(self._actions.values())[:1]))
        query = (
            select(DescriptorRow, GenerationRow.cache_key, GenerationRow.sample, LLMRow)
            .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
            .outerjoin(GenerationRow, GenerationRow.id == DescriptorRow.generation_id)
            .outerjoin(LLMRow, LLMRow.id == GenerationRow.llm_id)
            .where(ActionRow.dataset_id.in_(dataset))
        )
        for row, key, sample, llm in self._session.execute(query):
            identity = _Identity(row.action_id, row.kind, row.text, row.source, _file_digest(row.origin), key)
            self._positions[identity].append(row.position)
            if llm and row.superseded_at is None:
                self._keys_in_use[_ReplySlot(row.action_id, row.kind, llm.model, sample)].add(key)

    def add(self, items: Sequence[PortableDescriptor], on_item: Progress) -> ImportCounts:
        """Add the texts that are not stored yet; `on_item` is called with the numbers of texts done and of all."""
        self._read_replies({item.call.generation.cache_key for item in items if item.call})
        # All exact matches first; otherwise a repeated text could take the position of another copy.
        exact = [self._match(item, item.position) for item in items]
        outcomes: Counter[str] = Counter()
        for done, (item, stored) in enumerate(zip(items, exact, strict=True), start=1):
            outcomes[self._outcome(item, stored=stored)] += 1
            if done % _SHOWN_EVERY == 0 or done == len(items):
                on_item(done, len(items))
        return ImportCounts(outcomes["added"], outcomes["already"], outcomes["left_out"])

    def _read_replies(self, keys: set[str]) -> None:
        for chunk in queries.chunks(sorted(keys)):
            query = select(GenerationRow).where(GenerationRow.cache_key.in_(chunk), GenerationRow.status == "ok")
            for row in self._session.scalars(query.order_by(GenerationRow.attempt)):
                self._generations[row.cache_key] = row.id
                self._replies[row.cache_key] = row.reply

    def _match(self, item: PortableDescriptor, position: int | None = None) -> bool:
        """Match a text with a stored one, at `position` if given; each stored text is matched at most once."""
        positions = self._positions.get(self._identity(item, item), [])
        if not positions or (position is not None and position not in positions):
            return False
        positions.remove(positions[0] if position is None else position)
        return True

    def _identity(self, item: PortableDescriptor, text: PortableDescriptor | Original) -> _Identity:
        key = item.call.generation.cache_key if item.call else None
        return _Identity(self._actions[item.action], item.kind, text.text, text.source, _file_digest(item.origin), key)

    def _outcome(self, item: PortableDescriptor, *, stored: bool) -> str:
        if stored or self._match(item):
            return "already"
        action_id = self._actions[item.action]
        if item.call and self._has_other_reply(item.call, action_id, item.kind):
            return "left_out"
        if any(self._identity(item, original) in self._positions for original in item.originals):
            return "left_out"
        self._add(item, action_id)
        return "added"

    def _has_other_reply(self, call: Call, action_id: int, kind: str) -> bool:
        """Return whether this database has another reply of the same LLM, to the same prompt or to another one."""
        key = call.generation.cache_key
        keys = self._keys_in_use.get(_ReplySlot(action_id, kind, call.llm.model, call.generation.sample), set())
        return bool(keys - {key}) or self._replies.get(key, call.generation.reply) != call.generation.reply

    def _add(self, item: PortableDescriptor, action_id: int) -> None:
        """Add a text, and the texts it was edited from as withdrawn rows."""
        generation_id = self._generation_id(item.call, action_id) if item.call else None
        shared = {
            "action_id": action_id,
            "generation_id": generation_id,
            "kind": item.kind,
            "position": item.position,
            "origin": item.origin,
        }
        edited_from = None
        for original in reversed(item.originals):
            values = row_values(DescriptorRow, original, **shared, edited_from_id=edited_from)
            self._session.add(row := DescriptorRow(**values, superseded_at=utc_now(), withdrawn=True))
            self._session.flush()
            edited_from = row.id
        self._session.add(DescriptorRow(**row_values(DescriptorRow, item, **shared, edited_from_id=edited_from)))

    def _generation_id(self, call: Call, action_id: int) -> int:
        key = call.generation.cache_key
        if key not in self._generations:
            llm_id = queries.row_id(self._session, LLMRow, call.llm)
            template_id = queries.row_id(self._session, TemplateRow, call.template, "sha256")
            self._generations[key] = queries.add_generation(
                self._session, call.generation, action_id, llm_id, template_id
            )
        return self._generations[key]


def _file_digest(origin: str | None) -> str | None:
    """Return the digest at the end of an origin: a file that was renamed is still the same file."""
    return origin and origin.rpartition(" ")[2]
