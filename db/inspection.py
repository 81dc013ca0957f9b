"""What a database holds, found out without creating, migrating or changing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from sqlalchemy import Connection, func, select

from db.engine import connect_reading, display, parse_url, sqlite_path
from db.records import DescriptorStatus
from db.schema import HEAD, DatasetRow, DescriptorRow, GenerationRow, RunRow

_ROWS = {"datasets": DatasetRow, "calls to LLMs": GenerationRow, "runs": RunRow}


@dataclass(frozen=True)
class DatabaseFacts:
    """One database.

    Attributes:
        place: the path of a SQLite file, else the URL without its password.
        revision: of its tables; None if it has none yet.
        counts: numbers of datasets, LLM calls and runs, and of descriptors in use by review status; empty if `revision`
            is not the newest.
    """

    place: str
    revision: str | None
    counts: Mapping[str, int]

    @property
    def is_newest(self) -> bool:
        """Whether its tables are those of this version."""
        return self.revision == HEAD


def inspect_database(url: str) -> DatabaseFacts | None:
    """Return the facts about a database; None if it is a SQLite file that does not exist.

    Raises:
        UsageError: the URL is invalid.
        UserError: the database cannot be reached, belongs to another program, or is newer than this program.
    """
    path = sqlite_path(url)
    if path and not path.exists():
        return None
    with connect_reading(url) as (connection, revision):
        counts = _counts(connection) if revision == HEAD else {}
    return DatabaseFacts(display(parse_url(url)), revision, counts)


def _counts(connection: Connection) -> dict[str, int]:
    in_use = DescriptorRow.superseded_at.is_(None)
    by_status = select(DescriptorRow.status, func.count()).where(in_use).group_by(DescriptorRow.status)
    descriptors = {row[0]: row[1] for row in connection.execute(by_status)}
    return {
        **{
            title: connection.execute(select(func.count()).select_from(row)).scalar_one()
            for title, row in _ROWS.items()
        },
        **{f"{status} descriptors": descriptors.get(status, 0) for status in get_args(DescriptorStatus)},
    }
