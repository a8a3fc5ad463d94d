"""Clients issued by one person, and revoked."""

from __future__ import annotations

import pytest

from contracts.errors import Refused
from contracts.facts import ClientChanged, CredentialIssued, CredentialRevoked, RoleGranted
from services.directory.domain.client import Role
from services.directory.domain.full_state import full_state
from services.directory.domain.precondition import ANY_REVISION
from services.directory.handlers.credentials import Issued
from tests.unit.services.directory.samples import (
    NOON,
    OPERATOR,
    OSH,
    Directory,
    issue,
    organization,
    without_digest,
)

SECRET, OTHER = "a" * 43, "b" * 43


@pytest.fixture
def filled(directory: Directory) -> Directory:
    directory.entries.put_organization(OPERATOR, organization())
    return directory


def slug(attempt: object) -> str:
    with pytest.raises(Refused) as refusal:
        attempt()  # type: ignore[operator]
    return refusal.value.slug


def test_new_secret_replaces_the_old_one_and_neither_is_published(filled: Directory) -> None:
    first = issue(filled, OSH, OSH, SECRET)
    second = issue(filled, OSH, OSH, OTHER, precondition=ANY_REVISION)
    assert isinstance(first, Issued)
    assert isinstance(second, Issued)
    assert (second.created, second.standing.revision, second.secret) == (False, 2, None)
    assert filled.tokens.issue(OSH, OTHER)
    assert slug(lambda: filled.tokens.issue(OSH, SECRET)) == "invalid-client"
    assert second.standing.entry.not_before == NOON
    assert second.standing.entry.token_epoch > 0
    facts = [event.data for event in filled.events()][1:]
    assert facts == [
        full_state(first.standing),
        CredentialIssued(client_id=OSH, principal=OSH, roles=("partner",), by=OPERATOR.id),
        full_state(second.standing),
        CredentialIssued(
            client_id=OSH,
            principal=OSH,
            roles=("partner",),
            by=OPERATOR.id,
            organization=OSH,
            replaced=True,
        ),
    ]


def test_secret_made_by_the_hub_is_returned_once(filled: Directory) -> None:
    issued = filled.credentials.issue(OPERATOR.id, client_id=OSH, principal=OSH, roles=(Role.partner,))
    assert isinstance(issued, Issued)
    assert issued.secret
    assert filled.tokens.issue(OSH, issued.secret)
    assert issued.secret not in str(issued.standing)


def test_existing_client_without_precondition_keeps_its_secret(filled: Directory) -> None:
    issue(filled, "ann", "ann", SECRET, Role.auditor)
    assert slug(lambda: issue(filled, "ann", "ann", OTHER, Role.auditor)) == "precondition-required"
    assert filled.tokens.issue("ann", SECRET)


def test_client_of_an_unknown_organization_is_refused(directory: Directory) -> None:
    with pytest.raises(Refused) as refusal:
        issue(directory, OSH, OSH, SECRET)
    assert refusal.value.slug == "unknown-organization"
    assert [error.pointer for error in refusal.value.errors] == ["/principal"]


def test_client_id_of_another_principal_is_refused(filled: Directory) -> None:
    filled.entries.put_organization(OPERATOR, organization("kg.other"))
    issue(filled, OSH, OSH, SECRET)
    assert slug(lambda: issue(filled, "kg.other", OSH, SECRET)) == "conflict"


@pytest.mark.parametrize(
    ("principal", "client_id", "role"),
    [
        ("ann", "ann-2", Role.auditor),  # one principal shared by two persons
        ("ann", "ann-2", Role.operator),
        ("ann", "ann", Role.operator),
        (OSH, "osh-2", Role.operator),
    ],
)
def test_roles_stay_separate(filled: Directory, principal: str, client_id: str, role: Role) -> None:
    issue(filled, "ann", "ann", SECRET, Role.auditor)
    before = filled.events()
    assert slug(lambda: issue(filled, principal, client_id, OTHER, role, precondition=ANY_REVISION)) in (
        "conflict",
        "precondition-failed",
    )
    assert filled.events() == before


def test_revoked_client_stays_revoked_until_it_is_issued_again(filled: Directory) -> None:
    issue(filled, OSH, "desk", SECRET)
    revoked = filled.credentials.revoke("desk", by=OPERATOR.id, operator=True)
    assert not revoked.entry.live
    assert filled.credentials.revoke("desk", by=OPERATOR.id, operator=True) == revoked
    assert slug(lambda: filled.tokens.issue("desk", SECRET)) == "invalid-client"
    assert [without_digest(event.data) for event in filled.events()][-2:] == [
        ClientChanged(revision=2, client_id="desk", principal=OSH, roles=("partner",), live=False),
        CredentialRevoked(client_id="desk", principal=OSH, by=OPERATOR.id, organization=OSH),
    ]
    issue(filled, OSH, "desk", OTHER, precondition=ANY_REVISION)
    assert filled.tokens.issue("desk", OTHER)


def test_new_role_of_a_staff_member_after_a_revocation_is_recorded_as_a_grant(filled: Directory) -> None:
    issue(filled, "ann", "ann", SECRET, Role.auditor)
    filled.credentials.revoke("ann", by="ann", client="ann", operator=False)
    issue(filled, "ann", "ann", OTHER, Role.coordinator, precondition=ANY_REVISION)
    granted = [event.data for event in filled.events() if isinstance(event.data, RoleGranted)]
    assert [fact.role for fact in granted] == ["auditor", "coordinator"]


def test_partner_revokes_and_lists_only_its_own_clients(filled: Directory) -> None:
    filled.entries.put_organization(OPERATOR, organization("kg.other"))
    issue(filled, OSH, "desk", SECRET)
    issue(filled, "kg.other", "other", SECRET)
    assert slug(lambda: filled.credentials.revoke("other", by=OSH, operator=False)) == "not-found"
    assert slug(lambda: filled.credentials.revoke("nothing", by=OSH, operator=True)) == "not-found"
    assert [c.entry.id for c in filled.credentials.page(OSH, "", 10)] == ["desk"]
    assert [c.entry.id for c in filled.credentials.page(None, "", 10)] == ["desk", "other"]
    assert not filled.credentials.revoke("desk", by=OSH, client="desk", operator=False).entry.live
