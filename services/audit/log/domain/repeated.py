"""Whether an event that arrives again is the event that was logged. Pure."""

from __future__ import annotations

from contracts.canonical import NotCanonical, canonical_json
from contracts.envelope import Envelope
from services.audit.log.domain.entry import EntryError, entry_of_message, utc_text
from services.audit.log.domain.leaf import fields_of
from services.audit.log.domain.opening import is_opened_by


def is_entry_of(message: Envelope, *, leaf: bytes, head: bytes | None, salt: bytes | None) -> bool:
    """Return whether the event makes this entry.

    head: as in `leaf.fields_of`. salt: of the commitment to the data; None once the content is erased.
    Then the data cannot be compared, and everything else must agree.
    """
    try:
        said = fields_of(leaf, head)
        entry = entry_of_message(message)
        content = canonical_json(message.data).decode()
    except (EntryError, NotCanonical, ValueError, KeyError):
        return False
    expected = {
        "actor": entry.actor,
        "hub": entry.hub,
        "message_id": entry.message_id,
        "organization": entry.organization,
        "referral_id": entry.referral_id,
        "time": utc_text(entry.time),
        "type": entry.type,
    }
    agrees = all(said[name] == value for name, value in expected.items())
    return agrees and (salt is None or is_opened_by(leaf, salt, content))
