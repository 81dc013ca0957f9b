"""The tables. A change needs an Alembic revision in migrations/versions, and a new `HEAD`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, ForeignKey, Index, MetaData, String, Text, UniqueConstraint, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from db.records import DecisionKind, DescriptorSource, DescriptorStatus, GenerationStatus

HEAD = "0005"  # the newest revision in migrations/versions; a test compares them


def utc_now() -> datetime:
    """Return the current time in UTC, with its zone."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC; SQLite alone would lose the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse times without a zone, which would be stored as if they were UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a time without a zone: {value}")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored time with its zone."""
        return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value


class Base(DeclarativeBase):
    """Base of the tables. Constraints get names, so that migrations can change them on any database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {dict[str, Any]: JSON, list[Any]: JSON, datetime: UtcDateTime}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)


class DatasetRow(Base):
    """A vocabulary of actions. A subset of another one has no actions of its own, only their names in `classes`."""

    __tablename__ = "dataset"
    name: Mapped[str] = mapped_column(String(200), unique=True)
    origin: Mapped[str | None] = mapped_column(Text)  # the file or folder that it was read from
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("dataset.id"))
    classes: Mapped[list[Any] | None]  # in label order


class ActionRow(Base):
    """A class of a dataset; `label` is null once the dataset no longer lists it."""

    __tablename__ = "action"
    __table_args__ = (UniqueConstraint("dataset_id", "name"),)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.id"))
    label: Mapped[int | None]
    name: Mapped[str] = mapped_column(String(200))
    phrase: Mapped[str] = mapped_column(Text)


class TemplateRow(Base):
    """One version of a prompt template."""

    __tablename__ = "template"
    kind: Mapped[str] = mapped_column(String(100))
    version: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    source: Mapped[str] = mapped_column(Text)


class LLMRow(Base):
    """A model that wrote descriptors."""

    __tablename__ = "llm"
    __table_args__ = (UniqueConstraint("provider", "model", "revision"),)
    provider: Mapped[str] = mapped_column(String(300))
    model: Mapped[str] = mapped_column(String(300))
    revision: Mapped[str] = mapped_column(String(100))


class GenerationRow(Base):
    """One LLM call. A cache key has one row per attempt; its newest `ok` row is the cached reply."""

    __tablename__ = "generation"
    __table_args__ = (UniqueConstraint("cache_key", "attempt"),)
    cache_key: Mapped[str] = mapped_column(String(64))
    attempt: Mapped[int]
    action_id: Mapped[int] = mapped_column(ForeignKey("action.id"), index=True)
    template_id: Mapped[int] = mapped_column(ForeignKey("template.id"))
    llm_id: Mapped[int] = mapped_column(ForeignKey("llm.id"))
    sample: Mapped[int]
    parameters: Mapped[dict[str, Any]]
    environment: Mapped[dict[str, Any]]
    messages: Mapped[list[Any]]
    output_schema: Mapped[dict[str, Any]]
    reply: Mapped[str] = mapped_column(Text)
    finish_reason: Mapped[str] = mapped_column(String(50))
    status: Mapped[GenerationStatus] = mapped_column(String(20))
    error: Mapped[str | None] = mapped_column(Text)
    tokens_in: Mapped[int | None]
    tokens_out: Mapped[int | None]
    seconds: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class ClaimRow(Base):
    """An LLM call that a builder is making now; see `db.claims`."""

    __tablename__ = "claim"
    cache_key: Mapped[str] = mapped_column(String(64), unique=True)
    owner: Mapped[str] = mapped_column(String(300), index=True)
    expires_at: Mapped[datetime]


class DescriptorRow(Base):
    """One text. `superseded_at` is set when a newer generation or an edit replaces the text; the row stays.

    `withdrawn` marks texts that reviewers took out of use (the original of an edit, an undone edit or addition): they
    stay out of use when their generation is put back in use.
    """

    __tablename__ = "descriptor"
    __table_args__ = (Index("ix_descriptor_action_id_kind", "action_id", "kind"),)
    action_id: Mapped[int] = mapped_column(ForeignKey("action.id"))
    kind: Mapped[str] = mapped_column(String(100))
    position: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    source: Mapped[DescriptorSource] = mapped_column(String(20))
    origin: Mapped[str | None] = mapped_column(String(300))  # the file of an import
    generation_id: Mapped[int | None] = mapped_column(ForeignKey("generation.id"), index=True)
    status: Mapped[DescriptorStatus] = mapped_column(String(20), default="pending")
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    superseded_at: Mapped[datetime | None]
    edited_from_id: Mapped[int | None] = mapped_column(ForeignKey("descriptor.id"), index=True)
    withdrawn: Mapped[bool] = mapped_column(default=False, server_default=false())


class ReviewEventRow(Base):
    """The effect of one decision on one descriptor. Rows are added, never changed.

    Rows of one decision share `decision`; `undoes` is the decision that this one undid.
    """

    __tablename__ = "review_event"
    descriptor_id: Mapped[int] = mapped_column(ForeignKey("descriptor.id"), index=True)
    reviewer: Mapped[str] = mapped_column(String(200))
    what: Mapped[DecisionKind] = mapped_column(String(50))
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
    at: Mapped[datetime] = mapped_column(default=utc_now)
    decision: Mapped[int] = mapped_column(index=True)
    undoes: Mapped[int | None]


class CommentRow(Base):
    """What a reviewer says about a descriptor. Rows are added, never changed."""

    __tablename__ = "comment"
    descriptor_id: Mapped[int] = mapped_column(ForeignKey("descriptor.id"), index=True)
    text: Mapped[str] = mapped_column(Text)
    reviewer: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime] = mapped_column(default=utc_now)


class GuidelineRow(Base):
    """What reviewers of a dataset go by, as plain text. Rows are added, never changed; the newest one applies."""

    __tablename__ = "guideline"
    dataset_id: Mapped[int] = mapped_column(ForeignKey("dataset.id"), index=True)
    text: Mapped[str] = mapped_column(Text)
    reviewer: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime] = mapped_column(default=utc_now)


class BlindVerdictRow(Base):
    """A reviewer's own verdict on a version of a descriptor, which changes nothing. Rows are added, never changed."""

    __tablename__ = "blind_verdict"
    descriptor_id: Mapped[int] = mapped_column(ForeignKey("descriptor.id"), index=True)
    version: Mapped[int]
    verdict: Mapped[str] = mapped_column(String(20))
    reviewer: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime] = mapped_column(default=utc_now)


class RunRow(Base):
    """One evaluation. Name, note and tags are people's, and change nothing that was measured."""

    __tablename__ = "run"
    dataset: Mapped[str] = mapped_column(String(200))
    settings: Mapped[dict[str, Any]]
    descriptors_sha256: Mapped[str] = mapped_column(String(64))
    descriptor_ids: Mapped[list[Any]]
    counts: Mapped[dict[str, Any]]
    left_out: Mapped[list[Any]]
    results: Mapped[dict[str, Any]]
    seconds: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    name: Mapped[str | None] = mapped_column(String(200))
    note: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[list[Any] | None]


class PredictionRow(Base):
    """The ranking of one video in a run."""

    __tablename__ = "prediction"
    __table_args__ = (UniqueConstraint("run_id", "video"),)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    video: Mapped[str] = mapped_column(String(500))
    label: Mapped[int]
    ranking: Mapped[list[Any]]
    rank: Mapped[int]
    label_only_rank: Mapped[int]


class ImpactRow(Base):
    """Effect of leaving one descriptor out of a run."""

    __tablename__ = "impact"
    __table_args__ = (UniqueConstraint("run_id", "descriptor_id"),)
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    descriptor_id: Mapped[int] = mapped_column(ForeignKey("descriptor.id"), index=True)
    top1_change: Mapped[float]
    margin_change: Mapped[float]
