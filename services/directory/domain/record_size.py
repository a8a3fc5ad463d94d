"""How large an organisation's record may be, and what a change of it costs.

Each change stores the whole record again: a revision here, and one message to every service that keeps a
replica, the log among them. So the bound is on what is stored and not on what the request says.

Routing has an index of services by need and area. Each change removes the pairs of a record from it and adds
the new ones at once, because no decision may see a part of them.
"""

from __future__ import annotations

from typing import Final

from contracts.errors import PointerError, Refused
from contracts.organization import Organization
from contracts.records import dump

# Some 130 services of the usual size.
MOST_RECORD_BYTES: Final = 64 * 1024
# Pairs of a need and an area, of all services together: some 25 ms of routing's time. One service for every
# need in every region of the vocabularies has fewer.
MOST_PAIRS: Final = 10_000
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


def check_pairs(before: Organization | None, wanted: Organization) -> None:
    """Raises Refused `invalid-submission` for services with too many needs in too many areas, unless there
    were as many before."""
    pairs = _pairs(wanted)
    if pairs <= MOST_PAIRS or (before is not None and pairs <= _pairs(before)):
        return
    too_many = f"The services would have {pairs:,} pairs of a need and an area; they may have {MOST_PAIRS:,}."
    where = PointerError(pointer="/services", detail=too_many)
    advice = "Name a country in place of its regions, or a group in place of its needs."
    raise Refused("invalid-submission", f"{too_many} {advice}", errors=[where])


def _pairs(organization: Organization) -> int:
    return sum(len(set(service.needs)) * len(set(service.areas)) for service in organization.services)


def cost(wanted: Organization) -> int:
    """Return what storing the record costs, in KiB."""
    return max(_LEAST_KIB, -(-len(dump(wanted)) // _KIB))
