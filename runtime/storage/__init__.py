"""Storage: transactions on SQLite and PostgreSQL, group commit, migrations."""
