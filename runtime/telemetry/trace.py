"""W3C trace context: links each piece of work to the request that caused it.

Source: W3C Trace Context, https://www.w3.org/TR/trace-context/ §3.2 (traceparent).
Each greenlet has its own context, so a `ContextVar` is local to the current request or batch.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache

from contracts.quick_init import quick_init

_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    r"(?P<rest>-.*)?"
)
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """A span of a trace. Its text form is the value of a `traceparent` header or extension."""

    trace_id: str  # 32 hexadecimal digits
    span_id: str  # 16 hexadecimal digits
    flags: int = 1

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    def child(self, span_id: str) -> Trace:
        """Return a child span in the same trace."""
        return Trace(trace_id=self.trace_id, span_id=span_id, flags=self.flags)


def parse(text: str | None) -> Trace | None:
    """Parse a traceparent; return None for a missing or invalid one, which W3C requires to be ignored."""
    return _parsed(text.strip()) if text else None


# The events of one batch of submissions have one traceparent.
@lru_cache(maxsize=256)
def _parsed(text: str) -> Trace | None:
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest):
        return None
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return Trace(trace_id=trace_id, span_id=span_id, flags=int(flags, 16) & 1)


def continued(text: str | None) -> Trace:
    """Return a new span of the trace in `text`, or of a new trace when there is none."""
    span_id = secrets.token_hex(8)
    parent = parse(text)
    if parent is None:
        return Trace(trace_id=secrets.token_hex(16), span_id=span_id)
    return parent.child(span_id)


def publishing(decided: Trace, source: str, message_id: str) -> Trace:
    """Return the span in which `source` publishes a message. decided: the message's traceparent.

    Its id is derived from the message's identity, so each attempt is the same span.
    """
    return decided.child(_span_id("publish", source, message_id))


def handling(decided: Trace, source: str, message_id: str, *, consumer: str = "") -> Trace:
    """Return the span in which the service `source` handles a message. decided: the message's traceparent.

    consumer: the name of a replica, which may take a message besides the service's consumer of events. Only
    the latter publishes because of a message, so `caused_by` needs no name.
    """
    return decided.child(_span_id("handle", source, message_id, consumer))


def deciding(known: Trace, source: str, message_id: str) -> Trace:
    """Return the span in which `source` decides without a message.

    known: the span that the decision continues. message_id: of the first fact that it publishes.
    """
    return known.child(_span_id("decide", source, message_id))


def caused_by(traceparent: str | None, source: str, message_id: str) -> str | None:
    """Return the traceparent of the events that `source` publishes because of a message, or None.

    traceparent: the message's. The parent of the events is the span in which `source` handles the message.
    """
    around = _around_span(traceparent.strip()) if traceparent else None
    # The same text as that of `handling`, but without making the spans in between: this runs for each event.
    return None if around is None else f"{around[0]}{_span_id('handle', source, message_id, '')}{around[1]}"


def is_in_trace(traceparent: str | None, known: Trace) -> bool:
    """Return whether a traceparent is one of the trace. False for a missing or invalid one."""
    around = _around_span(traceparent.strip()) if traceparent else None
    return around is not None and around[0] == f"00-{known.trace_id}-"


@lru_cache(maxsize=256)
def _around_span(text: str) -> tuple[str, str] | None:
    """Return what precedes and what follows the span's id in the text of a trace; None for an invalid one."""
    known = _parsed(text)
    return None if known is None else (f"00-{known.trace_id}-", f"-{known.flags:02x}")


def _span_id(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


_current: ContextVar[Trace | None] = ContextVar("kopuro_trace", default=None)
_correlation: ContextVar[str | None] = ContextVar("kopuro_correlation", default=None)
_caller: ContextVar[tuple[str, str] | None] = ContextVar("kopuro_caller", default=None)


def current() -> Trace | None:
    """Return the trace of this greenlet's current work."""
    return _current.get()


def correlation_id() -> str | None:
    """Return the correlation id of this greenlet's current work."""
    return _correlation.get()


def caller() -> tuple[str, str] | None:
    """Return the client id and the token id of the request that this greenlet serves, or None."""
    return _caller.get()


@contextmanager
def attached(
    trace: Trace, *, correlation: str | None = None, caller: tuple[str, str] | None = None
) -> Iterator[Trace]:
    """Run the block under `trace`: log lines and outgoing messages carry it.

    caller: the client id and the token id (`jti`) of a request; log lines carry them too.
    """
    trace_token = _current.set(trace)
    correlation_token = _correlation.set(correlation)
    caller_token = _caller.set(caller)
    try:
        yield trace
    finally:
        _caller.reset(caller_token)
        _correlation.reset(correlation_token)
        _current.reset(trace_token)
