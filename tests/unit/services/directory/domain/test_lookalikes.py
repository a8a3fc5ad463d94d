"""Ids that look like another one's."""

from __future__ import annotations

import pytest

from services.directory.domain.client import Role, client
from services.directory.domain.lookalikes import KnownIds, reading

NAME, LONGER = "kg.name", "kg.name-and-more"
CLIENTS = {NAME: NAME, "kg.name.amqp": NAME, "desk": NAME, "ann": "ann", "kg.name-and-more": LONGER}
KNOWN = KnownIds([NAME, LONGER, "kg.modern"], CLIENTS)


def wrong(client_id: str, principal: str, role: Role = Role.partner) -> str | None:
    issued = client(client_id=client_id, principal=principal, roles=(role,), secret="s" * 43)
    return KNOWN.wrong_client(issued)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("kg.name", "KG-Name"),
        ("kg.osh-1", "kg.osh_l"),
        ("kg.oil", "kg.0li"),
        ("kg.modern", "kg.modem"),
        ("kg.wide", "kg.vvide"),
        ("kg.sos", "kg.5o5"),
    ],
)
def test_ids_that_look_alike_read_the_same(one: str, other: str) -> None:
    assert reading(one) == reading(other)


@pytest.mark.parametrize(
    "client_id",
    ["x.kg.name", "kg-name", "KG_NAME", "kgname", "kg-name.desk", "my-kg-name-2", "kg.n-ame", "kg.modem"],
)
@pytest.mark.parametrize("role", [Role.operator, Role.coordinator, Role.auditor])
def test_staff_client_that_looks_like_an_organization_is_refused(client_id: str, role: Role) -> None:
    assert "reads like the organisation" in (wrong(client_id, "ann", role) or "")


@pytest.mark.parametrize("client_id", ["x.kg.name", "kg-name", "kgname.desk"])
def test_partner_client_that_looks_like_another_organization_is_refused(client_id: str) -> None:
    assert "reads like the organisation kg.name" in (wrong(client_id, LONGER) or "")


def test_client_of_an_organization_may_have_any_suffix_of_its_own() -> None:
    for client_id in (NAME, "kg.name.amqp", "kg.name.desk-2", "laptop", "x-kg-name"):
        assert wrong(client_id, NAME) is None
    # Read aloud, it is the other organisation.
    assert "kg.name-and-more" in (wrong("kg.name.and.more", NAME) or "")


def test_client_that_looks_like_that_of_another_principal_is_refused() -> None:
    assert wrong("d.esk", "ann", Role.auditor) == wrong("DESK", LONGER)
    assert "another principal's client" in (wrong("desk", LONGER) or "")
    assert wrong("de-sk", NAME) is None


def test_principal_that_looks_like_an_organization_is_refused() -> None:
    assert "reads like the organisation kg.name" in (wrong("bek", "kg-name", Role.auditor) or "")


@pytest.mark.parametrize("client_id", ["ann", "bek-laptop", "kg", "name", "names"])
def test_client_that_resembles_nobody_is_free(client_id: str) -> None:
    assert wrong(client_id, "ann", Role.auditor) is None


def test_new_organization_that_resembles_an_existing_client_or_organization_is_refused() -> None:
    staff = KnownIds([NAME], {"kg-bishkek-desk": "ann", "bek": "kg.talas", "kg.name.osh": NAME})
    for organization in ("kg.bishkek-desk", "kg.bishkek", "kg.bishkek-de5k", "kg.ta1as", "kg.name-osh"):
        assert staff.wrong_organization(organization) is not None, organization
    assert "another organisation" in (staff.wrong_organization("kg.n-ame") or "")
    for organization in ("kg.name-and-more", "kg.osh", "kg.desk"):
        assert staff.wrong_organization(organization) is None, organization


def test_gateways_client_of_an_organization_that_resembles_another_is_issued() -> None:
    """Two organisations of an earlier build may read alike, and the id of the gateway's client is fixed."""
    known = KnownIds(["kg.osh-1", "kg.osh-l"], {"kg.osh-1.amqp": "kg.osh-1"})
    gateway = client(client_id="kg.osh-l.amqp", principal="kg.osh-l", roles=(Role.partner,), secret="s" * 43)
    assert known.wrong_client(gateway) is None


def test_staff_have_no_id_that_begins_with_their_own_and_resembles_an_organization() -> None:
    assert "reads like the organisation kg.name" in (wrong("kg.na_me", "kg", Role.operator) or "")
    assert "reads like the organisation kg.name" in (wrong("kg.na_me.desk", "kg", Role.operator) or "")
