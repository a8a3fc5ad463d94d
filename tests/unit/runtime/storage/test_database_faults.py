"""The texts for operators when a database is unavailable."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import OperationalError

from runtime.storage.database import DatabaseUnavailable

IPV6 = 'connection to server at "db.example" (::1), port 5432 failed: Connection refused'
IPV4 = (
    'connection to server at "db.example" (127.0.0.1), port 5432 failed: server certificate for "127.0.0.1" '
    'does not match host name "db.example"'
)
HINT = "\tIs the server running on that host and accepting TCP/IP connections?"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("database or disk is full", "database or disk is full"),
        (f"{IPV6}\n{HINT}\n{IPV4}\n", f"{IPV6}; {IPV4}"),
        ('relation "x" does not exist\nLINE 1: SELECT', 'relation "x" does not exist'),
        ("", "The database is unavailable."),
    ],
)
def test_reason_is_one_line_with_every_address_that_was_tried(message: str, reason: str) -> None:
    error = DatabaseUnavailable("The database is unavailable.")
    error.__cause__ = OperationalError("SELECT secret", None, Exception(message))
    assert error.reason() == reason
