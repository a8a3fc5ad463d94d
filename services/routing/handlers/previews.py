"""Previews of referrals: routing's answer to a sender who looks before it sends."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Final

from contracts.errors import Unavailable
from contracts.referral import ReferralFacts
from runtime.clock import Clock
from runtime.storage.database import Database
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.experience import (
    COUNTED_FOR,
    SETTLED_AFTER,
    PastReferral,
    comparable,
    experience_of,
)
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.preview import Preview, preview
from services.routing.handlers.turns import in_turns
from services.routing.live_directory import LiveDirectory
from services.routing.ports import PastReferrals

# The most referrals that count as experience.
REFERRALS_COUNTED: Final = 2_000
# Earlier referrals are read at most this often.
EXPERIENCE_KEPT: Final = dt.timedelta(minutes=10)


class Previews:
    """Reads only, and keeps nothing about a preview."""

    def __init__(
        self,
        *,
        database: Database,
        past: PastReferrals,
        network: LiveDirectory,
        policy: Callable[[], RoutingPolicy],
        unready: Callable[[], str | None],
        clock: Clock,
    ) -> None:
        """unready: returns why the directory is not complete, or None."""
        self._database = database
        self._past = past
        self._network = network
        self._policy = policy
        self._unready = unready
        self._clock = clock
        self._earlier: Sequence[PastReferral] = ()
        self._read_at: dt.datetime | None = None

    def preview(self, sender: str, facts: ReferralFacts) -> Preview:
        """Return the preview of a referral with these facts.

        Raises Unavailable while the directory is incomplete, when it would promise less help than there is,
        and DatabaseUnavailable.
        """
        if (reason := self._unready()) is not None:
            raise Unavailable(reason)
        now, policy = self._clock.now(), self._policy()
        given = Circumstances(
            referral_id="",
            sender=sender,
            facts=facts,
            asked=frozenset(),
            directory=self._network.directory,
            observed=self._network.observations(),
            now=now,
            offers_per_sender=policy.offers_per_sender,
            full_for=policy.counts_as_full(facts.urgency),
        )
        root_of = self._network.directory.root_of
        own = root_of(sender)
        comparable_ones = comparable(self._earlier_at(now), facts)
        experience = experience_of(comparable_ones, is_own=lambda other: root_of(other) == own)
        return preview(given, experience, in_turns)

    def _earlier_at(self, now: dt.datetime) -> Sequence[PastReferral]:
        if self._read_at is None or not self._read_at <= now < self._read_at + EXPERIENCE_KEPT:
            with self._database.read() as transaction:
                self._earlier = self._past.newest(
                    transaction, now - COUNTED_FOR, now - SETTLED_AFTER, REFERRALS_COUNTED
                )
            self._read_at = now
        return self._earlier
