"""`/.well-known/kopuro`: the addresses of the hub's services. Every service serves the same document."""

from __future__ import annotations

from pathlib import Path

import orjson

from contracts.errors import Unavailable
from runtime.web.response import Response

PATH = "/.well-known/kopuro"


def service_address(file: Path, service: str) -> str | None:
    """Return the public base URL of a service, without a trailing slash; None while it is not listed."""
    try:
        address = orjson.loads(file.read_bytes())["services"][service]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return address.rstrip("/") if isinstance(address, str) else None


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
