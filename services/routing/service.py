"""The routing service: its queues and HTTP resources."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.codes import CoordinatorAct
from contracts.topology import ROUTING_PARTITIONS, ROUTING_QUERIES
from runtime.access.reads import Reads
from runtime.entrypoints.batches import batches
from runtime.entrypoints.resource import resource
from runtime.entrypoints.service import WebService
from runtime.messaging.ports import Delivery
from runtime.web.request import Request
from runtime.web.response import Response
from services.routing import api
from services.routing.bootstrap import RoutingParts


class RoutingService(WebService):
    """Decides which organisations are asked, and moves every referral and offer through its states."""

    name = "routing"
    handlers: RoutingParts

    @batches(*ROUTING_PARTITIONS)
    def facts(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.facts.process(deliveries)

    @batches("routing.directory")
    def directory(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.directory.process(deliveries)

    @batches("routing.receipts", interval=0.2)
    def receipts(self, deliveries: Sequence[Delivery]) -> None:
        self.application.process_receipts(deliveries)

    @batches(ROUTING_QUERIES, interval=0.0)
    def questions(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.questions.process(deliveries)

    @resource("GET", "/v1/referrals/<uuid:id>/decision", roles=api.READERS, reads=Reads.recorded)
    def decisions(self, request: Request) -> Response:
        return api.decisions(self.handlers.queries, request, self.application.clock)

    @resource(
        "GET",
        "/v1/coordination/unplaced",
        roles=api.COORDINATORS,
        query={"after", "limit"},
        reads=Reads.recorded,
    )
    def unplaced(self, request: Request) -> Response:
        return api.unplaced(self.handlers.queries, request)

    @resource(
        "GET",
        "/v1/coordination/queue",
        roles=api.COORDINATORS,
        query=api.QUEUE_PARAMETERS,
        reads=Reads.recorded,
    )
    def queue(self, request: Request) -> Response:
        return api.queue(self.handlers.coordination, request, self.application.clock)

    @resource(
        "GET",
        "/v1/coordination/<uuid:id>/candidates",
        roles=api.EXAMINERS,
        query={"organization"},
        reads=Reads.recorded,
    )
    def candidates(self, request: Request) -> Response:
        return api.candidates(self.handlers.coordination, request, self.application.clock)

    @resource(
        "GET",
        "/v1/coordination/wishes",
        roles=api.COORDINATORS,
        query=api.WISHES_PARAMETERS,
        reads=Reads.no_person,
    )
    def wishes(self, request: Request) -> Response:
        return api.wishes(self.handlers.whole_network, request, self.application.clock)

    @resource(
        "GET",
        "/v1/coordination/coverage",
        roles=api.COORDINATORS,
        query=api.COVERAGE_PARAMETERS,
        reads=Reads.no_person,
    )
    def coverage(self, request: Request) -> Response:
        return api.coverage(self.handlers.whole_network, request, self.application.clock)

    @resource(
        "GET",
        "/v1/coordination/report",
        roles=api.COORDINATORS,
        query=api.REPORT_PARAMETERS,
        reads=Reads.no_person,
    )
    def report(self, request: Request) -> Response:
        return api.report(self.handlers.reports, request)

    @resource(
        "GET",
        "/v1/coordination/statistics",
        roles=api.COORDINATORS,
        query=api.SERIES_PARAMETERS,
        reads=Reads.no_person,
    )
    def statistics(self, request: Request) -> Response:
        return api.series(self.handlers.reports, request)

    @resource(
        "GET",
        "/v1/statement",
        roles=api.MEMBERS,
        query=api.STATEMENT_PARAMETERS,
        reads=Reads.no_person,
    )
    def statement(self, request: Request) -> Response:
        return api.statement(self.handlers.reports, request)

    @resource(
        "GET",
        "/v1/coordination/organizations/<organization:id>/engagements",
        roles=api.SUSPENDERS,
        reads=Reads.no_person,
    )
    def engagements(self, request: Request) -> Response:
        return api.engagements(self.handlers.coordination, request)

    @resource("POST", "/v1/coordination/<uuid:id>/offer", roles=api.COORDINATORS, takes_key=True)
    def place(self, request: Request) -> Response:
        return api.place(self.handlers.commands, request, self.application.clock)

    @resource("POST", "/v1/coordination/<uuid:id>/nudge", roles=api.COORDINATORS, takes_key=True)
    def nudge(self, request: Request) -> Response:
        return api.intervene(self.handlers.commands, request, self.application.clock, CoordinatorAct.nudge)

    @resource("POST", "/v1/coordination/<uuid:id>/extend", roles=api.COORDINATORS, takes_key=True)
    def extend(self, request: Request) -> Response:
        return api.intervene(self.handlers.commands, request, self.application.clock, CoordinatorAct.extend)

    @resource("POST", "/v1/coordination/<uuid:id>/move-on", roles=api.COORDINATORS, takes_key=True)
    def move_on(self, request: Request) -> Response:
        return api.intervene(self.handlers.commands, request, self.application.clock, CoordinatorAct.move_on)

    @resource("POST", "/v1/coordination/<uuid:id>/withdraw", roles=api.COORDINATORS, takes_key=True)
    def withdraw(self, request: Request) -> Response:
        return api.withdraw(self.handlers.commands, request, self.application.clock)


SERVICE = RoutingService
