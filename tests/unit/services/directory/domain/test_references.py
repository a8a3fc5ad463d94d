"""Referential integrity of entries, and cycles of parents."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.errors import Refused
from contracts.organization import Organization
from services.directory.domain.client import Role, client
from services.directory.domain.entry import DirectoryEntry
from services.directory.domain.references import check_references
from tests.unit.services.directory.samples import agreement, organization


def pointers(
    wanted: DirectoryEntry, *known: Organization, present: DirectoryEntry | None = None
) -> list[str]:
    try:
        check_references(present, wanted, {one.id: one for one in known}.get)
    except Refused as refused:
        return [error.pointer for error in refused.errors]
    return []


def branch(branch_id: str, parent: str | None = None, **changes: Any) -> Organization:
    return organization(branch_id, parent=parent, **changes)


def test_reference_to_an_unknown_organization_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        check_references(None, branch("kg.a", "kg.b"), lambda _: None)
    assert refusal.value.slug == "unknown-organization"


def test_parent_must_exist() -> None:
    assert pointers(branch("kg.a", "kg.b")) == ["/parent"]
    assert pointers(branch("kg.a", "kg.b"), branch("kg.b")) == []
    assert pointers(branch("kg.a")) == []


def test_parent_cycle_is_refused() -> None:
    assert pointers(branch("kg.a", "kg.a"), branch("kg.a")) == ["/parent"]
    chain = (branch("kg.a"), branch("kg.b", "kg.a"), branch("kg.c", "kg.b"))
    assert pointers(branch("kg.a", "kg.c"), *chain) == ["/parent"]
    assert pointers(branch("kg.d", "kg.c"), *chain) == []


def test_existing_parent_cycle_is_refused_for_new_children_and_ends_the_search() -> None:
    circle = (branch("kg.a", "kg.b"), branch("kg.b", "kg.a"))
    assert pointers(branch("kg.c", "kg.a"), *circle) == ["/parent"]


def test_unchanged_parent_is_not_checked() -> None:
    present = branch("kg.a", "kg.gone")
    assert pointers(branch("kg.a", "kg.gone", name="New"), present=present) == []
    assert pointers(branch("kg.a", "kg.lost"), present=present) == ["/parent"]


def test_new_parties_of_an_agreement_must_exist() -> None:
    wanted = agreement(parties=["kg.a", "kg.b", "kg.c"])
    assert pointers(wanted, branch("kg.b")) == ["/parties/0", "/parties/2"]
    assert pointers(wanted, branch("kg.b"), present=agreement(parties=["kg.a", "kg.d"])) == ["/parties/2"]
    assert pointers(agreement(parties=["*"])) == []


@pytest.mark.parametrize(("roles", "expected"), [((Role.partner,), ["/principal"]), ((Role.operator,), [])])
def test_partner_credentials_need_an_organization(roles: tuple[Role, ...], expected: list[str]) -> None:
    wanted = client(client_id="kg.a", principal="kg.a", roles=roles, secret="s")
    assert pointers(wanted) == expected
    assert pointers(wanted, branch("kg.a")) == []
