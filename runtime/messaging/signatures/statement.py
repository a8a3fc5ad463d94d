"""Statements: what a service signs when it publishes.

A statement is the concatenation of the SHA-256 digests of event bodies, in order. One signature covers all
events of a statement, and every message with one of them carries the whole JWS in the header SIGNED. So the
proof of an event survives the splitting of batches, dead-lettering, replay and storage.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

STATEMENT_TYPE: Final = "kopuro-statement+jws"
# A statement of this many events is a header of 3 kB. At least `event_batch.MOST_EVENTS`.
MOST_EVENTS: Final = 64
DIGEST_BYTES: Final = 32
# Characters of a proof: 2,731 for the statement, 86 for the signature, the rest for the header.
LONGEST_PROOF: Final = 4_096


def digest(body: bytes) -> bytes:
    """Return the digest of an event's body."""
    return sha256(body).digest()


def digests_in(statement: bytes) -> frozenset[bytes]:
    """Return the digests in a statement. Raises ValueError for bytes that are not a statement."""
    if len(statement) % DIGEST_BYTES or not 0 < len(statement) <= MOST_EVENTS * DIGEST_BYTES:
        raise ValueError("not a statement")
    return frozenset(statement[n : n + DIGEST_BYTES] for n in range(0, len(statement), DIGEST_BYTES))
