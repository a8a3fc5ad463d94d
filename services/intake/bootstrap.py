"""How intake is put together: the only place where its adapters are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.envelope import Envelope
from contracts.facts import OrganizationChanged
from contracts.organization import Organization
from contracts.records import read
from runtime.application import Application
from runtime.foundation import lay
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.queries import Queries
from runtime.messaging.replica import Record
from runtime.periodic import Periodic
from runtime.settings import Settings
from runtime.web.token_keys import TokenKeys
from runtime.web.tokens import TokenVerifier, issuer_of
from services.intake.adapters.custody import AnnouncedCustodyKey
from services.intake.adapters.routing import RoutingByBroker
from services.intake.adapters.store import SqlAdmissionStore
from services.intake.adapters.tables import MESSAGING, REPLICA
from services.intake.api import Door
from services.intake.domain.members import Member, member_of
from services.intake.handlers import Handlers

# Each deletes a bounded number: often enough for as many as a busy hub writes.
_SECONDS_BETWEEN_CLEANINGS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What the service's methods call."""

    door: Door
    offers: BatchProcessor[Envelope]
    directory: BatchProcessor[Envelope]


def build(settings: Settings) -> Application:
    """The intake process."""
    ground = lay("intake", settings, MESSAGING)
    members: dict[str, Member] = {}
    keys = TokenKeys()

    def absorb(records: Sequence[Record]) -> None:
        keys.absorb(records)
        for record in records:
            if record.type == OrganizationChanged.type:
                members[record.key] = member_of(read(Organization, record.data["organization"]))

    directory, directory_unready = ground.messenger.replica(REPLICA, "intake.directory", absorb)
    queries = Queries(ground.broker)
    custody_kid = AnnouncedCustodyKey(settings.discovery)
    handlers = Handlers(
        database=ground.database,
        store=SqlAdmissionStore(),
        outbox=ground.messenger.outbox,
        referrals=RoutingByBroker(queries),
        members=members.get,
        custody_kid=custody_kid,
        backlog=lambda: ground.messenger.backlog,
        after_commit=ground.messenger.wake,
    )
    housekeeping = Periodic(
        "idempotency keys",
        lambda: handlers.forget_old_keys(ground.clock.now()),
        seconds=_SECONDS_BETWEEN_CLEANINGS,
    )
    return Application(
        name="intake",
        settings=settings,
        database=ground.database,
        handlers=Parts(
            door=Door(handlers, ground.source, ground.clock),
            offers=ground.messenger.consumer("intake.offers", handlers.note_offers, Envelope.decode),
            directory=directory,
        ),
        verifier=TokenVerifier(keys, issuer_of(settings.hub), ground.clock),
        messenger=ground.messenger,
        readiness=[
            ("broker", ground.messenger.unready),
            ("directory", directory_unready),
            ("custody key", custody_kid.unready),
        ],
        warnings=ground.warnings(),
        background=[ground.messenger, queries, housekeeping, ground.forgetting()],
        registry=ground.registry,
        clock=ground.clock,
    )
