"""Admission rules beyond the schema: sealing keys and principals of clients."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from contracts.errors import Refused
from contracts.records import plain
from services.directory import admission
from services.directory.domain.client import Role
from tests.unit.services.directory.samples import (
    NOON,
    agreement,
    new_sealing_key,
    organization_record,
    service_record,
)

CAPACITY = {"status": "capacity"}
AT = "/services/0/capacity/updated_at"
LATE_BEDS = {**CAPACITY, "unit": "bed", "updated_at": "2099-01-01T00:00:00Z"}
FURTHER_AT = "/services/0/further_capacities/0/updated_at"
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


def test_organization_with_valid_or_no_key_is_admitted() -> None:
    key = new_sealing_key()
    assert admission.organization(organization_record(sealing_key=plain(key)), NOON).sealing_key == key
    assert admission.organization(organization_record(), NOON).sealing_key is None


def test_invalid_sealing_key_is_refused_with_pointer() -> None:
    record = organization_record(sealing_key={**plain(new_sealing_key()), "x": "A" * 43})
    assert pointers(lambda data: admission.organization(data, NOON), record) == ["/sealing_key/x"]


def test_private_sealing_key_is_refused() -> None:
    assert pointers(admission.sealing_key, {**plain(new_sealing_key()), "d": "A" * 43}) == ["/d"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"client_secret": "password"}, "/client_secret"),
        ({"client_id": "i" * 43, "client_secret": "i" * 43}, "/client_secret"),
        ({"client_id": "i" * 43, "client_secret": "i" * 43 + "\n"}, "/client_secret"),
        ({"client_id": "a:b"}, "/client_id"),
        ({"client_id": ""}, "/client_id"),
        ({"principal": "operator"}, "/principal"),
        ({"principal": "Osh Legal Aid", "roles": ["operator"]}, "/principal"),
        ({"roles": []}, "/roles"),
        ({"roles": ["admin"]}, "/roles/0"),
        ({"scope": "all"}, "/scope"),
    ],
)
def test_invalid_credential_is_refused_with_pointer(change: dict[str, Any], pointer: str) -> None:
    assert pointers(admission.credential, {**CREDENTIAL, **change}) == [pointer]


@pytest.mark.parametrize("roles", [["operator"], ["coordinator"], ["auditor"]])
def test_principal_without_partner_role_need_not_be_an_organization(roles: list[str]) -> None:
    client = admission.credential({**CREDENTIAL, "principal": "desk", "roles": roles}).client()
    assert (client.id, client.principal, client.roles) == ("kg.osh-legal-aid", "desk", (Role(roles[0]),))


@pytest.mark.parametrize("data", [None, [], "text", 1])
def test_record_that_is_not_an_object_is_refused(data: object) -> None:
    assert pointers(lambda wanted: admission.credential_request(wanted, NOON), data) == [""]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"vetted_on": "2026-03-03"}, "/vetted_on"),
        ({"vetted_on": "0001-01-01"}, "/vetted_on"),
        ({"profile": {"active_since": 2027}}, "/profile/active_since"),
        ({"services": [service_record(capacity={**CAPACITY, "updated_at": "2099-01-01T00:00:00Z"})]}, AT),
        ({"services": [service_record(capacity={**CAPACITY, "updated_at": "2026-03-01T12:05:01Z"})]}, AT),
        ({"services": [service_record(capacity={**CAPACITY, "updated_at": "0001-01-01T00:00:00Z"})]}, AT),
        ({"services": [service_record(further_capacities=[LATE_BEDS])]}, FURTHER_AT),
    ],
)
def test_organization_with_future_or_absurd_time_is_refused(change: dict[str, Any], pointer: str) -> None:
    assert pointers(lambda data: admission.organization(data, NOON), organization_record(**change)) == [
        pointer
    ]


def test_organization_changed_within_clock_tolerance_is_admitted() -> None:
    service = service_record(capacity={**CAPACITY, "updated_at": "2026-03-01T12:05:00Z"})
    record = organization_record(services=[service], vetted_on="2026-03-02", profile={"active_since": 2026})
    assert admission.organization(record, NOON).vetted_on == dt.date(2026, 3, 2)


@pytest.mark.parametrize("field", ["effective_from", "effective_until"])
def test_agreement_start_may_be_in_the_near_future_only(field: str) -> None:
    assert agreement(**{"effective_from": "2026-03-01", field: "2030-01-01"})
    with pytest.raises(Refused) as refusal:
        agreement(**{field: "9999-01-01"})
    assert [error.pointer for error in refusal.value.errors] == [f"/{field}"]
