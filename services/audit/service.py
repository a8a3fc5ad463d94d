"""The audit service: its queue consumers and its HTTP resources."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.access.caller_limits import Share
from runtime.access.reads import Reads
from runtime.entrypoints.batches import batches
from runtime.entrypoints.resource import resource
from runtime.entrypoints.service import WebService
from runtime.messaging.ports import Delivery
from runtime.web.request import Request
from runtime.web.response import Response
from services.audit import operations
from services.audit.log import api as log_api
from services.audit.reports import export_api, history_api, proved_entries_api, statistics_api, story_api

READERS = frozenset({"auditor", "coordinator", "operator"})
# Parties read only the stories and bundles of their own referrals, limited to the steps that they may see.
PARTIES = frozenset({"partner"})


class AuditService(WebService):
    name = "audit"

    @batches("audit.log", interval=0.05)
    def log(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.events.process(deliveries)

    @batches("audit.directory")
    def directory(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.directory.process(deliveries)

    @batches("audit.receipts", interval=0.2)
    def receipts(self, deliveries: Sequence[Delivery]) -> None:
        self.application.process_receipts(deliveries)

    @resource("GET", "/checkpoint", roles=None, reads=Reads.no_person, operation=operations.CHECKPOINT)
    def checkpoint(self, _request: Request) -> Response:
        return log_api.checkpoint(self.handlers.log)

    @resource(
        "GET",
        "/cosigned-checkpoint",
        roles=None,
        reads=Reads.no_person,
        operation=operations.COSIGNED_CHECKPOINT,
    )
    def cosigned_checkpoint(self, _request: Request) -> Response:
        return log_api.cosigned_checkpoint(self.handlers.log)

    @resource("GET", "/tile/<path:path>", roles=None, reads=Reads.no_person, operation=operations.TILE)
    def tile(self, request: Request) -> Response:
        return log_api.tile(self.handlers.log, request)

    @resource("GET", "/v1/log-key", roles=None, reads=Reads.no_person, operation=operations.LOG_KEY)
    def log_key(self, _request: Request) -> Response:
        return log_api.log_key(self.handlers.log)

    @resource(
        "GET",
        "/v1/history",
        roles=READERS,
        query=operations.SEARCHED,
        share=Share.report,
        reads=Reads.by_handler,
        operation=operations.HISTORY,
    )
    def history(self, request: Request) -> Response:
        return history_api.search(self.handlers.reports.history, request)

    @resource(
        "GET",
        "/v1/history/<uuid:referral_id>",
        roles=READERS,
        query=operations.TIMELINE_SEARCHED,
        share=Share.report,
        reads=Reads.by_handler,
        operation=operations.TIMELINE,
    )
    def timeline(self, request: Request) -> Response:
        return history_api.timeline(self.handlers.reports.history, request)

    @resource(
        "GET",
        "/v1/history/<uuid:referral_id>/bundle",
        roles=READERS | PARTIES,
        share=Share.report,
        reads=Reads.by_handler,
        operation=operations.BUNDLE,
    )
    def bundle(self, request: Request) -> Response:
        return history_api.bundle(self.handlers.reports.history, request, oversight=READERS)

    @resource(
        "GET",
        "/v1/history/<uuid:referral_id>/story",
        roles=READERS | PARTIES,
        query=operations.TOLD,
        share=Share.report,
        reads=Reads.by_handler,
        operation=operations.STORY,
    )
    def story(self, request: Request) -> Response:
        return story_api.story(self.handlers.reports.history, request, oversight=READERS)

    @resource(
        "GET",
        "/v1/history/<uuid:referral_id>/readers",
        roles=READERS | PARTIES,
        query=operations.READ_BY,
        share=Share.report,
        reads=Reads.by_handler,
        operation=operations.READERS,
    )
    def readers(self, request: Request) -> Response:
        return history_api.readers(self.handlers.reports.history, request, oversight=READERS)

    @resource(
        "GET",
        "/v1/export",
        roles=READERS,
        query=operations.EXPORTED,
        share=Share.report,
        reads=Reads.by_handler,
        operation=operations.EXPORT,
    )
    def export(self, request: Request) -> Response:
        return export_api.export(self.handlers.reports.export, request)

    @resource(
        "GET",
        "/v1/statistics",
        roles=READERS,
        query=operations.COUNTED,
        share=Share.report,
        reads=Reads.by_handler,
        operation=operations.STATISTICS,
    )
    def statistics(self, request: Request) -> Response:
        return statistics_api.statistics(self.handlers.reports.statistics, request)

    @resource(
        "GET",
        "/v1/statistics/entries",
        roles=frozenset({"auditor"}),
        query=operations.BEHIND,
        share=Share.report,
        reads=Reads.by_handler,
        operation=operations.STATISTICS_ENTRIES,
    )
    def statistics_entries(self, request: Request) -> Response:
        return statistics_api.entries(self.handlers.reports.statistics, request)

    @resource(
        "GET", "/v1/entries/<number:index>", roles=READERS, reads=Reads.by_handler, operation=operations.ENTRY
    )
    def entry(self, request: Request) -> Response:
        return history_api.entry(self.handlers.reports.history, request)

    @resource(
        "GET",
        "/v1/entries",
        roles=READERS | PARTIES,
        query=operations.NAMED,
        reads=Reads.no_person,
        operation=operations.ENTRIES,
    )
    def entries(self, request: Request) -> Response:
        return proved_entries_api.entries(self.handlers.reports.proved_entries, request, oversight=READERS)

    @resource(
        "GET",
        "/v1/proof",
        roles=READERS,
        query=operations.PROVEN,
        reads=Reads.no_person,
        operation=operations.PROOF,
    )
    def proof(self, request: Request) -> Response:
        return log_api.proof(self.handlers.log, request)

    @resource(
        "GET",
        "/v1/consistency",
        roles=READERS,
        query=operations.COMPARED,
        reads=Reads.no_person,
        operation=operations.CONSISTENCY,
    )
    def consistency(self, request: Request) -> Response:
        return log_api.consistency(self.handlers.log, request)


SERVICE = AuditService
