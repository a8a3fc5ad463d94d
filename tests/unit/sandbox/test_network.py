"""The sample network: every record is valid, and its stories can happen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from contracts import codes, records
from contracts.case import Case
from contracts.codes import (
    OPT_IN_KINDS,
    CapacityStatus,
    DisclosureClass,
    Funding,
    OrganizationKind,
    SpecialCategory,
    Vetting,
)
from contracts.organization import EVERY_VETTED_ORGANIZATION, Agreement, Organization, Service
from contracts.referral import ReferralFacts
from contracts.vocabularies import codes as vocabulary
from contracts.vocabularies import country_of, need_group
from sandbox.hub_files import HUB
from sandbox.network import FOLDER, SampleNetwork, SampleReferral, load

STORIES = ("second-candidate", "expires", "consulate-forbidden", "nobody", "emergency")


@pytest.fixture(scope="module")
def network() -> SampleNetwork:
    return load()


def objects(name: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return found


def services(network: SampleNetwork) -> Iterator[tuple[Organization, Service]]:
    for organization in network.organizations:
        for service in organization.services:
            yield organization, service


def takers(network: SampleNetwork, referral: SampleReferral) -> dict[str, Organization]:
    """By plain filtering, who could take the referral now, free of charge.

    It leaves out agreements, scores and order: routing's matcher has its own tests.
    """
    facts = referral.facts
    found: dict[str, Organization] = {}
    for organization, service in services(network):
        bounds = service.eligibility
        if (
            organization.active
            and organization.vetting is Vetting.vetted
            and organization.id != referral.sender
            and organization.id not in facts.consent.excluded_organizations
            and (organization.kind not in OPT_IN_KINDS or organization.kind in facts.consent.opt_in_kinds)
            and set(facts.needs) & set(service.needs)
            and {facts.region, country_of(facts.region)} & set(service.areas)
            and facts.settlement in service.settlements
            and set(facts.languages) & {*service.languages, *service.interpretation}
            and facts.sex in (bounds.sexes or [facts.sex])
            and facts.age_band in (bounds.age_bands or [facts.age_band])
            and facts.stage in (bounds.stages or [facts.stage])
            and facts.origin_country in (bounds.origin_countries or [facts.origin_country])
            and (
                not bounds.special_categories
                or set(facts.special_categories) & set(bounds.special_categories)
            )
            and service.cost is Funding.free
            and service.capacity.status is CapacityStatus.capacity
            and (service.always_open or facts.urgency is not codes.Urgency.emergency)
        ):
            found[organization.id] = organization
    return found


# --- records ---------------------------------------------------------------------------------


def test_every_organization_passes_admission() -> None:
    for item in objects("organizations"):
        assert "sealing_key" not in item
        records.load(Organization, item)


def test_every_agreement_passes_admission() -> None:
    for item in objects("agreements"):
        records.load(Agreement, item)


def test_every_referral_passes_admission() -> None:
    for item in objects("referrals"):
        records.load(ReferralFacts, item["facts"])
        records.load(Case, item["case"])


def test_loading_keeps_the_order_of_the_files(network: SampleNetwork) -> None:
    assert [o.id for o in network.organizations] == [o["id"] for o in objects("organizations")]
    assert [a.id for a in network.agreements] == [a["id"] for a in objects("agreements")]
    assert [r.key for r in network.referrals] == [r["key"] for r in objects("referrals")]


def test_referral_is_found_by_its_key(network: SampleNetwork) -> None:
    assert network.referral("nobody").key == "nobody"
    with pytest.raises(KeyError):
        network.referral("no-such-story")


def test_sample_files_contain_text_unescaped() -> None:
    for name in ("organizations", "agreements", "referrals"):
        text = (FOLDER / f"{name}.json").read_text("utf-8")
        assert "\\u" not in text
        assert "\t" not in text
        assert text.endswith("]\n")


# --- references ------------------------------------------------------------------------------


def test_ids_are_unique(network: SampleNetwork) -> None:
    for ids in (
        [o.id for o in network.organizations],
        [a.id for a in network.agreements],
        [r.key for r in network.referrals],
    ):
        assert len(set(ids)) == len(ids)


def test_every_organization_reference_is_in_the_sample(network: SampleNetwork) -> None:
    ours = {o.id for o in network.organizations}
    for organization in network.organizations:
        assert organization.parent is None or organization.parent in ours - {organization.id}
    for agreement in network.agreements:
        assert set(agreement.parties) - {EVERY_VETTED_ORGANIZATION} <= ours
        assert len(set(agreement.parties)) == len(agreement.parties)
    for referral in network.referrals:
        consent = referral.facts.consent
        named = {referral.sender, *consent.excluded_organizations, referral.facts.to or "none"}
        assert named - {"none"} <= ours, referral.key


def test_home_hub_is_one_of_the_five(network: SampleNetwork) -> None:
    assert {o.id.partition(".")[0] for o in network.organizations} == {"kg", "kz", "tj", "uz", "ru"}


def test_services_offer_needs_and_not_groups(network: SampleNetwork) -> None:
    for organization, service in services(network):
        for need in service.needs:
            assert need_group(need) != need, (organization.id, service.id)


def test_every_need_is_offered_by_a_vetted_organization(network: SampleNetwork) -> None:
    offered = {
        need
        for organization, service in services(network)
        if organization.vetting is Vetting.vetted
        for need in service.needs
    }
    assert offered == {code for code in vocabulary("needs") if need_group(code) != code}


def test_vetting_is_signed_and_dated_once_it_happened(network: SampleNetwork) -> None:
    for organization in network.organizations:
        signed = organization.vetted_by is not None and organization.vetted_on is not None
        assert signed is (organization.vetting is not Vetting.applied), organization.id
        if organization.vetted_on and organization.profile.active_since:
            assert organization.vetted_on.year > organization.profile.active_since


# --- what the sample claims to hold ----------------------------------------------------------


def test_there_are_organizations_of_every_kind_in_five_countries(network: SampleNetwork) -> None:
    assert len(network.organizations) >= 130
    assert {o.kind for o in network.organizations} == set(OrganizationKind)
    assert {o.country for o in network.organizations} == {"KG", "KZ", "TJ", "UZ", "RU"}


def test_forty_three_representatives_work_in_the_regions_of_russia(network: SampleNetwork) -> None:
    kind = OrganizationKind.consular_representative
    representatives = [o for o in network.organizations if o.kind is kind]
    assert len(representatives) == 43
    for representative in representatives:
        assert representative.id.partition(".")[0] == representative.country.lower()
        for service in representative.services:
            assert all(area.startswith("RU-") for area in service.areas)
            assert service.eligibility.origin_countries == (representative.country,)


def test_sample_has_every_vetting_reporting_cost_and_capacity_status(network: SampleNetwork) -> None:
    assert {o.vetting for o in network.organizations} == set(Vetting)
    assert {o.profile.reporting for o in network.organizations} == set(codes.Reporting)
    assert {o.profile.code_of_conduct for o in network.organizations} == {True, False}
    assert {s.cost for _, s in services(network)} == set(Funding)
    assert {s.capacity.status for _, s in services(network)} == set(CapacityStatus)
    assert any(o.parent for o in network.organizations)


def test_some_hotlines_answer_day_and_night_in_five_languages(network: SampleNetwork) -> None:
    five = {"ru", "ky", "tg", "uz", "ro"}
    lines = [
        organization.id
        for organization, service in services(network)
        if "information.hotline" in service.needs and service.always_open and five <= set(service.languages)
    ]
    assert len(lines) >= 2


def test_unions_reach_the_villages_of_every_country(network: SampleNetwork) -> None:
    reached = {
        country_of(area)
        for organization, service in services(network)
        if organization.kind is OrganizationKind.union and codes.Settlement.rural in service.settlements
        for area in service.areas
    }
    assert reached == {"KG", "KZ", "TJ", "UZ", "RU"}


def test_one_memorandum_covers_everyone_at_the_standard_class(network: SampleNetwork) -> None:
    (memorandum,) = [a for a in network.agreements if a.parties == (EVERY_VETTED_ORGANIZATION,)]
    assert memorandum.disclosure is DisclosureClass.standard
    assert not memorandum.needs
    assert memorandum.effective_until is None


def test_sensitive_cases_go_to_named_parties_only(network: SampleNetwork) -> None:
    sensitive = [a for a in network.agreements if a.disclosure is DisclosureClass.sensitive]
    assert len(sensitive) >= 2
    assert all(EVERY_VETTED_ORGANIZATION not in a.parties for a in sensitive)
    widest = max(sensitive, key=lambda agreement: len(agreement.parties))
    kinds = {o.kind for o in network.organizations if o.id in widest.parties}
    assert {OrganizationKind.ngo, OrganizationKind.health_provider} <= kinds
    assert len(widest.parties) < len(network.organizations) / 2


def test_fifteen_parties_signed_a_memorandum_with_obligations(network: SampleNetwork) -> None:
    (memorandum,) = [a for a in network.agreements if a.id == "memorandum-on-labour-exploitation"]
    kinds = [o.kind for o in network.organizations if o.id in memorandum.parties]
    # Five state structures and three bodies of law enforcement are all of the kind state_body.
    assert kinds.count(OrganizationKind.state_body) == 5 + 3
    assert kinds.count(OrganizationKind.union) == 4
    assert kinds.count(OrganizationKind.ngo) == 3
    assert len(memorandum.obligations) >= 3


def test_one_agreement_has_expired(network: SampleNetwork) -> None:
    newest = max(a.effective_from for a in network.agreements)
    ended = [a for a in network.agreements if a.effective_until and a.effective_until < newest]
    assert [a.id for a in ended] == ["old-hotline-protocol"]


def test_bilateral_agreements_have_two_parties(network: SampleNetwork) -> None:
    bilateral = [a for a in network.agreements if a.kind is codes.AgreementKind.bilateral]
    assert len(bilateral) >= 5
    assert all(len(a.parties) == 2 for a in bilateral)


def test_sample_referrals_cover_every_situation(network: SampleNetwork) -> None:
    facts = [r.facts for r in network.referrals]
    assert len(facts) >= 44
    assert {n for f in facts for n in f.needs} == {
        code for code in vocabulary("needs") if need_group(code) != code
    }
    assert {f.urgency for f in facts} == set(codes.Urgency)
    assert {f.settlement for f in facts} == set(codes.Settlement)
    assert {f.stage for f in facts} == set(codes.Stage)
    assert {f.sex for f in facts} == set(codes.Sex)
    assert {f.age_band for f in facts} == set(codes.AgeBand)
    assert {c for f in facts for c in f.special_categories} == set(SpecialCategory)
    assert {f.accepts_cost for f in facts} == {True, False}
    assert {f.to is None for f in facts} == {True, False}


def test_at_least_thirty_percent_of_referrals_concern_women(network: SampleNetwork) -> None:
    women = [r for r in network.referrals if r.facts.sex is codes.Sex.female]
    assert len(women) >= 0.3 * len(network.referrals)


def test_sample_consents_differ(network: SampleNetwork) -> None:
    consents = [r.facts.consent for r in network.referrals]
    assert {c.method for c in consents} == set(codes.ConsentMethod)
    assert {kind for c in consents for kind in c.opt_in_kinds} == OPT_IN_KINDS
    assert any(not c.opt_in_kinds for c in consents)
    assert any(c.excluded_organizations for c in consents)
    assert any(c.storage_countries for c in consents)


def test_sample_hub_may_store_the_cases_that_it_takes_into_custody(network: SampleNetwork) -> None:
    for referral in network.referrals:
        allowed = referral.facts.consent.storage_countries
        assert referral.facts.to is not None or not allowed or HUB.upper() in allowed, referral.key


def test_guardian_consents_only_for_children(network: SampleNetwork) -> None:
    children = {codes.AgeBand.years_0_11, codes.AgeBand.years_12_17}
    for referral in network.referrals:
        by_guardian = referral.facts.consent.method is codes.ConsentMethod.guardian
        assert by_guardian is (referral.facts.age_band in children), referral.key
        assert by_guardian is (SpecialCategory.minor in referral.facts.special_categories)


def test_sample_cases_are_written_in_five_languages(network: SampleNetwork) -> None:
    assert {r.language for r in network.referrals} == {"ru", "ky", "tg", "uz", "en"}
    for referral in network.referrals:
        assert len(referral.case.narrative) > 80, referral.key
        assert referral.story.endswith(".")
        assert ". " not in referral.story


def test_no_telephone_number_can_be_dialled(network: SampleNetwork) -> None:
    numbers = [number for r in network.referrals for number in r.case.phones]
    assert all(n.startswith(("+7000", "+996000", "+992000", "+998000")) for n in numbers)
    assert len(set(numbers)) == len(numbers)


def test_only_vetted_organizations_send(network: SampleNetwork) -> None:
    vetted = {o.id for o in network.organizations if o.vetting is Vetting.vetted and o.active}
    assert {r.sender for r in network.referrals} <= vetted


# --- the stories -----------------------------------------------------------------------------


def test_every_demo_story_has_a_referral(network: SampleNetwork) -> None:
    assert {r.key for r in network.referrals} >= set(STORIES)


def test_only_the_nobody_referral_has_no_candidate(network: SampleNetwork) -> None:
    stranded = {
        r.key
        for r in network.referrals
        if not r.facts.accepts_cost and r.facts.to is None and not takers(network, r)
    }
    assert stranded == {"nobody"}


def test_sender_of_sensitive_case_has_agreement_with_a_candidate(
    network: SampleNetwork,
) -> None:
    sensitive = [a for a in network.agreements if a.disclosure is DisclosureClass.sensitive]
    for referral in network.referrals:
        facts = referral.facts
        if not facts.special_categories and "protection" not in map(need_group, facts.needs):
            continue
        covered = {*facts.needs, *map(need_group, facts.needs)}
        partners = {
            party
            for agreement in sensitive
            if referral.sender in agreement.parties
            and (not agreement.needs or covered & set(agreement.needs))
            for party in agreement.parties
        }
        assert partners & set(takers(network, referral)), referral.key


def test_named_receiver_is_eligible(network: SampleNetwork) -> None:
    for referral in network.referrals:
        if referral.facts.to is not None and not referral.facts.accepts_cost:
            assert referral.facts.to in takers(network, referral), referral.key


def test_second_candidate_story_has_two_candidates(network: SampleNetwork) -> None:
    story = network.referral("second-candidate")
    assert story.sender == "kg.osh-legal-aid"
    found = takers(network, story)
    assert len(found) >= 3
    near_and_in_kyrgyz = {
        organization.id
        for organization, service in services(network)
        if organization.id in found
        and "legal.wage_claim" in service.needs
        and "RU-MOW" in service.areas
        and "ky" in service.languages
    }
    assert len(near_and_in_kyrgyz) >= 2


def test_expires_story_has_another_candidate(network: SampleNetwork) -> None:
    assert len(takers(network, network.referral("expires"))) >= 2


def test_consulate_story_excludes_the_best_candidate(network: SampleNetwork) -> None:
    story = network.referral("consulate-forbidden")
    assert story.facts.consent.opt_in_kinds == ()
    allowed = takers(network, story)
    assert allowed
    kind = OrganizationKind.consular_representative
    assert all(o.kind is not kind for o in allowed.values())

    consent = replace(story.facts.consent, opt_in_kinds=(kind,))
    opted_in = replace(story, facts=replace(story.facts, consent=consent))
    assert [o.id for o in takers(network, opted_in).values() if o.kind is kind] == [
        "kg.representative-tyumen"
    ]


def test_nobody_story_has_no_candidate_but_can_be_placed_by_hand(network: SampleNetwork) -> None:
    story = network.referral("nobody")
    assert not takers(network, story)
    # The organisation that the story names lacks nothing but the area.
    elsewhere = replace(story, facts=replace(story.facts, region="RU-PRI"))
    (by_hand,) = [o for o in network.organizations if o.id in story.story]
    assert by_hand.id in takers(network, elsewhere)


def test_emergency_story_has_at_least_four_candidates(network: SampleNetwork) -> None:
    story = network.referral("emergency")
    assert story.facts.urgency is codes.Urgency.emergency
    assert len(takers(network, story)) >= 4
    (sensitive,) = [a for a in network.agreements if a.id == "sensitive-cases"]
    assert {story.sender, *takers(network, story)} <= set(sensitive.parties)
