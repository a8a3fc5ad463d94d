"""`/.well-known/kopuro`: the addresses of the hub's services. Every service serves the same document."""

from __future__ import annotations

from pathlib import Path

import orjson

from contracts.errors import Unavailable
from runtime.web.response import Response

PATH = "/.well-known/kopuro"


def names_sandbox(file: Path) -> bool:
    """Return whether the discovery document in `file` says that the hub is a sandbox."""
    try:
        document = orjson.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and document.get("sandbox") is True


def discovery(file: Path) -> Response:
    """Return the discovery document in `file`. Reads it each time, because it may be replaced.

    Raises Unavailable while the file is missing or not JSON.
    """
    try:
        document = file.read_bytes()
        orjson.loads(document)
    except (OSError, ValueError):
        raise Unavailable("The discovery document has not been written yet.") from None
    return Response(200, document, {"Content-Type": "application/json"})
