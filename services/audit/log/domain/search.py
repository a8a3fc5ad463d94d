"""What is looked for in the history."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from services.audit.log.domain.facets import Facet


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """All that is given must hold. organization: a party, whichever; since: inclusive; until: exclusive.

    facets: names of `facets.SEARCHED` and the values they must have.
    """

    referral_id: str | None = None
    organization: str | None = None
    type: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    facets: tuple[Facet, ...] = ()

    def as_asked(self) -> dict[str, str]:
        """The parameters as the API names them, without those that were not given."""
        asked = {
            "referral": self.referral_id,
            "organization": self.organization,
            "type": self.type,
            "from": self.since and self.since.isoformat(),
            "to": self.until and self.until.isoformat(),
            **dict(self.facets),
        }
        return {name: value for name, value in asked.items() if value}
