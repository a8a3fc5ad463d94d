"""Finds admitted submissions by their id or Idempotency-Key, and says whether the broker has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from contracts.responses.referrals import AdmittedSubmission
from runtime.messaging.outbox.outbox_age import OutboxAge
from runtime.storage.database import Database
from services.intake.domain.admission import keys_of_batch
from services.intake.ports import AdmissionStore, Admitted

# The most submissions in an answer: the lines of a batch, or the commands about one referral.
MOST_FOUND: Final = 1_000


class SubmissionSearch:
    """Reads intake's own records only, so it answers while the broker or routing is unavailable."""

    def __init__(self, *, database: Database, store: AdmissionStore, outbox_age: OutboxAge) -> None:
        self._database = database
        self._store = store
        self._outbox_age = outbox_age

    def by_id(self, id_: str, organization: str | None, *, viewer: str) -> list[AdmittedSubmission]:
        """Return the submission with this id; for the id of a referral or an offer, all about that referral.

        organization: only its own submissions; None: everybody's. viewer: the caller. Raises Unavailable.
        """
        with self._database.read() as transaction:
            referral_id = self._store.referral_of(transaction, id_) or id_
            found = self._store.admitted(transaction, {id_, referral_id}, referral_id=referral_id)
        return self._answer([one for one in found if organization in (None, one.organization)], viewer)

    def by_key(self, key: str, organization: str, *, viewer: str) -> list[AdmittedSubmission]:
        """Return what the organisation submitted under an Idempotency-Key, of a batch all its lines.

        Raises Unavailable.
        """
        with self._database.read() as transaction:
            ids = self._store.answers_to(transaction, organization, [key, *keys_of_batch(key)])
            found = self._store.admitted(transaction, ids)
        return self._answer([one for one in found if one.organization == organization], viewer)

    def _answer(self, found: Sequence[Admitted], viewer: str) -> list[AdmittedSubmission]:
        if not found:
            return []
        # The relay publishes in the order of admission, so whatever is older than the oldest waiting event is
        # with the broker.
        with self._database.read() as transaction:
            oldest = self._outbox_age.oldest(transaction)
        return [
            AdmittedSubmission(
                id=one.id,
                referral_id=one.referral_id,
                organization=one.organization,
                fact=one.fact,
                admitted_at=one.admitted_at,
                published=oldest is None or one.admitted_at < oldest,
                own=one.organization == viewer,
            )
            for one in found[:MOST_FOUND]
        ]
