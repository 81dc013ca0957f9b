"""Human review: what a text was edited from, what reviewers withdrew, and which events are one decision."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("descriptor") as table:
        table.add_column(sa.Column("edited_from_id", sa.Integer(), nullable=True))
        table.add_column(sa.Column("withdrawn", sa.Boolean(), server_default=sa.false(), nullable=False))
        table.create_foreign_key(
            op.f("fk_descriptor_edited_from_id_descriptor"), "descriptor", ["edited_from_id"], ["id"]
        )
        table.create_index(op.f("ix_descriptor_edited_from_id"), ["edited_from_id"], unique=False)
    with op.batch_alter_table("review_event") as table:
        table.add_column(sa.Column("decision", sa.Integer(), nullable=True))
        table.add_column(sa.Column("undoes", sa.Integer(), nullable=True))
    op.execute("UPDATE review_event SET decision = id")  # until now, each event was one decision
    with op.batch_alter_table("review_event") as table:
        table.alter_column("decision", existing_type=sa.Integer(), nullable=False)
        table.create_index(op.f("ix_review_event_decision"), ["decision"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("review_event") as table:
        table.drop_index(op.f("ix_review_event_decision"))
        table.drop_column("undoes")
        table.drop_column("decision")
    with op.batch_alter_table("descriptor") as table:
        table.drop_index(op.f("ix_descriptor_edited_from_id"))
        table.drop_constraint(op.f("fk_descriptor_edited_from_id_descriptor"), type_="foreignkey")
        table.drop_column("withdrawn")
        table.drop_column("edited_from_id")
