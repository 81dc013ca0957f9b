"""Datasets of one's own: where their classes were read from, and subsets of another dataset."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.batch_alter_table("dataset") as table:
        table.add_column(sa.Column("origin", sa.Text(), nullable=True))
        table.add_column(sa.Column("parent_id", sa.Integer(), nullable=True))
        table.add_column(sa.Column("classes", sa.JSON(), nullable=True))
        table.create_foreign_key(op.f("fk_dataset_parent_id_dataset"), "dataset", ["parent_id"], ["id"])


def downgrade() -> None:
    with op.batch_alter_table("dataset") as table:
        table.drop_constraint(op.f("fk_dataset_parent_id_dataset"), type_="foreignkey")
        table.drop_column("classes")
        table.drop_column("parent_id")
        table.drop_column("origin")
