"""Puts delivery together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.envelope import Envelope, Event, decode
from contracts.facts import Fact
from runtime.application import Application
from runtime.foundation import lay
from runtime.identifiers import new_id
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.replica import Record
from runtime.periodic import Periodic
from runtime.settings import Settings
from runtime.web.token_keys import TokenKeys
from runtime.web.tokens import TokenVerifier, issuer_of
from services.delivery.adapters.bell import MailboxBell
from services.delivery.adapters.case_letters import SqlCaseLetters
from services.delivery.adapters.mailboxes import SqlMailboxes
from services.delivery.adapters.standings import StandingsInMemory
from services.delivery.adapters.tables import MESSAGING, REPLICA
from services.delivery.bookkeeping import Bookkeeping
from services.delivery.handlers import MailboxHandlers
from services.delivery.incoming import Incoming

# The bell is woken by this process's own commits; the clock covers those of other processes.
_SECONDS_BETWEEN_LOOKS = 1.0
# Each deletes a bounded number: often enough for as many as a busy hub writes.
_SECONDS_BETWEEN_CLEANINGS = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Handlers:
    """What the service's methods call."""

    mailbox: MailboxHandlers
    events: BatchProcessor[Envelope]
    letters: BatchProcessor[Event[Fact]]
    directory: BatchProcessor[Envelope]


def build(settings: Settings) -> Application:
    """Delivery's application."""
    foundation = lay("delivery", settings, MESSAGING)
    database, messenger = foundation.database, foundation.messenger
    mailboxes, cases = SqlMailboxes(), SqlCaseLetters()
    keys, standings = TokenKeys(), StandingsInMemory()

    def absorb(records: Sequence[Record]) -> None:
        keys.absorb(records)
        standings.absorb(records)

    bell = MailboxBell(database, mailboxes)
    looks = Periodic("mailbox bell", bell.look, seconds=_SECONDS_BETWEEN_LOOKS)
    bookkeeping = Bookkeeping(
        source=foundation.source,
        outbox=messenger.outbox,
        mailboxes=mailboxes,
        clock=foundation.clock,
        new_id=new_id,
    )
    mailbox = MailboxHandlers(
        database=database,
        mailboxes=mailboxes,
        cases=cases,
        bookkeeping=bookkeeping,
        bell=bell,
        clock=foundation.clock,
        after_commit=messenger.wake,
        is_barred=standings.is_barred,
    )
    cleaning = Periodic("mailbox cleaning", mailbox.forget_old, seconds=_SECONDS_BETWEEN_CLEANINGS)
    incoming = Incoming(mailboxes=mailboxes, cases=cases)
    directory, unready = messenger.replica(REPLICA, "delivery.directory", absorb)
    return Application(
        name="delivery",
        settings=settings,
        database=database,
        handlers=Handlers(
            mailbox=mailbox,
            events=messenger.consumer(
                "delivery.events", incoming.events, Envelope.decode, after_commit=looks.wake
            ),
            letters=messenger.consumer("delivery.letters", incoming.letters, decode, after_commit=looks.wake),
            directory=directory,
        ),
        verifier=TokenVerifier(keys, issuer_of(settings.hub), foundation.clock),
        messenger=messenger,
        readiness=[("broker", messenger.unready), ("directory", unready)],
        warnings=foundation.warnings(),
        background=[messenger, looks, cleaning, foundation.forgetting()],
        releases=[bell.stop],
        registry=foundation.registry,
        clock=foundation.clock,
    )
