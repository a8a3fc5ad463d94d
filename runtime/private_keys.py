"""Files with private keys: one JWK, or a JWK set (RFC 7517 §5) with the present key first.

The keys after the first are earlier ones that a rotation keeps for a while (`kopuro admin rotate`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson


def private_keys(file: Path) -> tuple[dict[str, Any], ...]:
    """Return the JWKs in the file, the present one first; at least one.

    Raises OSError, and ValueError for other content. Neither quotes the file.
    """
    try:
        document = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError:
        raise ValueError("the key file is not JSON") from None
    keys = document.get("keys", [document]) if isinstance(document, dict) else None
    if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) for key in keys):
        raise ValueError("the key file holds neither a JWK nor a JWK set")
    return tuple(keys)


class WatchedKeys:
    """The keys of a file, which are read again when the file has changed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read: tuple[int, int, int] | None = None

    def changed(self) -> tuple[dict[str, Any], ...] | None:
        """Return the keys, or None if the file is the one of the last call. Raises as `private_keys`."""
        found = self._file.stat()
        version = (found.st_mtime_ns, found.st_size, found.st_ino)
        if version == self._read:
            return None
        keys = private_keys(self._file)
        self._read = version
        return keys
