"""The services that a decision considers, with what it reads of all of them in columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from contracts.codes import CapacityStatus
from services.routing.domain.offered_service import OfferedService, Trait


class Shortlist:
    """Services in the order in which a decision lists them. A directory keeps it until one of them changes.

    A position is the index of a service. The services of an organisation follow one another. first: the
    position of each organisation's first service, in their order. limited: the positions of services that
    state a maximum. is_vetted: whether all organisations are. The other columns are by position.
    """

    __slots__ = (
        "first",
        "is_vetted",
        "limited",
        "organizations",
        "profiles",
        "revisions",
        "service_ids",
        "services",
        "statuses",
    )

    def __init__(self, services: Iterable[OfferedService]) -> None:
        self.services: Sequence[OfferedService] = tuple(services)
        self.organizations: Sequence[str] = [offered.organization_id for offered in self.services]
        self.service_ids: Sequence[str] = [offered.service_id for offered in self.services]
        self.statuses: Sequence[CapacityStatus] = [offered.status for offered in self.services]
        self.revisions: Sequence[int] = [offered.revision for offered in self.services]
        self.profiles: Sequence[Trait] = [offered.profile for offered in self.services]
        self.limited: Sequence[int] = [
            position for position, offered in enumerate(self.services) if offered.maximum is not None
        ]
        self.is_vetted = all(offered.is_vetted for offered in self.services)
        # Of several services of an organisation the first one is the last to be put.
        first = dict.fromkeys(self.organizations, 0)
        first.update(zip(reversed(self.organizations), range(len(self.services) - 1, -1, -1), strict=True))
        self.first: Mapping[str, int] = first

    def positions_of(self, organization: str) -> range:
        """Return the positions of the organisation's services; empty if it has none here."""
        start = self.first.get(organization)
        if start is None:
            return range(0)
        end = start + 1
        while end < len(self.organizations) and self.organizations[end] == organization:
            end += 1
        return range(start, end)


NOTHING_FOUND = Shortlist(())
