"""New decisions for unplaced referrals, when a place may have become free or the directory has changed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable
from functools import partial
from itertools import islice

from sqlalchemy import Connection

from contracts.organization import EVERY_VETTED_ORGANIZATION
from runtime.storage.database import Database
from services.routing.domain.decision import Trigger
from services.routing.domain.directory import NO_REACH, Reach
from services.routing.domain.open_offers import ask_again
from services.routing.domain.places import ORDER_OF_URGENCY, place_refused
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.referral import Referral
from services.routing.domain.transition import TransitionContext
from services.routing.domain.waiting import WaitingQueue, WaitingReferral, in_turn
from services.routing.handlers.transactions import RoutingTransactions
from services.routing.handlers.turns import in_turns
from services.routing.live_directory import LiveDirectory
from services.routing.ports import ReferralStore

# The most waiting referrals of one queue, and of all, that one call decides.
QUEUE_AT_ONCE, AT_ONCE = 20, 100
# The most seeking referrals that one call looks at, once for a review and once for changes of the directory;
# each costs a decision.
PAGE = 50
# Above this many changed organisations, one review of all seeking referrals costs less than their look-ups.
AMENDED_AT_MOST = 200


class UnplacedReferrals:
    """Finds the referrals that can be offered now. Not safe for concurrent calls.

    Four causes are distinguished:

    - A candidate's places changed (an offer closed, an acceptance ended): only the referrals that wait there
      are read, through an index, in the order of `waiting.in_turn`.
    - An organisation's record or agreement changed: only the referrals that it may concern are read, through
      indexes of need and region, sender and named receiver, a page at a time. The further needs of a referral
      that may be split count as its first need does. An agreement that begins or ends with a day counts as
      changed then.
    - A referral was left without an offer by a decision whose basis changed before its commit: no look-up
      found it in between.
    - A day began, the process started or another policy is in force: all seeking referrals are reviewed, a
      page at a time.

    A look-up or review whose cause repeats continues, and starts over when it has ended. If it started over
    at once, the later referrals would not get a turn while an organisation keeps changing its record.

    A decision that opens no offer is not recorded. Nothing of this is stored: after a crash the start reviews
    all of them again. Each process acts on the changes of its own copy of the directory.
    """

    def __init__(
        self,
        database: Database,
        store: ReferralStore,
        network: LiveDirectory,
        transactions: RoutingTransactions,
    ) -> None:
        self._database = database
        self._store = store
        self._network = network
        self._transactions = transactions
        # The day of the last review, and the position of the current one.
        self._reviewed: dt.date | None = None
        self._after: str | None = None
        self._is_reviewing = False
        # Whether to review all again after the current review.
        self._review_again = False
        # The policy of the last decisions.
        self._policy: RoutingPolicy | None = None
        # Changed organisations, with the position of their look-ups; the first is looked up next.
        self._amended: dict[str, str | None] = {}
        # What they covered before. A referral may be split once one that might have taken all of its needs
        # no longer offers one of them.
        self._reach_before: dict[str, Reach] = {}
        # The organisations of `_amended` that changed again during their look-up.
        self._amended_again: set[str] = set()
        # Referrals whose decisions had another basis than the present one, in order, with what has changed.
        self._overtaken: dict[str, Trigger] = {}

    def decide_again(self, now: dt.datetime) -> int:
        """Offer unplaced referrals for which there is a candidate now; return how many changed.

        They are decided a few in a transaction, with a turn for other work between two of them. Raises
        DatabaseUnavailable, and Unavailable if another process was faster: then the next call does the rest.
        """
        with self._database.read() as transaction:
            self._transactions.settle(transaction)
        context = self._transactions.context(now)
        self._note_overtaken(now)
        self._note_amended(now, context.policy)
        changed = self._network.take_changed()
        overtaken = dict(islice(self._overtaken.items(), PAGE))
        try:
            with self._database.read() as transaction:
                waiting = self._first_waiting(transaction, changed, context)
                reviewed = self._reviewed_page(transaction)
                concerned, positions = self._concerned(transaction)
                wanted = overtaken | dict.fromkeys(concerned, Trigger.directory_changed)
                wanted |= dict.fromkeys(reviewed, Trigger.review)
                seeking = self._store.view(transaction, wanted)
            triggers = {one.referral_id: Trigger.place_may_be_free for one in waiting[:AT_ONCE]}
            for referral in self._offerable(seeking.values(), context, triggers):
                triggers[referral.id] = wanted[referral.id]
            self._transactions.change(
                {one: [partial(ask_again, trigger=trigger)] for one, trigger in triggers.items()}, now
            )
        except Exception:
            self._network.give_back(changed)
            raise
        self._network.give_back({one.queue.organization for one in waiting[AT_ONCE:]})
        self._advance(reviewed)
        self._amended = positions
        self._amended_again = {one for one in self._amended_again if positions.get(one) is not None}
        self._reach_before = {one: reach for one, reach in self._reach_before.items() if one in positions}
        for referral_id in overtaken:
            del self._overtaken[referral_id]
        return len(triggers)

    @property
    def is_looking(self) -> bool:
        """Whether a look-up or a review continues."""
        return bool(self._is_reviewing or self._amended or self._overtaken)

    def _note_overtaken(self, now: dt.datetime) -> None:
        """Note the new unplaced referrals that were decided on another basis than the present one.

        Whatever changes after this look is found by the look-ups of later calls, because the referrals are
        committed.
        """
        begun = self._network.take_begun_to_seek()
        present = self._transactions.basis(now)
        for referral_id, basis in begun.items():
            if (trigger := present.trigger_after(basis)) is not None:
                self._overtaken[referral_id] = trigger

    def _note_amended(self, now: dt.datetime, policy: RoutingPolicy) -> None:
        """Note changed organisations for their look-ups, or begin a review, which replaces look-ups.

        The review of a day does not replace them: whom an agreement concerns that begins with the day is
        looked up at once, however many other referrals the review has to look at.
        """
        directory, today = self._network.directory, now.date()
        amended = self._network.take_amended()
        everyone = EVERY_VETTED_ORGANIZATION in amended
        for organization, reach in amended.items():
            before = self._reach_before.get(organization, NO_REACH)
            self._reach_before[organization] = before.plus(reach)
        concerned = set(amended)
        if self._reviewed is not None and today != self._reviewed:
            concerned |= directory.parties_concerned_between(self._reviewed, today)
        for organization in sorted(directory.with_branches(concerned - {EVERY_VETTED_ORGANIZATION})):
            if self._amended.setdefault(organization, None) is not None:
                self._amended_again.add(organization)
        replaces = (
            everyone
            or len(self._amended) > AMENDED_AT_MOST
            or self._reviewed is None
            or policy != self._policy
        )
        if replaces:
            self._amended, self._amended_again, self._reach_before = {}, set(), {}
        if replaces or today != self._reviewed:
            self._reviewed, self._policy = today, policy
            self._review_again = self._is_reviewing and self._after is not None
            self._is_reviewing = True

    def _reviewed_page(self, transaction: Connection) -> list[str]:
        return self._store.seeking(transaction, self._after, PAGE) if self._is_reviewing else []

    def _concerned(self, transaction: Connection) -> tuple[list[str], dict[str, str | None]]:
        """Return a page of referrals that changed organisations may concern, and the next positions.

        An organisation with more referrals than the page holds continues behind the others.
        """
        found: list[str] = []
        positions = dict(self._amended)
        for organization, after in self._amended.items():
            left = PAGE - len(found)
            if left <= 0:
                break
            reach = self._network.directory.reach_of(organization).plus(
                self._reach_before.get(organization, NO_REACH)
            )
            ids = self._store.concerned(transaction, organization, reach, after, left)
            found += ids
            del positions[organization]
            if len(ids) == left:
                positions[organization] = ids[-1]
            elif organization in self._amended_again:
                positions[organization] = None
        return found, positions

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

    def _has_place(self, queue: WaitingQueue, context: TransitionContext) -> bool:
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

    def _offers_held(self, queue: WaitingQueue) -> int:
        level = ORDER_OF_URGENCY[queue.urgency]
        return sum(
            one.offers
            for (sender, urgency), one in self._network.observed(queue.organization)
            .at(queue.service)
            .demand.items()
            if sender == queue.sender and ORDER_OF_URGENCY[urgency] <= level
        )

    def _advance(self, reviewed: list[str]) -> None:
        if len(reviewed) == PAGE:
            self._after = reviewed[-1]
        else:
            self._is_reviewing, self._review_again, self._after = self._review_again, False, None

    def _offerable(
        self, seeking: Iterable[Referral], context: TransitionContext, known: Collection[str]
    ) -> list[Referral]:
        """Return the referrals that a decision would change, in the order of urgency and age."""
        found = [
            referral
            for referral in in_turns(seeking)
            if referral.id not in known and _changes(ask_again(referral, context).referral, referral)
        ]
        return sorted(found, key=lambda one: (ORDER_OF_URGENCY[one.facts.urgency], one.submitted_at, one.id))


def _changes(after: Referral | None, before: Referral) -> bool:
    """Whether a decision changes more than the time at which an emergency with offers is decided again."""
    if after is not None and before.open_offers:
        return len(after.offers) > len(before.offers)
    return after != before
