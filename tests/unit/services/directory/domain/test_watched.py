"""Which employers are watched, and what their entries show."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.codes import EmployerKind, EmployerPractice, ReporterClass
from contracts.employer import Employer
from contracts.organization import Organization
from services.directory.domain.employer_identity import entry_keys, normalized_name
from services.directory.domain.watch_report import EmployerReply, WatchReport
from services.directory.domain.watched import REPORTS_KEPT, Watched, root_of, watched_employers
from tests.unit.services.directory.samples import organization
from tests.unit.services.directory.watch_samples import INSPECTORATE, NOON, UNION, employer, report

A, B, C, D = "kg.a", "kg.b", "ru.c", "ru.d"
NUMBER, OTHER_NUMBER = "7701234567", "7709999999"


def known(*records: Organization) -> dict[str, Organization]:
    return {record.id: record for record in records}


UNRELATED = known(*map(organization, (A, B, C, D, UNION, INSPECTORATE)))


def decided(
    reports: Sequence[WatchReport],
    replies: Sequence[EmployerReply] = (),
    *,
    among: dict[str, Organization] = UNRELATED,
    now: dt.datetime = NOON,
) -> list[Watched]:
    return watched_employers(reports, replies, among, now=now)


def after(days: int) -> dt.datetime:
    return NOON - REPORTS_KEPT / 2 + dt.timedelta(days=days)


def test_employer_is_watched_after_reports_of_two_organizations() -> None:
    assert decided([report(A)]) == []
    (one,) = decided([report(A), report(B)])
    assert one.employer == employer()
    assert one.practices == (EmployerPractice.wages_withheld,)
    assert (one.first_month, one.last_month, one.reporters) == (
        "2026-01",
        "2026-01",
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
    names = [f"kg.org-{number}" for number in range(reporters)]
    (one,) = decided(list(map(report, names)), among=known(*map(organization, names)))
    assert one.reporters is shown


def test_related_organizations_count_once() -> None:
    records = known(
        organization(A), organization(B, parent=A), organization("kg.e", parent=B), organization(C)
    )
    family = [report(A), report(B), report("kg.e")]
    assert decided(family, among=records) == []
    assert len(decided([*family, report(C)], among=records)) == 1


def test_cycle_of_parents_has_one_root() -> None:
    records = known(organization(A, parent=B), organization(B, parent=A), organization(C, parent=B))
    assert {root_of(name, records) for name in (A, B, C)} == {A}


@pytest.mark.parametrize("changes", [{"vetting": "suspended"}, {"vetting": "applied"}, {"active": False}])
def test_report_of_an_organization_without_good_standing_does_not_count(changes: dict[str, object]) -> None:
    records = known(organization(A), organization(B, **changes))
    assert decided([report(A), report(B)], among=records) == []
    assert decided([report(A), report("kg.unknown")], among=records) == []


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
        report(A, employer("Stroy", registration_number=NUMBER)),
        report(B, employer("Other name", region=None, registration_number=NUMBER)),
    ]
    assert len(decided(reports)) == 1
    abroad = report(B, employer("Stroy", country="KZ", region=None, registration_number=NUMBER))
    assert decided([reports[0], abroad]) == []


def test_report_with_a_number_supports_one_without_a_number_under_its_name() -> None:
    numbered = report(A, employer(registration_number=NUMBER))
    (one,) = decided([numbered, report(B)])
    assert one.employer == employer()


def test_different_numbers_never_match() -> None:
    reports = [report(name, employer(registration_number=f"770000000{n}")) for n, name in enumerate((A, B))]
    assert decided(reports) == []


@pytest.mark.parametrize("number", [NUMBER, None])
def test_one_report_does_not_change_what_two_others_state(number: str | None) -> None:
    """Two agree on the name, number and kind; one of them knows the region."""
    honest = [
        report(A, employer("Stroymontazh", registration_number=number), reported_at=after(0)),
        report(B, employer("Stroymontazh", region=None, registration_number=NUMBER), reported_at=after(1)),
        report(D, employer("STROYMONTAZH", registration_number=NUMBER), reported_at=after(2)),
    ]
    hostile = report(
        C,
        employer("Honest Rival Agency", kind=EmployerKind.agency, region=None, registration_number=NUMBER),
        reported_at=after(3),
    )
    for early in (after(-1), after(3)):
        shown = decided([*honest, report(C, hostile.allegation.employer, reported_at=early)])
        of_number = next(one for one in shown if one.employer.registration_number is not None)
        assert of_number.employer.kind is EmployerKind.employer
        assert normalized_name(of_number.employer.name) == "stroymontazh"


def test_entry_without_agreement_shows_the_oldest_report() -> None:
    first = report(A, employer("Zed", registration_number=NUMBER), reported_at=after(0))
    second = report(B, employer("Alpha", region="RU-SPE", registration_number=NUMBER), reported_at=after(1))
    (shown,) = decided([second, first])
    assert shown.employer == first.allegation.employer


def test_number_of_one_report_is_not_shown() -> None:
    reports = [report(A), report(B), report(C, employer(registration_number=NUMBER))]
    (shown,) = decided(reports)
    assert shown.employer == employer()
    assert shown.id == decided(reports[:2])[0].id


def test_report_of_two_entries_keeps_both_with_their_replies() -> None:
    named, numbered = employer("Bad Boss"), employer("Notorious", registration_number=NUMBER)
    reports = [report(A, named), report(B, named), report(C, numbered), report(D, numbered)]
    before = decided(reports)
    replies = [
        EmployerReply(watched_id=one.id, employer=one.employer, text=one.employer.name, by="k", at=NOON)
        for one in before
    ]
    both = employer("Bad Boss", registration_number=NUMBER)
    later = report(A, both, id="later", reported_at=NOON + dt.timedelta(days=1))
    shown = decided([*reports, later], replies)
    assert {one.employer: one.reply and one.reply.text for one in shown} == {
        named: "Bad Boss",
        numbered: "Notorious",
    }
    # Without the report, the replies are as they were.
    assert [one.reply for one in decided(reports, replies)] == replies


def test_practice_of_one_report_is_not_shown() -> None:
    practices = (EmployerPractice.wages_withheld, EmployerPractice.violence)
    (shown,) = decided([report(A, practices=practices), report(B)])
    assert shown.practices == (EmployerPractice.wages_withheld,)
    (shown,) = decided([report(A), report(B, practices=(EmployerPractice.violence,))])
    assert shown.practices == ()


@pytest.mark.parametrize(
    ("months", "shown"),
    [
        (("2025-04", "2025-06", "2001-01", "2026-11"), ("2025-04", "2025-06")),
        (("2025-04", "2025-06", "2025-06", "2025-12"), ("2025-06", "2025-06")),
        (("2025-04", "2025-06", "2001-01", "2001-01"), (None, None)),
        (("2000-01", "2099-12", "2000-01", "2099-12"), ("2000-01", "2099-12")),
    ],
)
def test_months_are_those_that_two_reports_have_in_common(
    months: tuple[str, str, str, str], shown: tuple[str | None, str | None]
) -> None:
    first = report(A, first_month=months[0], last_month=months[1])
    (one,) = decided([first, report(B, first_month=months[2], last_month=months[3])])
    assert (one.first_month, one.last_month) == shown


def test_pair_needs_a_recipient_unrelated_to_both() -> None:
    """Nobody else would hold the names of two reporters that are each other's only recipients."""
    union = organization(UNION)
    among = {**UNRELATED, "ru.branch": organization("ru.branch", parent=UNION)}
    own = report(UNION, recipients=(UNION,))
    to_inspectorate = report(UNION, recipients=(UNION, INSPECTORATE))
    assert union.parent is None
    assert decided([own, report(A)], among=among) == []
    assert decided([to_inspectorate, report(A, recipients=(UNION,))], among=among) == []
    assert decided([to_inspectorate, report(A, recipients=(UNION, "ru.branch"))], among=among) == []
    assert len(decided([to_inspectorate, report(A, recipients=(INSPECTORATE,))], among=among)) == 1
    # Three that each sent theirs to the next: no two of them have an outsider in common.
    circle = [report(A, recipients=(B,)), report(B, recipients=(C,)), report(C, recipients=(A,))]
    assert decided(circle, among=among) == []


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


NAMES = ("Stroy", "stroy ", "Агро", "Agro")
EMPLOYERS = st.builds(
    lambda name, kind, region, number: employer(name, kind=kind, region=region, registration_number=number),
    st.sampled_from(NAMES),
    st.sampled_from(EmployerKind),
    st.sampled_from([None, "RU-MOW", "RU-SPE"]),
    st.sampled_from([None, None, NUMBER, OTHER_NUMBER]),
)
# kg.branch is of kg.a; kg.e is suspended.
NETWORK = {
    **UNRELATED,
    **known(organization("kg.branch", parent=A), organization("kg.e", vetting="suspended")),
}
REPORTERS = (A, B, C, "kg.branch", "kg.e")


def reports_on(days: st.SearchStrategy[int]) -> st.SearchStrategy[WatchReport]:
    return st.builds(
        lambda number, reporter, of, day, practices, recipients: report(
            reporter,
            of,
            id=str(number),
            reported_at=NOON - dt.timedelta(days=day),
            practices=tuple(practices),
            recipients=tuple(recipients),
        ),
        st.integers(1, 2**40),
        st.sampled_from(REPORTERS),
        EMPLOYERS,
        days,
        st.lists(st.sampled_from(EmployerPractice), min_size=1, max_size=3, unique=True),
        st.lists(st.sampled_from([A, B, D, UNION]), min_size=1, max_size=3, unique=True),
    )


REPORTS = st.lists(reports_on(st.integers(0, 800)), max_size=12, unique_by=lambda one: one.id)


@given(reports=REPORTS, seed=st.integers(0, 1000))
def test_order_and_repetition_of_reports_do_not_matter(reports: list[WatchReport], seed: int) -> None:
    shuffled = [*reports, *reports[: seed % (len(reports) + 1)]]
    random.Random(seed).shuffle(shuffled)
    assert decided(shuffled, among=NETWORK) == decided(reports, among=NETWORK)


@given(reports=REPORTS)
def test_one_organization_with_its_branches_makes_nobody_watched(reports: list[WatchReport]) -> None:
    for root in (A, B, C):
        own = [one for one in reports if root_of(one.reporter, NETWORK) in (root, "kg.e")]
        assert decided(own, among=NETWORK) == []


def stated_by_two(reports: Sequence[WatchReport], among: Sequence[Employer]) -> set[object]:
    """Return the names, kinds and regions that two unrelated reporters state of the same number.

    A report without a region states none.
    """
    roots: dict[object, set[str]] = {}
    for one in reports:
        of = one.allegation.employer
        if of not in among or not NETWORK[one.reporter].in_good_standing or of.registration_number is None:
            continue
        region = () if of.region is None else (of.region,)
        for value in (normalized_name(of.name), of.kind, *region):
            key = (of.registration_number, value)
            roots.setdefault(key, set()).add(root_of(one.reporter, NETWORK))
    return {key for key, found in roots.items() if len(found) > 1}


@given(reports=REPORTS, added=reports_on(st.just(-1)))
def test_one_more_report_changes_no_other_entry_and_removes_nothing(
    reports: list[WatchReport], added: WatchReport
) -> None:
    before = decided(reports, among=NETWORK)
    replies = [
        EmployerReply(watched_id=one.id, employer=one.employer, text=one.id, by="k", at=NOON)
        for one in before
    ]
    now = {one.id: one for one in decided([*reports, added], replies, among=NETWORK)}
    named = {key.id for key in entry_keys(added.allegation.employer)}
    assert now.keys() - {one.id for one in before} <= named
    for one in before:
        after_it = now[one.id]
        assert after_it.reply is not None
        assert after_it.reply.text == one.id
        assert set(one.practices) <= set(after_it.practices)
        if one.id not in named:
            assert (after_it.employer, after_it.practices) == (one.employer, one.practices)


@given(reports=REPORTS, added=reports_on(st.just(-1)))
def test_one_more_report_changes_no_name_kind_or_region_that_two_others_state(
    reports: list[WatchReport], added: WatchReport
) -> None:
    everywhere = [UNION, D]  # so that all that matters is who reports
    reports = [
        report(one.reporter, one.allegation.employer, id=one.id, recipients=everywhere) for one in reports
    ]
    added = report(added.reporter, added.allegation.employer, id="~", recipients=everywhere)
    now = {one.id: one for one in decided([*reports, added], among=NETWORK)}
    employers = [one.allegation.employer for one in reports]
    stated = stated_by_two(reports, employers)
    for one in decided(reports, among=NETWORK):
        shown, then = one.employer, now[one.id].employer
        assert then.registration_number == shown.registration_number
        for value, later in (
            (normalized_name(shown.name), normalized_name(then.name)),
            (shown.kind, then.kind),
            (shown.region, then.region),
        ):
            if (shown.registration_number, value) in stated:
                assert later == value
