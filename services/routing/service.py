"""The routing service: its queues and HTTP resources."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.codes import CoordinatorAct
from contracts.topology import ROUTING_PARTITIONS, ROUTING_QUERIES
from runtime.access.caller_limits import Share
from runtime.access.reads import Reads
from runtime.entrypoints.batches import batches
from runtime.entrypoints.resource import resource
from runtime.entrypoints.service import WebService
from runtime.messaging.ports import Delivery
from runtime.web.parameters import PAGED
from runtime.web.request import Request
from runtime.web.response import Response
from services.routing import api, operations
from services.routing.bootstrap import RoutingParts
from services.routing.domain.view import OVERSIGHT_ROLES

READERS = frozenset({"partner"}) | OVERSIGHT_ROLES
# Members read their own statement only. Coordinators read the report, in which small figures are withheld.
MEMBERS = frozenset({"partner"})
COORDINATORS = frozenset({"coordinator"})
# The roles that may ask why an organisation was not a candidate.
EXAMINERS = frozenset({"coordinator", "auditor"})
# The roles that may suspend an organisation, and see first what the suspension concerns.
SUSPENDERS = frozenset({"coordinator", "operator"})


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
    def queries(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.query_server.process(deliveries)

    @resource(
        "GET",
        "/v1/referrals/<uuid:id>/decision",
        roles=READERS,
        reads=Reads.recorded,
        share=Share.report,
        operation=operations.DECISIONS,
    )
    def decisions(self, request: Request) -> Response:
        return api.decisions(self.handlers.queries, request, self.application.clock)

    @resource(
        "GET",
        "/v1/coordination/unplaced",
        roles=COORDINATORS,
        query=PAGED,
        reads=Reads.recorded,
        operation=operations.UNPLACED,
    )
    def unplaced(self, request: Request) -> Response:
        return api.unplaced(self.handlers.queries, request)

    @resource(
        "GET",
        "/v1/coordination/queue",
        roles=COORDINATORS,
        query=operations.QUEUED,
        reads=Reads.recorded,
        operation=operations.QUEUE,
    )
    def queue(self, request: Request) -> Response:
        return api.queue(self.handlers.coordination, request, self.application.clock)

    @resource(
        "GET",
        "/v1/coordination/<uuid:id>/candidates",
        roles=EXAMINERS,
        query=operations.CONSIDERED,
        reads=Reads.recorded,
        operation=operations.CANDIDATES,
    )
    def candidates(self, request: Request) -> Response:
        return api.candidates(self.handlers.coordination, request, self.application.clock)

    @resource(
        "GET",
        "/v1/coordination/wishes",
        roles=COORDINATORS,
        query=operations.WISHED,
        reads=Reads.recorded,
        share=Share.report,
        operation=operations.WISHES,
    )
    def wishes(self, request: Request) -> Response:
        return api.wishes(self.handlers.whole_network, request, self.application.clock)

    @resource(
        "GET",
        "/v1/coordination/coverage",
        roles=COORDINATORS,
        query=operations.COVERED,
        reads=Reads.recorded,
        share=Share.report,
        operation=operations.COVERAGE,
    )
    def coverage(self, request: Request) -> Response:
        return api.coverage(self.handlers.whole_network, request, self.application.clock)

    @resource(
        "POST",
        "/v1/coordination/policies:simulate",
        roles=COORDINATORS,
        reads=Reads.recorded,
        share=Share.simulation,
        operation=operations.SIMULATION,
    )
    def simulate(self, request: Request) -> Response:
        return api.simulate(self.handlers.simulations, request)

    @resource(
        "GET",
        "/v1/coordination/report",
        roles=COORDINATORS,
        query=operations.REPORTED,
        reads=Reads.no_person,
        operation=operations.REPORT,
    )
    def report(self, request: Request) -> Response:
        return api.report(self.handlers.reports, request)

    @resource(
        "GET",
        "/v1/coordination/statistics",
        roles=COORDINATORS,
        query=operations.SERIES_SPANS,
        reads=Reads.no_person,
        operation=operations.SERIES,
    )
    def statistics(self, request: Request) -> Response:
        return api.series(self.handlers.reports, request)

    @resource(
        "GET",
        "/v1/statement",
        roles=MEMBERS,
        query=operations.REPORTED,
        reads=Reads.no_person,
        operation=operations.STATEMENT,
    )
    def statement(self, request: Request) -> Response:
        return api.statement(self.handlers.reports, request)

    @resource(
        "GET",
        "/v1/statement/month",
        roles=MEMBERS,
        query=(operations.MONTH,),
        reads=Reads.no_person,
        operation=operations.MONTHLY_STATEMENT,
    )
    def monthly_statement(self, request: Request) -> Response:
        return api.monthly_statement(self.handlers.statements, request)

    @resource(
        "GET",
        "/v1/statement/month/decisions",
        roles=MEMBERS,
        query=operations.ASKING,
        reads=Reads.no_person,
        operation=operations.ASKING_DECISIONS,
    )
    def asking_decisions(self, request: Request) -> Response:
        return api.asking_decisions(self.handlers.statements, request)

    @resource(
        "GET",
        "/v1/coordination/organizations/<organization:id>/engagements",
        roles=SUSPENDERS,
        reads=Reads.recorded,
        operation=operations.ENGAGEMENTS,
    )
    def engagements(self, request: Request) -> Response:
        return api.engagements(self.handlers.coordination, request)

    @resource(
        "POST",
        "/v1/coordination/<uuid:id>/offer",
        roles=COORDINATORS,
        takes_key=True,
        operation=operations.PLACE,
    )
    def place(self, request: Request) -> Response:
        return api.place(self.handlers.commands, request, self.application.clock)

    @resource(
        "POST",
        "/v1/coordination/<uuid:id>/nudge",
        roles=COORDINATORS,
        takes_key=True,
        operation=operations.NUDGE,
    )
    def nudge(self, request: Request) -> Response:
        return api.intervene(self.handlers.commands, request, self.application.clock, CoordinatorAct.nudge)

    @resource(
        "POST",
        "/v1/coordination/<uuid:id>/extend",
        roles=COORDINATORS,
        takes_key=True,
        operation=operations.EXTEND,
    )
    def extend(self, request: Request) -> Response:
        return api.intervene(self.handlers.commands, request, self.application.clock, CoordinatorAct.extend)

    @resource(
        "POST",
        "/v1/coordination/<uuid:id>/move-on",
        roles=COORDINATORS,
        takes_key=True,
        operation=operations.MOVE_ON,
    )
    def move_on(self, request: Request) -> Response:
        return api.intervene(self.handlers.commands, request, self.application.clock, CoordinatorAct.move_on)

    @resource(
        "POST",
        "/v1/coordination/<uuid:id>/withdraw",
        roles=COORDINATORS,
        takes_key=True,
        operation=operations.WITHDRAW,
    )
    def withdraw(self, request: Request) -> Response:
        return api.withdraw(self.handlers.commands, request, self.application.clock)


SERVICE = RoutingService
