"""The facts that say who decided what: a change of a client or a sealing key, or the end of an approval.

They follow from the entry before and after a change, so no code can make such a change in silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from contracts.codes import ApprovalEnd, WithdrawalOfApproval
from contracts.facts import (
    CredentialIssued,
    CredentialRevoked,
    CredentialTokensRevoked,
    Fact,
    RoleGranted,
    SealingKeyReplaced,
    ServiceApprovalEnded,
)
from contracts.organization import Organization
from services.directory.domain.client import Client, Role
from services.directory.domain.entry import DirectoryEntry
from services.directory.domain.sealing_key_history import manner_of
from services.directory.domain.service_approval import reaches_more


def notices(
    before: DirectoryEntry | None,
    after: DirectoryEntry,
    *,
    by: str,
    approved_by: str | None = None,
    first_client: bool = False,
    withdrawn_for: WithdrawalOfApproval | None = None,
) -> Iterator[Fact]:
    """Yield the facts about a change. first_client: nobody can read the partner's mailbox yet.

    withdrawn_for: why the change withdraws the approval of a service.
    """
    if isinstance(after, Client):
        present = before if isinstance(before, Client) else None
        yield from _of_client(present, after, by, approved_by, first_client=first_client)
    elif isinstance(after, Organization) and isinstance(before, Organization):
        yield from _of_key(before, after, by, approved_by)
        yield from _of_approvals(before, after, by, withdrawn_for)


def _without_revocations(client: Client) -> Client:
    return replace(client, not_before=None, token_epoch=0, ended_keys=())


def _of_client(
    before: Client | None, after: Client, by: str, approved_by: str | None, *, first_client: bool
) -> Iterator[Fact]:
    told = None if first_client else after.organization
    if not after.live:
        if before is not None and before.live:
            yield CredentialRevoked(
                client_id=after.id, principal=after.principal, by=by, organization=after.organization
            )
        return
    if before is not None and replace(before, amqp_password_hash="") == after:
        return  # The gateway has applied the password, whose request had its fact.
    if before is not None and replace(before, root=False) == after:
        return  # Another client has been named the root, which has the fact.
    if before is not None and before.live and _without_revocations(before) == _without_revocations(after):
        # Identified by the number: two revocations within a second have the same time.
        if after.not_before is not None and after.token_epoch != before.token_epoch:
            yield CredentialTokensRevoked(
                client_id=after.id,
                principal=after.principal,
                not_before=after.not_before,
                by=by,
                organization=after.organization,
            )
        return
    yield CredentialIssued(
        client_id=after.id,
        principal=after.principal,
        roles=tuple(role.value for role in after.roles),
        by=by,
        approved_by=approved_by,
        organization=told,
        replaced=before is not None,
        keys=tuple(key.kid for key in after.keys),
        previous_until=None if after.retiring is None else after.retiring.until,
        root=after.root and not (before is not None and before.root),
    )
    had = set(before.roles) if before is not None and before.live else set()
    for role in after.roles:
        if role is not Role.partner and role not in had:
            yield RoleGranted(
                principal=after.principal,
                role=role.value,
                client_id=after.id,
                by=by,
                approved_by=approved_by,
            )


def _of_key(before: Organization, after: Organization, by: str, approved_by: str | None) -> Iterator[Fact]:
    key = after.sealing_key
    if key is None or key == before.sealing_key:
        return
    yield SealingKeyReplaced(
        organization=after.id,
        kid=key.kid,
        manner=manner_of(before, after),
        by=by,
        previous=None if before.sealing_key is None else before.sealing_key.kid,
        approved_by=approved_by,
    )


def _of_approvals(
    before: Organization, after: Organization, by: str, withdrawn_for: WithdrawalOfApproval | None
) -> Iterator[Fact]:
    """Yield a fact for each service whose approval ended; not for one that is approved for other needs."""
    approved = {one.service for one in after.approved_services}
    known = {service.id: service for service in before.services}
    present = {service.id: service for service in after.services}
    for ended in before.approved_services:
        if ended.service in approved:
            continue
        service = present.get(ended.service)
        if service is None:
            reason = ApprovalEnd.removed
        elif ended.service not in known or reaches_more(known[ended.service], service):
            reason = ApprovalEnd.widened
        else:
            reason = ApprovalEnd.withdrawn
        yield ServiceApprovalEnded(
            organization=after.id,
            service=ended.service,
            approved_needs=ended.needs,
            reason=reason,
            by=by,
            withdrawn_for=withdrawn_for if reason is ApprovalEnd.withdrawn else None,
        )
