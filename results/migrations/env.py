"""Run by Alembic: migrate the database of the connection that `results.connection` hands over."""

from alembic import context

from results.connection import VERSION_TABLE
from results.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
