"""Runs with a name, a note and tags; comments on texts, guidelines of a dataset, and verdicts given blind."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    with op.batch_alter_table("run") as table:
        table.add_column(sa.Column("name", sa.String(200), nullable=True))
        table.add_column(sa.Column("note", sa.Text(), nullable=True))
        table.add_column(sa.Column("tags", sa.JSON(), nullable=True))
    _create("comment", "descriptor", sa.Column("text", sa.Text(), nullable=False))
    _create("guideline", "dataset", sa.Column("text", sa.Text(), nullable=False))
    of_version = sa.Column("version", sa.Integer(), nullable=False)
    _create("blind_verdict", "descriptor", of_version, sa.Column("verdict", sa.String(20), nullable=False))


def _create(name: str, about: str, *columns: sa.Column[Any]) -> None:
    """Create a table of what reviewers said about the rows of another table."""
    op.create_table(
        name,
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column(f"{about}_id", sa.Integer(), nullable=False),
        *columns,
        sa.Column("reviewer", sa.String(200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint([f"{about}_id"], [f"{about}.id"], name=op.f(f"fk_{name}_{about}_id_{about}")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
    )
    op.create_index(op.f(f"ix_{name}_{about}_id"), name, [f"{about}_id"], unique=False)


def downgrade() -> None:
    for name in ("guideline", "blind_verdict", "comment"):
        op.drop_table(name)
    with op.batch_alter_table("run") as table:
        for name in ("tags", "note", "name"):
            table.drop_column(name)
