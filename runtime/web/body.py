"""Reading of request bodies, with a size limit and a timeout."""

from __future__ import annotations

from typing import Any, Final

import eventlet

from contracts.errors import Refused
from runtime.web.chunks import BadChunk

DEFAULT_LIMIT: Final = 1024 * 1024
READ_SECONDS: Final = 30.0
_PIECE: Final = 64 * 1024


def read_body(environ: dict[str, Any], limit: int) -> bytes:
    """Read a body with Content-Length or a chunked one (RFC 9112 §6, §7). `read_head` has checked the head.

    Raises Refused: `unsupported-content-encoding` for a compressed body; `body-too-large` as soon as the
    size is known, which is before the first byte when it is announced; `malformed-request` when the body
    does not match its framing, with status 408 when it takes longer than READ_SECONDS. After any of these,
    the connection must be closed unless the announced rest is read first.
    """
    coding = environ.get("HTTP_CONTENT_ENCODING", "identity")
    if coding.lower() != "identity":
        raise Refused("unsupported-content-encoding", "Send the body without a content coding.")
    chunked = is_chunked(environ)
    length = 0 if chunked else int(environ["CONTENT_LENGTH"])
    if length > limit:
        raise _too_large(limit)
    if not chunked and length == 0:
        return b""
    try:
        with eventlet.Timeout(READ_SECONDS, exception=False):
            stream = environ["wsgi.input"]
            return _read_chunks(stream, limit) if chunked else _read_exactly(stream, length)
    except BadChunk:
        raise Refused("malformed-request", "The chunked body is malformed.") from None
    except OSError:
        raise Refused("malformed-request", "The body ended before it was complete.") from None
    raise Refused("malformed-request", f"The body did not arrive within {READ_SECONDS:.0f} s.", status=408)


def is_chunked(environ: dict[str, Any]) -> bool:
    """Return whether the body is chunked: its length is not announced."""
    return not environ["CONTENT_LENGTH"]


def announces_more_than(environ: dict[str, Any], size: int) -> bool:
    """Return whether the body has more than `size` bytes or an unknown length."""
    return is_chunked(environ) or int(environ["CONTENT_LENGTH"]) > size


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


def _too_large(limit: int) -> Refused:
    return Refused("body-too-large", f"The body must not exceed {limit} bytes.")
