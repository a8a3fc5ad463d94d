"""Releases: a case goes to its acceptor, sealed to its key, or the sender is asked for it."""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import replace

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import Defect, Refused, Unavailable
from contracts.facts import (
    CasePaused,
    CaseRefused,
    CaseReleased,
    CaseRequested,
    Fact,
    SealedCaseReleased,
)
from services.vault.batch import PATIENCE, BatchProgress
from services.vault.domain.custody import (
    Acceptance,
    Custody,
    CustodyEvent,
    Disposition,
    disposition_of,
    step,
    strand,
)
from services.vault.domain.sealed import SealedCase, unreadable
from services.vault.parts import let_parts_follow
from services.vault.ports import CustodyKeys, CustodyStore, KnownSealingKeys, UnusableKey

_log = logging.getLogger(__name__)


class Releases:
    """Decides at the end of a batch which of its cases are released."""

    def __init__(self, *, store: CustodyStore, custody_keys: CustodyKeys, keys: KnownSealingKeys) -> None:
        self._store = store
        self._custody_keys = custody_keys
        self._keys = keys

    def release(self, transaction: Connection, batch: BatchProgress) -> None:
        """Release every case of the batch that can be released, and ask the senders for those that cannot.

        Raises Defect if the key store lacks a case's key.
        """
        self._request(batch)
        releasable = [
            c
            for c in batch.custodies.values()
            if disposition_of(c) in (Disposition.reseal, Disposition.forward) and _is_of_its_case(c, batch)
        ]
        stored = {c.case_of for c in releasable} - batch.arrived.keys()
        sealed = {**self._store.sealed(transaction, stored), **batch.arrived}
        for custody in releasable:
            if (case := sealed.get(custody.case_of)) is None:
                # Not `case-unreadable`, which would end the referral: the operator may find the key store.
                raise Defect("The key store does not have the key of this case.")
            if custody.receiver is not None and case.kid() != custody.kid:
                # The sender has sealed it again since, for the acceptor of another part. The custody records
                # that from now on, so that the sender is asked once.
                whole = batch.custodies[custody.case_of]
                newest = replace(custody, receiver=whole.receiver, kid=whole.kid)
                batch.custodies[custody.referral_id] = newest
                self._release_one(batch, newest, case)
            else:
                self._release_one(batch, custody, case)

    def _release_one(self, batch: BatchProgress, custody: Custody, case: SealedCase) -> None:
        acceptance = custody.acceptance
        assert acceptance is not None
        if disposition_of(custody) is Disposition.request:
            self._request_case(batch, custody, acceptance)
            return
        try:
            released = self._released_case(custody, acceptance, case, batch.now)
        except Refused as refused:
            assert custody.sender is not None
            refuse_case(batch, custody, custody.sender, refused, cause=acceptance)
            return
        if released is not None:
            batch.custodies[custody.referral_id] = step(custody, CustodyEvent.release)
            self.publish(batch, released, cause=batch.renewals.get(custody.referral_id, acceptance))
        elif (until := self.paused_until(acceptance.organization, batch.now)) is not None:
            self._pause(batch, custody, acceptance, until)
        elif self._is_sealed_to_a_refused_key(custody, acceptance.organization, case, batch.now):
            batch.custodies[custody.referral_id] = strand(custody)
            self._request_case(batch, custody, acceptance)

    def is_possible_to(self, acceptor: str, now: dt.datetime) -> bool:
        """Return whether the acceptor has a key to which a case may be sealed now."""
        return self._keys.of(acceptor) is not None and self.paused_until(acceptor, now) is None

    def has_key(self, acceptor: str) -> bool:
        """Return whether a sealing key of the acceptor is known."""
        return self._keys.of(acceptor) is not None

    def require_key_of(self, receiver: str, kid: str, now: dt.datetime, *, waited: dt.timedelta) -> None:
        """Require that the receiver's keys accept a case that is sealed to this key.

        Raises Unavailable while the key may not have arrived, else Refused `case-unreadable`.
        """
        key = self._keys.of(receiver)
        if self._keys.accepts(receiver, kid, now):
            return
        if waited < PATIENCE:
            raise Unavailable("The receiver's key may not have reached the vault yet.")
        if key is None:
            raise unreadable(f"The case is sealed to {receiver}, which has published no sealing key.")
        raise unreadable(f"The case is not sealed to the key that {receiver} has published.")

    def _request(self, batch: BatchProgress) -> None:
        """Ask the senders for the cases that they replaced for another acceptor only."""
        for id_, custody in batch.custodies.items():
            before, acceptance = batch.taken[id_], custody.acceptance
            if acceptance is None:
                continue
            lost_its_case = custody.receiver not in (None, before.receiver, acceptance.organization)
            if lost_its_case or (
                disposition_of(custody) is Disposition.request and before.acceptance != acceptance
            ):
                self._request_case(batch, custody, acceptance)

    def _request_case(self, batch: BatchProgress, custody: Custody, acceptance: Acceptance) -> None:
        assert custody.sender is not None  # known with the case or the acceptance
        request = CaseRequested(
            referral_id=custody.referral_id, organization=acceptance.organization, sender=custody.sender
        )
        batch.publish(request, custody.referral_id, cause=acceptance)

    def paused_until(self, acceptor: str, now: dt.datetime) -> dt.datetime | None:
        """Return until when no case may be sealed to the acceptor; None if one may."""
        until = self._keys.paused_until(acceptor)
        return until if until is not None and now < until else None

    def _pause(
        self, batch: BatchProgress, custody: Custody, acceptance: Acceptance, until: dt.datetime
    ) -> None:
        # Announced once for each change of the key.
        if custody.paused_until == until:
            return
        assert custody.sender is not None
        batch.custodies[custody.referral_id] = replace(custody, paused_until=until)
        fact = CasePaused(
            referral_id=custody.referral_id,
            organization=acceptance.organization,
            sender=custody.sender,
            until=until,
        )
        batch.publish(fact, custody.referral_id, cause=acceptance)

    def publish(
        self, batch: BatchProgress, sealed_case: SealedCaseReleased, *, cause: Event[Fact] | Acceptance
    ) -> None:
        """Publish that a case is released to its acceptor."""
        fact = CaseReleased(
            referral_id=sealed_case.referral_id, organization=sealed_case.organization, kid=sealed_case.kid
        )
        batch.publish(sealed_case, sealed_case.referral_id, cause=cause)
        batch.publish(fact, sealed_case.referral_id, cause=cause)

    def _released_case(
        self, custody: Custody, acceptance: Acceptance, case: SealedCase, now: dt.datetime
    ) -> SealedCaseReleased | None:
        """Return the case sealed to its acceptor; None if no key of the acceptor may be used for it."""
        acceptor = acceptance.organization
        key = self._keys.of(acceptor)
        # Without a known key nothing says whose key the case is sealed to: the case waits for one.
        if key is None or self.paused_until(acceptor, now) is not None:
            return None
        if self._is_sealed_to_a_refused_key(custody, acceptor, case, now):
            return None
        if disposition_of(custody) is Disposition.forward:
            compact = case.whole()
        else:
            try:
                compact = self._custody_keys.reseal(case, key)
            except UnusableKey:
                _log.warning("sealing key unusable", extra={"organization": acceptor})
                return None
        return SealedCaseReleased(
            referral_id=custody.referral_id,
            organization=acceptor,
            kid=SealedCase.split(compact).kid(),
            case=compact,
            offer_id=acceptance.offer_id,
        )

    def _is_sealed_to_a_refused_key(
        self, custody: Custody, acceptor: str, case: SealedCase, now: dt.datetime
    ) -> bool:
        """Return whether the sender sealed the case to a key that has been replaced by another since.

        A key that was replaced without proof is lost or stolen: what is sealed to it is not released.
        """
        forwarded = disposition_of(custody) is Disposition.forward
        is_known = self._keys.of(acceptor) is not None
        return forwarded and is_known and not self._keys.accepts(acceptor, case.kid(), now)


def _is_of_its_case(custody: Custody, batch: BatchProgress) -> bool:
    """Return whether the case is the referral's own, or that of the whole of which it is a part.

    The id of a part follows from that of the whole. Otherwise whoever can write to the vault's database could
    let a referral take the case of another one, and the log would show nothing wrong.
    """
    if custody.part_of is None:
        return True
    if (whole := batch.custodies.get(custody.part_of)) is None:
        # The batch has taken the part for a row that was changed, and names it as its whole.
        return False
    if custody.referral_id in whole.part_ids:
        return True
    _log.error(
        "the custody of a referral names a whole of which it is no part: its row was changed",
        extra={"referral_id": custody.referral_id},
    )
    return False


def refuse_case(
    batch: BatchProgress,
    custody: Custody,
    sender: str,
    refused: Refused,
    *,
    cause: Event[Fact] | Acceptance,
) -> None:
    """Erase a case that cannot be read, and end its referral."""
    batch.custodies[custody.referral_id] = step(custody, CustodyEvent.refusal)
    let_parts_follow(batch, custody.referral_id)
    batch.arrived.pop(custody.referral_id, None)
    batch.destroyed.add(custody.referral_id)
    fact = CaseRefused(referral_id=custody.referral_id, organization=sender, problem=refused.problem())
    batch.publish(fact, custody.referral_id, cause=cause)
