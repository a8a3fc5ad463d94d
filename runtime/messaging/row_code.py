"""The code of a row in a replica: proof that this service wrote the row, for a message that it had verified.

The code is an HMAC with a key that is not in the database. So an attacker who can only write to the database
cannot make a row that the service uses. The key follows from the service's signing key. A row with the code
of an earlier key is not used either; the owner sends the records again.

Source: RFC 2104.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final

import orjson

# The purpose of the key (`SigningKey.derived`).
ROW_CODES: Final = "kopuro replica row codes v1"


def row_code(secret: bytes, row: Mapping[str, Any]) -> bytes:
    """Return the HMAC-SHA256 of a row of a replica: all its columns but the code."""
    said = [row["type"], row["key"], row["revision"], row["change"], row["data"]]
    content = orjson.dumps(said, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
    return hmac.digest(secret, content, "sha256")


def has_code(secret: bytes, row: Mapping[str, Any]) -> bool:
    """Return whether the row has the code that this service's key makes of it.

    SQLite stores any value in any column. A row with a value that no code can cover does not have the code.
    """
    code = row["code"]
    if not isinstance(code, bytes | memoryview):
        return False
    try:
        expected = row_code(secret, row)
    except (TypeError, ValueError):
        return False
    return hmac.compare_digest(bytes(code), expected)
