"""Comments on texts, and the guidelines of a dataset. Both are added and read, never changed.

comments = store.comments()
comments.add(12, "two actions in one sentence", reviewer="anna")
comments.of_dataset(dataset)  # by the id of each text in use
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db import queries, review_decisions
from db.engine import Transactions
from db.errors import UsageError, UserError
from db.records import Comment, Dataset, Guidelines
from db.reviews import reviewer_name
from db.schema import ActionRow, CommentRow, DatasetRow, DescriptorRow, GuidelineRow
from db.storable import NOT_STORABLE
from db.texts import clean

LONGEST_COMMENT = 2000  # characters
LONGEST_GUIDELINES = 20_000


class OutdatedError(UserError):
    """Somebody else has changed the guidelines since the reviewer read them."""


class Comments(Transactions):
    """Comments and guidelines.

    A comment belongs to a text and to all of its edits: it stays beside the text through edits and their undo.
    """

    def add(self, descriptor: int, text: str, *, reviewer: str, in_use: bool = True) -> Comment:
        """Add a comment to a descriptor; return it as stored.

        Args:
            descriptor: its id.
            text: what is said.
            reviewer: who says it.
            in_use: whether the descriptor has to be in use itself; else an edit may be in its place.

        Raises:
            UsageError: no such descriptor is in use, or the text or the name of the reviewer is empty or too long.
        """
        words, name = _checked(text, "comment", LONGEST_COMMENT), reviewer_name(reviewer)
        with self._write() as session:
            [row] = review_decisions.rows_by_id(session, [descriptor])
            if in_use and row.superseded_at is not None:
                raise UsageError(f"Out of use: {descriptor}. To see why: descgen history {descriptor}")
            session.add(added := CommentRow(descriptor_id=row.id, text=words, reviewer=name))
            session.flush()
            return _comment(added)

    def of_dataset(self, dataset: Dataset, *, reviewer: str | None = None) -> Mapping[int, Sequence[Comment]]:
        """Return, by the id of a text and of each of its edits, the comments on them, oldest first.

        Args:
            dataset: its texts, in use or not.
            reviewer: only comments of this reviewer; None: of all.
        """
        query = _by(_commented(dataset), reviewer)
        names = {action.name for action in dataset.actions}
        with self._read() as session:
            rows = [_comment(row) for row, action in session.execute(query) if action in names]
            return _by_text(rows, _first_texts(session, dataset)) if rows else {}

    def of(self, descriptor: int, *, reviewer: str | None = None) -> Sequence[Comment]:
        """Return the comments on a text, in use or not, on the texts it was edited from and on its edits.

        Args:
            descriptor: id of the text.
            reviewer: only comments of this reviewer; None: of all.

        Raises:
            UsageError: the descriptor does not exist.
        """
        with self._read() as session:
            [row] = review_decisions.rows_by_id(session, [descriptor])
            name = session.scalars(select(DatasetRow.name).join(ActionRow).where(ActionRow.id == row.action_id)).one()
            query = select(CommentRow).join(DescriptorRow, DescriptorRow.id == CommentRow.descriptor_id)
            of_class = _by(query.where(DescriptorRow.action_id == row.action_id).order_by(CommentRow.id), reviewer)
            rows = [_comment(comment) for comment in session.scalars(of_class)]
            return _by_text(rows, _first_texts(session, name)).get(descriptor, ())

    def guidelines(self, dataset: Dataset) -> Guidelines | None:
        """Return the guidelines that apply; None if there are none."""
        with self._read() as session:
            row = _newest(session, dataset)
            return queries.to_record(Guidelines, row) if row and row.text else None

    def set_guidelines(
        self, dataset: Dataset, text: str, *, reviewer: str, replaces: int | None = None
    ) -> Guidelines | None:
        """Set the guidelines of a dataset; an empty text takes them away. The earlier ones stay in the database.

        Args:
            dataset: is stored first if necessary.
            text: what applies from now on.
            reviewer: who says so.
            replaces: id of the guidelines that the reviewer read, 0 if there were none; None: whatever applies.

        Raises:
            UsageError: the text is too long, or the reviewer has no name.
            OutdatedError: others apply than those that the reviewer read; nothing was changed.
        """
        words = _checked(text, "guideline", LONGEST_GUIDELINES) if text.strip() else ""
        name = reviewer_name(reviewer)
        with self._write() as session:
            now = _newest(session, dataset)
            if replaces is not None and replaces != (now.id if now and now.text else 0):
                raise OutdatedError(_changed(dataset, now))
            of_name = select(DatasetRow.id).where(DatasetRow.name == dataset.stored_as)
            if session.scalar(of_name) is None:
                queries.register(session, dataset)
            dataset_id = session.scalars(of_name).one()
            session.add(row := GuidelineRow(dataset_id=dataset_id, text=words, reviewer=name))
            session.flush()
            return queries.to_record(Guidelines, row) if words else None


def _changed(dataset: Dataset, now: GuidelineRow | None) -> str:
    by = f"{now.reviewer} changed" if now else "Somebody changed"
    return f"{by} the guidelines of {dataset.name} after you read them. Read them again; nothing was changed"


def _newest(session: Session, dataset: Dataset) -> GuidelineRow | None:
    query = select(GuidelineRow).join(DatasetRow, DatasetRow.id == GuidelineRow.dataset_id)
    query = query.where(DatasetRow.name == dataset.stored_as).order_by(GuidelineRow.id.desc()).limit(1)
    return session.scalar(query)


def _comment(row: CommentRow) -> Comment:
    return queries.to_record(Comment, row, descriptor=row.descriptor_id)


def _commented(dataset: Dataset) -> Any:
    """Return the query of (comment, name of the action), oldest first."""
    return (
        select(CommentRow, ActionRow.name)
        .join(DescriptorRow, DescriptorRow.id == CommentRow.descriptor_id)
        .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .where(DatasetRow.name == dataset.stored_as)
        .order_by(CommentRow.id)
    )


def _by(query: Any, reviewer: str | None) -> Any:
    return query if reviewer is None else query.where(CommentRow.reviewer == reviewer_name(reviewer))


def _first_texts(session: Session, dataset: Dataset | str) -> Mapping[int, int]:
    """Return edit -> the text that was edited first."""
    name = dataset if isinstance(dataset, str) else dataset.stored_as
    query: Any = (
        select(DescriptorRow.id, DescriptorRow.edited_from_id)
        .join(ActionRow, ActionRow.id == DescriptorRow.action_id)
        .join(DatasetRow, DatasetRow.id == ActionRow.dataset_id)
        .where(DatasetRow.name == name, DescriptorRow.edited_from_id.is_not(None))
        .order_by(DescriptorRow.id)  # an edit comes after the text that it replaces
    )
    first: dict[int, int] = {}
    for edit, before in session.execute(query):
        first[edit] = first.get(before, before)
    return first


def _by_text(comments: Iterable[Comment], first: Mapping[int, int]) -> Mapping[int, Sequence[Comment]]:
    """Return the comments by text and edit; `first` is edit -> the text that was edited first."""
    by_first: dict[int, list[Comment]] = defaultdict(list)
    for comment in comments:
        by_first[first.get(comment.descriptor, comment.descriptor)].append(comment)
    return {**by_first, **{edit: by_first[text] for edit, text in first.items() if text in by_first}}


def _checked(text: str, subject: str, longest: int) -> str:
    """Return a text of several lines without what terminals obey.

    Raises:
        UsageError: it is empty or too long, or has characters that databases refuse.
    """
    if bad := NOT_STORABLE.search(text):
        raise UsageError(f"A {subject} cannot hold the character {bad.group()!r}")
    words = "\n".join(line.rstrip() for line in clean(text).splitlines()).strip()
    if not words:
        raise UsageError(f"The {subject} is empty. Type what it says")
    if len(words) > longest:
        raise UsageError(f"A {subject} has at most {longest} characters; this one has {len(words)}")
    return words
