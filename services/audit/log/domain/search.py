"""Search criteria of the history."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from services.audit.log.domain.facets import Facet


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """Criteria that must all hold. organization: any party; since: inclusive; until: exclusive.

    facets: pairs of a name in `facets.SEARCHED` and its value.
    """

    referral_id: str | None = None
    organization: str | None = None
    type: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    facets: tuple[Facet, ...] = ()

    def as_asked(self) -> dict[str, str]:
        """Return the given criteria under their names in the API."""
        asked = {
            "referral": self.referral_id,
            "organization": self.organization,
            "type": self.type,
            "from": self.since and self.since.isoformat(),
            "to": self.until and self.until.isoformat(),
            **dict(self.facets),
        }
        return {name: value for name, value in asked.items() if value}
