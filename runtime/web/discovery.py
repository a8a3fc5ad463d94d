"""`/.well-known/kopuro`: where every service of this hub is, the same on each of them."""

from __future__ import annotations

from pathlib import Path

import orjson

from contracts.errors import Unavailable
from runtime.web.response import Response

PATH = "/.well-known/kopuro"


def discovery(file: Path) -> Response:
    """The discovery document in `file`, read anew each time: whoever writes it may replace it.

    Raises Unavailable while there is none.
    """
    try:
        document = file.read_bytes()
        orjson.loads(document)
    except (OSError, ValueError):
        raise Unavailable("The discovery document has not been written yet.") from None
    return Response(200, document, {"Content-Type": "application/json"})
