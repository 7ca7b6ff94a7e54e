"""Alembic's entry: runs on the connection that the store hands over."""

from alembic import context

from edge.store import web_schema

# times are read as plain DateTime here: a migration must not change when a Python class does
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=web_schema.sequences.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
