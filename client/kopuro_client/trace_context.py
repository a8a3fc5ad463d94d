"""W3C trace context: requests that continue the trace of a message from the mailbox.

Source: W3C Trace Context §3.2 (traceparent); CloudEvents, distributed tracing extension.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("kopuro_client_traceparent", default=None)


@contextmanager
def continuing_trace(message: Mapping[str, Any]) -> Iterator[None]:
    """Send the requests of the block in the trace of a message, so that the hub shows both as one journey.

    A message without a trace changes nothing: the hub then begins a trace for each request. A program with
    tracing of its own can name a span of its own: `continuing_trace({"traceparent": ...})`.
    """
    sent = message.get("traceparent")
    token = _current.set(sent if isinstance(sent, str) and _TRACEPARENT.fullmatch(sent) else None)
    try:
        yield
    finally:
        _current.reset(token)


def trace_headers() -> dict[str, str]:
    """Return the header of the current block's trace; none outside of a block."""
    current = _current.get()
    return {} if current is None else {"traceparent": current}
