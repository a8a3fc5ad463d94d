"""The open referrals that an organisation is asked about, has accepted or has sent.

They are what its suspension, and the end of an approval of its services, concern.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.routing.domain.places import ORDER_OF_URGENCY


@dataclass(frozen=True, kw_only=True, slots=True)
class Engagements:
    """Numbers of referrals, by the rank of their urgency (`ORDER_OF_URGENCY`). Absent ranks have none.

    open_offers: with an open offer to the organisation; accepted: that it has accepted and not ended; sent:
    that it has sent, without the parts of one that was split. sensitive_offers: by service, the open offers
    for a referral with a sensitive need.
    """

    open_offers: Mapping[int, int]
    accepted: Mapping[int, int]
    sent: Mapping[int, int]
    sensitive_offers: Mapping[str, int]

    def shown(self) -> dict[str, Any]:
        """Return the numbers by the code of the urgency, most urgent first, zeros included."""
        return {
            "open_offers": _by_urgency(self.open_offers),
            "accepted": _by_urgency(self.accepted),
            "sent": _by_urgency(self.sent),
            "sensitive_offers": dict(self.sensitive_offers),
        }


def _by_urgency(numbers: Mapping[int, int]) -> dict[str, int]:
    return {urgency.value: numbers.get(rank, 0) for urgency, rank in ORDER_OF_URGENCY.items()}
