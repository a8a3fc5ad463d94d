"""The directory service: its HTTP routes and queues, and the roles that may call them."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.access.caller_limits import Share
from runtime.access.reads import Reads
from runtime.entrypoints.batches import batches
from runtime.entrypoints.resource import resource
from runtime.messaging.ports import Delivery
from runtime.web import oauth_errors
from runtime.web.parameters import PAGED
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import api, operations
from services.directory.application_resources import ApplicationResources
from services.directory.domain.authorization_server import JWKS_PATH, TOKEN_PATH
from services.directory.watch_resources import WatchResources

READERS = frozenset({"partner", "coordinator", "auditor", "operator"})
PARTNERS = frozenset({"partner"})
OPERATORS = frozenset({"operator"})
APPROVERS = frozenset({"operator", "coordinator"})
# One of them suffices: suspension protects. Readmission is an operator's, with a second one.
SUSPENDERS = frozenset({"operator", "coordinator"})


class DirectoryService(WatchResources, ApplicationResources):
    """Keeps the directory and issues tokens."""

    name = "directory"

    @resource(
        "POST",
        TOKEN_PATH,
        roles=None,
        limit=16 * 1024,
        fault_response=oauth_errors.response_for,
        operation=operations.TOKEN,
    )
    def token(self, request: Request) -> Response:
        return api.token(self.handlers, request)

    @resource(
        "GET",
        "/.well-known/oauth-authorization-server",
        roles=None,
        reads=Reads.no_person,
        operation=operations.SERVER_METADATA,
    )
    def server_metadata(self, _request: Request) -> Response:
        return Response.json(self.handlers.server.metadata())

    @resource("GET", JWKS_PATH, roles=None, reads=Reads.no_person, operation=operations.TOKEN_KEYS)
    def token_keys(self, _request: Request) -> Response:
        return api.token_keys(self.handlers)

    @resource(
        "GET",
        "/v1/organizations",
        roles=READERS,
        query=operations.LISTED_ORGANIZATIONS,
        share=Share.report,
        reads=Reads.no_person,
        operation=operations.ORGANIZATIONS,
    )
    def organizations(self, request: Request) -> Response:
        return api.organizations(self.handlers, request)

    @resource(
        "GET",
        "/v1/organizations/<organization:id>",
        roles=READERS,
        open_to_excluded=True,
        reads=Reads.no_person,
        operation=operations.SHOW_ORGANIZATION,
    )
    def organization(self, request: Request) -> Response:
        return api.organization(self.handlers, request)

    @resource(
        "PUT",
        "/v1/organizations/<organization:id>",
        roles=PARTNERS | OPERATORS,
        operation=operations.PUT_ORGANIZATION,
    )
    def put_organization(self, request: Request) -> Response:
        return api.put_organization(self.handlers, api.proved(self.handlers, request))

    @resource(
        "PATCH",
        "/v1/organizations/<organization:id>",
        roles=PARTNERS | OPERATORS,
        operation=operations.PATCH_ORGANIZATION,
    )
    def patch_organization(self, request: Request) -> Response:
        return api.patch_organization(self.handlers, api.proved(self.handlers, request))

    @resource(
        "POST", "/v1/organizations/<organization:id>/suspend", roles=SUSPENDERS, operation=operations.SUSPEND
    )
    def suspend(self, request: Request) -> Response:
        return api.suspend(self.handlers, api.proved(self.handlers, request))

    @resource(
        "POST",
        "/v1/organizations/<organization:id>/services/<slug:service>/approval",
        roles=APPROVERS,
        operation=operations.APPROVE_SERVICE,
    )
    def approve_service(self, request: Request) -> Response:
        return api.approve_service(self.handlers, api.proved(self.handlers, request))

    @resource(
        "POST",
        "/v1/organizations/<organization:id>/services/<slug:service>/approval/withdraw",
        roles=APPROVERS,
        operation=operations.WITHDRAW_APPROVAL,
    )
    def withdraw_service_approval(self, request: Request) -> Response:
        return api.withdraw_service_approval(self.handlers, api.proved(self.handlers, request))

    @resource(
        "GET",
        "/v1/services",
        roles=READERS,
        query=operations.LISTED_SERVICES,
        share=Share.report,
        reads=Reads.no_person,
        operation=operations.SERVICES,
    )
    def services(self, request: Request) -> Response:
        return api.services(self.handlers, request)

    @resource(
        "GET",
        "/v1/service_at_locations",
        roles=READERS,
        query=PAGED,
        share=Share.report,
        reads=Reads.no_person,
        operation=operations.SERVICE_AT_LOCATIONS,
    )
    def service_at_locations(self, request: Request) -> Response:
        return api.service_at_locations(self.handlers, request)

    @resource(
        "GET",
        "/v1/taxonomy_terms",
        roles=READERS,
        query=PAGED,
        reads=Reads.no_person,
        operation=operations.TAXONOMY_TERMS,
    )
    def taxonomy_terms(self, request: Request) -> Response:
        return api.taxonomy_terms(request)

    @resource(
        "GET",
        "/v1/agreements",
        roles=READERS,
        query=PAGED,
        share=Share.report,
        reads=Reads.no_person,
        operation=operations.AGREEMENTS,
    )
    def agreements(self, request: Request) -> Response:
        return api.agreements(self.handlers, request)

    @resource("POST", "/v1/agreements", roles=OPERATORS, operation=operations.POST_AGREEMENT)
    def post_agreement(self, request: Request) -> Response:
        return api.post_agreement(self.handlers, api.proved(self.handlers, request))

    @resource(
        "GET",
        "/v1/keys",
        roles=PARTNERS | OPERATORS,
        query=operations.LISTED_KEYS,
        reads=Reads.no_person,
        operation=operations.KEYS,
    )
    def keys(self, request: Request) -> Response:
        return api.keys(self.handlers, request)

    @resource("POST", "/v1/keys", roles=PARTNERS | OPERATORS, operation=operations.POST_KEY)
    def post_key(self, request: Request) -> Response:
        return api.post_key(self.handlers, api.proved(self.handlers, request))

    @resource("POST", "/v1/keys/<uuid:challenge>/prove", roles=PARTNERS, operation=operations.PROVE_KEY)
    def prove_key(self, request: Request) -> Response:
        return api.prove_key(self.handlers, api.proved(self.handlers, request))

    @resource(
        "GET",
        "/v1/credentials",
        roles=PARTNERS | OPERATORS,
        query=PAGED,
        reads=Reads.no_person,
        operation=operations.CREDENTIALS,
    )
    def credentials(self, request: Request) -> Response:
        return api.credentials(self.handlers, request)

    @resource("POST", "/v1/credentials", roles=OPERATORS, operation=operations.POST_CREDENTIAL)
    def post_credential(self, request: Request) -> Response:
        return api.post_credential(self.handlers, api.proved(self.handlers, request))

    @resource(
        "DELETE",
        "/v1/credentials/<client:client_id>",
        roles=PARTNERS | OPERATORS,
        operation=operations.DELETE_CREDENTIAL,
        share=Share.credentials,
    )
    def delete_credential(self, request: Request) -> Response:
        return api.delete_credential(self.handlers, api.proved(self.handlers, request))

    @resource(
        "PUT",
        "/v1/credentials/<client:client_id>/root",
        roles=OPERATORS,
        operation=operations.PUT_ROOT_CLIENT,
    )
    def put_root_client(self, request: Request) -> Response:
        return api.put_root_client(self.handlers, api.proved(self.handlers, request))

    @resource(
        "POST",
        "/v1/credentials/<client:client_id>/rotate",
        roles=READERS,
        operation=operations.ROTATE_CREDENTIAL,
        share=Share.credentials,
    )
    def rotate_credential(self, request: Request) -> Response:
        return api.rotate_credential(self.handlers, api.proved(self.handlers, request))

    @resource(
        "GET",
        "/v1/amqp-password",
        roles=PARTNERS,
        reads=Reads.no_person,
        operation=operations.AMQP_PASSWORD,
    )
    def amqp_password(self, request: Request) -> Response:
        return api.amqp_password(self.handlers, request)

    @resource(
        "POST",
        "/v1/amqp-password",
        roles=PARTNERS,
        operation=operations.POST_AMQP_PASSWORD,
    )
    def post_amqp_password(self, request: Request) -> Response:
        return api.post_amqp_password(self.handlers, api.proved(self.handlers, request))

    @resource(
        "POST",
        "/v1/amqp-password/applied",
        roles=PARTNERS,
        operation=operations.AMQP_PASSWORD_APPLIED,
    )
    def amqp_password_applied(self, request: Request) -> Response:
        return api.amqp_password_applied(self.handlers, api.proved(self.handlers, request))

    @resource(
        "PUT",
        "/v1/credentials/<client:client_id>/keys",
        roles=READERS,
        operation=operations.PUT_CLIENT_KEYS,
        share=Share.credentials,
    )
    def put_client_keys(self, request: Request) -> Response:
        return api.put_client_keys(self.handlers, api.proved(self.handlers, request))

    @resource(
        "POST",
        "/v1/credentials/<client:client_id>/revoke-tokens",
        roles=READERS,
        operation=operations.REVOKE_TOKENS,
        share=Share.credentials,
    )
    def revoke_tokens(self, request: Request) -> Response:
        return api.revoke_tokens(self.handlers, api.proved(self.handlers, request))

    @resource(
        "POST",
        "/v1/organizations/<organization:id>/revoke-tokens",
        roles=SUSPENDERS,
        operation=operations.REVOKE_TOKENS_OF_ORGANIZATION,
        share=Share.credentials,
    )
    def revoke_tokens_of_organization(self, request: Request) -> Response:
        return api.revoke_tokens_of_organization(self.handlers, api.proved(self.handlers, request))

    @resource(
        "GET",
        "/v1/approvals",
        roles=READERS,
        query=operations.LISTED_APPROVALS,
        reads=Reads.no_person,
        operation=operations.APPROVALS,
    )
    def approvals(self, request: Request) -> Response:
        return api.approvals(self.handlers, request)

    @resource(
        "GET", "/v1/approvals/<uuid:id>", roles=READERS, reads=Reads.no_person, operation=operations.APPROVAL
    )
    def approval(self, request: Request) -> Response:
        return api.approval(self.handlers, request)

    @resource("POST", "/v1/approvals/<uuid:id>/approve", roles=APPROVERS, operation=operations.APPROVE)
    def approve(self, request: Request) -> Response:
        return api.approve(self.handlers, api.proved(self.handlers, request))

    @resource(
        "POST", "/v1/approvals/<uuid:id>/refuse", roles=PARTNERS | APPROVERS, operation=operations.REFUSE
    )
    def refuse(self, request: Request) -> Response:
        return api.refuse(self.handlers, api.proved(self.handlers, request))

    @batches("directory.requests")
    def requests(self, deliveries: Sequence[Delivery]) -> None:
        self.handlers.requests.process(deliveries)

    @batches("directory.receipts", interval=0.2)
    def receipts(self, deliveries: Sequence[Delivery]) -> None:
        self.application.process_receipts(deliveries)


SERVICE = DirectoryService
