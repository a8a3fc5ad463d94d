"""The vault's use cases: batch handlers for sealed messages and for facts about referrals."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Sequence

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import Defect, Refused, Unavailable
from contracts.facts import (
    AcceptanceRevoked,
    AnswerRefused,
    CaseErased,
    Fact,
    HandBackRefused,
    OfferAccepted,
    OfferDeclined,
    ReferralCompleted,
    ReferralFailed,
    ReferralHandedBack,
    ReferralRejoined,
    ReferralSplit,
    ReferralWithdrawn,
    SealedCaseReplaced,
    SealedCaseSubmitted,
    SealedNoteSubmitted,
    TransitKeyClosed,
)
from runtime.messaging.outbox.outbox import outgoing
from runtime.messaging.ports import Outgoing
from services.vault.acceptances import acceptance_ended, accepted
from services.vault.batch import PATIENCE, BatchProgress
from services.vault.domain.content import check_content
from services.vault.domain.custody import (
    Custody,
    CustodyEvent,
    CustodyState,
    arrive,
    step,
)
from services.vault.domain.evidence import ProvenEvent
from services.vault.domain.sealed import SealedCase
from services.vault.notes import answered, receive_explanation, receive_note, refuse_held
from services.vault.parts import let_parts_follow, parts_in, rejoin_referral, split_referral
from services.vault.ports import (
    CustodyKeys,
    CustodyStore,
    DeclineNotes,
    KnownSealingKeys,
    MessageOpener,
    TransitKeyStore,
)
from services.vault.releases import Releases, refuse_case
from services.vault.replacements import Replacements

_RELEASED_AT_ONCE = 100
# How long a case waits for its acceptor's key before an operator is notified.
NOT_YET_LACKING = dt.timedelta(minutes=1)


class VaultHandlers:
    """Batch handlers: they work in the caller's transaction and return the messages to publish."""

    def __init__(
        self,
        *,
        source: str,
        store: CustodyStore,
        notes: DeclineNotes,
        opener: MessageOpener,
        transit_keys: TransitKeyStore,
        custody_keys: CustodyKeys,
        keys: KnownSealingKeys,
        new_id: Callable[[], str],
    ) -> None:
        self._source = source
        self._store = store
        self._notes = notes
        self._opener = opener
        self._transit_keys = transit_keys
        self._custody_keys = custody_keys
        self._releases = Releases(store=store, custody_keys=custody_keys, keys=keys)
        self._replacements = Replacements(custody_keys, self._releases)
        self._new_id = new_id

    def sealed_messages(
        self, transaction: Connection, messages: Sequence[Event[Fact]], now: dt.datetime
    ) -> Iterable[Outgoing]:
        """Take sealed cases into custody; forward sealed notes."""
        messages = self._opener.opened(transaction, messages)
        referrals = {message.partition_key for message in messages}
        # A replacement for one part concerns the other parts too.
        replaced = {m.partition_key for m in messages if isinstance(m.data, SealedCaseReplaced)}
        batch = self._take(transaction, referrals | self._store.linked(transaction, replaced), now)
        explained = {m.partition_key for m in messages if getattr(m.data, "explains", False)}
        batch.answers = self._notes.answers(transaction, explained)
        for message in messages:
            match message.data:
                case SealedCaseSubmitted() as fact:
                    self._receive_case(batch, message, fact)
                case SealedCaseReplaced(to=None) as fact:
                    self._replacements.renew_case(batch, message, fact)
                case SealedCaseReplaced(to=str(acceptor)) as fact:
                    self._replacements.replace_case_for(acceptor, batch, message, fact)
                case SealedNoteSubmitted(explains=False) as fact:
                    receive_note(batch, message, fact, self._releases.paused_until)
                case SealedNoteSubmitted() as fact:
                    receive_explanation(batch, message, fact, self._releases.paused_until)
                case _:
                    raise Defect(f"vault.sealed does not handle {message.type}.")
        return self._finish(transaction, batch)

    def events(
        self, transaction: Connection, messages: Sequence[ProvenEvent], now: dt.datetime
    ) -> Iterable[Outgoing]:
        """Record acceptances, which name a case's receiver; erase the cases of closed referrals.

        The case of a completed referral is erased too: the acceptor has it, and the hub no longer needs it.
        The note of a decline or a hand-back is forwarded when it has taken effect, and dropped when it was
        refused. The facts about acceptances and closings are stored with their author's signature, as
        evidence. The end of a transit key concerns no referral.
        """
        for proven in messages:
            if isinstance(ended := proven.event.data, TransitKeyClosed):
                self._transit_keys.close(transaction, ended.kid, ended.messages, now)
        messages = [proven for proven in messages if not isinstance(proven.event.data, TransitKeyClosed)]
        referrals = {
            *(proven.event.partition_key for proven in messages),
            *(id_ for proven in messages for id_ in parts_in(proven.event.data)),
        }
        batch = self._take(transaction, referrals, now)
        batch.held = self._notes.held(transaction, referrals)
        newly_accepted = {m.event.partition_key for m in messages if isinstance(m.event.data, OfferAccepted)}
        batch.ended_offers = self._store.ended_offers(transaction, newly_accepted)
        for proven in messages:
            message = proven.event
            if not isinstance(message.data, OfferDeclined | AnswerRefused | HandBackRefused):
                batch.evidence.append((message.partition_key, proven))
            # Each part has the fact too: it says whose case is released under the part's id, or that none is.
            batch.evidence += [(part, proven) for part in parts_in(message.data)]
            match message.data:
                case OfferAccepted() as fact:
                    accepted(batch, message, fact)
                case ReferralSplit() as fact:
                    split_referral(batch, fact)
                case ReferralRejoined() as fact:
                    self._rejoin(batch, message, fact)
                case AcceptanceRevoked() as fact:
                    acceptance_ended(batch, fact)
                case ReferralHandedBack() as fact:
                    acceptance_ended(batch, fact)
                    self._answered(batch, message.causation_id, fact.referral_id, sender=fact.sender)
                case OfferDeclined() as fact:
                    # Routing sets the answer's submission as the cause of its decision.
                    self._answered(batch, message.causation_id, fact.referral_id, sender=fact.sender)
                case AnswerRefused() | HandBackRefused() as fact:
                    self._answered(batch, fact.submission_id, fact.referral_id, sender=None)
                case ReferralWithdrawn(reason="consent_revoked") as fact:
                    self._closed(batch, message, fact.referral_id, "consent_revoked")
                case ReferralWithdrawn() as fact:
                    self._closed(batch, message, fact.referral_id, "withdrawn")
                case ReferralFailed() as fact:
                    self._closed(batch, message, fact.referral_id, "failed")
                case ReferralCompleted() as fact:
                    self._closed(batch, message, fact.referral_id, "completed")
                case _:
                    raise Defect(f"vault.events does not handle {message.type}.")
        return self._finish(transaction, batch)

    def releasable(self, transaction: Connection, now: dt.datetime) -> list[str]:
        """Return the acceptors of held cases that have published a key to which cases may be sealed now."""
        return [
            acceptor
            for acceptor in self._store.awaited_acceptors(transaction)
            if self._releases.is_possible_to(acceptor, now)
        ]

    def without_key(self, transaction: Connection, now: dt.datetime) -> dict[str, int]:
        """Return the number of accepted cases that wait for a sealing key of their acceptor, by acceptor.

        A key that was published just now may not have reached the vault: cases that came or were accepted
        within NOT_YET_LACKING do not count.
        """
        waiting = self._store.awaiting_release(transaction, now - NOT_YET_LACKING)
        return {one: count for one, count in waiting.items() if not self._releases.has_key(one)}

    def release_waiting(self, transaction: Connection, now: dt.datetime) -> Iterable[Outgoing]:
        """Release held cases whose acceptors have published a key meanwhile, or whose pause is over."""
        # A bounded number for each acceptor, so that an unusable key does not hold up other acceptors. Then
        # all are taken together, in the lock order of every batch.
        waiting = {
            referral_id
            for acceptor in self.releasable(transaction, now)
            for referral_id in self._store.waiting_for(transaction, acceptor, _RELEASED_AT_ONCE)
        }
        batch = self._take(transaction, waiting, now)
        # A case whose key is missing stays where it is, and does not hold up the others.
        readable = self._store.sealed(transaction, {one.case_of for one in batch.custodies.values()})
        batch.custodies = {
            id_: one for id_, one in batch.custodies.items() if one.case_of in readable and self._has_key(one)
        }
        return self._finish(transaction, batch)

    def _has_key(self, custody: Custody) -> bool:
        """Return whether the case needs no custody key, or one that the vault has."""
        return custody.receiver is not None or custody.kid is None or self._custody_keys.has(custody.kid)

    # One method for each message type

    def _receive_case(self, batch: BatchProgress, message: Event[Fact], fact: SealedCaseSubmitted) -> None:
        custody = batch.custodies[fact.referral_id]
        # Checked first: a second case for a referral must not change the held one.
        if step(custody, CustodyEvent.arrival).state is CustodyState.erased:
            return  # the referral ended before its case arrived: the case is dropped unread
        try:
            case = SealedCase.split(fact.case)
            kid = case.kid()
            if fact.to is None:
                check_content(self._custody_keys.open(case))
            else:
                self._releases.require_key_of(fact.to, kid, batch.now, waited=batch.now - message.time)
        except Refused as refused:
            refuse_case(batch, custody, fact.sender, refused, cause=message)
        else:
            batch.custodies[fact.referral_id] = arrive(custody, fact.sender, fact.to, kid)
            batch.arrived[fact.referral_id] = case
            let_parts_follow(batch, fact.referral_id)

    def _rejoin(self, batch: BatchProgress, message: Event[Fact], fact: ReferralRejoined) -> None:
        is_held = any(batch.custodies[id_].acceptance is not None for id_ in fact.parts)
        if is_held and batch.now - message.time < PATIENCE:
            raise Unavailable("A part was handed back, which may not have reached the vault yet.")
        rejoin_referral(batch, fact)

    def _answered(
        self, batch: BatchProgress, submission: str | None, referral_id: str, *, sender: str | None
    ) -> None:
        answered(batch, submission, referral_id, self._releases.paused_until, sender=sender)

    def _closed(self, batch: BatchProgress, message: Event[Fact], referral_id: str, reason: str) -> None:
        before = batch.custodies[referral_id]
        custody = batch.custodies[referral_id] = step(before, CustodyEvent.closing)
        batch.arrived.pop(referral_id, None)
        batch.destroyed.add(referral_id)
        batch.closed.add(referral_id)
        refuse_held(batch, referral_id)
        let_parts_follow(batch, referral_id)
        # A part has no case. A consent may be withdrawn after the end, when nothing is left to erase.
        if (
            custody.part_of is None
            and custody.state is CustodyState.erased
            and before.state is not CustodyState.erased
        ):
            erased = CaseErased(referral_id=referral_id, reason=reason)
            batch.publish(erased, referral_id, cause=message)

    # Start and end of a batch

    def _take(self, transaction: Connection, referrals: Collection[str], now: dt.datetime) -> BatchProgress:
        """Take the custodies of the referrals, and those that a split links with them.

        All are locked together, in the order of their ids. Raises Unavailable if a referral was split between
        the look-up and the lock.
        """
        linked = self._store.linked(transaction, referrals) - set(referrals)
        custodies = self._store.take(transaction, {*referrals, *linked})
        for one in (custodies[id_] for id_ in referrals):
            if any(id_ not in custodies for id_ in (one.case_of, *one.part_ids)):
                raise Unavailable("The referral was split at the same time.")
        return BatchProgress(
            source=self._source,
            new_id=self._new_id,
            now=now,
            custodies=custodies,
            linked={id_: custodies[id_] for id_ in linked},
            taken=dict(custodies),
        )

    def _finish(self, transaction: Connection, batch: BatchProgress) -> Iterable[Outgoing]:
        """Release every case that can be released now, and store all changes.

        Releases are decided after the whole batch: a case that is accepted and withdrawn within one batch
        is not released.
        """
        self._releases.release(transaction, batch)
        self._store.destroy(transaction, batch.destroyed)
        self._store.keep(transaction, batch.arrived)
        changed = [one for id_, one in batch.custodies.items() if one is not batch.linked.get(id_)]
        self._store.put(transaction, changed, batch.now)
        self._notes.drop(transaction, batch.dropped_notes)
        self._notes.hold(transaction, batch.new_notes)
        self._notes.record_answers(transaction, batch.new_answers)
        self._notes.forget_answers(transaction, batch.closed)
        self._store.witness(transaction, batch.evidence, batch.now)
        return [outgoing(event) for event in batch.events]
