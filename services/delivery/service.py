"""The delivery service: HTTP resources and queue consumers."""

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
from services.delivery import api
from services.delivery.bootstrap import DeliveryParts

PARTNERS = frozenset({"partner"})
# Coordinators share a mailbox.
OWNERS = PARTNERS | {"coordinator"}


class DeliveryService(WebService):
    name = "delivery"
    handlers: DeliveryParts

    @resource(
        "GET",
        "/v1/mailbox",
        roles=OWNERS,
        query={"after", "consumer", "from", "limit", "type", "wait"},
        reads=Reads.recorded,
        share=Share.long_poll,
    )
    def mailbox(self, request: Request) -> Response:
        return api.mailbox(self.handlers.mailbox, request)

    @resource("POST", "/v1/mailbox/<uuid:message_id>/acknowledge", roles=OWNERS, query={"consumer"})
    def acknowledge(self, request: Request) -> Response:
        return api.acknowledge(self.handlers.mailbox, self.handlers.consumers, request)

    @resource("POST", "/v1/mailbox:acknowledge", roles=OWNERS, query={"consumer"})
    def acknowledge_batch(self, request: Request) -> Response:
        return api.acknowledge_batch(self.handlers.mailbox, self.handlers.consumers, request)

    @resource("GET", "/v1/mailbox/consumers", roles=PARTNERS, reads=Reads.no_person)
    def consumers(self, request: Request) -> Response:
        return api.consumers(self.handlers.consumers, request)

    @resource("PUT", "/v1/mailbox/consumers/<slug:name>", roles=PARTNERS)
    def put_consumer(self, request: Request) -> Response:
        return api.put_consumer(self.handlers.consumers, request)

    @resource("DELETE", "/v1/mailbox/consumers/<slug:name>", roles=PARTNERS)
    def delete_consumer(self, request: Request) -> Response:
        return api.delete_consumer(self.handlers.consumers, request)

    @resource("POST", "/v1/sandbox/messages", roles=PARTNERS)
    def trigger(self, request: Request) -> Response:
        return api.trigger(self.handlers.triggers, request)

    @resource("GET", "/v1/case/<uuid:referral_id>", roles=PARTNERS, reads=Reads.by_handler)
    def case(self, request: Request) -> Response:
        return api.case(self.handlers.mailbox, self.handlers.reads, request)

    @batches("delivery.events")
    def events(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.events.process(deliveries)

    @batches("delivery.sealed")
    def sealed_messages(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.sealed_messages.process(deliveries)

    @batches("delivery.directory")
    def directory(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.directory.process(deliveries)

    @batches("delivery.receipts", interval=0.2)
    def receipts(self, deliveries: Sequence[Delivery]) -> None:
        self.application.process_receipts(deliveries)


SERVICE = DeliveryService
