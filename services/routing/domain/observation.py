"""What the network has seen of an organisation: how it answers, and how much it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from services.routing.domain.offer import Offer


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """Counts since the organisation's first offer.

    answered and expired count offers; answer_seconds is the sum over the answered ones; held counts
    the referrals that it has accepted and not closed; asked the offers that wait for its answer.
    """

    answered: int = 0
    expired: int = 0
    answer_seconds: int = 0
    accepted: int = 0
    pending: int = 0

    @property
    def load(self) -> int:
        """What it works on, or may have to: a burst of referrals is not all offered to one organisation."""
        return max(0, self.accepted + self.pending)

    def plus(self, other: Observation) -> Observation:
        """The sum of both, for changes as much as for counts."""
        return Observation(
            answered=self.answered + other.answered,
            expired=self.expired + other.expired,
            answer_seconds=self.answer_seconds + other.answer_seconds,
            accepted=self.accepted + other.accepted,
            pending=self.pending + other.pending,
        )


NOTHING_OBSERVED = Observation()


def pending_between(before: Iterable[Offer], after: Iterable[Offer]) -> dict[str, Observation]:
    """What a change of a referral's offers adds to, or takes from, those who are asked."""
    counts: Counter[str] = Counter(offer.organization for offer in after if offer.is_open)
    counts.subtract(offer.organization for offer in before if offer.is_open)
    return {organization: Observation(pending=count) for organization, count in counts.items() if count}
