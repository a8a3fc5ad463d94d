"""The tile resource. It behaves like a static web server: immutable, cacheable, with range requests.

Source: https://c2sp.org/tlog-tiles; RFC 9110 §13 (conditional requests) and §14 (ranges).
"""

from __future__ import annotations

import gzip
import re
from hashlib import sha256
from typing import Final

from contracts.errors import Refused
from runtime.web.request import Request
from runtime.web.response import Response
from services.audit.log.domain.tiles import ENTRIES, Tile
from services.audit.log.handlers.published_log import PublishedLog

# A tile's content never changes, so caches may keep it for the longest time that RFC 9111 allows.
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_OCTETS: Final = "application/octet-stream"
_RANGE: Final = re.compile(r"bytes=(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})")


def tile(published: PublishedLog, request: Request) -> Response:
    """Return a tile or an entry bundle, whole or in part. Raises Refused `not-found`."""
    named = Tile.parse("tile/" + request.path_params["path"])
    content = None if named is None else published.file(named)
    if named is None or content is None:
        raise Refused("not-found", "The published log has no such tile.")
    headers = {"Content-Type": _OCTETS, "Cache-Control": _IMMUTABLE, "Accept-Ranges": "bytes"}
    wanted = request.headers.get("range", "")
    if named.level == ENTRIES:
        headers["Vary"] = "Accept-Encoding"
        if not wanted and _accepts_gzip(request.headers.get("accept-encoding", "")):
            content = gzip.compress(content, compresslevel=1, mtime=0)
            headers["Content-Encoding"] = "gzip"
    # Computed over the bytes sent: RFC 9110 §8.8.3.3 requires another tag for the compressed form.
    headers["ETag"] = f'"{sha256(content).hexdigest()[:32]}"'
    if _is_known(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(304, b"", headers)
    if wanted and request.headers.get("if-range", headers["ETag"]) == headers["ETag"]:
        return _part(content, wanted, headers)
    return Response(200, content, headers)


def _part(content: bytes, wanted: str, headers: dict[str, str]) -> Response:
    match = _RANGE.fullmatch(wanted)
    # Several ranges, or another unit: RFC 9110 allows a full response.
    if match is None or not (match["first"] or match["last"]):
        return Response(200, content, headers)
    length = len(content)
    if match["first"]:
        first = int(match["first"])
        last = min(int(match["last"] or length), length - 1)
        if match["last"] and int(match["last"]) < first:
            return Response(200, content, headers)
    else:
        first, last = max(0, length - int(match["last"])), length - 1
    if first >= length:
        return Response(416, b"", {**headers, "Content-Range": f"bytes */{length}"})
    part = {**headers, "Content-Range": f"bytes {first}-{last}/{length}"}
    return Response(206, content[first : last + 1], part)


def _is_known(header: str, tag: str) -> bool:
    tags = [one.strip().removeprefix("W/") for one in header.split(",")]
    return "*" in tags or tag in tags


def _accepts_gzip(header: str) -> bool:
    for coding in header.split(","):
        name, _, weight = coding.partition(";")
        if name.strip().lower() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
