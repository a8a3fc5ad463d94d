"""What arrives by the queues, and whose mailbox it is put into."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlalchemy import Connection

from contracts.envelope import Envelope, Event
from contracts.errors import Defect
from contracts.facts import CaseReleased, Fact, NoteDelivered, SealedCaseReleased, SealedNoteReleased
from runtime.messaging.ports import Outgoing
from services.delivery.domain.recipients import CLOSINGS, recipients_of
from services.delivery.ports import Arrival, Mailboxes, ReleasedCase, ReleasedCases


class Incoming:
    """Batch handlers: they write in the caller's transaction, and nothing follows that is published."""

    def __init__(self, *, mailboxes: Mailboxes, cases: ReleasedCases) -> None:
        self._mailboxes = mailboxes
        self._cases = cases

    def events(
        self, transaction: Connection, messages: Sequence[Envelope], now: dt.datetime
    ) -> Iterable[Outgoing]:
        """Facts go to whom they concern, as the bytes they are; the end of a referral deletes its case."""
        self._mailboxes.serialise(transaction)
        arrivals = [
            Arrival(
                organization=organization,
                message_id=message.id,
                type=message.type,
                # Receipts are about many referrals, and the message about none.
                referral_id=message.data.get("referral_id", ""),
                correlation_id=message.correlation_id,
                body=message.body,
            )
            for message in messages
            for organization in recipients_of(message.type, message.data)
        ]
        closed = [m.data["referral_id"] for m in messages if m.type in CLOSINGS]
        self._cases.close(transaction, closed, now)
        self._mailboxes.append(transaction, arrivals, now)
        return ()

    def letters(
        self, transaction: Connection, messages: Sequence[Event[Fact]], now: dt.datetime
    ) -> Iterable[Outgoing]:
        """A case is kept for its acceptor, who is told that it is here; a note lies in the mailbox itself.

        The two go different ways because a case is asked for by its referral, as often as needed until the
        referral is closed, while a note is read once.
        """
        self._mailboxes.serialise(transaction)
        closed = self._cases.closed(
            transaction, {m.data.referral_id for m in messages if isinstance(m.data, SealedCaseReleased)}
        )
        cases: list[ReleasedCase] = []
        arrivals: list[Arrival] = []
        for message in messages:
            match message.data:
                case SealedCaseReleased() as letter:
                    if letter.referral_id in closed:
                        continue  # the referral ended while the letter was under way
                    cases.append(
                        ReleasedCase(
                            referral_id=letter.referral_id, organization=letter.organization, case=letter.case
                        )
                    )
                    notice: Fact = CaseReleased(
                        referral_id=letter.referral_id, organization=letter.organization, kid=letter.kid
                    )
                case SealedNoteReleased() as letter:
                    notice = NoteDelivered(
                        referral_id=letter.referral_id,
                        organization=letter.organization,
                        author=letter.author,
                        note=letter.note,
                        offer_id=letter.offer_id,
                    )
                case _:
                    raise Defect(f"{message.type} is no letter to an organisation.")
            arrivals.append(_arrival(message, letter.organization, letter.referral_id, notice))
        self._cases.keep(transaction, cases)
        self._mailboxes.append(transaction, arrivals, now)
        return ()


def _arrival(letter: Event[Fact], organization: str, referral_id: str, notice: Fact) -> Arrival:
    # The letter's own id, source and time: the notice is what the organisation sees of the letter.
    return Arrival(
        organization=organization,
        message_id=letter.id,
        type=notice.type,
        referral_id=referral_id,
        correlation_id=letter.correlation_id,
        body=replace(letter, data=notice).encode(),
    )
