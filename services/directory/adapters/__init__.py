"""The directory's ports on SQLAlchemy Core."""
