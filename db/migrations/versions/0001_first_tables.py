"""The tables of the first version."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
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
    op.create_table(
        "dataset",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset")),
        sa.UniqueConstraint("name", name=op.f("uq_dataset_name")),
    )
    op.create_table(
        "llm",
        sa.Column("provider", sa.String(length=300), nullable=False),
        sa.Column("model", sa.String(length=300), nullable=False),
        sa.Column("revision", sa.String(length=100), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_llm")),
        sa.UniqueConstraint("provider", "model", "revision", name=op.f("uq_llm_provider_model_revision")),
    )
    op.create_table(
        "run",
        sa.Column("dataset", sa.String(length=200), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("descriptors_sha256", sa.String(length=64), nullable=False),
        sa.Column("descriptor_ids", sa.JSON(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("left_out", sa.JSON(), nullable=False),
        sa.Column("results", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_table(
        "template",
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template")),
        sa.UniqueConstraint("sha256", name=op.f("uq_template_sha256")),
    )
    op.create_table(
        "action",
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("label", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("phrase", sa.Text(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["dataset.id"], name=op.f("fk_action_dataset_id_dataset")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_action")),
        sa.UniqueConstraint("dataset_id", "name", name=op.f("uq_action_dataset_id_name")),
    )
    op.create_table(
        "prediction",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("video", sa.String(length=500), nullable=False),
        sa.Column("label", sa.Integer(), nullable=False),
        sa.Column("ranking", sa.JSON(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("label_only_rank", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_prediction_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prediction")),
        sa.UniqueConstraint("run_id", "video", name=op.f("uq_prediction_run_id_video")),
    )
    op.create_table(
        "generation",
        sa.Column("cache_key", sa.String(length=64), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("action_id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("llm_id", sa.Integer(), nullable=False),
        sa.Column("sample", sa.Integer(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("environment", sa.JSON(), nullable=False),
        sa.Column("messages", sa.JSON(), nullable=False),
        sa.Column("output_schema", sa.JSON(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("finish_reason", sa.String(length=50), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("tokens_in", sa.Integer(), nullable=True),
        sa.Column("tokens_out", sa.Integer(), nullable=True),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["action_id"], ["action.id"], name=op.f("fk_generation_action_id_action")),
        sa.ForeignKeyConstraint(["llm_id"], ["llm.id"], name=op.f("fk_generation_llm_id_llm")),
        sa.ForeignKeyConstraint(["template_id"], ["template.id"], name=op.f("fk_generation_template_id_template")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generation")),
        sa.UniqueConstraint("cache_key", "attempt", name=op.f("uq_generation_cache_key_attempt")),
    )
    with op.batch_alter_table("generation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_generation_action_id"), ["action_id"], unique=False)

    op.create_table(
        "descriptor",
        sa.Column("action_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=20), nullable=False),
        sa.Column("origin", sa.String(length=300), nullable=True),
        sa.Column("generation_id", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["action_id"], ["action.id"], name=op.f("fk_descriptor_action_id_action")),
        sa.ForeignKeyConstraint(
            ["generation_id"], ["generation.id"], name=op.f("fk_descriptor_generation_id_generation")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_descriptor")),
    )
    with op.batch_alter_table("descriptor", schema=None) as batch_op:
        batch_op.create_index("ix_descriptor_action_id_kind", ["action_id", "kind"], unique=False)
        batch_op.create_index(batch_op.f("ix_descriptor_generation_id"), ["generation_id"], unique=False)

    op.create_table(
        "impact",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("descriptor_id", sa.Integer(), nullable=False),
        sa.Column("top1_change", sa.Double(), nullable=False),
        sa.Column("margin_change", sa.Double(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["descriptor_id"], ["descriptor.id"], name=op.f("fk_impact_descriptor_id_descriptor")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_impact_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_impact")),
        sa.UniqueConstraint("run_id", "descriptor_id", name=op.f("uq_impact_run_id_descriptor_id")),
    )
    with op.batch_alter_table("impact", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_impact_descriptor_id"), ["descriptor_id"], unique=False)

    op.create_table(
        "review_event",
        sa.Column("descriptor_id", sa.Integer(), nullable=False),
        sa.Column("reviewer", sa.String(length=200), nullable=False),
        sa.Column("what", sa.String(length=50), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["descriptor_id"], ["descriptor.id"], name=op.f("fk_review_event_descriptor_id_descriptor")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_event")),
    )
    with op.batch_alter_table("review_event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_review_event_descriptor_id"), ["descriptor_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_claim_owner"), table_name="claim")
    op.drop_table("claim")
    with op.batch_alter_table("review_event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_review_event_descriptor_id"))

    op.drop_table("review_event")
    with op.batch_alter_table("impact", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_impact_descriptor_id"))

    op.drop_table("impact")
    with op.batch_alter_table("descriptor", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_descriptor_generation_id"))
        batch_op.drop_index("ix_descriptor_action_id_kind")

    op.drop_table("descriptor")
    with op.batch_alter_table("generation", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_generation_action_id"))

    op.drop_table("generation")
    op.drop_table("prediction")
    op.drop_table("action")
    op.drop_table("template")
    op.drop_table("run")
    op.drop_table("llm")
    op.drop_table("dataset")
