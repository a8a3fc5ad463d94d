"""Routing's commands: load referrals, apply the domain, store the changes, publish the facts."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from contracts.codes import InterventionReason
from contracts.envelope import Event
from contracts.errors import Refused, Unavailable
from contracts.facts import (
    CoordinatorWithdrawalSubmitted,
    Fact,
    InterventionSubmitted,
    PlacementSubmitted,
    ReferralSubmitted,
)
from runtime.messaging.ports import Outgoing
from runtime.storage.database import Database
from runtime.turn import Turn
from services.routing.consumer_lag import ConsumerLag
from services.routing.domain import lifecycle
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.decision import Decision
from services.routing.domain.ending import withdraw_for
from services.routing.domain.intervention import awaited, intervene
from services.routing.domain.open_offers import place, recorded_as_overridden
from services.routing.domain.referral import Referral
from services.routing.domain.standing import note_readmission, report_suspended_acceptor, revoke_suspended
from services.routing.handlers.coordinator_submissions import CoordinatorSubmissions
from services.routing.handlers.transactions import RoutingTransactions, Step
from services.routing.handlers.uncovered_offers import UncoveredOffers
from services.routing.handlers.unplaced import UnplacedReferrals
from services.routing.live_directory import LiveDirectory
from services.routing.ports import ReferralStore

# The most deadlines that one call handles.
DUE_AT_ONCE = 200


def _referred_onward(events: Iterable[Event[Fact]]) -> set[str]:
    """Return the ids of the referrals that submissions refer onward."""
    return {
        event.data.onward_from
        for event in events
        if isinstance(event.data, ReferralSubmitted) and event.data.onward_from is not None
    }


def _when_due(offer_id: str, read_until: dt.datetime) -> Step:
    """Return the step that `lifecycle.act_when_due` takes with the offer."""
    return lambda referral, context: lifecycle.act_when_due(referral, offer_id, read_until, context)


class RoutingCommands:
    """One instance per process; processes share state only through the database."""

    def __init__(
        self,
        *,
        database: Database,
        store: ReferralStore,
        network: LiveDirectory,
        transactions: RoutingTransactions,
        coordinators: CoordinatorSubmissions,
    ) -> None:
        """database, store, network: those of the transactions and the coordinators' submissions."""
        self._database = database
        self._store = store
        self._network = network
        self._lag = ConsumerLag()
        self._transactions = transactions
        self._coordinators = coordinators
        self._unplaced = UnplacedReferrals(database, store, network, transactions)
        self._uncovered = UncoveredOffers(database, store, network, transactions)

    def take_facts(
        self, transaction: Connection, events: Sequence[Event[Fact]], now: dt.datetime
    ) -> Iterable[Outgoing]:
        """Apply facts of partners and the vault, in order (a `batches.BatchHandler`)."""
        self._lag.note(min(event.time for event in events), now)
        known = self._load(transaction, {event.partition_key for event in events})
        self._transactions.settle(transaction)
        batch = self._transactions.batch(known, now)
        earlier = self._store.view(transaction, _referred_onward(events))
        onward = {
            one: Counter(sender for _, sender in self._store.onward_of(transaction, one)) for one in earlier
        }
        context = replace(
            self._transactions.context(now, batch.observed),
            # If this transaction has changed the referral, the changed one.
            referral=lambda referral_id: batch.referral(referral_id) or earlier.get(referral_id),
            onward=lambda referral_id, organization: (
                onward[referral_id][organization] + batch.referred_onward(referral_id, organization)
            ),
        )
        turn = Turn()
        for event in events:
            turn.end_if_over()
            referral = batch.referral(event.partition_key)
            batch.take(lifecycle.apply(referral, event, context), cause=event)
        return self._transactions.finish(transaction, batch)

    def _load(self, transaction: Connection, ids: Collection[str]) -> dict[str, Referral]:
        """Return the referrals with those that a split has linked with them, locked for a change.

        All are locked together, in the order of their ids. Raises Unavailable if one was split between the
        look-up and the lock.
        """
        known = self._store.load(transaction, self._store.families(transaction, ids))
        if any(linked not in known for referral in known.values() for linked in referral.family):
            raise Unavailable("Another process split the referral at the same time.")
        return known

    def fire_deadlines(self, now: dt.datetime) -> int:
        """Expire offers, take the steps before deadlines, report overdue acceptors; return how many were due.

        Raises DatabaseUnavailable, and Unavailable if another process was faster. Crash point *due, not
        committed*: they are due again after the restart.
        """
        expiring = self._lag.expiring(now, self._transactions.policy().wait_for_backlog())
        with self._database.read() as transaction:
            offers = self._store.due_offers(transaction, expiring, DUE_AT_ONCE)
            overdue = self._store.due_referrals(transaction, now, DUE_AT_ONCE)
        steps: dict[str, list[Step]] = {}
        for referral_id, offer_id in offers:
            steps.setdefault(referral_id, []).append(_when_due(offer_id, expiring))
        for referral_id in overdue:
            steps.setdefault(referral_id, []).append(lifecycle.remind)
        self._transactions.change(steps, now)
        return len(offers) + len(overdue)

    def act_on_suspensions(self, now: dt.datetime) -> int:
        """Revoke open offers to barred organisations and report the referrals that they have accepted.

        Notes the readmission of acceptors that were reported before.
        Reads the current directory, not its events: a crash or a full broker delays the effect but loses
        nothing. Returns how many referrals were found; DUE_AT_ONCE or more means that others may remain.
        Raises DatabaseUnavailable, and Unavailable if another process was faster.
        """
        barred = self._network.directory.barred()
        with self._database.read() as transaction:
            offered = self._store.offered_to(transaction, barred, DUE_AT_ONCE) if barred else []
            held = self._store.held_by(transaction, barred, DUE_AT_ONCE) if barred else []
            readmitted = self._store.suspended_acceptors(transaction) - barred
            regained = self._store.noted_suspended(transaction, readmitted, DUE_AT_ONCE) if readmitted else []
        found: dict[str, Step] = {
            **dict.fromkeys(offered, revoke_suspended),
            **dict.fromkeys(held, report_suspended_acceptor),
            **dict.fromkeys(regained, note_readmission),
        }
        self._transactions.change({one: [step] for one, step in found.items()}, now)
        return max(len(offered), len(held), len(regained))

    def decide_unplaced_again(self, now: dt.datetime) -> int:
        """Offer unplaced referrals for which there is a candidate now (`UnplacedReferrals`).

        Raises DatabaseUnavailable, and Unavailable if another process was faster.
        """
        return self._unplaced.decide_again(now)

    def end_uncovered_offers(self, now: dt.datetime) -> int:
        """Revoke open offers whose holders are no longer approved for their referrals, or lack an agreement.

        See `UncoveredOffers`. Returns how many referrals changed. Raises DatabaseUnavailable, and
        Unavailable if another process was faster.
        """
        return self._uncovered.end(now)

    def inputs(self) -> object:
        """Return what polls depend on beside the clock: a value that differs after any of it has changed.

        Raises DatabaseUnavailable, and Unavailable before the policy is loaded.
        """
        return self._database.version(), self._network.directory.version, self._transactions.policy()

    def idle_until(self, now: dt.datetime) -> dt.datetime:
        """Return until when polls find nothing to do while `inputs` stays the same: `now` or later.

        Raises DatabaseUnavailable.
        """
        if self._network.has_changes or self._unplaced.is_looking or self._uncovered.is_looking:
            return now
        with self._database.read() as transaction:
            due = self._store.next_due(transaction)
        # A day's beginning lets all seeking referrals be reviewed.
        tomorrow = dt.datetime.combine(now.date() + dt.timedelta(days=1), dt.time(), dt.UTC)
        return tomorrow if due is None else max(now, min(due, tomorrow))

    def recall(self) -> None:
        """Reload all observations, including those of other processes. Raises DatabaseUnavailable."""
        with self._network.settling(), self._database.read() as transaction:
            self._network.recall(self._store.observations(transaction))

    def submit_placement(
        self,
        referral_id: str,
        organization: str,
        coordinator: str,
        now: dt.datetime,
        *,
        reason: InterventionReason | None = None,
        offers: tuple[str, ...] | None = None,
        overridden: tuple[str, ...] | None = None,
        key: str | None = None,
    ) -> str:
        """Submit a coordinator's placement; return its id. See `CoordinatorSubmissions.submit`.

        offers, overridden: see `PlacementSubmitted`; by default those for which the referral waits now, and
        the rules that exclude the organisation now.
        """
        placement = PlacementSubmitted(
            referral_id=referral_id,
            organization=organization,
            coordinator=coordinator,
            reason=reason,
            offers=offers,
            # In order, so that a repetition is known by its digest.
            overridden=None if overridden is None else tuple(sorted(set(overridden))),
        )

        def attempt(referral: Referral) -> PlacementSubmitted:
            if self._network.directory.organization(organization) is None:
                raise Refused("unknown-organization", "The directory has no organisation with this id.")
            tried = place(referral, placement, self._transactions.context(now))
            seen = tuple(offer.id for offer in referral.awaited_offers) if offers is None else offers
            return replace(placement, offers=seen, overridden=recorded_as_overridden(tried.decisions[-1]))

        return self._coordinators.submit(placement, now, key, attempt)

    def submit_intervention(
        self, intervention: InterventionSubmitted, now: dt.datetime, *, key: str | None = None
    ) -> str:
        """Submit a coordinator's act; return its id. See `CoordinatorSubmissions.submit`.

        Its offers are by default those for which the referral waits now.
        """

        def attempt(referral: Referral) -> InterventionSubmitted:
            intervene(referral, intervention, self._transactions.context(now))
            return replace(intervention, offers=tuple(offer.id for offer in awaited(referral, intervention)))

        return self._coordinators.submit(intervention, now, key, attempt)

    def submit_withdrawal(
        self,
        referral_id: str,
        organization: str,
        reason: str,
        coordinator: str,
        now: dt.datetime,
        *,
        key: str | None = None,
    ) -> str:
        """Submit a coordinator's withdrawal for an organisation that cannot submit it; return its id.

        See `CoordinatorSubmissions.submit`.
        """
        withdrawal = CoordinatorWithdrawalSubmitted(
            referral_id=referral_id, organization=organization, coordinator=coordinator, reason=reason
        )

        def attempt(referral: Referral) -> CoordinatorWithdrawalSubmitted:
            withdraw_for(referral, withdrawal, self._transactions.context(now))
            return withdrawal

        return self._coordinators.submit(withdrawal, now, key, attempt)

    def consider(self, referral: Referral, now: dt.datetime, organization: str | None) -> Decision:
        """See `RoutingTransactions.consider`."""
        return self._transactions.consider(referral, now, organization)

    def circumstances(self, referral: Referral, now: dt.datetime) -> Circumstances:
        """See `RoutingTransactions.circumstances`."""
        return self._transactions.circumstances(referral, now)
