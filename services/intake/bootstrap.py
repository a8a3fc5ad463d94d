"""Composition of the intake process; the only place that chooses adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.envelope import Envelope, Event, decode
from contracts.facts import Fact
from contracts.topology import ROUTING
from runtime.access.access_records import AccessRecords
from runtime.access.rate_limits import SubmissionRates
from runtime.application import Application
from runtime.identifiers import new_id
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.outbox.outbox_age import OutboxAge
from runtime.messaging.replica import ReplicaRecord
from runtime.periodic import Periodic
from runtime.service_platform import build_platform
from runtime.settings import Settings
from services.intake.adapters.custody import AnnouncedCustodyKeys
from services.intake.adapters.members import MembersInMemory
from services.intake.adapters.routing import RoutingByBroker
from services.intake.adapters.store import SqlAdmissionStore
from services.intake.adapters.tables import MESSAGING, REPLICA
from services.intake.adapters.transit_keys import SqlTransitKeys, trusted_age
from services.intake.api import ApiContext
from services.intake.commits import SubmissionCommits
from services.intake.custody_recount import SECONDS_BETWEEN_RUNS, CustodyRecount
from services.intake.domain.custody_bound import MIB
from services.intake.handlers import IntakeHandlers
from services.intake.referral_views import ReferralViews
from services.intake.sealed_rates import SealedRates
from services.intake.submission_search import SubmissionSearch
from services.intake.transit_key_changes import TransitKeyChanges

# Each run deletes a bounded number of keys; this pace keeps up with a busy hub.
_SECONDS_BETWEEN_CLEANINGS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class IntakeParts:
    """The objects that the service's entrypoints call."""

    api: ApiContext
    views: ReferralViews
    search: SubmissionSearch
    offers: BatchProcessor[Envelope]
    transit_keys: BatchProcessor[Event[Fact]]
    directory: BatchProcessor[Envelope]


def build(settings: Settings) -> Application[IntakeParts]:
    """Build the intake process."""
    platform = build_platform("intake", settings, MESSAGING)
    members = MembersInMemory(platform.database, platform.clock, pause=settings.key_pause)
    access = AccessRecords()

    def absorb(records: Sequence[ReplicaRecord]) -> None:
        access.absorb(records)
        members.absorb(records)

    directory, directory_unready = platform.messenger.replica(REPLICA, "intake.directory", absorb)
    queries = platform.messenger.request_client(ROUTING)
    custody_kids = AnnouncedCustodyKeys(settings.discovery, platform.clock)
    transit_keys = SqlTransitKeys(
        platform.database,
        process=new_id(),
        trusted_since=platform.clock.now() - trusted_age(settings.transit_key_period),
    )
    changes = TransitKeyChanges(source=platform.source, keys=transit_keys, new_id=new_id)
    store = SqlAdmissionStore()
    rates = SubmissionRates(per_minute=settings.submissions_per_minute, burst=settings.submissions_burst)
    routing = RoutingByBroker(queries)
    commits = SubmissionCommits(
        database=platform.database,
        store=store,
        outbox=platform.messenger.outbox,
        transit_keys=transit_keys,
        backlog=lambda: platform.messenger.backlog,
        after_commit=platform.messenger.wake,
        rates=rates,
        sealed=SealedRates(settings.custody_mib),
        custody_bytes=settings.custody_mib * MIB,
    )
    handlers = IntakeHandlers(
        database=platform.database,
        store=store,
        commits=commits,
        referrals=routing,
        members=members.get,
        custody_kids=custody_kids,
        hub_country=settings.hub.upper(),
        spans=platform.spans,
    )
    search = SubmissionSearch(
        database=platform.database,
        store=store,
        outbox_age=OutboxAge(platform.messenger.outbox, platform.clock),
    )
    housekeeping = Periodic(
        "idempotency keys",
        lambda: commits.forget_old_keys(platform.clock.now()),
        seconds=_SECONDS_BETWEEN_CLEANINGS,
    )
    recount = Periodic(
        "custody recount",
        CustodyRecount(database=platform.database, store=store, referrals=routing).run,
        seconds=SECONDS_BETWEEN_RUNS,
    )
    return Application(
        name="intake",
        settings=settings,
        database=platform.database,
        handlers=IntakeParts(
            api=ApiContext(handlers, platform.source, platform.clock),
            views=ReferralViews(database=platform.database, store=store, referrals=routing),
            search=search,
            offers=platform.messenger.consumer("intake.offers", handlers.note_offers, Envelope.decode),
            transit_keys=platform.messenger.consumer("intake.transit_keys", changes.receive, decode),
            directory=directory,
        ),
        verifier=access.verifier(settings.hub, platform.clock, issuer=settings.issuer),
        is_excluded=access.is_excluded,
        messenger=platform.messenger,
        submissions=rates,
        reads=platform.read_recorder(),
        readiness=[
            ("broker", platform.messenger.unready),
            ("directory", directory_unready),
            ("custody key", custody_kids.unready),
            ("transit key", transit_keys.unready),
        ],
        warnings=platform.warnings(),
        background=[
            *platform.background(),
            queries,
            housekeeping,
            recount,
        ],
        spans=platform.spans,
        registry=platform.registry,
        clock=platform.clock,
    )
