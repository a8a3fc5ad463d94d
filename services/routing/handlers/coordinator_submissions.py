"""Coordinators' submissions: tried on the current state, then published to routing's own queue."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import Refused
from contracts.facts import (
    CoordinatorWithdrawalSubmitted,
    Fact,
    InterventionSubmitted,
    PlacementSubmitted,
)
from contracts.records import canonical
from contracts.submission_bound import BOUND_INTERVAL, beyond_bound
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.storage.database import Database
from services.routing.domain.referral import Referral
from services.routing.domain.refusals import counted_with, refusal_of
from services.routing.domain.timeline import entry_of
from services.routing.ports import Changes, PlacementKeys, ReferralStore

Submission = PlacementSubmitted | CoordinatorWithdrawalSubmitted | InterventionSubmitted


class CoordinatorSubmissions:
    """One instance per process; processes share state only through the database."""

    def __init__(
        self,
        *,
        database: Database,
        store: ReferralStore,
        keys: PlacementKeys,
        outbox: Outbox,
        source: str,
        after_commit: Callable[[], None],
    ) -> None:
        self._database = database
        self._store = store
        self._keys = keys
        self._outbox = outbox
        self._source = source
        self._after_commit = after_commit

    def submit(
        self,
        submission: Submission,
        now: dt.datetime,
        key: str | None,
        attempt: Callable[[Referral], Submission],
    ) -> str:
        """Publish the submission; return its id.

        key: the request's Idempotency-Key. A repeated submission gets its first id, even if it would be
        refused now; another one under the same key is refused as `idempotency-conflict`.

        attempt: applies the submission to the referral as a trial, or raises Refused, so that the coordinator
        learns at once why it is impossible. It returns what to publish: the submission with the offers that
        it concerns. If the state changes before routing applies it, the refusal goes to the coordinators'
        mailbox. A fact `….refused` records both. Raises Refused, DatabaseUnavailable.

        A coordinator submits a bounded number of times about a referral in a day; then Refused
        `too-many-statements`. One that routing has not read yet does not count.
        """
        refusal: Refused | None = None
        with self._database.write() as transaction:
            if key is not None and (first := self._first(transaction, submission, key)) is not None:
                return first
            referral = self._store.view(transaction, [submission.referral_id]).get(submission.referral_id)
            if referral is None:
                raise Refused("not-found", "This referral does not exist.")
            counted, since = counted_with(submission), now - BOUND_INTERVAL
            earlier = self._store.acted_at(
                transaction, submission.referral_id, submission.coordinator, counted, since=since
            )
            # It leaves no refusal, which would be one more step.
            if (beyond := beyond_bound(earlier, now, who="You have")) is not None:
                raise beyond
            event: Event[Fact] = Event(
                id=(submission_id := new_id()),
                source=self._source,
                time=now,
                partition_key=submission.referral_id,
                correlation_id=submission_id,
                causation_id=None,
                data=submission,
            )
            try:
                event = replace(event, data=attempt(referral))
            except Refused as refused:
                refusal = refused
                fact = refusal_of(submission, submission_id, refused)
                event = replace(event, id=new_id(), data=fact)
                entry = entry_of(fact, submission.referral_id, now)
                self._store.save(transaction, Changes(before={}, after=(), timeline=(entry,)))
            if refusal is None and key is not None:
                used = self._keys.use(
                    transaction,
                    submission.coordinator,
                    key,
                    content=_digest(submission),
                    submission_id=submission_id,
                    now=now,
                )
                if not used:
                    # Another process has just used the key.
                    first = self._first(transaction, submission, key)
                    assert first is not None
                    return first
            self._outbox.add(transaction, [outgoing(event)])
        self._after_commit()
        if refusal is not None:
            raise refusal
        return submission_id

    def _first(self, transaction: Connection, submission: Submission, key: str) -> str | None:
        """Return the id of a repeated submission, None for a new key. Raises Refused."""
        used = self._keys.used(transaction, submission.coordinator, key)
        if used is None:
            return None
        content, submission_id = used
        if content != _digest(submission):
            raise Refused("idempotency-conflict", "The key was used for another submission.")
        return submission_id


def _digest(submission: Submission) -> str:
    return hashlib.sha256(canonical(submission)).hexdigest()
