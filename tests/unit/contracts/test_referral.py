from __future__ import annotations

import dataclasses
from dataclasses import fields
from typing import Any

import pytest

from contracts.codes import OPT_IN_KINDS, OrganizationKind
from contracts.errors import Refused
from contracts.records import load, plain
from contracts.referral import Consent, ReferralFacts, ReferralSubmission, Situation, facts_of
from tests.golden_messages.examples import CONSENT, FACTS, SEALED, SITUATION

BODY: dict[str, Any] = {**plain(FACTS), "case": SEALED}
MINIMAL = {key: BODY[key] for key in BODY if key not in ("special_categories", "accepts_cost", "to")}


def pointers(cls: type, data: Any) -> list[str]:
    with pytest.raises(Refused) as caught:
        load(cls, data)
    return [error.pointer for error in caught.value.errors]


def test_referral_without_consent_is_refused() -> None:
    body = {**BODY, "consent": {**BODY["consent"], "given": False}}
    assert pointers(ReferralSubmission, body) == ["/consent/given"]
    del body["consent"]
    assert pointers(ReferralSubmission, body) == ["/consent"]


@pytest.mark.parametrize("kind", list(OrganizationKind))
def test_opt_in_of_other_kinds_is_refused(kind: OrganizationKind) -> None:
    data = {**plain(CONSENT), "opt_in_kinds": [kind.value]}
    if kind in OPT_IN_KINDS:
        assert load(Consent, data).opt_in_kinds == (kind,)
    else:
        assert pointers(Consent, data) == ["/opt_in_kinds/0"]


@pytest.mark.parametrize("code", ["ngo", "club"])
def test_refusal_of_an_opt_in_lists_the_kinds_that_need_one(code: str) -> None:
    with pytest.raises(Refused) as caught:
        load(Consent, {**plain(CONSENT), "opt_in_kinds": [code]})
    (error,) = caught.value.errors
    assert error.detail == f"Must be a kind that needs an opt-in: {', '.join(sorted(OPT_IN_KINDS))}."


def test_consent_defaults_allow_nothing() -> None:
    consent = load(Consent, {"given": True, "given_at": "2026-03-01T09:00:00Z", "method": "oral"})
    assert consent.opt_in_kinds == ()
    assert not consent.several_organizations
    # These two restrict, and so nothing is restricted where the consent names none.
    assert consent.excluded_organizations == ()
    assert consent.storage_countries == ()
    named = {"given", "given_at", "method", "opt_in_kinds", "several_organizations"}
    assert {one.name for one in fields(Consent)} == named | {"excluded_organizations", "storage_countries"}


def test_referral_defaults_are_any_receiver_and_free_services() -> None:
    submission = load(ReferralSubmission, MINIMAL)
    assert submission.to is None
    assert submission.accepts_cost is False
    assert submission.special_categories == ()


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"needs": []}, "/needs"),
        ({"needs": ["legal"] * 11}, "/needs"),
        ({"needs": ["legal", "no.such"]}, "/needs/1"),
        ({"languages": []}, "/languages"),
        ({"region": "US-NY"}, "/region"),
        ({"origin_country": "kg"}, "/origin_country"),
        ({"to": "KG.osh"}, "/to"),
        ({"to": "kg.osh.legal"}, "/to"),
        ({"to": "kg.-osh"}, "/to"),
        ({"to": "kg." + "a" * 98}, "/to"),
    ],
)
def test_referral_facts_out_of_bounds_are_refused(change: dict[str, Any], pointer: str) -> None:
    assert pointers(ReferralSubmission, {**BODY, **change}) == [pointer]


@pytest.mark.parametrize(
    "case", ["", "a.b.c.d", "a.b.c.d.e.f", "a.b.c.d.e\n", "a.b.c.d.é", "....", SEALED + "="]
)
def test_case_that_is_not_a_compact_jwe_is_refused(case: str) -> None:
    assert set(pointers(ReferralSubmission, {**BODY, "case": case})) == {"/case"}


def test_case_with_direct_key_has_an_empty_part() -> None:
    # RFC 7516 §5.1: the encrypted key is empty where the content key was agreed on directly
    assert load(ReferralSubmission, {**BODY, "case": "aGVhZGVy..bm9uY2U.Y2lwaGVy.dGFn"})


def test_sealed_case_over_the_limit_is_refused() -> None:
    assert pointers(ReferralSubmission, {**BODY, "case": SEALED + "A" * 1_048_576}) == ["/case"]


def test_facts_of_submission_exclude_the_case() -> None:
    facts = facts_of(load(ReferralSubmission, BODY))
    assert type(facts) is ReferralFacts
    assert facts == FACTS
    assert SEALED not in str(plain(facts))


def test_situation_excludes_consent_and_receiver() -> None:
    situation = FACTS.situation()
    assert type(situation) is Situation
    assert situation == SITUATION
    shown = {field.name for field in dataclasses.fields(Situation)}
    assert {field.name for field in dataclasses.fields(ReferralFacts)} - shown == {"consent", "to"}
