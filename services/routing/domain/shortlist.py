"""The services that a decision considers, with what it reads of all of them in columns."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence, Set

from contracts.vocabularies import sensitive_needs
from services.routing.domain.offered_service import OfferedService


class Shortlist:
    """Services in the order in which a decision lists them. A directory keeps it until one of them changes.

    A position is the index of a service. unvetted: the positions of services whose organisation is not
    vetted. named: those of services whose organisation an agreement may name. profiles: the number of each
    service's profile. is_near: of a search, whether each service names its region and not only the whole
    country. is_approved: of a search for a sensitive need, whether each service is approved for it. Both are
    empty otherwise. Numbers are packed, because most of a decision's time goes into reading memory
    that is in no cache: a decision reads the services themselves only of those that may be asked.
    """

    __slots__ = (
        "is_approved",
        "is_near",
        "most_profiles",
        "named",
        "organizations",
        "profiles",
        "services",
        "unvetted",
    )

    def __init__(
        self,
        services: Sequence[OfferedService],
        parties: Collection[str] | None = None,
        search: tuple[str, str] | None = None,
    ) -> None:
        """services: ordered by organisation. parties: of any agreement; None if unknown.

        search: the need and the region, for the services that it finds.
        """
        self.services = services
        self.organizations: Sequence[str] = tuple([offered.organization_id for offered in services])
        self.profiles: Sequence[int] = array("L", [offered.profile.number for offered in services])
        # More than any of the numbers.
        self.most_profiles = max(self.profiles, default=-1) + 1
        self.unvetted: Sequence[int] = array(
            "L", [position for position, offered in enumerate(services) if not offered.is_vetted]
        )
        self.is_near = self.is_approved = b""
        if search is not None:
            need, region = search
            self.is_near = bytes([region in offered.areas for offered in services])
            if need in sensitive_needs():
                self.is_approved = bytes([offered.is_approved_for(need) for offered in services])
        self.named: Sequence[int] = range(len(services))
        if parties is not None:
            self.named = array("L", [n for n in self.named if self.organizations[n] in parties])

    def positions_of(self, organization: str) -> range:
        """Return the positions of the organisation's services; empty if it has none here."""
        start = bisect_left(self.organizations, organization)
        return range(start, bisect_right(self.organizations, organization, start))

    def only(self, organizations: Set[str], search: tuple[str, str] | None = None) -> Shortlist:
        """Return the services of these organisations; itself if it has no others.

        search: see `__init__`; the one that this was made for.
        """
        services = [one for one in self.services if one.organization_id in organizations]
        return self if len(services) == len(self.services) else Shortlist(services, search=search)


NOTHING_FOUND = Shortlist(())
