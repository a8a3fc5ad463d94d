"""How large an organisation's record may be, and what a change of it costs.

Each change stores the whole record again: a revision here, and one message to every service that keeps a
replica, the log among them. So the bound is on what is stored and not on what the request says.
"""

from __future__ import annotations

from typing import Final

from contracts.errors import PointerError, Refused
from contracts.organization import Organization
from contracts.records import dump

# Some 130 services of the usual size.
MOST_RECORD_BYTES: Final = 64 * 1024
_KIB: Final = 1024
# A larger one of an earlier build may grow by this many bytes, so that it can be made inactive or full.
_SLACK: Final = 64
# The least that a change counts: a revision and a message have members of their own, at every service.
_LEAST_KIB: Final = 4


def check_size(before: Organization | None, wanted: Organization) -> None:
    """Raises Refused `invalid-submission` for a record that is too large and grows."""
    size = len(dump(wanted))
    if size <= MOST_RECORD_BYTES or (before is not None and size <= len(dump(before)) + _SLACK):
        return
    too_large = f"The record would have {size:,} bytes as JSON; it may have {MOST_RECORD_BYTES:,}."
    where = PointerError(pointer="", detail=too_large)
    raise Refused("invalid-submission", f"{too_large} Shorten or leave out some of it.", errors=[where])


def cost(wanted: Organization) -> int:
    """Return what storing the record costs, in KiB."""
    return max(_LEAST_KIB, -(-len(dump(wanted)) // _KIB))
