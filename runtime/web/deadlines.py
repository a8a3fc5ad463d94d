"""Deadlines of a connection's phases, in seconds, and the lowest transfer rate.

Each is for a whole phase, not for one read: a peer that sends a byte now and then gains nothing by it.
"""

from __future__ import annotations

from typing import Final

HEAD_SECONDS: Final = 30.0  # a head: from its first byte, or from the connection's start, to its end
KEEPALIVE_SECONDS: Final = 75.0  # idle between two requests
BODY_SECONDS: Final = 30.0  # a body's first segment; further time must be earned at LOWEST_RATE
DISCARD_SECONDS: Final = 5.0  # the rest of a body that the response did not need
RESPONSE_SECONDS: Final = 30.0  # a response's first bytes; further time is granted at LOWEST_RATE
SOCKET_SECONDS: Final = 30.0  # one read or write; a long poll waits in its handler, not here
LINGER_SECONDS: Final = 1.0  # reading after the last response, so that it is not lost to a reset
LOWEST_RATE: Final = 16 * 1024  # bytes per second
