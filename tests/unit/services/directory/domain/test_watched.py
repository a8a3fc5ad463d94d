"""Which employers are watched."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.codes import EmployerPractice, ReporterClass
from contracts.organization import Organization
from services.directory.domain.employer_identity import identities, normalized_name
from services.directory.domain.watch_report import EmployerReply, WatchReport
from services.directory.domain.watched import (
    REPORTS_KEPT,
    Watched,
    counted_as,
    root_of,
    watched_employers,
)
from tests.unit.services.directory.samples import organization
from tests.unit.services.directory.watch_samples import NOON, employer, report

A, B, C = "kg.a", "kg.b", "ru.c"


def decided(reports: Sequence[WatchReport], *, now: dt.datetime = NOON) -> list[Watched]:
    """Decide where every organisation counts as itself."""
    return watched_employers(reports, (), lambda organization: organization, now=now)


def known(*records: Organization) -> dict[str, Organization]:
    return {record.id: record for record in records}


def test_employer_is_watched_after_reports_of_two_organizations() -> None:
    assert decided([report(A)]) == []
    (one,) = decided(
        [report(A), report(B, practices=(EmployerPractice.passport_kept,), last_month="2026-02")]
    )
    assert one.employer == employer()
    assert one.practices == (EmployerPractice.wages_withheld, EmployerPractice.passport_kept)
    assert (one.first_month, one.last_month, one.reporters) == (
        "2026-01",
        "2026-02",
        ReporterClass.two_to_four,
    )


@pytest.mark.parametrize(
    ("reporters", "shown"),
    [
        (4, ReporterClass.two_to_four),
        (5, ReporterClass.five_to_nine),
        (9, ReporterClass.five_to_nine),
        (10, ReporterClass.ten_or_more),
    ],
)
def test_number_of_reporters_is_shown_as_a_class(reporters: int, shown: ReporterClass) -> None:
    (one,) = decided([report(f"kg.org-{number}") for number in range(reporters)])
    assert one.reporters is shown


def test_related_organizations_count_once() -> None:
    records = known(
        organization(A), organization(B, parent=A), organization("kg.d", parent=B), organization(C)
    )

    def as_root(name: str) -> str | None:
        return counted_as(name, records)

    family = [report(A), report(B), report("kg.d")]
    assert watched_employers(family, (), as_root, now=NOON) == []
    assert len(watched_employers([*family, report(C)], (), as_root, now=NOON)) == 1


def test_cycle_of_parents_has_one_root() -> None:
    records = known(organization(A, parent=B), organization(B, parent=A), organization(C, parent=B))
    assert {root_of(name, records) for name in (A, B, C)} == {A}


@pytest.mark.parametrize("changes", [{"vetting": "suspended"}, {"vetting": "applied"}, {"active": False}])
def test_report_of_an_organization_without_good_standing_does_not_count(changes: dict[str, object]) -> None:
    records = known(organization(A), organization(B, **changes))
    assert (
        watched_employers([report(A), report(B)], (), lambda name: counted_as(name, records), now=NOON) == []
    )


def test_retracted_and_expired_reports_do_not_count() -> None:
    assert decided([report(A), report(B, retracted_at=NOON)]) == []
    old = report(B, reported_at=NOON - REPORTS_KEPT)
    assert decided([report(A), old]) == []
    assert len(decided([report(A), old], now=NOON - dt.timedelta(seconds=1))) == 1


def test_one_organization_cannot_prolong_the_report_of_another() -> None:
    first = [report(A), report(B)]
    renewed = report(A, reported_at=NOON + dt.timedelta(days=700))
    (one,) = decided([*first, renewed])
    assert one.until == NOON + REPORTS_KEPT
    assert decided([*first, renewed], now=one.until) == []


def test_registration_number_matches_other_names_of_the_same_country() -> None:
    reports = [
        report(A, employer("Stroy", registration_number="7701234567")),
        report(B, employer("Other name", region=None, registration_number="7701234567")),
    ]
    assert len(decided(reports)) == 1
    abroad = report(B, employer("Stroy", country="KZ", region=None, registration_number="7701234567"))
    assert decided([reports[0], abroad]) == []


def test_report_without_a_number_joins_the_only_number_of_its_name() -> None:
    numbered = report(A, employer(registration_number="7701234567"))
    (one,) = decided([numbered, report(B)])
    assert one.employer == employer(registration_number="7701234567")
    # With a second number it is unknown which of the two firms is meant.
    assert decided([numbered, report(B), report(C, employer(registration_number="7709999999"))]) == []


def test_different_numbers_never_match() -> None:
    reports = [report(name, employer(registration_number=f"770000000{n}")) for n, name in enumerate((A, B))]
    assert decided(reports) == []


def test_report_that_does_not_count_changes_no_match() -> None:
    """A suspended organisation cannot separate the reports of others by a second number."""
    reports = [report(A, employer(registration_number="7701234567")), report(B)]
    suspended = report(C, employer(registration_number="7709999999"))
    found = watched_employers([*reports, suspended], (), lambda name: None if name == C else name, now=NOON)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("ООО «Стройка»", 'ооо "СТРОЙКА"'),
        ("Stroy-Invest  Ltd.", "STROY INVEST LTD"),
        ("Ｓｔｒｏｙ", "stroy"),
    ],
)
def test_names_are_compared_without_case_and_punctuation(name: str, same: str) -> None:
    assert normalized_name(name) == normalized_name(same)


def test_transliteration_is_not_attempted() -> None:
    assert normalized_name("Стройка") != normalized_name("Stroyka")


def test_names_of_punctuation_only_stay_apart() -> None:
    assert normalized_name("+++") != normalized_name("***")


def test_reply_follows_the_employer_to_its_number() -> None:
    (before,) = decided([report(A), report(B)])
    reply = EmployerReply(watched_id=before.id, employer=before.employer, text="Paid.", by="k", at=NOON)
    reports = [report(A), report(B), report(C, employer(registration_number="7701234567"))]
    (after,) = watched_employers(reports, [reply], lambda name: name, now=NOON)
    assert after.id != before.id
    assert after.reply == reply


NAMES = ("Stroy", "stroy ", "Агро", "Agro")
EMPLOYERS = st.builds(
    lambda name, region, number: employer(name, region=region, registration_number=number),
    st.sampled_from(NAMES),
    st.sampled_from([None, "RU-MOW", "RU-SPE"]),
    st.sampled_from([None, None, "7701234567", "7709999999"]),
)
REPORTS = st.lists(
    st.builds(
        lambda reporter, of, day: report(reporter, of, reported_at=NOON - dt.timedelta(days=day)),
        st.sampled_from([A, B, C, "kg.d", "kg.e"]),
        EMPLOYERS,
        st.integers(0, 800),
    ),
    max_size=12,
)
# kg.d is a branch of kg.a; kg.e is suspended.
COUNTS_AS = {A: A, B: B, C: C, "kg.d": A, "kg.e": None}


@given(reports=REPORTS, seed=st.integers(0, 1000))
def test_order_and_repetition_of_reports_do_not_matter(reports: list[WatchReport], seed: int) -> None:
    found = watched_employers(reports, (), COUNTS_AS.__getitem__, now=NOON)
    shuffled = [*reports, *reports[: seed % (len(reports) + 1)]]
    random.Random(seed).shuffle(shuffled)
    assert watched_employers(shuffled, (), COUNTS_AS.__getitem__, now=NOON) == found


@given(reports=REPORTS)
def test_one_organization_with_its_branches_makes_nobody_watched(reports: list[WatchReport]) -> None:
    for root in (A, B, C):
        own = [one for one in reports if COUNTS_AS[one.reporter] in (root, None)]
        assert watched_employers(own, (), COUNTS_AS.__getitem__, now=NOON) == []


@given(reports=REPORTS)
def test_match_is_an_equivalence_that_keeps_numbers_and_names_apart(reports: list[WatchReport]) -> None:
    stated = [one.allegation.employer for one in reports]
    ids = identities(stated)
    for first in stated:
        for second in stated:
            if ids.id_of(first) != ids.id_of(second):
                continue
            numbers = {first.registration_number, second.registration_number} - {None}
            assert len(numbers) <= 1
