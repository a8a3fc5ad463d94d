"""The Alembic environment of all services; each service supplies its metadata and versions."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=context.config.attributes["metadata"],
    # SQLite cannot alter most things in place, so tables are copied.
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    # our own column types are rendered as columns.Instant(); the template imports them
    user_module_prefix="columns.",
)
with context.begin_transaction():
    context.run_migrations()
