from __future__ import annotations

from typing import Any

import pytest

from contracts.codes import Reporting, Settlement
from contracts.errors import Refused
from contracts.organization import Agreement, Eligibility, Organization, Profile
from contracts.records import load, plain
from tests.golden_messages.examples import AGREEMENT, KID, ORGANIZATION, RECEIVER, SENDER

RECORD: dict[str, Any] = plain(ORGANIZATION)
AGREED: dict[str, Any] = plain(AGREEMENT)


def errors(cls: type, data: Any) -> dict[str, str]:
    with pytest.raises(Refused) as caught:
        load(cls, data)
    return {error.pointer: error.detail for error in caught.value.errors}


# --- organisations --------------------------------------------------------------------------------


def test_organization_with_required_fields_only_loads() -> None:
    record = load(
        Organization,
        {"id": "kg.osh", "name": "Ош", "kind": "ngo", "country": "KG", "vetting": "applied"},
    )
    assert record.active
    assert record.services == ()
    assert record.sealing_key is None
    assert record.profile == Profile(reporting=Reporting.none)


def test_organization_with_repeated_service_id_is_refused() -> None:
    first, second = RECORD["services"]
    twice = {**RECORD, "services": [first, second, {**second, "id": first["id"]}]}
    assert errors(Organization, twice) == {"/services/2/id": "Must be unique within the organisation."}


@pytest.mark.parametrize("units", [["referral"], ["bed", "bed"]])
def test_service_with_two_capacities_in_one_unit_is_refused(units: list[str]) -> None:
    first, second = RECORD["services"]
    stated = [{"status": "capacity", "updated_at": "2026-03-01T12:00:00Z", "unit": unit} for unit in units]
    record = {**RECORD, "services": [{**first, "further_capacities": stated}, second]}
    last = len(units) - 1
    assert errors(Organization, record) == {
        f"/services/0/further_capacities/{last}/unit": (
            "Must differ from the units of the service's other capacities."
        )
    }


def test_capacity_without_unit_counts_referrals() -> None:
    record = plain(load(Organization, RECORD))
    del record["services"][0]["capacity"]["unit"]
    del record["services"][0]["further_capacities"]
    service = load(Organization, record).services[0]
    assert (service.capacity.unit, service.further_capacities) == ("referral", ())


def test_service_without_eligibility_accepts_everyone() -> None:
    hotline = load(Organization, RECORD).services[1]
    assert hotline.eligibility == Eligibility()
    assert set(hotline.settlements) == set(Settlement)
    assert hotline.capacity.maximum is None


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"kty": "EC"}, "/sealing_key/kty"),
        ({"crv": "Ed25519"}, "/sealing_key/crv"),
        ({"x": "A" * 42}, "/sealing_key/x"),
        ({"x": "A" * 42 + "="}, "/sealing_key/x"),
        ({"kid": KID + "\n"}, "/sealing_key/kid"),
    ],
)
def test_sealing_key_that_is_not_public_x25519_is_refused(change: dict[str, str], pointer: str) -> None:
    record = {**RECORD, "sealing_key": {**RECORD["sealing_key"], **change}}
    assert list(errors(Organization, record)) == [pointer]


def test_private_key_is_refused_without_repeating_it() -> None:
    private = "cHJpdmF0ZSBrZXkgbWF0ZXJpYWwgb2YgYSBwYXJ0bmVy"
    found = errors(Organization, {**RECORD, "sealing_key": {**RECORD["sealing_key"], "d": private}})
    assert found == {"/sealing_key/d": "This field is not in the contract."}


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"needs": []}, "/services/0/needs"),
        ({"areas": []}, "/services/0/areas"),
        ({"areas": ["RU", "Moscow"]}, "/services/0/areas/1"),
        ({"languages": []}, "/services/0/languages"),
        ({"id": "Legal"}, "/services/0/id"),
        ({"id": "legal_aid"}, "/services/0/id"),
        ({"cost": "cheap"}, "/services/0/cost"),
        ({"capacity": {"status": "capacity"}}, "/services/0/capacity/updated_at"),
        ({"eligibility": {"sexes": ["f"]}}, "/services/0/eligibility/sexes/0"),
    ],
)
def test_invalid_service_is_refused_with_pointer(change: dict[str, Any], pointer: str) -> None:
    service = {**RECORD["services"][0], **change}
    assert list(errors(Organization, {**RECORD, "services": [service]})) == [pointer]


# --- agreements -----------------------------------------------------------------------------------


def test_agreement_that_ends_before_it_begins_is_refused() -> None:
    one_day = {**AGREED, "effective_from": "2026-03-01", "effective_until": "2026-03-01"}
    assert load(Agreement, one_day).effective_until == load(Agreement, one_day).effective_from
    assert errors(Agreement, {**one_day, "effective_until": "2026-02-28"}) == {
        "/effective_until": "Must not be before `effective_from`."
    }


def test_agreement_without_end_and_needs_covers_everything() -> None:
    open_ended = {key: AGREED[key] for key in AGREED if key not in ("effective_until", "needs")}
    agreement = load(Agreement, open_ended)
    assert agreement.effective_until is None
    assert agreement.needs == ()


def test_agreement_with_every_vetted_organization_has_no_other_party() -> None:
    assert load(Agreement, {**AGREED, "parties": ["*"]}).parties == ("*",)
    assert errors(Agreement, {**AGREED, "parties": ["*", SENDER]}) == {
        "/parties": "'*' must be the only party."
    }


@pytest.mark.parametrize("party", ["", "**", "*\n", "kg", "kg.*", f"*|{RECEIVER}", f"{SENDER}\n", 1, None])
def test_agreement_with_invalid_party_is_refused(party: Any) -> None:
    assert list(errors(Agreement, {**AGREED, "parties": [SENDER, party]})) == ["/parties/1"]


def test_agreement_without_parties_is_refused() -> None:
    assert list(errors(Agreement, {**AGREED, "parties": []})) == ["/parties"]
