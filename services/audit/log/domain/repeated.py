"""Whether an event that arrives again is the event that was logged. Pure."""

from __future__ import annotations

import orjson

from contracts.canonical import NotCanonical, canonical_json
from contracts.commitment import commitment_to
from contracts.envelope import Envelope
from services.audit.log.domain.entry import EntryError, entry_of, leaf_bytes


def is_entry_of(message: Envelope, *, leaf: bytes, salt: bytes | None) -> bool:
    """Return whether the event makes this leaf.

    salt: of the commitment to the event's data; None once the content is erased. Then the data cannot be
    compared, and everything else must agree.
    """
    try:
        if salt is None:
            committed = orjson.loads(leaf)["commitment"]
        else:
            committed = commitment_to(canonical_json(message.data), salt)
        entry = entry_of(
            message_id=message.id,
            type=message.type,
            time=message.time,
            source=message.source,
            partition_key=message.partition_key,
            data=message.data,
            committed=committed,
        )
        return leaf_bytes(entry) == leaf
    except (EntryError, NotCanonical):
        return False
