"""The intake service: HTTP resources and queue consumers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from runtime.access.caller_limits import Share
from runtime.access.rate_limits import Work
from runtime.access.reads import Reads
from runtime.entrypoints.batches import batches
from runtime.entrypoints.resource import resource
from runtime.entrypoints.service import WebService
from runtime.messaging.ports import Delivery
from runtime.web.body import DEFAULT_LIMIT
from runtime.web.operation import Operation
from runtime.web.request import Request
from runtime.web.response import Response
from services.intake import api, ndjson, operations
from services.intake.bootstrap import IntakeParts

READERS = api.PARTNERS | api.OVERSIGHT
Method = Callable[[Any, Request], Response]


def submission(
    url: str,
    *,
    operation: Operation,
    limit: int = DEFAULT_LIMIT,
    share: Share | None = None,
    work: Work = Work.statements,
) -> Callable[[Method], Method]:
    """Make the decorated method handle submissions of partners.

    An excluded organisation still gets the first answer to a submission that it repeats; see
    `SubmissionCommits.answer_all`.
    """
    return resource(
        "POST",
        url,
        roles=api.PARTNERS,
        limit=limit,
        takes_key=True,
        open_to_excluded=True,
        share=share,
        work=work,
        operation=operation,
    )


class IntakeService(WebService):
    """Admits partners' submissions."""

    name = "intake"
    handlers: IntakeParts

    @submission("/v1/referrals", limit=api.SEALED_LIMIT, work=Work.referrals, operation=operations.SUBMIT)
    def submit(self, request: Request) -> Response:
        return api.submit_referral(self.handlers.api, request)

    @submission(
        "/v1/referrals:batch",
        limit=ndjson.BODY_LIMIT,
        share=Share.batch,
        work=Work.referrals,
        operation=operations.SUBMIT_BATCH,
    )
    def submit_batch(self, request: Request) -> Response:
        return api.submit_referral_batch(self.handlers.api, request)

    # Without a key and in the share of the reads: it has no effect.
    @resource(
        "POST", "/v1/referrals:preview", roles=api.PARTNERS, share=Share.read, operation=operations.PREVIEW
    )
    def preview(self, request: Request) -> Response:
        return api.preview_referral(self.handlers.api, request)

    @submission(
        "/v1/submissions:batch",
        limit=ndjson.BODY_LIMIT,
        share=Share.batch,
        operation=operations.SUBMIT_COMMANDS,
    )
    def submit_command_batch(self, request: Request) -> Response:
        return api.submit_command_batch(self.handlers.api, request)

    @resource(
        "GET",
        "/v1/referrals",
        roles=READERS,
        query=operations.LISTED,
        reads=Reads.recorded,
        operation=operations.LIST,
    )
    def listing(self, request: Request) -> Response:
        return api.listing(self.handlers.views, request)

    @resource(
        "GET",
        "/v1/submissions",
        roles=READERS,
        query=operations.FOUND,
        reads=Reads.recorded,
        operation=operations.FIND,
    )
    def find(self, request: Request) -> Response:
        return api.find(self.handlers.search, request)

    @resource(
        "GET", "/v1/referrals/<uuid:id>", roles=READERS, reads=Reads.recorded, operation=operations.SHOW
    )
    def show(self, request: Request) -> Response:
        return api.show(self.handlers.views, request)

    @submission("/v1/referrals/<uuid:id>/withdraw", operation=operations.WITHDRAW)
    def withdraw(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "withdraw")

    @submission("/v1/referrals/<uuid:id>/progress", operation=operations.PROGRESS)
    def progress(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "progress")

    @submission("/v1/referrals/<uuid:id>/complete", operation=operations.COMPLETE)
    def complete(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "complete")

    @submission("/v1/referrals/<uuid:id>/hand-back", limit=api.SEALED_LIMIT, operation=operations.HAND_BACK)
    def hand_back(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "hand_back")

    @submission("/v1/referrals/<uuid:id>/notes", limit=api.SEALED_LIMIT, operation=operations.NOTE)
    def note(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "note")

    @submission("/v1/referrals/<uuid:id>/unreadable", operation=operations.UNREADABLE)
    def unreadable(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "unreadable")

    @submission("/v1/referrals/<uuid:id>/case", limit=api.SEALED_LIMIT, operation=operations.REPLACE_CASE)
    def replace_case(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "replace_case")

    @submission("/v1/referrals/<uuid:id>/consent/revoke", operation=operations.REVOKE_CONSENT)
    def revoke_consent(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "revoke_consent")

    @resource(
        "GET", "/v1/offers/<uuid:id>", roles=api.PARTNERS, reads=Reads.own, operation=operations.SHOW_OFFER
    )
    def show_offer(self, request: Request) -> Response:
        return api.show_offer(self.handlers.views, request)

    @submission("/v1/offers/<uuid:id>/accept", operation=operations.ACCEPT)
    def accept(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "accept")

    @submission("/v1/offers/<uuid:id>/decline", limit=api.SEALED_LIMIT, operation=operations.DECLINE)
    def decline(self, request: Request) -> Response:
        return api.submit_command(self.handlers.api, request, "decline")

    @batches("intake.offers")
    def offers(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.offers.process(deliveries)

    @batches("intake.transit_keys")
    def transit_keys(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.transit_keys.process(deliveries)

    @batches("intake.directory")
    def directory(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.directory.process(deliveries)

    @batches("intake.receipts", interval=0.2)
    def receipts(self, deliveries: Sequence[Delivery]) -> None:
        self.application.process_receipts(deliveries)


SERVICE = IntakeService
