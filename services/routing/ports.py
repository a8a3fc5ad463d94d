"""Routing's ports: the stores of referrals and policies, and the Idempotency-Keys of placements."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Connection

from contracts.referral import ReferralFacts
from services.routing.domain.applied_policy import AppliedPolicy, StoredVersion
from services.routing.domain.coordination_queue import QueueFilter, QueueKind, QueuePosition
from services.routing.domain.directory import Reach
from services.routing.domain.engagements import Engagements
from services.routing.domain.experience import PastReferral
from services.routing.domain.late_answer import LateAnswer
from services.routing.domain.network_figures import NetworkFigures
from services.routing.domain.observation import Observation
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.recorded_decision import RecordedDecision
from services.routing.domain.referral import Referral
from services.routing.domain.stored_decision import StoredDecision
from services.routing.domain.timeline import TimelineEntry
from services.routing.domain.waiting import WaitingQueue, WaitingReferral


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """The changes of one batch."""

    before: Mapping[str, Referral]
    after: Sequence[Referral]
    decisions: Sequence[RecordedDecision] = ()
    timeline: Sequence[TimelineEntry] = ()
    observed: Mapping[str, Observation] = field(default_factory=dict)
    # In the order of their reading. An offer keeps the first one.
    late: Sequence[LateAnswer] = ()

    @property
    def begun_to_seek(self) -> list[str]:
        """The referrals that may get another offer, and did not have this status or have lost an offer."""
        return [
            one.id
            for one in self.after
            if one.is_seeking
            and (
                (before := self.before.get(one.id)) is None
                or before.status is not one.status
                # Of an emergency.
                or len(one.open_offers) < len(before.open_offers)
            )
        ]


class ReferralStore(Protocol):
    """Referrals with their offers, decisions and timelines.

    The transaction provides durability and atomicity. Concurrency: `load` locks a referral until the
    transaction ends (SQLite: one writer; PostgreSQL: row locks), and `save` writes an offer only if it is
    still in the state that was read, so an offer leaves a state once.
    """

    def load(self, transaction: Connection, ids: Collection[str]) -> dict[str, Referral]:
        """Return the existing referrals of those ids, locked for a change."""
        ...

    def families(self, transaction: Connection, ids: Collection[str]) -> set[str]:
        """Return the ids, and those of the referrals that a split has linked with them. Takes no lock."""
        ...

    def save(self, transaction: Connection, changes: Changes) -> None:
        """Write the changes. Raises Unavailable if another process closed an offer meanwhile."""
        ...

    def due_offers(self, transaction: Connection, now: dt.datetime, limit: int) -> list[tuple[str, str]]:
        """Return (referral id, offer id) of open offers whose step or deadline is due, oldest first."""
        ...

    def due_referrals(self, transaction: Connection, now: dt.datetime, limit: int) -> list[str]:
        """Return the ids of referrals whose `due_at` has passed."""
        ...

    def next_due(self, transaction: Connection) -> dt.datetime | None:
        """Return the earliest time of `due_offers` and `due_referrals`, past or not, or None."""
        ...

    def seeking(self, transaction: Connection, after: str | None, limit: int) -> list[str]:
        """Return ids above `after` of referrals that may get another offer (`is_seeking`), in order."""
        ...

    def concerned(
        self, transaction: Connection, organization: str, reach: Reach, after: str | None, limit: int
    ) -> list[str]:
        """Return those of `seeking` that a change of the organisation may concern.

        Their first need or a further one (`splitting.further_needs`) is within its reach, or they name it, or
        were sent by it.
        """
        ...

    def offered_to(self, transaction: Connection, organizations: Collection[str], limit: int) -> list[str]:
        """Return the ids of referrals with an open offer to one of the organisations."""
        ...

    def offered_after(
        self, transaction: Connection, organizations: Collection[str], after: str | None, limit: int
    ) -> list[str]:
        """Return the ids above `after` of referrals with an open offer to one of them, in order."""
        ...

    def held_by(self, transaction: Connection, organizations: Collection[str], limit: int) -> list[str]:
        """Return the ids of open referrals accepted by one of the organisations and not yet noted."""
        ...

    def suspended_acceptors(self, transaction: Connection) -> set[str]:
        """Return the acceptors that are noted as suspended (`Referral.acceptor_suspended_since`)."""
        ...

    def noted_suspended(
        self, transaction: Connection, organizations: Collection[str], limit: int
    ) -> list[str]:
        """Return the ids of referrals accepted by one of the organisations and noted as suspended."""
        ...

    def view(self, transaction: Connection, ids: Collection[str]) -> dict[str, Referral]:
        """Return the existing referrals of those ids, without locks."""
        ...

    def timeline(
        self,
        transaction: Connection,
        referral_id: str,
        *,
        organization: str | None = None,
        fact: str | None = None,
        without: Collection[str] = (),
        except_of: str | None = None,
        limit: int,
    ) -> list[TimelineEntry]:
        """Return the newest `limit` entries of a referral's timeline, oldest first.

        organization, fact: only entries about it. without: facts to leave out, except those of an
        organisation.
        """
        ...

    def acted_at(
        self,
        transaction: Connection,
        referral_id: str,
        coordinator: str,
        facts: Collection[str],
        *,
        since: dt.datetime,
    ) -> list[dt.datetime]:
        """Return the times of the coordinator's steps of these facts after `since`, oldest first."""
        ...

    def decisions(self, transaction: Connection, referral_id: str) -> list[Mapping[str, Any]]:
        """Return a referral's stored decisions, oldest first, without those whose records were erased."""
        ...

    def directory_version_of(self, transaction: Connection, ids: Collection[str]) -> int:
        """Return the newest version of the directory that the last decision of one of the referrals read."""
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
        """Return referrals with ids above `after`, ordered by id. party: None lists all parties'."""
        ...

    def coordination_page(
        self,
        transaction: Connection,
        kind: QueueKind,
        now: dt.datetime,
        wanted: QueueFilter,
        *,
        after: QueuePosition | None,
        limit: int,
    ) -> list[Referral]:
        """Return up to `limit` referrals of a coordinators' queue behind a position, in its order."""
        ...

    def lacking_case(self, transaction: Connection, ids: Collection[str]) -> set[str]:
        """Return those of the referrals whose acceptor reported the case as unreadable, or has no case.

        Without those whose sender has sent it again since, or that another organisation has accepted since.
        """
        ...

    def engagements(self, transaction: Connection, organization: str) -> Engagements:
        """Return how many open referrals the organisation is asked about or has accepted."""
        ...

    def onward_of(self, transaction: Connection, referral_id: str) -> list[tuple[str, str]]:
        """Return (id, sender) of the referrals by which this one was referred onward, by id."""
        ...

    def offer_parties(self, transaction: Connection, offer_id: str) -> tuple[str, str] | None:
        """Return the referral id and the organisation of an offer, or None."""
        ...

    def observations(self, transaction: Connection) -> dict[str, Observation]:
        """Return the observations of all organisations."""
        ...

    def observations_of(
        self, transaction: Connection, organizations: Collection[str]
    ) -> dict[str, Observation]:
        """Return the existing observations of these organisations."""
        ...

    def queues_at(self, transaction: Connection, organizations: Collection[str]) -> list[WaitingQueue]:
        """Return the queues of unplaced referrals that wait for a place at one of the organisations."""
        ...

    def first_in(self, transaction: Connection, queue: WaitingQueue, limit: int) -> list[WaitingReferral]:
        """Return up to `limit` referrals of a queue, oldest first."""
        ...

    def figures(self, transaction: Connection) -> NetworkFigures:
        """Return the state of the network in numbers."""
        ...


class PolicyStore(Protocol):
    """The append-only record of policies. `newest` and `every` raise Defect if one was changed."""

    def hold(self, transaction: Connection) -> None:
        """Exclude other writers until the transaction ends."""
        ...

    def newest(self, transaction: Connection, after: int = 0) -> AppliedPolicy | None:
        """Return the policy with the highest number if that is above `after`, else None."""
        ...

    def every(self, transaction: Connection) -> Sequence[AppliedPolicy]:
        """Return all policies by number."""
        ...

    def versions(self, transaction: Connection) -> Sequence[StoredVersion]:
        """Return the version and digest of all policies by number, also of those that were changed."""
        ...

    def add(self, transaction: Connection, applied: AppliedPolicy) -> None:
        """Write a policy under its number. Call it within `hold`."""
        ...


class StoredDecisions(Protocol):
    """Decisions as they were recorded, and what they were made from."""

    def newest_referrals(self, transaction: Connection, limit: int) -> Sequence[str]:
        """Return the ids of the referrals that were submitted last, the newest first."""
        ...

    def ids(self, transaction: Connection, referral_id: str, limit: int) -> Sequence[str]:
        """Return the ids of a referral's decisions, oldest first, also of those that were erased."""
        ...

    def decision(self, transaction: Connection, id_: str) -> StoredDecision | None:
        """Return a decision; None if its record is no JSON object, or is gone."""
        ...

    def referral(self, transaction: Connection, referral_id: str) -> tuple[str, ReferralFacts]:
        """Return a referral's sender and facts. Raises NotReproducible if they are missing or damaged."""
        ...

    def policies(self, transaction: Connection) -> Mapping[str, RoutingPolicy]:
        """Return the policies by version, without those that were changed."""
        ...


class PlacementKeys(Protocol):
    """Idempotency-Keys of placements, by coordinator. Durable with the transaction."""

    def used(self, transaction: Connection, coordinator: str, key: str) -> tuple[str, str] | None:
        """Return the digest of the content and the submission id of a used key, or None."""
        ...

    def use(
        self,
        transaction: Connection,
        coordinator: str,
        key: str,
        *,
        content: str,
        submission_id: str,
        now: dt.datetime,
    ) -> bool:
        """Store a key, and delete expired ones; return False if another process has used the key."""
        ...


class FactReduction(Protocol):
    """Reduction of what is stored about persons whose referrals have ended. Durable with the transaction."""

    def reduce(self, transaction: Connection, ended_by: dt.datetime, now: dt.datetime, limit: int) -> int:
        """Reduce at most `limit` referrals: those whose consent was withdrawn, and those that ended by then.

        Their facts become coarse (`domain/reduced_facts.py`); their decisions keep only their commitments.
        Returns how many were reduced.
        """
        ...

    def forget_withdrawn(self, transaction: Connection, by: dt.datetime) -> None:
        """Delete the counts of withdrawn offers that were opened by then."""
        ...


class PastReferrals(Protocol):
    """Earlier referrals, as experience for previews."""

    def newest(
        self, transaction: Connection, since: dt.datetime, until: dt.datetime, limit: int
    ) -> list[PastReferral]:
        """Return those submitted between the times, of at most `limit` referrals that were submitted last.

        Left out are referrals whose facts have been reduced, and those withdrawn before anything happened.
        """
        ...


class Digests(Protocol):
    """The digests of the coordinators, each written once. Durable with the transaction."""

    def is_written(self, transaction: Connection, period: str) -> bool:
        """Return whether the period has its digest."""
        ...

    def record(self, transaction: Connection, period: str, now: dt.datetime) -> bool:
        """Record that the period has its digest; return False if another process did."""
        ...

    def waiting(
        self, transaction: Connection, kind: QueueKind, now: dt.datetime
    ) -> tuple[int, dt.datetime | None]:
        """Return how many referrals are in a queue, and when the first of them was submitted."""
        ...


class UnansweredEmergencies(Protocol):
    """The emergencies that nobody answers, and which of them were reported. Durable with the transaction."""

    def due(self, transaction: Connection, opened_by: dt.datetime, limit: int) -> list[str]:
        """Return emergencies whose oldest open offer was opened by then, and after their last report."""
        ...

    def over(self, transaction: Connection, limit: int) -> list[str]:
        """Return reported emergencies that no longer wait for an answer."""
        ...

    def note(self, transaction: Connection, waiting: Mapping[str, dt.datetime], now: dt.datetime) -> set[str]:
        """Record referrals as reported now; return those that were not yet.

        waiting: since when each waits. A report before that was about offers that have ended.
        """
        ...

    def forget(self, transaction: Connection, referral_ids: Collection[str]) -> list[str]:
        """Delete the records, so that another wait is reported; return the referrals that had one."""
        ...
