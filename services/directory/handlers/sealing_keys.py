"""Sealing keys: the first one, replacement with proof or approval, and their history.

A token alone never replaces a key: otherwise a thief of a client's secret would read every later case.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from contracts.codes import KeyManner
from contracts.errors import Refused
from contracts.organization import Organization, SealingKey
from runtime.identifiers import new_id
from services.directory.domain.approval import Approval
from services.directory.domain.change import KeyChange
from services.directory.domain.precondition import Precondition, check_precondition
from services.directory.domain.sealing_key_history import (
    CHALLENGE_VALID_FOR,
    MOST_CHALLENGES,
    Challenge,
    KeptKey,
    check_answer,
    with_key,
)
from services.directory.handlers.approvals import Approvals
from services.directory.handlers.change_rates import ChangeRates
from services.directory.handlers.effects import take_effect
from services.directory.handlers.ledger import Ledger, Writing
from services.directory.ports import SealingKeyStore

_ANSWER_BYTES = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Challenged:
    """A challenge to prove possession of the present key. sealed: the answer, a compact JWE to that key."""

    challenge: Challenge
    sealed: str


class SealingKeys:
    """Publishes, replaces and lists sealing keys."""

    def __init__(
        self,
        ledger: Ledger,
        store: SealingKeyStore,
        approvals: Approvals,
        seal: Callable[[Challenge, str, SealingKey], str],
        rates: ChangeRates,
    ) -> None:
        """seal: returns an answer as a JWE to a key (`adapters.challenge_sealing`)."""
        self._ledger = ledger
        self._store = store
        self._approvals = approvals
        self._seal = seal
        self._rates = rates

    def publish(
        self,
        organization: str,
        key: SealingKey,
        *,
        by: str,
        client: str | None = None,
        operator: bool = False,
        without_proof: bool = False,
        precondition: Precondition | None = None,
    ) -> SealingKey | Challenged | Approval:
        """Publish the organisation's key; return it if it is in force, or what is still needed.

        by: the organisation with its client, or an operator that asks for it. without_proof: the present key
        is lost. precondition: on the whole record. Raises Refused `not-found` if the organisation has no
        record, `precondition-failed` and `too-many-open-requests`.
        """
        with self._ledger.writing() as writing:
            present = self._record(writing, organization)
            if present.sealing_key == key:
                return key  # a repetition after a lost response
            if precondition is not None:
                revision = writing.standing(Organization, organization)
                check_precondition(None if revision is None else revision.revision, precondition)
            change = KeyChange(organization=organization, key=key)
            if not operator and present.sealing_key is not None and not without_proof:
                return self._challenge(writing, organization, key, present.sealing_key)
            # Without proof a partner's own token never suffices to replace a key, whatever the policy.
            if self._approvals.two_persons or (not operator and present.sealing_key is not None):
                return self._approvals.request(writing, change, by=by, client=None if operator else client)
            take_effect(writing, change, by=by)
            return key

    def prove(self, organization: str, challenge_id: str, answer: str) -> SealingKey:
        """Replace the key by the challenge's; return it.

        Raises Refused as `check_answer` does, and RateLimited for an organisation that has replaced its key
        too often.
        """
        with self._ledger.writing() as writing:
            present = self._record(writing, organization)
            challenge = check_answer(
                self._store.open_challenge(writing.transaction, organization, challenge_id),
                answer,
                None if present.sealing_key is None else present.sealing_key.kid,
                writing.now,
            )
            self._rates.take_key(organization)
            self._store.close_challenges(writing.transaction, organization)
            replaced = with_key(present, challenge.key, manner=KeyManner.proved, at=writing.now)
            writing.put(replaced, by=organization)
        return challenge.key

    def history(self, organization: str) -> list[KeptKey]:
        """Return the organisation's keys, the present one first."""
        with self._ledger.database.read() as transaction:
            return self._store.history(transaction, organization)

    def _challenge(
        self, writing: Writing, organization: str, key: SealingKey, present: SealingKey
    ) -> Challenged:
        others = self._store.open_challenges(
            writing.transaction, organization, other_than=key.kid, now=writing.now
        )
        if others >= MOST_CHALLENGES:
            raise Refused(
                "too-many-open-requests",
                f"{MOST_CHALLENGES:,} challenges for other keys are open. Answer one, or wait ten minutes.",
            )
        answer = secrets.token_urlsafe(_ANSWER_BYTES)
        challenge = Challenge(
            id=new_id(),
            organization=organization,
            key=key,
            previous=present.kid,
            answer_sha256=sha256(answer.encode()).hexdigest(),
            expires_at=writing.now + CHALLENGE_VALID_FOR,
        )
        self._store.challenge(writing.transaction, challenge)
        return Challenged(challenge=challenge, sealed=self._seal(challenge, answer, present))

    def _record(self, writing: Writing, organization: str) -> Organization:
        found = writing.organization(organization)
        if found is None:
            raise Refused(
                "not-found", "The directory has no record of this organisation, so it cannot publish a key."
            )
        return found
