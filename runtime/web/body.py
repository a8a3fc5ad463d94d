"""Reading of request bodies, with a size limit and a timeout."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import eventlet

from contracts.errors import Refused
from runtime.turn import Turn
from runtime.web import deadlines
from runtime.web.arriving_lines import LARGEST_PIECE
from runtime.web.chunks import BadChunk

DEFAULT_LIMIT: Final = 1024 * 1024
_SEGMENT: Final = LARGEST_PIECE


def _count_nothing() -> None:
    """Count no segment: a body of a public resource."""


def take_any(_piece: bytes) -> None:
    """Check nothing: a body of any shape."""


def read_body(
    environ: dict[str, Any],
    limit: int,
    count: Callable[[], object] = _count_nothing,
    check: Callable[[bytes], object] = take_any,
) -> bytes:
    """Read a body with Content-Length or a chunked one (RFC 9112 §6, §7). `read_head` has checked the head.

    count: called before each further segment of 64 KiB is read, but not before the first.
    check: called with each piece as it arrives, at most 64 KiB; it raises Refused to end the reading. The
    rest counts as if it had been read (up to `limit` if its length is unknown): a refusal is not cheaper.
    Raises Refused: `unsupported-content-encoding` for a compressed body; `body-too-large` as soon as the
    size is known, which is before the first byte when it is announced; `malformed-request` when the body
    does not match its framing, with status 408 when it arrives too slowly: the first 64 KiB within
    BODY_SECONDS, the rest at LOWEST_RATE. After any of these, the connection must be closed unless the
    announced rest is read first.
    """
    coding = environ.get("HTTP_CONTENT_ENCODING", "identity")
    if coding.lower() != "identity":
        raise Refused(
            "unsupported-content-encoding", "The body has a `Content-Encoding`: send it without one."
        )
    chunked = is_chunked(environ)
    length = 0 if chunked else int(environ["CONTENT_LENGTH"])
    if length > limit:
        raise _too_large(limit)
    if not chunked and length == 0:
        return b""
    try:
        if chunked:
            return _read_chunks(environ["wsgi.input"], limit, count, check)
        return _read_exactly(environ["wsgi.input"], length, count, check)
    except BadChunk as fault:
        raise Refused("malformed-request", f"The chunked body is malformed: {fault}.") from None
    except OSError:
        raise Refused("malformed-request", "The body ended before it was complete.") from None


def is_chunked(environ: dict[str, Any]) -> bool:
    """Return whether the body is chunked: its length is not announced."""
    return not environ["CONTENT_LENGTH"]


def announces_more_than(environ: dict[str, Any], size: int) -> bool:
    """Return whether the body has more than `size` bytes or an unknown length."""
    return is_chunked(environ) or int(environ["CONTENT_LENGTH"]) > size


def _read_exactly(
    stream: Any, length: int, count: Callable[[], object], check: Callable[[bytes], object]
) -> bytes:
    started = time.monotonic()
    body = io.BytesIO()  # one buffer, of which `getvalue` makes no copy
    received = 0
    turn = Turn()
    while received < length:
        if received:
            count()
            turn.end_if_over()  # bytes that have arrived already are read without a wait
        with _deadline(started, received):
            segment: bytes = stream.read(min(_SEGMENT, length - received))
        if not segment:
            raise ConnectionError
        received += body.write(segment)
        _check(segment, length - received, count, check)
    return body.getvalue()


def _read_chunks(
    stream: Any, limit: int, count: Callable[[], object], check: Callable[[bytes], object]
) -> bytes:
    started = time.monotonic()
    body = io.BytesIO()
    received = counted = 0
    turn = Turn()
    while True:
        if received:
            count()
            turn.end_if_over()
        # A new deadline for each segment, not for each chunk: a chunk can be as short as one byte.
        with _deadline(started, counted := received):
            while received - counted < _SEGMENT:
                piece = stream.read(min(_SEGMENT, limit + 1 - received))
                if not piece:
                    return body.getvalue()
                received += body.write(piece)
                if received > limit:
                    raise _too_large(limit)
                _check(piece, limit - received, count, check)


def _check(piece: bytes, left: int, count: Callable[[], object], check: Callable[[bytes], object]) -> None:
    """Check a piece; if the body is refused, count the segments of the bytes that are left unread."""
    try:
        check(piece)
    except Refused:
        for _ in range(-(-left // _SEGMENT)):
            count()
        raise


@contextmanager
def _deadline(started: float, received: int) -> Iterator[None]:
    """Bound the reading of the next segment. Each received byte earns the time it takes at LOWEST_RATE."""
    earned = deadlines.BODY_SECONDS + received / deadlines.LOWEST_RATE
    timeout = eventlet.Timeout(max(0.001, started + earned - time.monotonic()))
    try:
        yield
    except (eventlet.Timeout, TimeoutError) as fault:
        if isinstance(fault, eventlet.Timeout) and fault is not timeout:
            raise
        raise Refused(
            "malformed-request",
            f"The body arrived too slowly: the first {_SEGMENT} bytes must arrive within"
            f" {deadlines.BODY_SECONDS:.0f} s, the rest at {deadlines.LOWEST_RATE} bytes per second.",
            status=408,
        ) from None
    finally:
        timeout.cancel()


def _too_large(limit: int) -> Refused:
    return Refused("body-too-large", f"The body must not exceed {limit} bytes.")
