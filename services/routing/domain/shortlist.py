"""The services that a decision considers, with what it reads of all of them in columns."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from services.routing.domain.offered_service import OfferedService, Profile


class Shortlist:
    """Services in the order in which a decision lists them. A directory keeps it until one of them changes.

    A position is the index of a service. limited: the positions of services that state a maximum. unvetted:
    those of services whose organisation is not vetted. The other columns are by position.
    """

    __slots__ = ("limited", "organizations", "profiles", "services", "unvetted")

    def __init__(self, services: Sequence[OfferedService]) -> None:
        """services: ordered by organisation."""
        self.services = services
        self.organizations: Sequence[str] = [offered.organization_id for offered in services]
        self.profiles: Sequence[Profile] = [offered.profile for offered in services]
        self.limited: Sequence[int] = [
            position for position, offered in enumerate(services) if offered.maximum is not None
        ]
        self.unvetted: Sequence[int] = [
            position for position, offered in enumerate(services) if not offered.is_vetted
        ]

    def positions_of(self, organization: str) -> range:
        """Return the positions of the organisation's services; empty if it has none here."""
        start = bisect_left(self.organizations, organization)
        return range(start, bisect_right(self.organizations, organization, start))


NOTHING_FOUND = Shortlist(())
