"""Reads a request's body, at most so much of it, for at most so long."""

from __future__ import annotations

from typing import Any, Final

import eventlet
from eventlet.wsgi import ChunkReadError

from contracts.errors import Refused

DEFAULT_LIMIT: Final = 1024 * 1024
READ_SECONDS: Final = 30.0
_PIECE: Final = 64 * 1024


def read_body(environ: dict[str, Any], limit: int) -> bytes:
    """The body, with Content-Length or chunked (RFC 9112 §6, §7).

    Raises Refused: `body-too-large` as soon as that is known, which for an announced length is
    before the first byte is read; `malformed-json` when the body is not sent as announced, 408 when it
    does not come within READ_SECONDS. After any of these the connection cannot be used again.
    """
    announced: str = environ.get("CONTENT_LENGTH") or "0"
    chunked = _is_chunked(environ)
    if not chunked and announced == "0":
        return b""
    if not chunked and not _is_length(announced):
        raise Refused("malformed-json", "The Content-Length is not a number.")
    if not chunked and int(announced) > limit:
        raise _too_large(limit)
    try:
        with eventlet.Timeout(READ_SECONDS, exception=False):
            stream = environ["wsgi.input"]
            return _read_chunks(stream, limit) if chunked else _read_exactly(stream, int(announced))
    except (ChunkReadError, OSError):
        raise Refused("malformed-json", "The body ended before it was complete.") from None
    raise Refused("malformed-json", f"The body did not come within {READ_SECONDS:.0f} s.", status=408)


def announces_more_than(environ: dict[str, Any], size: int) -> bool:
    """Whether a body of more than `size` bytes, or of unknown length, may still be on its way."""
    announced = environ.get("CONTENT_LENGTH") or "0"
    return "HTTP_TRANSFER_ENCODING" in environ or not _is_length(announced) or int(announced) > size


def _read_exactly(stream: Any, length: int) -> bytes:
    body: bytes = stream.read(length)
    if len(body) < length:
        raise ConnectionError
    return body


def _read_chunks(stream: Any, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := stream.read(min(_PIECE, limit + 1 - size)):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
    return b"".join(pieces)


def _is_chunked(environ: dict[str, Any]) -> bool:
    coding = environ.get("HTTP_TRANSFER_ENCODING")
    if coding is None:
        return False
    # eventlet would take any other coding for "no body" and read the body as the next request.
    if coding.lower() != "chunked":
        raise Refused("malformed-json", "The only transfer coding understood here is chunked.")
    return True


def _is_length(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def _too_large(limit: int) -> Refused:
    return Refused("body-too-large", f"The body may have {limit} bytes at most.")
