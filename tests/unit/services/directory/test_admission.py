"""What no schema sees: the key behind a kid, and for whom a client may speak."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.errors import Refused
from contracts.records import plain
from services.directory import admission
from services.directory.domain.client import Role
from tests.unit.services.directory.samples import new_sealing_key, organization_record

CREDENTIAL = {
    "client_id": "kg.osh-legal-aid",
    "client_secret": "s" * 43,
    "principal": "kg.osh-legal-aid",
    "roles": ["partner"],
}


def pointers(admit: Any, data: object) -> list[str]:
    with pytest.raises(Refused) as refusal:
        admit(data)
    assert refusal.value.slug == "invalid-submission"
    return [error.pointer for error in refusal.value.errors]


def test_an_organisation_may_publish_a_good_key_or_none() -> None:
    key = new_sealing_key()
    assert admission.organization(organization_record(sealing_key=plain(key))).sealing_key == key
    assert admission.organization(organization_record()).sealing_key is None


def test_a_bad_key_is_pointed_at_within_its_record() -> None:
    record = organization_record(sealing_key={**plain(new_sealing_key()), "x": "A" * 43})
    assert pointers(admission.organization, record) == ["/sealing_key/x"]


def test_a_private_key_is_refused_unread() -> None:
    assert pointers(admission.sealing_key, {**plain(new_sealing_key()), "d": "A" * 43}) == ["/d"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"client_secret": "password"}, "/client_secret"),
        ({"client_id": "a:b"}, "/client_id"),
        ({"client_id": ""}, "/client_id"),
        ({"principal": "operator"}, "/principal"),
        ({"principal": "Osh Legal Aid", "roles": ["operator"]}, "/principal"),
        ({"roles": []}, "/roles"),
        ({"roles": ["admin"]}, "/roles/0"),
        ({"scope": "all"}, "/scope"),
    ],
)
def test_a_bad_credential_is_pointed_at(change: dict[str, Any], pointer: str) -> None:
    assert pointers(admission.credential, {**CREDENTIAL, **change}) == [pointer]


@pytest.mark.parametrize("roles", [["operator"], ["coordinator"], ["auditor"]])
def test_who_is_no_partner_need_not_be_an_organisation(roles: list[str]) -> None:
    client = admission.credential({**CREDENTIAL, "principal": "desk", "roles": roles}).client()
    assert (client.id, client.principal, client.roles) == ("kg.osh-legal-aid", "desk", (Role(roles[0]),))


@pytest.mark.parametrize("data", [None, [], "text", 1])
def test_what_is_no_object_is_refused(data: object) -> None:
    assert pointers(admission.credential_request, data) == [""]
