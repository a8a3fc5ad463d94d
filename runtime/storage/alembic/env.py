"""Alembic's entry: one environment for all services; each brings its metadata and its versions."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=context.config.attributes["metadata"],
    # SQLite cannot alter most things in place: tables are copied instead.
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    # our own column types are written as columns.Instant(), with the import in the template
    user_module_prefix="columns.",
)
with context.begin_transaction():
    context.run_migrations()
