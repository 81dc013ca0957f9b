"""What the tables of 0001 got while 0001 was still being written: databases of those days lack it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    inspector = sa.inspect(op.get_bind())
    if "origin" not in {column["name"] for column in inspector.get_columns("descriptor")}:
        op.add_column("descriptor", sa.Column("origin", sa.String(length=300), nullable=True))
    if not inspector.has_table("claim"):
        op.create_table(
            "claim",
            sa.Column("cache_key", sa.String(length=64), nullable=False),
            sa.Column("owner", sa.String(length=300), nullable=False),
            sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
            sa.Column("id", sa.Integer(), nullable=False),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_claim")),
            sa.UniqueConstraint("cache_key", name=op.f("uq_claim_cache_key")),
        )
        op.create_index(op.f("ix_claim_owner"), "claim", ["owner"], unique=False)


def downgrade() -> None:
    """Leave the tables as 0003 expects them, which is how 0004 leaves them too."""
