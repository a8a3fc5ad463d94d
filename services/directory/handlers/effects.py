"""The effects of changes that may need a second person: the same whether one person decides or two."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from contracts.broker_rights import gateway_client
from contracts.codes import KeyManner
from contracts.errors import PointerError, Refused
from contracts.organization import Agreement, Organization
from services.directory.domain.change import (
    AgreementChange,
    Change,
    ClientIssue,
    KeyChange,
    RecordChange,
    RootClient,
    ServiceChange,
)
from services.directory.domain.client import Client, client_with_digest
from services.directory.domain.entry import DirectoryEntry, Standing
from services.directory.domain.sealing_key_history import with_key
from services.directory.domain.separation import check_separation, wrong_new_organization
from services.directory.domain.service_approval import service_basis, with_approval
from services.directory.handlers.ledger import Writing


def basis_of(writing: Writing, change: Change) -> str:
    """Return the state of the record that the change is made on: a revision, or for a key the present kid."""
    match change:
        case ClientIssue():
            return _revision(writing.standing(Client, change.client_id))
        case KeyChange():
            present = _organization(writing, change.organization).entry.sealing_key
            return "none" if present is None else present.kid
        case RecordChange():
            return _revision(writing.standing(Organization, change.organization.id))
        case ServiceChange():
            return service_basis(_organization(writing, change.organization).entry, change.service)
        case RootClient():
            named = _revision(_client_of(writing, change))
            roots = sorted(one.id for one in _clients(writing, change.organization) if one.root)
            return f"{named}, root {sha256(' '.join(roots).encode()).hexdigest()[:16] if roots else 'none'}"
        case AgreementChange():
            return _revision(writing.standing(Agreement, change.agreement.id))


def check(writing: Writing, change: Change) -> None:
    """Check that the change could take effect now. Raises Refused as `take_effect` does."""
    _check(writing, _wanted(writing, change, approver=""))


def take_effect(
    writing: Writing, change: Change, *, by: str, approved_by: str | None = None
) -> Standing[DirectoryEntry]:
    """Write the change. by: its requester; approved_by: the second person, None if one person decides.

    Raises Refused `unknown-organization`, `not-found`, or `conflict` for a client that breaks the separation
    of roles.
    """
    wanted = _wanted(writing, change, approver=approved_by or by)
    _check(writing, wanted)
    if isinstance(change, RootClient):
        for earlier in _clients(writing, change.organization):
            if earlier.root and earlier.id != change.client_id:
                writing.put(replace(earlier, root=False), by=by, approved_by=approved_by)
    if isinstance(wanted, Client):
        return writing.put(wanted, by=by, approved_by=approved_by)
    if isinstance(wanted, Agreement):
        return writing.put(wanted, by=by, approved_by=approved_by)
    return writing.put(wanted, by=by, approved_by=approved_by)


def _wanted(writing: Writing, change: Change, *, approver: str) -> Client | Organization | Agreement:
    match change:
        case AgreementChange():
            return change.agreement
        case ClientIssue():
            issued = client_with_digest(
                client_id=change.client_id,
                principal=change.principal,
                roles=change.roles,
                secret_sha256=change.secret_sha256,
                keys=change.keys,
                secret_expires_at=change.expires_at,
            )
            before = writing.standing(Client, change.client_id)
            if before is None:
                return issued
            known = before.entry
            # Somebody who knew the earlier secret may have tokens. A password for the broker keeps waiting.
            kept = replace(
                issued,
                token_epoch=known.token_epoch,
                not_before=known.not_before,
                ended_keys=known.ended_keys,
                amqp_password_hash=known.amqp_password_hash,
                amqp_password_by=known.amqp_password_by,
                root=known.root,
            )
            return known if kept == known else kept.without_tokens(writing.now)
        case KeyChange():
            present = _organization(writing, change.organization).entry
            return with_key(present, change.key, manner=KeyManner.approved, at=writing.now)
        case ServiceChange():
            present = _organization(writing, change.organization).entry
            return with_approval(present, change.service, change.needs, by=approver, at=writing.now)
        case RootClient():
            return replace(_client_of(writing, change).entry, root=True)
        case RecordChange():
            record = change.organization
            if record.sealing_key is None or writing.organization(record.id) is not None:
                return record
            return with_key(
                replace(record, sealing_key=None), record.sealing_key, manner=KeyManner.first, at=writing.now
            )


def _check(writing: Writing, wanted: Client | Organization | Agreement) -> None:
    if isinstance(wanted, Agreement):
        writing.check(writing.standing(Agreement, wanted.id), wanted)
        return
    if isinstance(wanted, Organization):
        known = writing.standing(Organization, wanted.id)
        writing.check(known, wanted)
        if known is None:
            broken = wrong_new_organization(
                writing.ledger.register.clients_of(writing.transaction, [wanted.id])
            )
            if broken is None:
                broken = writing.known_ids().wrong_organization(wanted.id)
            if broken is not None:
                raise Refused("conflict", broken, errors=[PointerError(pointer="/id", detail=broken)])
        return
    present = writing.standing(Client, wanted.id)
    writing.check(present, wanted)
    check_separation(
        wanted,
        None if present is None else present.entry,
        writing.ledger.register.clients_of(writing.transaction, [wanted.principal]),
        lambda principal: writing.organization(principal) is not None,
        writing.known_ids,
    )


def _client_of(writing: Writing, change: RootClient) -> Standing[Client]:
    found = writing.standing(Client, change.client_id)
    if found is None or not found.entry.live or found.entry.organization != change.organization:
        raise Refused("not-found", "No organisation has a live client with this id.")
    if change.client_id == gateway_client(change.organization):
        raise Refused("conflict", "The gateway's client is always in use. Name another client the root.")
    return found


def _clients(writing: Writing, organization: str) -> list[Client]:
    return writing.ledger.register.clients_of(writing.transaction, [organization])


def _organization(writing: Writing, organization: str) -> Standing[Organization]:
    found = writing.standing(Organization, organization)
    if found is None:
        raise Refused("not-found", "The directory has no record of this organisation.")
    return found


def _revision(present: Standing[DirectoryEntry] | None) -> str:
    return "absent" if present is None else f"revision {present.revision}"
