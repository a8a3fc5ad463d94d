"""The vault's use cases: what each batch of messages does to the cases in custody."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import Defect, Refused, Unavailable
from contracts.facts import (
    CaseErased,
    CaseRefused,
    CaseReleased,
    CaseResealed,
    Fact,
    OfferAccepted,
    ReferralCompleted,
    ReferralFailed,
    ReferralWithdrawn,
    SealedCaseReleased,
    SealedCaseSubmitted,
    SealedNoteReleased,
    SealedNoteSubmitted,
    SubmissionRefused,
)
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.ports import Outgoing
from services.vault.domain.content import check_content
from services.vault.domain.custody import (
    Acceptance,
    Custody,
    CustodyEvent,
    CustodyState,
    Disposition,
    accept,
    arrive,
    disposition_of,
    other_party,
    replace_released,
    sender_for,
    step,
)
from services.vault.domain.sealed import SealedCase, unreadable
from services.vault.ports import CustodyKey, CustodyStore, SealingKeys, UnusableKey

_log = logging.getLogger(__name__)

# What a message says may depend on another that comes by another queue: a key just published, an
# acceptance just decided. Until a message is this old the other one may still be on its way.
PATIENCE = dt.timedelta(seconds=10)
_RELEASED_AT_ONCE = 100


@dataclass(slots=True)
class _Work:
    """One batch under way: what was taken, what it has come to, and what is to be said about it."""

    now: dt.datetime
    custodies: dict[str, Custody]
    arrived: dict[str, SealedCase] = field(default_factory=dict)
    emptied: set[str] = field(default_factory=set)
    said: list[Event[Fact]] = field(default_factory=list)


class VaultHandlers:
    """Batch handlers: they read and write in the caller's transaction, and return what follows."""

    def __init__(
        self,
        *,
        source: str,
        store: CustodyStore,
        custody_key: CustodyKey,
        keys: SealingKeys,
        new_id: Callable[[], str],
    ) -> None:
        self._source = source
        self._store = store
        self._custody_key = custody_key
        self._keys = keys
        self._new_id = new_id

    def letters(
        self, transaction: Connection, messages: Sequence[Event[Fact]], now: dt.datetime
    ) -> Iterable[Outgoing]:
        """Sealed cases come into custody, sealed notes pass through."""
        work = self._take(transaction, {message.partition_key for message in messages}, now)
        for message in messages:
            match message.data:
                case SealedCaseSubmitted() as letter:
                    self._case_came(work, message, letter)
                case CaseResealed() as letter:
                    self._case_came_again(work, message, letter)
                case SealedNoteSubmitted() as letter:
                    self._note_came(work, message, letter)
                case _:
                    raise Defect(f"{message.type} is no letter to the vault.")
        return self._finish(transaction, work)

    def events(
        self, transaction: Connection, messages: Sequence[Event[Fact]], now: dt.datetime
    ) -> Iterable[Outgoing]:
        """Acceptances name whom a case is for; the end of a referral erases it.

        A completed referral's case is erased too: the acceptor has it, and the hub has no further use
        for it.
        """
        work = self._take(transaction, {message.partition_key for message in messages}, now)
        for message in messages:
            match message.data:
                case OfferAccepted() as fact:
                    self._accepted(work, message, fact)
                case ReferralWithdrawn(reason="consent_revoked") as fact:
                    self._closed(work, message, fact.referral_id, "consent_revoked")
                case ReferralWithdrawn() as fact:
                    self._closed(work, message, fact.referral_id, "withdrawn")
                case ReferralFailed() as fact:
                    self._closed(work, message, fact.referral_id, "failed")
                case ReferralCompleted() as fact:
                    self._closed(work, message, fact.referral_id, "completed")
                case _:
                    raise Defect(f"{message.type} does not concern the vault.")
        return self._finish(transaction, work)

    def releasable(self, transaction: Connection) -> list[str]:
        """The acceptors of held cases who have a key by now."""
        awaited = self._store.awaited_acceptors(transaction)
        return [acceptor for acceptor in awaited if self._keys.of(acceptor) is not None]

    def release_waiting(self, transaction: Connection, now: dt.datetime) -> Iterable[Outgoing]:
        """Releases held cases whose acceptors have published a key since they accepted."""
        # Named first, for each acceptor some, so that a key which turns out unusable holds up nobody else's;
        # then taken all together, in the order that every batch takes them in.
        waiting = {
            referral_id
            for acceptor in self.releasable(transaction)
            for referral_id in self._store.waiting_for(transaction, acceptor, _RELEASED_AT_ONCE)
        }
        return self._finish(transaction, self._take(transaction, waiting, now))

    # What each message does

    def _case_came(self, work: _Work, message: Event[Fact], letter: SealedCaseSubmitted) -> None:
        custody = work.custodies[letter.referral_id]
        # First of all: a second letter for one referral must not touch what is held.
        if step(custody, CustodyEvent.arrival).state is CustodyState.erased:
            return  # the referral ended before its case came: dropped unread
        try:
            case = SealedCase.split(letter.case)
            kid = case.kid()
            if letter.to is None:
                check_content(self._custody_key.open(case))
            else:
                self._check_receivers_key(letter.to, kid, waited=work.now - message.time)
        except Refused as refused:
            self._refuse(work, custody, letter.sender, refused, cause=message)
        else:
            work.custodies[letter.referral_id] = arrive(custody, letter.sender, letter.to, kid)
            work.arrived[letter.referral_id] = case

    def _case_came_again(self, work: _Work, message: Event[Fact], letter: CaseResealed) -> None:
        custody = work.custodies[letter.referral_id]
        waited = work.now - message.time
        if custody.state in (CustodyState.awaited, CustodyState.held) and waited < PATIENCE:
            raise Unavailable("The acceptance may not have reached this vault yet.")
        try:
            case = SealedCase.split(letter.case)
            kid = case.kid()
            replaced = replace_released(custody, letter.sender, letter.to, kid)
            self._check_receivers_key(letter.to, kid, waited=waited)
        except Refused as refused:
            self._refuse_submission(work, message, letter.referral_id, letter.sender, refused)
            return
        work.custodies[letter.referral_id] = replaced
        work.emptied.add(letter.referral_id)
        work.arrived[letter.referral_id] = case
        again = SealedCaseReleased(
            referral_id=letter.referral_id, organization=letter.to, kid=kid, case=letter.case
        )
        self._say_released(work, again, cause=message)

    def _check_receivers_key(self, receiver: str, kid: str, *, waited: dt.timedelta) -> None:
        key = self._keys.of(receiver)
        if key is not None and key.kid == kid:
            return
        if waited < PATIENCE:
            raise Unavailable("The receiver's key may not have reached this vault yet.")
        if key is None:
            raise unreadable(f"{receiver}, whom the case is sealed to, has published no sealing key.")
        raise unreadable(f"The case is sealed to another key than the one that {receiver} has published.")

    def _note_came(self, work: _Work, message: Event[Fact], letter: SealedNoteSubmitted) -> None:
        try:
            custody = work.custodies[letter.referral_id]
            receiver = other_party(custody, letter.author) if letter.offer_id is None else sender_for(custody)
            if receiver is None:
                if work.now - message.time < PATIENCE:
                    raise Unavailable("The case or its acceptance may not have reached this vault yet.")
                raise Refused("not-in-this-state", "No organisation has accepted the referral yet.")
        except Refused as refused:
            self._refuse_submission(work, message, letter.referral_id, letter.author, refused)
        else:
            passed_on = SealedNoteReleased(
                referral_id=letter.referral_id,
                organization=receiver,
                author=letter.author,
                note=letter.note,
                offer_id=letter.offer_id,
            )
            self._say(work, passed_on, letter.referral_id, cause=message)

    def _refuse_submission(
        self, work: _Work, message: Event[Fact], referral_id: str, organization: str, refused: Refused
    ) -> None:
        refusal = SubmissionRefused(
            referral_id=referral_id,
            organization=organization,
            # The submission is what made the door write the letter.
            submission_id=message.causation_id or message.id,
            problem=refused.problem(),
        )
        self._say(work, refusal, referral_id, cause=message)

    def _accepted(self, work: _Work, message: Event[Fact], fact: OfferAccepted) -> None:
        acceptance = Acceptance(
            organization=fact.organization,
            message_id=message.id,
            correlation_id=message.correlation_id,
            traceparent=message.traceparent,
        )
        custody = work.custodies[fact.referral_id]
        work.custodies[fact.referral_id] = accept(custody, fact.sender, acceptance)

    def _closed(self, work: _Work, message: Event[Fact], referral_id: str, reason: str) -> None:
        custody = work.custodies[referral_id] = step(work.custodies[referral_id], CustodyEvent.closing)
        work.arrived.pop(referral_id, None)
        work.emptied.add(referral_id)
        if custody.state is CustodyState.erased:
            erased = CaseErased(referral_id=referral_id, reason=reason)
            self._say(work, erased, referral_id, cause=message)

    def _refuse(
        self, work: _Work, custody: Custody, sender: str, refused: Refused, *, cause: Event[Fact] | Acceptance
    ) -> None:
        work.custodies[custody.referral_id] = step(custody, CustodyEvent.refusal)
        work.arrived.pop(custody.referral_id, None)
        work.emptied.add(custody.referral_id)
        fact = CaseRefused(referral_id=custody.referral_id, organization=sender, problem=refused.problem())
        self._say(work, fact, custody.referral_id, cause=cause)

    # A batch's beginning and end

    def _take(self, transaction: Connection, referrals: Collection[str], now: dt.datetime) -> _Work:
        return _Work(now=now, custodies=self._store.take(transaction, referrals))

    def _finish(self, transaction: Connection, work: _Work) -> Iterable[Outgoing]:
        """Releases what can go now, whichever message made it so, and writes everything down.

        The release is decided on what the whole batch has come to: a case that was accepted and withdrawn
        within it does not leave.
        """
        self._release(transaction, work)
        self._store.destroy(transaction, work.emptied)
        self._store.keep(transaction, work.arrived)
        self._store.put(transaction, work.custodies.values(), work.now)
        return [outgoing(event) for event in work.said]

    def _release(self, transaction: Connection, work: _Work) -> None:
        leaving = [c for c in work.custodies.values() if disposition_of(c) is not Disposition.stay]
        stored = {c.referral_id for c in leaving} - work.arrived.keys()
        sealed = {**self._store.sealed(transaction, stored), **work.arrived}
        for custody in leaving:
            assert custody.acceptance is not None
            try:
                letter = self._letter(custody, custody.acceptance, sealed[custody.referral_id])
            except Refused as refused:
                assert custody.sender is not None
                self._refuse(work, custody, custody.sender, refused, cause=custody.acceptance)
                continue
            if letter is None:
                continue
            work.custodies[custody.referral_id] = step(custody, CustodyEvent.release)
            self._say_released(work, letter, cause=custody.acceptance)

    def _say_released(
        self, work: _Work, letter: SealedCaseReleased, *, cause: Event[Fact] | Acceptance
    ) -> None:
        released = CaseReleased(
            referral_id=letter.referral_id, organization=letter.organization, kid=letter.kid
        )
        self._say(work, letter, letter.referral_id, cause=cause)
        self._say(work, released, letter.referral_id, cause=cause)

    def _letter(
        self, custody: Custody, acceptance: Acceptance, case: SealedCase
    ) -> SealedCaseReleased | None:
        """The case as its acceptor can open it; None while the acceptor has no key."""
        acceptor = acceptance.organization
        if disposition_of(custody) is Disposition.refuse:
            raise unreadable(
                f"The case is sealed to {custody.receiver}, and {acceptor} accepted: they could not open it."
            )
        if disposition_of(custody) is Disposition.forward:
            compact = case.whole()
        else:
            key = self._keys.of(acceptor)
            if key is None:
                return None
            try:
                compact = self._custody_key.reseal(case, key)
            except UnusableKey:
                _log.warning("a sealing key cannot be used", extra={"organization": acceptor})
                return None
        return SealedCaseReleased(
            referral_id=custody.referral_id,
            organization=acceptor,
            kid=SealedCase.split(compact).kid(),
            case=compact,
        )

    def _say(self, work: _Work, fact: Fact, referral_id: str, *, cause: Event[Fact] | Acceptance) -> None:
        work.said.append(
            Event(
                id=self._new_id(),
                source=self._source,
                time=work.now,
                partition_key=referral_id,
                correlation_id=cause.correlation_id,
                causation_id=cause.message_id if isinstance(cause, Acceptance) else cause.id,
                traceparent=cause.traceparent,
                data=fact,
            )
        )
