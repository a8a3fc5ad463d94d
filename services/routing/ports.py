"""What routing's use cases need: a store of referrals."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection

from services.routing.domain.decision import Decision
from services.routing.domain.observation import Observation
from services.routing.domain.referral import Referral
from services.routing.domain.timeline import TimelineEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What one batch changed."""

    before: Mapping[str, Referral]
    after: Sequence[Referral]
    decisions: Sequence[Decision] = ()
    timeline: Sequence[TimelineEntry] = ()
    observed: Mapping[str, Observation] = field(default_factory=dict)


class ReferralStore(Protocol):
    """Referrals with their offers, decisions and timelines.

    Durability and atomicity are the transaction's. Concurrency: a referral read by `load` for a change
    stays as it is until the transaction ends (SQLite: one writer; PostgreSQL: row locks), and `save`
    writes an offer only if it is still in the state that was read: an offer leaves a state once.
    """

    def load(self, transaction: Connection, ids: Collection[str]) -> dict[str, Referral]:
        """The referrals of those ids that exist, for a change."""
        ...

    def save(self, transaction: Connection, changes: Changes) -> None:
        """Writes what changed. Raises Unavailable when somebody else closed an offer meanwhile."""
        ...

    def due_offers(self, transaction: Connection, now: dt.datetime, limit: int) -> list[tuple[str, str]]:
        """(referral id, offer id) of open offers whose deadline has passed, the longest due first."""
        ...

    def due_referrals(self, transaction: Connection, now: dt.datetime, limit: int) -> list[str]:
        """Accepted referrals whose next report is due."""
        ...

    def offered_to(self, transaction: Connection, organizations: Collection[str], limit: int) -> list[str]:
        """Referrals with an open offer to one of the organisations."""
        ...

    def held_by(self, transaction: Connection, organizations: Collection[str], limit: int) -> list[str]:
        """Accepted referrals whose acceptor is one of the organisations, without those that are noted."""
        ...

    def note_suspended(self, transaction: Connection, acceptors: Mapping[str, str]) -> set[str]:
        """Notes that these referrals' acceptors are reported as suspended. acceptors: by referral id.

        To be called after `load` of the referrals. Returns those of which that was not noted before.
        """
        ...

    def noted_suspended(self, transaction: Connection) -> set[str]:
        """The organisations of which anything is noted as by `note_suspended`."""
        ...

    def forget_suspended(self, transaction: Connection, organizations: Collection[str]) -> None:
        """Forgets what `note_suspended` noted of the organisations: they are in good standing again."""
        ...

    def view(self, transaction: Connection, ids: Collection[str]) -> dict[str, Referral]:
        """Like `load`, for reading only."""
        ...

    def timeline(self, transaction: Connection, referral_id: str) -> list[TimelineEntry]:
        """A referral's steps, oldest first."""
        ...

    def decisions(self, transaction: Connection, referral_id: str) -> list[Mapping[str, Any]]:
        """A referral's decisions as stored, oldest first."""
        ...

    def page(
        self,
        transaction: Connection,
        *,
        party: str | None,
        status: str | None,
        after: str | None,
        limit: int,
    ) -> list[Referral]:
        """Referrals in the order of their ids after `after`. party: None lists everybody's."""
        ...

    def offer_parties(self, transaction: Connection, offer_id: str) -> tuple[str, str] | None:
        """(referral id, organisation) of an offer."""
        ...

    def observations(self, transaction: Connection) -> dict[str, Observation]:
        """What has been observed of every organisation."""
        ...

    def observations_of(
        self, transaction: Connection, organizations: Collection[str]
    ) -> dict[str, Observation]:
        """What has been observed of these organisations, as far as anything has been."""
        ...

    def counts(self, transaction: Connection) -> Iterable[tuple[str, int]]:
        """How many referrals are in each status that is not an end."""
        ...
