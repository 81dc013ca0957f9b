"""Who wrote the texts of a dataset: LLMs with each version of a template, imported files, text packs and people.

An LLM is compared by its newest call about each class, kind and sample, so that a template that was replaced can still
be read. Callers pass the session of their transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from db import queries
from db.records import Dataset, Descriptor, Writer, Written
from db.schema import ActionRow, DatasetRow, DescriptorRow, GenerationRow, LLMRow, TemplateRow

_SOURCES = ("model", "file", "hand")
_Place = tuple[str, str, int]  # action, kind, sample


class _Reply(NamedTuple):
    """The texts of one call, or of one file or of people, about one action: how many there are."""

    action: str
    kind: str
    origin: str | None
    call: int | None
    sample: int | None
    llm: int | None
    template: int | None
    texts: int


def written(session: Session, dataset: Dataset, kind: str) -> dict[Writer, Mapping[str, Written]]:
    """Return what each writer wrote by the name of the action, of a kind or (`""`) of all kinds.

    Models come first, by name and the newest template, then files, then people. Texts of calls out of use count too,
    but not those that an edit has replaced. Of all kinds, a model is one writer, whatever its templates.
    """
    models = {row.id: row.model for row in session.scalars(select(LLMRow))}
    columns = select(TemplateRow.id, TemplateRow.sha256, TemplateRow.version)
    templates = {number: (sha256, version) for number, sha256, version in session.execute(columns)}
    replies: dict[Writer, list[_Reply]] = defaultdict(list)
    for reply in map(_Reply._make, session.execute(_replies(dataset, kind))):
        if reply.llm is None or reply.template is None:
            replies[Writer("file", reply.origin) if reply.origin else Writer("hand", "hand")].append(reply)
        else:
            template = templates[reply.template] if kind else ("", 0)
            replies[Writer("model", models[reply.llm], *template)].append(reply)
    return {writer: _by_action(replies[writer]) for writer in sorted(replies, key=_order)}


def _order(writer: Writer) -> tuple[int, str, int, str]:
    return _SOURCES.index(writer.source), writer.name, -writer.template_version, writer.template_sha256


def _by_action(replies: Sequence[_Reply]) -> Mapping[str, Written]:
    newest: dict[_Place, _Reply] = {}
    for reply in replies:  # in the order of the calls
        newest[reply.action, reply.kind, reply.sample or 0] = reply
    calls: dict[str, set[int]] = defaultdict(set)
    texts: dict[str, int] = defaultdict(int)
    for reply in newest.values():
        calls[reply.action] |= {reply.call} if reply.call else set()
        texts[reply.action] += reply.texts
    return {action: Written(frozenset(calls[action]), count) for action, count in texts.items()}


def _replies(dataset: Dataset, kind: str) -> Any:
    """Return the query of the replies; of files and people, which no newer reply replaces, only texts in use."""
    columns = (GenerationRow.id, GenerationRow.sample, GenerationRow.llm_id, GenerationRow.template_id)
    places = (ActionRow.name, DescriptorRow.kind, DescriptorRow.origin)
    query = (
        select(*places, *columns, func.count(DescriptorRow.id))
        .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .outerjoin(GenerationRow, GenerationRow.id == DescriptorRow.generation_id)
        .where(DatasetRow.name == dataset.stored_as, ActionRow.label.is_not(None), ~DescriptorRow.withdrawn)
        .where(or_(DescriptorRow.generation_id.is_not(None), DescriptorRow.superseded_at.is_(None)))
        .group_by(*places, *columns)
        .order_by(GenerationRow.id)
    )
    return query.where(DescriptorRow.kind == kind) if kind else query


def out_of_use(session: Session, dataset: Dataset, kind: str, calls: Collection[int]) -> Sequence[Descriptor]:
    """Return the texts of some calls that newer replies have put out of use."""
    replaced = and_(DescriptorRow.superseded_at.is_not(None), ~DescriptorRow.withdrawn)
    query = queries.every_descriptor(dataset.stored_as).where(replaced)
    query = query.where(DescriptorRow.kind == kind) if kind else query
    parts = (query.where(DescriptorRow.generation_id.in_(chunk)) for chunk in queries.chunks(sorted(calls)))
    return [descriptor for part in parts for descriptor in queries.descriptors(session, part)]
