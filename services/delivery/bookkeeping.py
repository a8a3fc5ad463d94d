"""What is written down of hand-outs and acknowledgements: those of many callers in one transaction."""

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
from services.delivery.domain.delivery import RECORDED, DeliveryEvent, DeliveryState, step
from services.delivery.ports import MailboxEntry, Mailboxes


@dataclass(frozen=True, kw_only=True, slots=True)
class HandOut:
    """These messages are about to be handed out."""

    sequences: Sequence[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledgement:
    """The organisation has these messages. shared: the mailboxes that it reads besides its own."""

    organization: str
    message_ids: Sequence[str]
    shared: tuple[str, ...] = ()

    @property
    def mailboxes(self) -> tuple[str, ...]:
        """Every mailbox that the messages may be in, each once."""
        return tuple(dict.fromkeys((self.organization, *self.shared)))


# For each message that was named: done, or why not.
Results = Sequence[bool | KopuroError]


class Bookkeeping:
    """Takes each message's step, and says so of the messages that audit follows."""

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
        self, transaction: Connection, commands: Sequence[HandOut | Acknowledgement]
    ) -> Sequence[Results]:
        """Durable with the transaction. For each command its results, in order; a hand-out has none.

        Hand-outs come first: whoever acknowledges what another of its polls is just being handed is not
        too early.
        """
        handed_out: set[int] = set()
        acknowledging: set[str] = set()
        named: set[str] = set()
        for command in commands:
            if isinstance(command, HandOut):
                handed_out.update(command.sequences)
            else:
                acknowledging.update(command.mailboxes)
                named.update(command.message_ids)
        now = self._clock.now()
        entries = self._mailboxes.take(
            transaction, sequences=handed_out, organizations=acknowledging, message_ids=named
        )
        found = {(entry.organization, entry.message_id): entry for entry in entries}
        leaving = [entry for entry in entries if entry.sequence in handed_out]
        said = self._advance(transaction, leaving, DeliveryEvent.hand_out, now)
        for entry in leaving:
            state = step(entry.type, entry.state, DeliveryEvent.hand_out)
            found[entry.organization, entry.message_id] = replace(entry, state=state)
        acknowledged: dict[int, MailboxEntry] = {}

        def answer(mailboxes: Sequence[str], message_id: str) -> bool | KopuroError:
            # A coordinator's own mailbox may hold the same message as the shared one.
            named = [entry for mailbox in mailboxes if (entry := found.get((mailbox, message_id)))]
            if not named:
                return Refused("not-found", "Your mailbox has no such message.")
            try:
                for entry in named:
                    step(entry.type, entry.state, DeliveryEvent.acknowledge)
            except Refused as refused:
                return refused
            acknowledged.update((entry.sequence, entry) for entry in named)
            return True

        results = [
            ()
            if isinstance(command, HandOut)
            else [answer(command.mailboxes, message_id) for message_id in command.message_ids]
            for command in commands
        ]
        # Told in the order of the mailboxes, in whichever the callers named them.
        taken = [acknowledged[sequence] for sequence in sorted(acknowledged)]
        said += self._advance(transaction, taken, DeliveryEvent.acknowledge, now)
        self._outbox.add(transaction, [outgoing(event) for event in said])
        return results

    def _advance(
        self, transaction: Connection, entries: Iterable[MailboxEntry], taken: DeliveryEvent, now: dt.datetime
    ) -> list[Event[Fact]]:
        """Writes down the steps that change something; gives what is to be said of them."""
        changed: dict[DeliveryState, list[int]] = {}
        said: list[Event[Fact]] = []
        kind = DeliveryDelivered if taken is DeliveryEvent.hand_out else DeliveryAcknowledged
        for entry in entries:
            state = step(entry.type, entry.state, taken)
            if state is entry.state:
                continue
            changed.setdefault(state, []).append(entry.sequence)
            if entry.type in RECORDED:
                fact = kind(
                    referral_id=entry.referral_id,
                    organization=entry.organization,
                    message_id=entry.message_id,
                    message_type=entry.type,
                )
                said.append(self._event(entry, fact, now))
        for state, reached in changed.items():
            self._mailboxes.put(transaction, state, reached, now)
        return said

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
