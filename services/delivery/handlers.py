"""What an organisation does at its mailbox: look into it, wait at it, acknowledge, fetch a case."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import KopuroError, Refused
from contracts.facts import DeliveryAcknowledged, DeliveryDelivered, Fact
from runtime.clock import Clock
from runtime.messaging.outbox import Outbox, outgoing
from runtime.storage.database import Database
from runtime.storage.group_commit import GroupCommit
from services.delivery.domain.delivery import RECORDED, State, Step, step
from services.delivery.ports import Bell, CaseLetters, Entry, Mailboxes

# Bytes of messages in one page: a mailbox may hold notes of a mebibyte each.
PAGE_SIZE = 4 * 1024 * 1024
KEPT = dt.timedelta(days=30)
FORGOTTEN_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """bodies: CloudEvents as they were stored, oldest first. last: the sequence to go on after."""

    bodies: list[bytes]
    last: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Acknowledgement:
    organization: str
    message_id: str


class MailboxHandlers:
    """Safe to call from any number of greenlets. Concurrent calls share their commits."""

    def __init__(
        self,
        *,
        source: str,
        database: Database,
        outbox: Outbox,
        mailboxes: Mailboxes,
        cases: CaseLetters,
        bell: Bell,
        clock: Clock,
        new_id: Callable[[], str],
        after_commit: Callable[[], None],
    ) -> None:
        """after_commit: called when the outbox may have something to publish."""
        self._source = source
        self._database = database
        self._outbox = outbox
        self._mailboxes = mailboxes
        self._cases = cases
        self._bell = bell
        self._clock = clock
        self._new_id = new_id
        self._hand_outs = GroupCommit(database, self._hand_out, after_commit=after_commit)
        self._acknowledgements = GroupCommit[Sequence[_Acknowledgement], Sequence[bool | KopuroError]](
            database, self._acknowledge, after_commit=after_commit
        )

    def page(self, organization: str, *, after: int, limit: int, wait: float) -> Page:
        """The organisation's unacknowledged messages with a sequence above `after`.

        wait: seconds to hold an empty answer; less when something comes, or the process is ending.
        When this returns, it is on record that the messages were handed out. Raises Unavailable.
        """
        entries = self._entries(organization, after=after, limit=limit, wait=wait)
        if not entries:
            return Page(bodies=[], last=after)
        new = [entry.sequence for entry in entries if entry.state is State.queued]
        if new:
            # Handed out on record, not yet sent: if the answer is lost here, the message is still
            # unacknowledged and comes again; on record is the moment from which the organisation could know.
            self._hand_outs.submit(new)
        with self._database.read() as transaction:
            bodies = self._mailboxes.bodies(transaction, [entry.sequence for entry in entries])
        return Page(
            bodies=[bodies[entry.sequence] for entry in entries if entry.sequence in bodies],
            last=entries[-1].sequence,
        )

    def acknowledge(self, organization: str, message_id: str) -> None:
        """The message does not come again. Repeatable.

        Raises Refused `not-found` unless the message is in the organisation's own mailbox, `conflict`
        when it was never handed out, and Unavailable.
        """
        (result,) = self.acknowledge_all(organization, [message_id])
        if isinstance(result, KopuroError):
            raise result

    def acknowledge_all(self, organization: str, message_ids: Sequence[str]) -> Sequence[bool | KopuroError]:
        """The same for many messages in one transaction: for each True, or why not. Raises Unavailable."""
        wanted = [_Acknowledgement(organization=organization, message_id=m) for m in message_ids]
        return self._acknowledgements.submit(wanted) if wanted else ()

    def case(self, organization: str, referral_id: str) -> str:
        """The case that was released to the organisation, sealed to it. Raises Refused `not-found`."""
        with self._database.read() as transaction:
            case = self._cases.case_for(transaction, referral_id, organization)
        if case is None:
            raise Refused("not-found", "No case of this referral lies here for you.")
        return case

    def forget_old(self) -> None:
        """Deletes what was acknowledged or closed long ago, a bounded number of rows a transaction."""
        before = self._clock.now() - KEPT
        for forget in (self._mailboxes.forget, self._cases.forget):
            forgotten = FORGOTTEN_AT_ONCE
            while forgotten == FORGOTTEN_AT_ONCE:
                with self._database.write() as transaction:
                    forgotten = forget(transaction, before, FORGOTTEN_AT_ONCE)

    def _entries(self, organization: str, *, after: int, limit: int, wait: float) -> list[Entry]:
        deadline = time.monotonic() + wait
        with self._bell.listening(organization) as ring:
            while True:
                # Cleared before the look: what comes after it rings.
                ring.clear()
                with self._database.read() as transaction:
                    entries = self._mailboxes.waiting(
                        transaction, organization, after=after, limit=limit, size=PAGE_SIZE
                    )
                left = deadline - time.monotonic()
                if entries or left <= 0 or self._bell.stopped:
                    return entries
                ring.wait(left)

    def _hand_out(self, transaction: Connection, commands: Sequence[Sequence[int]]) -> Sequence[bool]:
        sequences = {sequence for command in commands for sequence in command}
        self._advance(transaction, self._mailboxes.take(transaction, sequences), Step.hand_out)
        return [True] * len(commands)

    def _acknowledge(
        self, transaction: Connection, groups: Sequence[Sequence[_Acknowledgement]]
    ) -> Sequence[Sequence[bool | KopuroError]]:
        wanted = {command.message_id for group in groups for command in group}
        found = {
            (entry.organization, entry.message_id): entry
            for entry in self._mailboxes.find(transaction, wanted)
        }
        acknowledged: dict[int, Entry] = {}

        def answer(command: _Acknowledgement) -> bool | KopuroError:
            entry = found.get((command.organization, command.message_id))
            if entry is None:
                return Refused("not-found", "No such message lies in your mailbox.")
            try:
                step(entry.state, Step.acknowledge)
            except Refused as refused:
                return refused
            acknowledged[entry.sequence] = entry
            return True

        results = [[answer(command) for command in group] for group in groups]
        self._advance(transaction, acknowledged.values(), Step.acknowledge)
        return results

    def _advance(self, transaction: Connection, entries: Iterable[Entry], taken: Step) -> None:
        """Writes down the steps that change something, and says so of the messages that audit follows."""
        now = self._clock.now()
        states: dict[int, State] = {}
        said: list[Event[Fact]] = []
        kind = DeliveryDelivered if taken is Step.hand_out else DeliveryAcknowledged
        for entry in entries:
            state = step(entry.state, taken)
            if state is entry.state:
                continue
            states[entry.sequence] = state
            if entry.type in RECORDED:
                fact = kind(
                    referral_id=entry.referral_id,
                    organization=entry.organization,
                    message_id=entry.message_id,
                    message_type=entry.type,
                )
                said.append(self._event(entry, fact, now))
        self._mailboxes.put(transaction, states, now)
        self._outbox.add(transaction, [outgoing(event) for event in said])

    def _event(self, entry: Entry, fact: Fact, now: dt.datetime) -> Event[Fact]:
        return Event(
            id=self._new_id(),
            source=self._source,
            time=now,
            partition_key=entry.referral_id,
            correlation_id=entry.correlation_id,
            causation_id=entry.message_id,
            data=fact,
        )
