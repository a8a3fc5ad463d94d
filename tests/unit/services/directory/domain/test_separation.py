"""Separation of roles."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.directory.domain.client import Client, Role, client
from services.directory.domain.separation import wrong_separation
from tests.unit.services.directory.samples import OSH


def of(role: Role, client_id: str = "ann", principal: str = "ann") -> Client:
    return client(client_id=client_id, principal=principal, roles=(role,), secret="s" * 43)


def wrong(wanted: Client, *others: Client) -> str | None:
    return wrong_separation(wanted, others, lambda principal: principal == OSH)


@pytest.mark.parametrize("role", list(Role))
def test_only_client_of_its_principal_is_separate(role: Role) -> None:
    principal = OSH if role is Role.partner else "ann"
    assert wrong(of(role, principal=principal)) is None


def test_partner_may_have_several_clients() -> None:
    assert wrong(of(Role.partner, "a", OSH), of(Role.partner, "b", OSH)) is None


@pytest.mark.parametrize("first", list(Role))
@pytest.mark.parametrize("second", list(Role))
def test_principal_cannot_have_two_roles_or_share_a_staff_role(first: Role, second: Role) -> None:
    broken = wrong(of(second, "b"), of(first, "a"))
    assert (broken is None) == (first is second is Role.partner)
    both = client(client_id="a", principal="ann", roles=(first, second), secret="s" * 43)
    assert (wrong(both) is None) == (first is second)


@pytest.mark.parametrize("role", [Role.coordinator, Role.auditor, Role.operator])
def test_organization_cannot_be_staff(role: Role) -> None:
    assert wrong(of(role, principal=OSH)) == "An organisation cannot have a role of the hub's staff."


def test_revoked_client_leaves_its_principal_free_for_another_role() -> None:
    revoked = replace(of(Role.auditor, "a"), live=False)
    assert wrong(of(Role.operator, "b"), revoked) is None
