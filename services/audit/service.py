"""The audit service: its queue consumers and its HTTP resources."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.access.reads import Reads
from runtime.entrypoints.batches import batches
from runtime.entrypoints.resource import resource
from runtime.entrypoints.service import WebService
from runtime.messaging.ports import Delivery
from runtime.web.request import Request
from runtime.web.response import Response
from services.audit.log import api as log_api
from services.audit.reports import export_api, history_api, statistics_api, story_api

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

    @resource("GET", "/checkpoint", roles=None, reads=Reads.no_person)
    def checkpoint(self, _request: Request) -> Response:
        return log_api.checkpoint(self.handlers.log)

    @resource("GET", "/cosigned-checkpoint", roles=None, reads=Reads.no_person)
    def cosigned_checkpoint(self, _request: Request) -> Response:
        return log_api.cosigned_checkpoint(self.handlers.log)

    @resource("GET", "/tile/<path:path>", roles=None, reads=Reads.no_person)
    def tile(self, request: Request) -> Response:
        return log_api.tile(self.handlers.log, request)

    @resource("GET", "/v1/log-key", roles=None, reads=Reads.no_person)
    def log_key(self, _request: Request) -> Response:
        return log_api.log_key(self.handlers.log)

    @resource(
        "GET", "/v1/history", roles=READERS, query=history_api.SEARCH_PARAMETERS, reads=Reads.by_handler
    )
    def history(self, request: Request) -> Response:
        return history_api.search(self.handlers.reports.history, request)

    @resource(
        "GET",
        "/v1/history/<uuid:referral_id>",
        roles=READERS,
        query=history_api.TIMELINE_PARAMETERS,
        reads=Reads.by_handler,
    )
    def timeline(self, request: Request) -> Response:
        return history_api.timeline(self.handlers.reports.history, request)

    @resource("GET", "/v1/history/<uuid:referral_id>/bundle", roles=READERS | PARTIES, reads=Reads.by_handler)
    def bundle(self, request: Request) -> Response:
        return history_api.bundle(self.handlers.reports.history, request, oversight=READERS)

    @resource(
        "GET",
        "/v1/history/<uuid:referral_id>/story",
        roles=READERS | PARTIES,
        query=story_api.PARAMETERS,
        reads=Reads.by_handler,
    )
    def story(self, request: Request) -> Response:
        return story_api.story(self.handlers.reports.history, request, oversight=READERS)

    @resource(
        "GET",
        "/v1/history/<uuid:referral_id>/readers",
        roles=READERS | PARTIES,
        query=history_api.READERS_PARAMETERS,
        reads=Reads.by_handler,
    )
    def readers(self, request: Request) -> Response:
        return history_api.readers(self.handlers.reports.history, request, oversight=READERS)

    @resource("GET", "/v1/export", roles=READERS, query=export_api.PARAMETERS, reads=Reads.by_handler)
    def export(self, request: Request) -> Response:
        return export_api.export(self.handlers.reports.export, request)

    @resource(
        "GET",
        "/v1/statistics",
        roles=READERS,
        query=statistics_api.STATISTICS_PARAMETERS,
        reads=Reads.by_handler,
    )
    def statistics(self, request: Request) -> Response:
        return statistics_api.statistics(self.handlers.reports.statistics, request)

    @resource(
        "GET",
        "/v1/statistics/entries",
        roles=frozenset({"auditor"}),
        query=statistics_api.ENTRIES_PARAMETERS,
        reads=Reads.by_handler,
    )
    def statistics_entries(self, request: Request) -> Response:
        return statistics_api.entries(self.handlers.reports.statistics, request)

    @resource("GET", "/v1/entries/<number:index>", roles=READERS, reads=Reads.by_handler)
    def entry(self, request: Request) -> Response:
        return history_api.entry(self.handlers.reports.history, request)

    @resource("GET", "/v1/proof", roles=READERS, query={"index", "size"}, reads=Reads.no_person)
    def proof(self, request: Request) -> Response:
        return log_api.proof(self.handlers.log, request)

    @resource("GET", "/v1/consistency", roles=READERS, query={"from", "to"}, reads=Reads.no_person)
    def consistency(self, request: Request) -> Response:
        return log_api.consistency(self.handlers.log, request)


SERVICE = AuditService
