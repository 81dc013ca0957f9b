"""Alembic's entry: runs the revisions on the connection that the store hands over."""

from alembic import context

from db.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite cannot alter a constraint in place
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
