"""Assembles the audit service. It refuses to start when the stored log contradicts its signed checkpoint."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from contracts.envelope import Envelope
from contracts.errors import Defect
from runtime.access.access_records import AccessRecords
from runtime.access.read_recorder import ReadRecorder
from runtime.application import Application
from runtime.messaging.batches import BatchProcessor
from runtime.messaging.inbox import NoDeduplication
from runtime.periodic import Periodic
from runtime.service_platform import Platform, build_platform
from runtime.settings import Settings
from runtime.storage.change_poll import ChangePoll
from runtime.storage.exclusive_lock import ExclusiveLock
from runtime.storage.space import low_space
from services.audit.adapters.tables import MESSAGING, REPLICA
from services.audit.log.adapters.directory_publication import DirectoryPublication
from services.audit.log.adapters.figures import PublicationFigures, show_inspection
from services.audit.log.adapters.http_witnesses import HttpWitnesses
from services.audit.log.adapters.policy_file import load_witness_policy
from services.audit.log.adapters.signing_key import LogKeyFile
from services.audit.log.adapters.sql_checks import SqlCheckRecord
from services.audit.log.adapters.sql_contents import SqlContents
from services.audit.log.adapters.sql_due_receipts import SqlDueReceipts
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.adapters.sql_publication import SqlPublicationRecord
from services.audit.log.adapters.sql_retention import (
    SqlClosures,
)
from services.audit.log.adapters.sql_unfiled import SqlUnfiled
from services.audit.log.domain.cover_rate import CoverRate
from services.audit.log.handlers import LogHandlers
from services.audit.log.handlers.author_receipts import AuthorReceipts
from services.audit.log.handlers.content_inspection import ContentInspection
from services.audit.log.handlers.cosigner import Cosigner
from services.audit.log.handlers.cover import Cover
from services.audit.log.handlers.filing import Filing
from services.audit.log.handlers.inspector import Inspector
from services.audit.log.handlers.noticed_damage import NoticedDamage
from services.audit.log.handlers.proofs import Proofs
from services.audit.log.handlers.published_log import CHECKPOINT, PublishedLog
from services.audit.log.handlers.publisher import LogPublisher
from services.audit.log.handlers.receipts import Receipts
from services.audit.log.handlers.retention import Retention
from services.audit.log.handlers.self_check import SelfCheck
from services.audit.log.handlers.sequencer import Sequencer
from services.audit.log.ports import LogPublication
from services.audit.reports.adapters.sql_statistics import SqlReferrals
from services.audit.reports.handlers import ReportHandlers
from services.audit.reports.handlers.export import Export
from services.audit.reports.handlers.history import History
from services.audit.reports.handlers.proved_entries import ProvedEntries
from services.audit.reports.handlers.statistics import StatisticsHandler

_log = logging.getLogger(__name__)

# Without a cover rate, a published checkpoint covers an entry within a second of its commit; all batches of
# that time share one. With a rate, `log.domain.cover_rate` says when the log is published.
PUBLISHING_SECONDS = 0.5
# Nobody waits for the receipts of the services' own events. Each turn that finds some costs every service a
# transaction and the verification of a signature.
AUTHOR_RECEIPT_SECONDS = 2.0
COSIGNING_SECONDS = 1.0
# The content of a referral is erased within this time after its consent was withdrawn.
RETENTION_SECONDS = 1.0
# `handlers.inspector` says how much one turn reads.
INSPECTION_SECONDS = 1.0
FILING_SECONDS = 1.0
# The publication's files are read at this interval, even if nothing is committed.
PUBLICATION_LOOK_SECONDS = 2.0
# The id of the publishing lock in this database; the relay's lock has another id.
_PUBLISHING = 0x6B6C6F67


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditParts:
    """The handlers behind the service's methods. events, directory: the consumers of those queues."""

    events: BatchProcessor[Envelope]
    directory: BatchProcessor[Envelope]
    log: LogHandlers
    reports: ReportHandlers


def build(settings: Settings) -> Application[AuditParts]:
    """Return the application of one audit process. Raises Defect for an unusable key or log."""
    if settings.log_directory is None:
        raise Defect("KOPURO_LOG_DIRECTORY is not set: the service needs a directory to publish the log in.")
    return assemble(settings, DirectoryPublication(settings.log_directory))


def assemble(settings: Settings, publication: LogPublication) -> Application[AuditParts]:
    """Return the same application on any publication."""
    published_at = (settings.log_directory or Path()) / CHECKPOINT
    key = LogKeyFile(settings.log_signing_key, settings.hub)
    policy = load_witness_policy(settings.witness_policy)
    platform = build_platform("audit", settings, MESSAGING)
    database, messenger, clock = platform.database, platform.messenger, platform.clock
    noticed = NoticedDamage()
    log, record, closures = SqlLog(noticed.note), SqlPublicationRecord(), SqlClosures()
    checks, due = SqlCheckRecord(), SqlDueReceipts()
    head = SelfCheck(database, log, key, clock, checks).run()
    _log.info(
        "the stored log matches its signed checkpoint; the log key is %s",
        key.verifier_key,
        extra={"count": head.size},
    )
    published = PublishedLog(publication, key)
    rate = CoverRate(per_minute=settings.cover) if settings.cover else None
    sequencer = Sequencer(log, key, os.urandom, closures, due, covered=rate is not None)
    cover = (
        None
        if rate is None
        else Cover(
            database=database,
            log=log,
            sequencer=sequencer,
            rate=rate,
            source=platform.source,
            clock=clock,
        )
    )
    publisher = LogPublisher(
        database=database,
        log=log,
        record=record,
        publication=publication,
        published=published,
        lease=ExclusiveLock(database, _PUBLISHING),
        outbox=messenger.outbox,
        after_publish=Receipts(log=log, published=published, source=platform.source, clock=clock),
        after_commit=messenger.wake,
        times=cover,
    )
    publisher.begin(head)
    author_receipts = AuthorReceipts(
        database=database,
        due=due,
        published=published,
        works=publisher.holds_lease,
        outbox=messenger.outbox,
        source=platform.source,
        clock=clock,
        after_commit=messenger.wake,
    )
    cosigner = Cosigner(
        policy=policy,
        witnesses=HttpWitnesses(),
        database=database,
        record=record,
        published=published,
        publishes=publisher.holds_lease,
        figures=PublicationFigures(platform.registry, published),
        clock=clock,
    )
    filing = Filing(database, SqlUnfiled(closures))
    inspector = Inspector(
        database=database,
        log=log,
        key=key,
        record=checks,
        works=publisher.holds_lease,
        clock=clock,
        noticed=noticed,
        contents=ContentInspection(log, SqlContents(), is_filed=lambda: filing.is_done),
    )
    inspector.begin(head)
    show_inspection(platform.registry, inspector)
    retention = Retention(
        database=database,
        closures=closures,
        record=record,
        log=log,
        contents=SqlContents(),
        outbox=messenger.outbox,
        noticed=noticed,
        source=platform.source,
        after_commit=messenger.wake,
        kept=settings.retention,
        clock=clock,
    )

    def retain() -> bool:
        return retention.turn() > 0 or retention.is_unfinished

    def inspect_next() -> bool:
        inspector.turn()
        return inspector.has_work

    inspection = ChangePoll(database, inspect_next)

    def inspect() -> None:
        if inspector.has_work:
            inspection.wake()
        inspection()

    reads = platform.read_recorder()
    history = _history(platform, log, published, reads)
    access = AccessRecords()
    directory, directory_ready = messenger.replica(REPLICA, "audit.directory", access.absorb)
    return Application(
        name="audit",
        settings=settings,
        database=database,
        handlers=AuditParts(
            events=messenger.consumer(
                "audit.log",
                sequencer.append,
                Envelope.decode,
                # The log is append-only and itself recognises a message by its id.
                deduplicator=NoDeduplication(),
            ),
            directory=directory,
            log=LogHandlers(proofs=Proofs(database, log, published), published=published),
            reports=ReportHandlers(
                history=history,
                statistics=StatisticsHandler(
                    database=database, log=log, referrals=SqlReferrals(log), history=history
                ),
                export=Export(database=database, log=log, published=published, record=reads),
                proved_entries=ProvedEntries(
                    database=database, log=log, published=published, author=f"/{settings.hub}/routing"
                ),
            ),
        ),
        verifier=access.verifier(settings.hub, clock, issuer=settings.issuer),
        is_excluded=access.is_excluded,
        messenger=messenger,
        readiness=[
            ("broker", messenger.unready),
            ("directory", directory_ready),
            ("publication", lambda: None if published.current else "No checkpoint is published yet."),
        ],
        warnings=[
            *platform.warnings(),
            ("log directory", lambda: low_space(published_at)),
            ("witnesses", cosigner.alarm),
            ("log", inspector.alarm),
        ],
        background=[
            *platform.background(),
            Periodic(
                "publication",
                ChangePoll(database, publisher.turn, seconds=PUBLICATION_LOOK_SECONDS),
                seconds=PUBLISHING_SECONDS,
            ),
            Periodic("witnesses", cosigner.turn, seconds=COSIGNING_SECONDS),
            Periodic(
                "author receipts",
                ChangePoll(database, author_receipts.turn),
                seconds=AUTHOR_RECEIPT_SECONDS,
            ),
            Periodic("retention", ChangePoll(database, retain), seconds=RETENTION_SECONDS),
            Periodic("inspection", inspect, seconds=INSPECTION_SECONDS),
            Periodic("filing", filing.turn, seconds=FILING_SECONDS),
        ],
        spans=platform.spans,
        registry=platform.registry,
        clock=clock,
    )


def _history(platform: Platform, log: SqlLog, published: PublishedLog, record: ReadRecorder) -> History:
    return History(
        database=platform.database, log=log, published=published, record=record, clock=platform.clock
    )
