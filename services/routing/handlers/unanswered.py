"""Notifies the coordinators of emergencies that nobody answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from contracts.facts import AlertClosed, ReferralUnanswered
from runtime.clock import Clock
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.storage.database import Database
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.referral import Referral
from services.routing.domain.transition import Transition
from services.routing.domain.unanswered import unanswered
from services.routing.handlers.decision_spans import Decided, not_reported
from services.routing.handlers.referral_batch import ReferralBatch
from services.routing.ports import ReferralStore, UnansweredEmergencies

AT_ONCE: Final = 100


class ReportUnanswered:
    """The use case of a timer of each process. Each wait is reported once, and again for later offers."""

    def __init__(
        self,
        *,
        database: Database,
        store: ReferralStore,
        emergencies: UnansweredEmergencies,
        outbox: Outbox,
        policy: Callable[[], RoutingPolicy],
        source: str,
        clock: Clock,
        after_commit: Callable[[], None],
        report: Callable[[Sequence[Decided]], None] = not_reported,
    ) -> None:
        self._database = database
        self._store = store
        self._emergencies = emergencies
        self._outbox = outbox
        self._policy = policy
        self._source = source
        self._clock = clock
        self._after_commit = after_commit
        self._report = report

    def turn(self) -> int:
        """Report the emergencies that are due, and that others no longer wait; return how many were reported.

        Raises DatabaseUnavailable.

        The report and its record are one transaction, so a crash before it loses nothing. The rows of the
        referrals are locked meanwhile: another process then finds them recorded, or accepted.
        """
        now, policy = self._clock.now(), self._policy()
        with self._database.read() as transaction:
            over = self._emergencies.over(transaction, AT_ONCE)
            due = self._emergencies.due(transaction, now - policy.alert_after(), AT_ONCE)
        if not over and not due:
            return 0
        with self._database.write() as transaction:
            batch = ReferralBatch(self._store.load(transaction, {*due, *over}), self._source, now)
            for referral_id in self._emergencies.forget(transaction, over):
                referral = batch.referral(referral_id)
                # The end of a referral closes all its messages, and is its last fact.
                if referral is not None and not referral.is_closed:
                    batch.take(Transition(referral=referral, facts=(_closed(referral),)), cause=None)
            reports = {
                referral_id: fact
                for referral_id in due
                if (referral := batch.referral(referral_id)) is not None
                and (fact := unanswered(referral, policy, now)) is not None
            }
            waiting = {referral_id: report.since for referral_id, report in reports.items()}
            reported = self._emergencies.note(transaction, waiting, now) if reports else set()
            for referral_id in sorted(reported):
                step = Transition(referral=batch.referral(referral_id), facts=(reports[referral_id],))
                batch.take(step, cause=None)
            self._store.save(transaction, batch.changes())
            self._outbox.add(transaction, [outgoing(event) for event in batch.events])
        self._report(batch.decided)
        self._after_commit()
        return len(reported)


def _closed(referral: Referral) -> AlertClosed:
    return AlertClosed(referral_id=referral.id, message_type=ReferralUnanswered.type, by=referral.acceptor)
