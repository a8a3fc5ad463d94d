"""An organisation's observed behaviour: how it answers offers, and its current load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from services.routing.domain.offer import Offer


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """Counts since the organisation's first offer.

    answered and expired count offers. answer_seconds is the sum over the answered offers. accepted counts
    open referrals with this acceptor, pending the offers that await its answer.
    """

    answered: int = 0
    expired: int = 0
    answer_seconds: int = 0
    accepted: int = 0
    pending: int = 0

    @property
    def load(self) -> int:
        """Accepted referrals plus pending offers, so that a burst is not offered to one organisation."""
        return max(0, self.accepted + self.pending)

    def plus(self, other: Observation) -> Observation:
        """Return the sum of two counts or changes."""
        return Observation(
            answered=self.answered + other.answered,
            expired=self.expired + other.expired,
            answer_seconds=self.answer_seconds + other.answer_seconds,
            accepted=self.accepted + other.accepted,
            pending=self.pending + other.pending,
        )


NOTHING_OBSERVED = Observation()


def pending_between(before: Iterable[Offer], after: Iterable[Offer]) -> dict[str, Observation]:
    """Return the change of each organisation's pending offers between two states of a referral."""
    counts: Counter[str] = Counter(offer.organization for offer in after if offer.is_open)
    counts.subtract(offer.organization for offer in before if offer.is_open)
    return {organization: Observation(pending=count) for organization, count in counts.items() if count}
