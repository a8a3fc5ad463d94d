"""The directory's resources about applications to join, as JSON and as forms."""

from __future__ import annotations

from runtime.access.caller_limits import Share
from runtime.access.reads import Reads
from runtime.entrypoints.resource import resource
from runtime.entrypoints.service import WebService
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import api, application_operations

# The person who asks to vet an applicant is the first, and an operator is the second.
APPLICATION_STAFF = frozenset({"operator", "coordinator"})


class ApplicationResources(WebService):
    """Applications, their state, and the decision about them."""

    @resource(
        "POST",
        "/v1/applications",
        roles=None,
        limit=application_operations.LONGEST,
        operation=application_operations.POST_APPLICATION,
    )
    def post_application(self, request: Request) -> Response:
        return api.post_application(self.handlers, request)

    @resource(
        "GET",
        "/v1/applications/<uuid:id>/state",
        roles=None,
        reads=Reads.no_person,
        operation=application_operations.APPLICATION_STATE,
    )
    def application_state(self, request: Request) -> Response:
        return api.application_state(self.handlers, request)

    @resource(
        "POST",
        "/v1/applications/<uuid:id>/withdraw",
        roles=None,
        limit=application_operations.LONGEST,
        operation=application_operations.WITHDRAW_APPLICATION,
    )
    def withdraw_application(self, request: Request) -> Response:
        return api.withdraw_application(self.handlers, request)

    @resource(
        "GET",
        "/v1/applications",
        roles=APPLICATION_STAFF,
        query=application_operations.LISTED_APPLICATIONS,
        share=Share.report,
        reads=Reads.recorded,
        operation=application_operations.APPLICATIONS,
    )
    def applications(self, request: Request) -> Response:
        return api.applications(self.handlers, request)

    @resource(
        "GET",
        "/v1/applications/<uuid:id>",
        roles=APPLICATION_STAFF,
        reads=Reads.recorded,
        operation=application_operations.SHOW_APPLICATION,
    )
    def show_application(self, request: Request) -> Response:
        return api.application(self.handlers, request)

    @resource(
        "POST",
        "/v1/applications/<uuid:id>/vet",
        roles=APPLICATION_STAFF,
        reads=Reads.recorded,
        operation=application_operations.VET_APPLICATION,
    )
    def vet_application(self, request: Request) -> Response:
        return api.vet_application(self.handlers, api.proved(self.handlers, request))

    @resource(
        "POST",
        "/v1/applications/<uuid:id>/refuse",
        roles=APPLICATION_STAFF,
        reads=Reads.recorded,
        operation=application_operations.REFUSE_APPLICATION,
    )
    def refuse_application(self, request: Request) -> Response:
        return api.refuse_application(self.handlers, api.proved(self.handlers, request))

    @resource(
        "GET",
        "/apply",
        roles=None,
        query=application_operations.PAGE_LANGUAGE,
        reads=Reads.no_person,
        operation=application_operations.APPLY_FORM,
    )
    def apply_form(self, request: Request) -> Response:
        return api.apply_form(self.handlers, request)

    @resource(
        "POST",
        "/apply",
        roles=None,
        limit=application_operations.LONGEST,
        query=application_operations.PAGE_LANGUAGE,
        operation=application_operations.APPLY,
    )
    def apply(self, request: Request) -> Response:
        return api.apply(self.handlers, request)

    @resource(
        "GET",
        "/apply/state",
        roles=None,
        query=application_operations.PAGE_LANGUAGE,
        reads=Reads.no_person,
        operation=application_operations.APPLY_STATE_FORM,
    )
    def apply_state_form(self, request: Request) -> Response:
        return api.apply_state_form(self.handlers, request)

    @resource(
        "POST",
        "/apply/state",
        roles=None,
        limit=application_operations.LONGEST,
        query=application_operations.PAGE_LANGUAGE,
        operation=application_operations.APPLY_STATE,
    )
    def apply_state(self, request: Request) -> Response:
        return api.apply_state(self.handlers, request)

    @resource(
        "POST",
        "/apply/withdraw",
        roles=None,
        limit=application_operations.LONGEST,
        query=application_operations.PAGE_LANGUAGE,
        operation=application_operations.APPLY_WITHDRAW,
    )
    def apply_withdraw(self, request: Request) -> Response:
        return api.apply_withdraw(self.handlers, request)
