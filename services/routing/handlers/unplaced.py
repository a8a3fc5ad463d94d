"""New decisions for unplaced referrals, when a place may have become free or the directory has changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.ports import Outgoing
from runtime.storage.database import Database
from services.routing.domain.observation import Observation
from services.routing.domain.open_offers import ask_again
from services.routing.domain.places import ORDER_OF_URGENCY, place_refused
from services.routing.domain.referral import Referral
from services.routing.domain.transition import TransitionContext
from services.routing.domain.waiting import Queue, WaitingReferral, in_turn
from services.routing.handlers.referral_batch import ReferralBatch
from services.routing.live_directory import LiveDirectory
from services.routing.ports import ReferralStore

# The most referrals of one queue, and of all, that one transaction decides.
QUEUE_AT_ONCE, AT_ONCE = 20, 100
# The most unplaced referrals that one call looks at after a change of the directory; each costs a decision.
PAGE = 50


class UnplacedReferrals:
    """Finds the unplaced referrals that can be offered now. Not safe for concurrent calls.

    Two causes are distinguished, because one is frequent and the other may concern any referral:

    - A candidate's places changed (an offer closed, an acceptance ended): only the referrals that wait there
      are read, through an index, in the order of `waiting.in_turn`.
    - The directory changed, a day began or the process started: all unplaced referrals are read, a page at
      a time. A decision that opens no offer is not recorded.

    Nothing of this is stored: after a crash the start looks at all unplaced referrals again.
    """

    def __init__(
        self,
        *,
        database: Database,
        store: ReferralStore,
        outbox: Outbox,
        network: LiveDirectory,
        source: str,
        settle: Callable[[Connection], None],
        context: Callable[[dt.datetime, Mapping[str, Observation]], TransitionContext],
        finish: Callable[[Connection, ReferralBatch], list[Outgoing]],
        after_commit: Callable[[], None],
    ) -> None:
        """settle, context, finish: the steps of every routing transaction, see `RoutingCommands`."""
        self._database = database
        self._store = store
        self._outbox = outbox
        self._network = network
        self._source = source
        self._settle = settle
        self._context = context
        self._finish = finish
        self._after_commit = after_commit
        # What the current round, or else the last one, has taken into account; and its position.
        self._round: tuple[int, dt.date] | None = None
        self._after: str | None = None
        self._is_in_round = False

    def decide_again(self, now: dt.datetime) -> int:
        """Offer unplaced referrals for which there is a candidate now; return how many changed.

        Raises DatabaseUnavailable, and Unavailable if another process was faster.
        """
        with self._database.read() as transaction:
            self._settle(transaction)
        changed = self._network.take_changed()
        try:
            with self._database.read() as transaction:
                context = self._context(now, {})
                waiting = self._first_waiting(transaction, changed, context)
                page = self._page(transaction, now)
            ids = [one.referral_id for one in waiting[:AT_ONCE]]
            ids += self._offerable(page, context, set(ids))
            if ids:
                self._decide(ids, now)
        except Exception:
            self._network.give_back(changed)
            raise
        self._network.give_back({one.queue.organization for one in waiting[AT_ONCE:]})
        self._advance(page)
        return len(ids)

    def _first_waiting(
        self, transaction: Connection, changed: set[str], context: TransitionContext
    ) -> list[WaitingReferral]:
        queues = self._store.queues_at(transaction, changed) if changed else []
        return in_turn(
            [
                one
                for queue in queues
                if self._has_place(queue, context)
                for one in self._store.first_in(transaction, queue, QUEUE_AT_ONCE)
            ],
            self._offers_held,
        )

    def _has_place(self, queue: Queue, context: TransitionContext) -> bool:
        """Whether the queue's first referral may take a place. A vanished service has none."""
        seen = self._network.observed(queue.organization).at(queue.service)
        bounds = context.policy.offers_per_sender
        return any(
            place_refused(
                seen.demand,
                maximum=offered.capacity.maximum,
                accepted=seen.accepted,
                sender=queue.sender,
                urgency=queue.urgency,
                bounds=bounds,
            )
            is None
            for offered in self._network.directory.offered_services_of(queue.organization)
            if offered.service.id == queue.service
        )

    def _offers_held(self, queue: Queue) -> int:
        level = ORDER_OF_URGENCY[queue.urgency]
        return sum(
            one.offers
            for (sender, urgency), one in self._network.observed(queue.organization)
            .at(queue.service)
            .demand.items()
            if sender == queue.sender and ORDER_OF_URGENCY[urgency] <= level
        )

    def _page(self, transaction: Connection, now: dt.datetime) -> list[Referral]:
        current = self._network.directory.version, now.date()
        if not self._is_in_round:
            if current == self._round:
                return []
            self._round, self._after, self._is_in_round = current, None, True
        return self._store.page(transaction, party=None, status="unplaced", after=self._after, limit=PAGE)

    def _advance(self, page: list[Referral]) -> None:
        if len(page) < PAGE:
            self._is_in_round = False
        else:
            self._after = page[-1].id

    def _offerable(self, page: list[Referral], context: TransitionContext, known: set[str]) -> list[str]:
        """Return the page's referrals that a decision would change, in the order of urgency and age."""
        found = [
            referral
            for referral in page
            if referral.id not in known and ask_again(referral, context).referral != referral
        ]
        found.sort(key=lambda one: (ORDER_OF_URGENCY[one.facts.urgency], one.submitted_at, one.id))
        return [referral.id for referral in found]

    def _decide(self, ids: list[str], now: dt.datetime) -> None:
        with self._database.write() as transaction:
            batch = ReferralBatch(self._store.load(transaction, ids), self._source, now)
            self._settle(transaction)
            context = self._context(now, batch.observed)
            for referral_id in ids:
                if (referral := batch.referral(referral_id)) is not None:
                    batch.take(ask_again(referral, context), cause=None)
            self._outbox.add(transaction, self._finish(transaction, batch))
        self._after_commit()
