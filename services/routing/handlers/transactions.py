"""Routing's transactions: the steps around every change of referrals, and the inputs of the domain."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import Unavailable
from contracts.facts import AnswerRefused, Fact, OfferRevoked
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.messaging.ports import Outgoing
from runtime.storage.database import Database, after_commit
from services.routing.domain.circumstances import Circumstances, sensitive_among
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.decision_basis import DecisionBasis
from services.routing.domain.observation import Observation
from services.routing.domain.offer import OF_DIRECTORY, Offer
from services.routing.domain.open_agreement import has_agreement
from services.routing.domain.open_approval import is_approved
from services.routing.domain.open_consent import has_consent
from services.routing.domain.parts import parts_of
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.referral import Referral
from services.routing.domain.referral_circumstances import circumstances_of, whole_needs
from services.routing.domain.tally import Tally
from services.routing.domain.transition import Transition, TransitionContext
from services.routing.handlers.decision_spans import Decided, not_reported
from services.routing.handlers.referral_batch import ReferralBatch
from services.routing.handlers.turns import in_turns
from services.routing.live_directory import LiveDirectory
from services.routing.ports import ReferralStore

# A change of a referral that no message asks for.
Step = Callable[[Referral, TransitionContext], Transition]

# The most referrals that a transaction changes without a message: nothing else is written meanwhile on
# SQLite, and a referral with several needs costs a decision for each part.
CHANGED_AT_ONCE = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralChange:
    """An open write transaction that changes referrals. context: sees what the batch has observed so far."""

    transaction: Connection
    batch: ReferralBatch
    context: TransitionContext


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the ids in order, as many as one transaction changes."""
    for start in range(0, len(ids), CHANGED_AT_ONCE):
        yield ids[start : start + CHANGED_AT_ONCE]


def _not_counted(_tally: Tally) -> None:
    """Count nothing: a hub without metrics."""


class RoutingTransactions:
    """Opens the transactions of one process, which shares state with others only through the database."""

    def __init__(
        self,
        *,
        database: Database,
        store: ReferralStore,
        outbox: Outbox,
        network: LiveDirectory,
        has_live_client: Callable[[str], bool],
        policy: Callable[[], RoutingPolicy],
        source: str,
        after_commit: Callable[[], None],
        count: Callable[[Tally], None] = _not_counted,
        report: Callable[[Sequence[Decided]], None] = not_reported,
    ) -> None:
        """policy: returns the policy in force; all decisions of a transaction are made under one.

        count: takes the sums of each transaction that has committed. report: takes its decisions without a
        message.
        """
        self._database = database
        self._store = store
        self._outbox = outbox
        self._network = network
        self._has_live_client = has_live_client
        self._policy = policy
        self._source = source
        self._after_commit = after_commit
        self._count = count
        self._report = report

    @contextmanager
    def changing(self, ids: Collection[str], now: dt.datetime) -> Iterator[ReferralChange]:
        """Lock the referrals for a change; store the batch and wake the relay when the block ends.

        Raises DatabaseUnavailable, and Unavailable if another process was faster.
        """
        with self._database.write() as transaction:
            batch = self.batch(self._store.load(transaction, ids), now)
            self.settle(transaction)
            yield ReferralChange(
                transaction=transaction, batch=batch, context=self.context(now, batch.observed)
            )
            self._outbox.add(transaction, self.finish(transaction, batch))
        self._after_commit()

    def change(self, steps: Mapping[str, Sequence[Step]], now: dt.datetime) -> None:
        """Take the steps of each referral, by id, in this order; CHANGED_AT_ONCE referrals in a transaction.

        Other work has a turn between two transactions. Raises DatabaseUnavailable, and Unavailable if another
        process was faster: then the changes of the earlier transactions stay.
        """
        for ids in in_turns(_portions(list(steps))):
            with self.changing(ids, now) as change:
                for referral_id in ids:
                    for step in steps[referral_id]:
                        if (referral := change.batch.referral(referral_id)) is not None:
                            change.batch.take(step(referral, change.context), cause=None)

    def batch(self, known: Mapping[str, Referral], now: dt.datetime) -> ReferralBatch:
        """Return an empty batch of changes to the loaded referrals, by id."""
        return ReferralBatch(known, self._source, now, self.basis(now))

    def basis(self, now: dt.datetime) -> DecisionBasis:
        """Return what decisions at this time read beside the observations."""
        return DecisionBasis(
            directory_version=self._network.directory.version, policy=self._policy(), day=now.date()
        )

    def policy(self) -> RoutingPolicy:
        """Return the policy in force."""
        return self._policy()

    def settle(self, transaction: Connection) -> None:
        """Read the observations that ended transactions have changed. Call it before a decision."""
        with self._network.settling() as organizations:
            if organizations:
                self._network.recall(self._store.observations_of(transaction, organizations))

    def finish(self, transaction: Connection, batch: ReferralBatch) -> list[Outgoing]:
        """Store the batch; return its messages.

        Raises Unavailable if it follows from an earlier directory than an offer that it revokes or refuses.
        """
        self._refuse_if_behind(transaction, batch.events)
        # Before the write: the timer or a retry may decide while it is under way.
        self._network.observe(transaction, batch.observed)
        changes = batch.changes()
        self._store.save(transaction, changes)
        after_commit(transaction, partial(self._count, batch.tally))
        if batch.basis is not None and (begun := changes.begun_to_seek):
            after_commit(transaction, partial(self._network.note_begun_to_seek, begun, batch.basis))
        if batch.decided:
            after_commit(transaction, partial(self._report, batch.decided))
        return [outgoing(event) for event in (*batch.events, *batch.commitments())]

    def _refuse_if_behind(self, transaction: Connection, events: Sequence[Event[Fact]]) -> None:
        """Judge no offer of another process by a copy of the directory that lacks what the offer rests on.

        An organisation may accept before this process has read the agreement, approval or readmission for
        which another process asked it. Its offer would be revoked, and its acceptance refused, by mistake.
        """
        ids = {
            fact.referral_id
            for fact in (event.data for event in events)
            if isinstance(fact, AnswerRefused)
            or (isinstance(fact, OfferRevoked) and fact.reason in OF_DIRECTORY)
        }
        if ids and self._store.directory_version_of(transaction, ids) > self._network.directory.version:
            raise Unavailable("Another process has read a later change of the directory.")

    def context(self, now: dt.datetime, so_far: Mapping[str, Observation] | None = None) -> TransitionContext:
        """Return the inputs of transitions.

        so_far: the observations of this transaction, so that later referrals see those of earlier ones.
        """
        policy, seen = self._policy(), {} if so_far is None else so_far

        def given(referral: Referral) -> Circumstances:
            return self._circumstances(referral, now, seen, policy)

        def approved(referral: Referral, offer: Offer) -> bool:
            # Nearly every referral is without a sensitive need: its circumstances are not read.
            told = whole_needs(referral) or referral.facts.needs
            return not sensitive_among(told) or is_approved(offer, given(referral))

        def decide_now(referral: Referral, trigger: Trigger, placed_with: str | None = None) -> Decision:
            return decide(new_id(), given(referral), policy, trigger, placed_with=placed_with)

        return TransitionContext(
            now=now,
            new_id=new_id,
            policy=policy,
            decide=decide_now,
            parts=lambda referral: parts_of(given(referral), in_turns),
            in_good_standing=self._network.directory.in_good_standing,
            can_submit=self._can_submit,
            is_approved=approved,
            has_agreement=lambda referral, offer: has_agreement(
                referral, offer, self._network.directory, now.date()
            ),
            has_consent=lambda referral, offer: has_consent(referral, offer, self._network.directory),
        )

    def consider(self, referral: Referral, now: dt.datetime, organization: str | None) -> Decision:
        """Return the decision that a search would make now, or that about one organisation; store nothing."""
        policy = self._policy()
        given = self._circumstances(referral, now, {}, policy)
        return decide(new_id(), given, policy, Trigger.submitted, only=organization)

    def circumstances(self, referral: Referral, now: dt.datetime) -> Circumstances:
        """Return the inputs of the rules for a decision about the referral now."""
        return self._circumstances(referral, now, {}, self._policy())

    def _circumstances(
        self,
        referral: Referral,
        now: dt.datetime,
        so_far: Mapping[str, Observation],
        policy: RoutingPolicy,
    ) -> Circumstances:
        return circumstances_of(
            referral,
            directory=self._network.directory,
            observed=self._network.observations(so_far),
            now=now,
            policy=policy,
        )

    def _can_submit(self, organization: str) -> bool:
        return self._network.directory.in_good_standing(organization) and self._has_live_client(organization)
