"""What the network has seen of an organisation: how it answers, and how much it holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """Counts since the organisation's first offer.

    answered and expired count offers; answer_seconds is the sum over the answered ones; held counts
    the referrals that it has accepted and not closed.
    """

    answered: int = 0
    expired: int = 0
    answer_seconds: int = 0
    held: int = 0

    def plus(self, other: Observation) -> Observation:
        """The sum of both, for changes as much as for counts."""
        return Observation(
            answered=self.answered + other.answered,
            expired=self.expired + other.expired,
            answer_seconds=self.answer_seconds + other.answer_seconds,
            held=self.held + other.held,
        )


NOTHING_OBSERVED = Observation()
