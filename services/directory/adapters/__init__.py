"""The directory's adapters on SQLAlchemy Core."""
