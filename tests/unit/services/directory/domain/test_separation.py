"""Separation of roles."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contracts.errors import Refused
from services.directory.domain.client import Client, Role, client
from services.directory.domain.lookalikes import KnownIds
from services.directory.domain.separation import (
    ambiguous_clients,
    broken_principals,
    check_separation,
    separate_roles,
    wrong_separation,
)
from tests.unit.services.directory.samples import OSH


def of(role: Role, client_id: str = "ann", principal: str = "ann") -> Client:
    return client(client_id=client_id, principal=principal, roles=(role,), secret="s" * 43)


def nobody() -> KnownIds:
    return KnownIds((), {})


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


@pytest.mark.parametrize("role", [Role.coordinator, Role.auditor, Role.operator])
def test_staff_client_with_an_id_of_an_organization_form_is_refused(role: Role) -> None:
    for client_id in (OSH, "kg.ann", "zz.nobody-yet", "KG.ann", f"{OSH}.amqp", "kg.ann.laptop"):
        with pytest.raises(Refused) as refusal:
            check_separation(of(role, client_id), None, [], lambda _: False, nobody)
        assert refusal.value.slug == "conflict"
        assert [error.pointer for error in refusal.value.errors] == ["/client_id"]
    for client_id in ("ann", "Ann", "ann.laptop", "kg.ann_2", "kg-ann"):
        check_separation(of(role, client_id), None, [], lambda _: False, nobody)


@pytest.mark.parametrize("client_id", ["kg.other", "kg.other.amqp", "KG.Other.desk", OSH.upper(), f"{OSH}-2"])
def test_partner_client_with_the_id_of_another_organization_is_refused(client_id: str) -> None:
    with pytest.raises(Refused) as refusal:
        check_separation(
            of(Role.partner, client_id, OSH), None, [], lambda principal: principal == OSH, nobody
        )
    assert refusal.value.slug == "conflict"
    (error,) = refusal.value.errors
    assert error.pointer == "/client_id"
    assert f"begins with `{OSH}.`" in error.detail


@pytest.mark.parametrize("client_id", [OSH, f"{OSH}.amqp", f"{OSH}.desk.2", "osh", "osh.desk"])
def test_partner_client_may_have_an_id_of_its_own_organization(client_id: str) -> None:
    check_separation(of(Role.partner, client_id, OSH), None, [], lambda principal: principal == OSH, nobody)


def test_partner_client_may_have_the_id_of_its_organization() -> None:
    check_separation(of(Role.partner, OSH, OSH), None, [], lambda principal: principal == OSH, nobody)


def test_live_staff_client_of_an_earlier_build_keeps_its_id_and_is_reported() -> None:
    earlier = of(Role.auditor, "kg.ann", "kg.ann")
    check_separation(earlier, earlier, [earlier], lambda _: False, nobody)
    revoked = replace(earlier, live=False)
    with pytest.raises(Refused):
        check_separation(earlier, revoked, [], lambda _: False, nobody)
    assert ambiguous_clients([earlier, revoked, of(Role.partner, OSH, OSH), of(Role.auditor)], nobody()) == [
        "kg.ann"
    ]


def test_revoked_client_leaves_its_principal_free_for_another_role() -> None:
    revoked = replace(of(Role.auditor, "a"), live=False)
    assert wrong(of(Role.operator, "b"), revoked) is None


def test_principals_that_break_separation_are_named_with_the_rule() -> None:
    both = replace(of(Role.auditor, "both", "kg.both"), roles=(Role.auditor, Role.operator))
    clients = [
        of(Role.partner, "desk", OSH),
        of(Role.operator, "fine", "kg.fine"),
        both,
        of(Role.auditor, "first", "kg.two"),
        of(Role.operator, "second", "kg.two"),
        replace(of(Role.auditor, "gone", "kg.gone"), live=False),
        of(Role.operator, "again", "kg.gone"),
    ]
    broken = broken_principals(clients, lambda principal: principal == OSH)
    assert dict(broken) == {
        "kg.both": "A principal has exactly one role.",
        "kg.two": "The principal has another role. A principal has exactly one role.",
    }


def test_client_of_a_mixed_principal_has_no_role_of_the_staff() -> None:
    mixed = replace(of(Role.partner, "desk", OSH), roles=(Role.operator, Role.partner))
    assert separate_roles(mixed, [mixed], lambda _: True) == {Role.partner}
    first, second = of(Role.auditor, "a"), of(Role.operator, "b")
    assert separate_roles(first, [first, second], lambda _: False) == set()
    assert separate_roles(first, [first], lambda _: False) == {Role.auditor}
