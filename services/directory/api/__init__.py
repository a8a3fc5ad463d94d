"""The directory's HTTP resources. Lists return {"items": [...], "next": cursor or null}."""

from services.directory.api.agreement_records import agreements, post_agreement
from services.directory.api.amqp_passwords import amqp_password, amqp_password_applied, post_amqp_password
from services.directory.api.approval_requests import approval, approvals, approve, refuse
from services.directory.api.clients import (
    credentials,
    delete_credential,
    post_credential,
    put_client_keys,
    revoke_tokens,
    revoke_tokens_of_organization,
    rotate_credential,
)
from services.directory.api.organization_records import (
    MERGE_PATCH,
    approve_service,
    organization,
    organizations,
    patch_organization,
    put_organization,
    suspend,
    withdraw_service_approval,
)
from services.directory.api.sealing_keys import keys, post_key, prove_key
from services.directory.api.service_lists import service_at_locations, services, taxonomy_terms
from services.directory.api.tokens import proved, token, token_keys
from services.directory.api.watch import (
    post_watch_report,
    put_employer_reply,
    put_watch_opt_in,
    retract_watch_report,
    watch_opt_in,
    watch_recipients,
    watch_reports,
    watched_employer,
    watched_employers,
)

__all__ = [
    "MERGE_PATCH",
    "agreements",
    "amqp_password",
    "amqp_password_applied",
    "approval",
    "approvals",
    "approve",
    "approve_service",
    "credentials",
    "delete_credential",
    "keys",
    "organization",
    "organizations",
    "patch_organization",
    "post_agreement",
    "post_amqp_password",
    "post_credential",
    "post_key",
    "post_watch_report",
    "prove_key",
    "proved",
    "put_client_keys",
    "put_employer_reply",
    "put_organization",
    "put_watch_opt_in",
    "refuse",
    "retract_watch_report",
    "revoke_tokens",
    "revoke_tokens_of_organization",
    "rotate_credential",
    "service_at_locations",
    "services",
    "suspend",
    "taxonomy_terms",
    "token",
    "token_keys",
    "watch_opt_in",
    "watch_recipients",
    "watch_reports",
    "watched_employer",
    "watched_employers",
    "withdraw_service_approval",
]
