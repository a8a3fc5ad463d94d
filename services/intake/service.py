"""The intake service: HTTP resources and queue consumers."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.access.reads import Reads
from runtime.entrypoints.batches import batches
from runtime.entrypoints.resource import resource
from runtime.entrypoints.service import WebService
from runtime.messaging.ports import Delivery
from runtime.web.request import Request
from runtime.web.response import Response
from services.intake import api, ndjson
from services.intake.bootstrap import IntakeParts

READERS = api.PARTNERS | api.OVERSIGHT


class IntakeService(WebService):
    """Admits partners' submissions."""

    name = "intake"
    handlers: IntakeParts

    @resource("POST", "/v1/referrals", roles=api.PARTNERS, limit=api.SEALED_LIMIT, takes_key=True)
    def submit(self, request: Request) -> Response:
        return api.submit_referral(self.handlers.api, request)

    @resource("POST", "/v1/referrals:batch", roles=api.PARTNERS, limit=ndjson.BODY_LIMIT, takes_key=True)
    def submit_batch(self, request: Request) -> Response:
        return api.submit_referral_batch(self.handlers.api, request)

    @resource("POST", "/v1/submissions:batch", roles=api.PARTNERS, limit=ndjson.BODY_LIMIT, takes_key=True)
    def submit_command_batch(self, request: Request) -> Response:
        return api.submit_command_batch(self.handlers.api, request)

    @resource("GET", "/v1/referrals", roles=READERS, query={"status", "after", "limit"}, reads=Reads.recorded)
    def listing(self, request: Request) -> Response:
        return api.listing(self.handlers.api, request)

    @resource("GET", "/v1/referrals/<id>", roles=READERS, reads=Reads.recorded)
    def show(self, request: Request) -> Response:
        return api.show(self.handlers.api, request)

    @resource("POST", "/v1/referrals/<id>/withdraw", roles=api.PARTNERS, takes_key=True)
    def withdraw(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "withdraw")

    @resource("POST", "/v1/referrals/<id>/progress", roles=api.PARTNERS, takes_key=True)
    def progress(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "progress")

    @resource("POST", "/v1/referrals/<id>/complete", roles=api.PARTNERS, takes_key=True)
    def complete(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "complete")

    @resource("POST", "/v1/referrals/<id>/notes", roles=api.PARTNERS, limit=api.SEALED_LIMIT, takes_key=True)
    def note(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "note")

    @resource("POST", "/v1/referrals/<id>/unreadable", roles=api.PARTNERS, takes_key=True)
    def unreadable(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "unreadable")

    @resource("POST", "/v1/referrals/<id>/case", roles=api.PARTNERS, limit=api.SEALED_LIMIT, takes_key=True)
    def replace_case(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "replace_case")

    @resource("POST", "/v1/referrals/<id>/consent/revoke", roles=api.PARTNERS, takes_key=True)
    def revoke_consent(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "revoke_consent")

    @resource("GET", "/v1/offers/<id>", roles=api.PARTNERS, reads=Reads.own)
    def show_offer(self, request: Request) -> Response:
        return api.show_offer(self.handlers.api, request)

    @resource("POST", "/v1/offers/<id>/accept", roles=api.PARTNERS, takes_key=True)
    def accept(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "accept")

    @resource("POST", "/v1/offers/<id>/decline", roles=api.PARTNERS, limit=api.SEALED_LIMIT, takes_key=True)
    def decline(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "decline")

    @batches("intake.offers")
    def offers(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.offers.process(deliveries)

    @batches("intake.directory")
    def directory(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.directory.process(deliveries)


SERVICE = IntakeService
