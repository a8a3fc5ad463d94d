"""Storage: SQLite and PostgreSQL transactions, group commit, migrations."""
