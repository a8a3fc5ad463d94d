"""The delivery service: HTTP resources and queue consumers."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.access.caller_limits import Share
from runtime.access.reads import STAFF, Reads
from runtime.entrypoints.batches import batches
from runtime.entrypoints.resource import resource
from runtime.entrypoints.service import WebService
from runtime.messaging.ports import Delivery
from runtime.web.parameters import PAGED
from runtime.web.request import Request
from runtime.web.response import Response
from services.delivery import api, operations
from services.delivery.bootstrap import DeliveryParts
from services.delivery.webhooks import api as webhook_api
from services.delivery.webhooks import operations as webhook_operations

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
        query=operations.OF_MAILBOX,
        reads=Reads.recorded,
        share=Share.long_poll,
        operation=operations.READ_MAILBOX,
    )
    def mailbox(self, request: Request) -> Response:
        return api.mailbox(self.handlers.mailbox, request)

    @resource(
        "POST",
        "/v1/mailbox/<uuid:message_id>/acknowledge",
        roles=OWNERS,
        query=(operations.CONSUMER,),
        operation=operations.ACKNOWLEDGE,
    )
    def acknowledge(self, request: Request) -> Response:
        return api.acknowledge(self.handlers.mailbox, self.handlers.consumers, request)

    @resource(
        "POST",
        "/v1/mailbox:acknowledge",
        roles=OWNERS,
        query=(operations.CONSUMER,),
        operation=operations.ACKNOWLEDGE_BATCH,
    )
    def acknowledge_batch(self, request: Request) -> Response:
        return api.acknowledge_batch(self.handlers.mailbox, self.handlers.consumers, request)

    @resource(
        "GET",
        "/v1/mailbox/consumers",
        roles=PARTNERS,
        reads=Reads.no_person,
        operation=operations.LIST_CONSUMERS,
    )
    def consumers(self, request: Request) -> Response:
        return api.consumers(self.handlers.consumers, request)

    @resource("PUT", "/v1/mailbox/consumers/<slug:name>", roles=PARTNERS, operation=operations.PUT_CONSUMER)
    def put_consumer(self, request: Request) -> Response:
        return api.put_consumer(self.handlers.consumers, request)

    @resource(
        "DELETE", "/v1/mailbox/consumers/<slug:name>", roles=PARTNERS, operation=operations.DELETE_CONSUMER
    )
    def delete_consumer(self, request: Request) -> Response:
        return api.delete_consumer(self.handlers.consumers, request)

    @resource("POST", "/v1/mailbox:answer", roles=PARTNERS, operation=operations.ANSWER_SUBMISSIONS)
    def answer_submissions(self, request: Request) -> Response:
        return api.answer_submissions(self.handlers.submission_answers, request)

    @resource(
        "GET",
        "/v1/deliveries/<uuid:id>",
        roles=PARTNERS | STAFF,
        reads=Reads.recorded,
        operation=operations.TRACE_MESSAGES,
    )
    def trace(self, request: Request) -> Response:
        return api.trace(self.handlers.tracing, request)

    @resource("POST", "/v1/sandbox/messages", roles=PARTNERS, operation=operations.TRIGGER)
    def trigger(self, request: Request) -> Response:
        return api.trigger(self.handlers.triggers, request)

    @resource(
        "GET",
        "/v1/case/<uuid:referral_id>",
        roles=PARTNERS,
        reads=Reads.by_handler,
        operation=operations.READ_CASE,
    )
    def case(self, request: Request) -> Response:
        return api.case(self.handlers.mailbox, self.handlers.reads, self.handlers.fetches, request)

    @resource("POST", "/v1/webhooks", roles=PARTNERS, operation=webhook_operations.REGISTER)
    def register_webhook(self, request: Request) -> Response:
        return webhook_api.register(self.handlers.webhooks, request)

    @resource("GET", "/v1/webhooks", roles=PARTNERS, reads=Reads.no_person, operation=webhook_operations.LIST)
    def webhooks(self, request: Request) -> Response:
        return webhook_api.listing(self.handlers.webhooks, request)

    @resource(
        "GET",
        "/v1/webhooks/<uuid:endpoint_id>",
        roles=PARTNERS,
        reads=Reads.no_person,
        operation=webhook_operations.SHOW,
    )
    def webhook(self, request: Request) -> Response:
        return webhook_api.show(self.handlers.webhooks, request)

    @resource("PATCH", "/v1/webhooks/<uuid:endpoint_id>", roles=PARTNERS, operation=webhook_operations.CHANGE)
    def change_webhook(self, request: Request) -> Response:
        return webhook_api.change(self.handlers.webhooks, request)

    @resource(
        "DELETE", "/v1/webhooks/<uuid:endpoint_id>", roles=PARTNERS, operation=webhook_operations.DELETE
    )
    def delete_webhook(self, request: Request) -> Response:
        return webhook_api.delete(self.handlers.webhooks, request)

    @resource(
        "POST", "/v1/webhooks/<uuid:endpoint_id>/secrets", roles=PARTNERS, operation=webhook_operations.ROTATE
    )
    def rotate_webhook_secret(self, request: Request) -> Response:
        return webhook_api.rotate(self.handlers.webhooks, request)

    @resource(
        "POST", "/v1/webhooks/<uuid:endpoint_id>/test", roles=PARTNERS, operation=webhook_operations.TEST
    )
    def test_webhook(self, request: Request) -> Response:
        return webhook_api.test(self.handlers.webhooks, request)

    @resource(
        "GET",
        "/v1/webhooks/<uuid:endpoint_id>/notices",
        roles=PARTNERS,
        query=PAGED,
        reads=Reads.own,
        operation=webhook_operations.LIST_NOTICES,
    )
    def webhook_notices(self, request: Request) -> Response:
        return webhook_api.notices(self.handlers.webhooks, request)

    @resource(
        "GET",
        "/v1/webhooks/<uuid:endpoint_id>/attempts",
        roles=PARTNERS,
        query=PAGED,
        reads=Reads.own,
        operation=webhook_operations.LIST_ATTEMPTS,
    )
    def webhook_attempts(self, request: Request) -> Response:
        return webhook_api.attempts(self.handlers.webhooks, request)

    @resource(
        "POST",
        "/v1/webhooks/<uuid:endpoint_id>/notices/<uuid:message_id>/resend",
        roles=PARTNERS,
        operation=webhook_operations.RESEND,
    )
    def resend_webhook(self, request: Request) -> Response:
        return webhook_api.resend(self.handlers.webhooks, request)

    @resource(
        "POST",
        "/v1/webhooks/<uuid:endpoint_id>/notices/<uuid:message_id>/cancel",
        roles=PARTNERS,
        operation=webhook_operations.CANCEL,
    )
    def cancel_webhook(self, request: Request) -> Response:
        return webhook_api.cancel(self.handlers.webhooks, request)

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
