"""Records of deliveries and acknowledgements; many callers share a transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import KopuroError, Refused
from contracts.facts import DeliveryAcknowledged, DeliveryDelivered, Fact
from runtime.clock import Clock
from runtime.messaging.outbox.outbox import Outbox, outgoing
from services.delivery.domain.delivery import DeliveryEvent, DeliveryState, is_recorded, step
from services.delivery.ports import MailboxEntry, Mailboxes


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkDelivered:
    """Marks messages as delivered, before they are sent in a response with their content."""

    sequences: Sequence[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledger:
    """Acknowledges messages. shared: the mailboxes that the organisation reads besides its own."""

    organization: str
    message_ids: Sequence[str]
    shared: tuple[str, ...] = ()

    @property
    def mailboxes(self) -> tuple[str, ...]:
        """Every mailbox that may hold the messages, each once."""
        return tuple(dict.fromkeys((self.organization, *self.shared)))


# For each message id: True, or the refusal.
Results = Sequence[bool | KopuroError]


def not_in_mailbox() -> Refused:
    """Return the refusal of a message that the caller's mailbox does not contain."""
    return Refused("not-found", "Your mailbox does not contain this message.")


def consumer_acknowledgement(entry: MailboxEntry | None) -> bool | KopuroError:
    """Return True if a named consumer may acknowledge the message, else the refusal. entry: None if missing.

    It changes neither the state of the message nor the log: only the default consumer does.
    """
    if entry is None:
        return not_in_mailbox()
    try:
        step(entry.type, entry.state, DeliveryEvent.acknowledge, is_closed=entry.is_closed)
    except Refused as refused:
        return refused
    return True


class DeliveryRecords:
    """Moves messages through their states and publishes the recorded facts (`domain/delivery.py`)."""

    def __init__(
        self,
        *,
        source: str,
        outbox: Outbox,
        mailboxes: Mailboxes,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._source = source
        self._outbox = outbox
        self._mailboxes = mailboxes
        self._clock = clock
        self._new_id = new_id

    def write(
        self, transaction: Connection, commands: Sequence[MarkDelivered | Acknowledger]
    ) -> Sequence[Results]:
        """Apply the commands; return each command's results, in order. `MarkDelivered` has none.

        Durable with the transaction. Deliveries are applied first, so that an organisation may acknowledge
        a message that another of its polls delivers in the same transaction.
        """
        delivered: set[int] = set()
        acknowledging: set[str] = set()
        named: set[str] = set()
        for command in commands:
            if isinstance(command, MarkDelivered):
                delivered.update(command.sequences)
            else:
                acknowledging.update(command.mailboxes)
                named.update(command.message_ids)
        now = self._clock.now()
        entries = self._mailboxes.take(
            transaction, sequences=delivered, organizations=acknowledging, message_ids=named
        )
        found = {(entry.organization, entry.message_id): entry for entry in entries}
        # A message that was closed since the poll read it is delivered with its content anyway.
        new = [replace(entry, is_closed=False) for entry in entries if entry.sequence in delivered]
        events = self._advance(transaction, new, DeliveryEvent.deliver, now)
        for entry in new:
            state = step(entry.type, entry.state, DeliveryEvent.deliver)
            found[entry.organization, entry.message_id] = replace(entry, state=state)
        acknowledged: dict[int, MailboxEntry] = {}

        def acknowledge(mailboxes: Sequence[str], message_id: str) -> bool | KopuroError:
            # A coordinator's own mailbox may contain the same message as the shared one.
            copies = [entry for mailbox in mailboxes if (entry := found.get((mailbox, message_id)))]
            if not copies:
                return not_in_mailbox()
            try:
                for entry in copies:
                    step(entry.type, entry.state, DeliveryEvent.acknowledge, is_closed=entry.is_closed)
            except Refused as refused:
                return refused
            acknowledged.update((entry.sequence, entry) for entry in copies)
            return True

        results = [
            ()
            if isinstance(command, MarkDelivered)
            else [acknowledge(command.mailboxes, message_id) for message_id in command.message_ids]
            for command in commands
        ]
        # Facts are published in mailbox order, whatever the order of the callers' ids.
        done = [acknowledged[sequence] for sequence in sorted(acknowledged)]
        events += self._advance(transaction, done, DeliveryEvent.acknowledge, now)
        self._outbox.add(transaction, [outgoing(event) for event in events])
        return results

    def _advance(
        self, transaction: Connection, entries: Iterable[MailboxEntry], event: DeliveryEvent, now: dt.datetime
    ) -> list[Event[Fact]]:
        """Store the changed states; return the facts to publish."""
        changed: dict[DeliveryState, list[int]] = {}
        events: list[Event[Fact]] = []
        kind = DeliveryDelivered if event is DeliveryEvent.deliver else DeliveryAcknowledged
        for entry in entries:
            state = step(entry.type, entry.state, event, is_closed=entry.is_closed)
            if state is entry.state:
                continue
            changed.setdefault(state, []).append(entry.sequence)
            if is_recorded(entry.type, entry.state, is_closed=entry.is_closed):
                fact = kind(
                    referral_id=entry.referral_id,
                    organization=entry.organization,
                    message_id=entry.message_id,
                    message_type=entry.type,
                )
                events.append(self._event(entry, fact, now))
        for state, sequences in changed.items():
            self._mailboxes.put(transaction, state, sequences, now)
        return events

    def _event(self, entry: MailboxEntry, fact: Fact, now: dt.datetime) -> Event[Fact]:
        return Event(
            id=self._new_id(),
            source=self._source,
            time=now,
            partition_key=entry.referral_id,
            correlation_id=entry.correlation_id,
            causation_id=entry.message_id,
            data=fact,
        )
