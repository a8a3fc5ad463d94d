"""Watch reports on real databases: who may report and receive, what follows, and what others learn."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

import pytest

from contracts.codes import EmployerPractice, SuspensionReason
from contracts.employer import EmployerReport, Evidence
from contracts.errors import RateLimited, Refused
from contracts.facts import (
    EmployerReplied,
    EmployerReported,
    EmployerReportRetracted,
    SealedReportSubmitted,
    WatchReportsChosen,
)
from contracts.organization import SealingKey
from contracts.records import dump, plain, read
from contracts.topology import EVENTS
from kopuro_client.sealing import generate_key, public_key, seal
from runtime.access.standing import excluded_refusal
from runtime.access.tokens import Principal
from runtime.settings import KEY_PAUSE
from runtime.web.request import Request
from runtime.web.response import Response
from services.directory import api
from services.directory.domain.employer_identity import normalized_name
from services.directory.domain.watch_report import A_DAY, MOST_IN_A_DAY
from services.directory.domain.watched import REPORTS_KEPT
from services.directory.handlers import watched_employers
from services.directory.handlers.change_rates import OPT_INS
from services.directory.handlers.watched_employers import WatchedSearch
from tests.support.turns import count_turns
from tests.unit.services.directory.samples import OPERATOR, Directory, organization
from tests.unit.services.directory.watch_samples import INSPECTORATE, NGO, UNION, employer

OTHER = "kg.women-centre"
BRANCH = "kg.osh-branch"
KEYS = {name: generate_key() for name in (UNION, INSPECTORATE)}
EVERYTHING = WatchedSearch()


@pytest.fixture
def network(directory: Directory) -> Directory:
    """Three that may report, two of them related, and two that receive reports."""
    for name, changes in {
        NGO: {},
        BRANCH: {"parent": NGO},
        OTHER: {},
        UNION: {"kind": "union", "country": "RU"},
        INSPECTORATE: {"kind": "state_body", "country": "RU"},
    }.items():
        directory.entries.put_organization(OPERATOR, organization(name, **changes))
    for name, key in KEYS.items():
        directory.keys.publish(name, read(SealingKey, public_key(key)), by=name)
        directory.watch_reports.choose(name, receives=True)
    return directory


def submission(*recipients: str, **changes: Any) -> EmployerReport:
    evidence = tuple(
        Evidence(organization=name, sealed=seal({"text": "Invented."}, public_key(KEYS[name])))
        for name in recipients or (UNION,)
    )
    values: dict[str, Any] = {
        "employer": employer(),
        "practices": (EmployerPractice.wages_withheld,),
        "first_month": "2026-01",
        "last_month": "2026-02",
        "evidence": evidence,
    }
    return EmployerReport(**{**values, **changes})


def watched(network: Directory, search: WatchedSearch = EVERYTHING) -> list[str]:
    return [one.employer.name for one in network.watched_employers.page(search, "", 50)]


def refusal_of(attempt: object) -> Refused:
    with pytest.raises(Refused) as refusal:
        attempt()  # type: ignore[operator]
    return refusal.value


def test_report_reaches_exactly_the_organizations_its_evidence_is_sealed_to(network: Directory) -> None:
    before = len(network.events())
    made = network.watch_reports.report(NGO, submission(UNION, INSPECTORATE))
    opened, *sealed = [event.data for event in network.events()[before:]]
    assert isinstance(opened, EmployerReported)
    assert opened.recipients == (UNION, INSPECTORATE)
    assert opened.expires_at == made.reported_at + REPORTS_KEPT
    assert all(isinstance(fact, SealedReportSubmitted) and fact.reporter == NGO for fact in sealed)
    assert {fact.organization for fact in sealed} == {UNION, INSPECTORATE}  # type: ignore[attr-defined]


def test_open_facts_never_name_the_reporter(network: Directory) -> None:
    before = len(network.events())
    made = network.watch_reports.report(NGO, submission())
    network.watch_reports.report(OTHER, submission())
    (entry,) = network.watched_employers.page(EVERYTHING, "", 9)
    network.watched_employers.reply(entry.id, "Paid in March.", by="kg.desk")
    network.watch_reports.retract(NGO, made.id)
    facts = [event.data for event in network.events()[before:]]
    opened = [fact for fact in facts if fact.exchange == EVENTS]
    assert [type(fact) for fact in opened] == [
        EmployerReported,
        EmployerReported,
        EmployerReplied,
        EmployerReportRetracted,
    ]
    for fact in opened:
        assert NGO.encode() not in dump(fact)
        assert OTHER.encode() not in dump(fact)


def test_recipient_can_prove_who_reported(network: Directory) -> None:
    before = len(network.events())
    made = network.watch_reports.report(NGO, submission())
    opened, sealed = (event.data for event in network.events()[before:])
    assert isinstance(opened, EmployerReported)
    assert isinstance(sealed, SealedReportSubmitted)
    claimed = dataclasses.replace(made, reporter=sealed.reporter, salt=sealed.salt)
    assert claimed.commitment == opened.reporter
    assert dataclasses.replace(claimed, reporter=OTHER).commitment != opened.reporter


def test_employer_is_watched_after_two_unrelated_organizations(network: Directory) -> None:
    network.watch_reports.report(NGO, submission())
    network.watch_reports.report(NGO, submission())
    network.watch_reports.report(BRANCH, submission())
    assert watched(network) == []
    network.watch_reports.report(OTHER, submission())
    assert watched(network) == ["Stroy Invented"]
    for search, found in (
        (WatchedSearch(country="KZ"), 0),
        (WatchedSearch(country="RU", region="RU-MOW"), 1),
        (WatchedSearch(region="RU"), 1),
        (WatchedSearch(region="RU-SPE"), 0),
        (WatchedSearch(name="STROY-inv"), 1),
        (WatchedSearch(name="agro"), 0),
    ):
        assert len(watched(network, search)) == found, search


def test_other_greenlets_may_run_between_the_watched_employers_that_a_search_compares(
    network: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a search may have 200 characters of which each stands for eighteen."""
    names = [f"Stroy {letter}" for letter in "ABCDE"]
    for reporter in (NGO, OTHER):
        for name in names:
            network.watch_reports.report(reporter, submission(employer=employer(name=name)))
    compared: list[str] = []

    def normalized(name: str) -> str:
        compared.append(name)
        return normalized_name(name)

    monkeypatch.setattr(watched_employers, "normalized_name", normalized)
    counted = count_turns(monkeypatch)
    sought = "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 200
    assert watched(network, WatchedSearch(name=sought)) == []
    entries = len(watched(network))
    assert entries >= len(names)
    assert compared.count(sought) == 1
    assert counted["in_turns"] == 2 * entries  # of both searches


def test_suspension_of_a_reporter_ends_the_entry_at_once(network: Directory) -> None:
    network.watch_reports.report(NGO, submission())
    network.watch_reports.report(OTHER, submission())
    network.suspensions.suspend(OTHER, SuspensionReason.other, by="kg.desk")
    assert watched(network) == []
    assert refusal_of(lambda: network.watch_reports.report(OTHER, submission())).slug == "forbidden"


def test_retraction_ends_the_entry_and_reaches_the_recipients(network: Directory) -> None:
    made = network.watch_reports.report(NGO, submission())
    network.watch_reports.report(OTHER, submission())
    assert refusal_of(lambda: network.watch_reports.retract(OTHER, made.id)).slug == "not-found"
    retracted = network.watch_reports.retract(NGO, made.id)
    assert watched(network) == []
    facts = len(network.events())
    assert network.events()[-1].data == EmployerReportRetracted(report_id=made.id, recipients=(UNION,))
    assert network.watch_reports.retract(NGO, made.id) == retracted
    assert len(network.events()) == facts


def test_reports_expire_and_are_deleted_with_the_reply(network: Directory) -> None:
    network.watch_reports.report(NGO, submission())
    network.watch_reports.report(OTHER, submission())
    (entry,) = network.watched_employers.page(EVERYTHING, "", 9)
    network.watched_employers.reply(entry.id, "Paid in March.", by="kg.desk")
    assert network.watched_employers.forget_old()
    assert network.watched_employers.one(entry.id).reply is not None
    network.clock.time += REPORTS_KEPT
    assert watched(network) == []
    assert network.watched_employers.forget_old()
    assert network.watch_reports.reports_of(NGO, "", 9) == []
    with network.database.read() as transaction:
        assert network.watch_store.replies(transaction, None) == []


def test_reply_is_deleted_although_another_employer_without_a_number_is_reported(network: Directory) -> None:
    network.watch_reports.report(NGO, submission())
    network.watch_reports.report(OTHER, submission())
    (entry,) = network.watched_employers.page(EVERYTHING, "", 9)
    network.watched_employers.reply(entry.id, "Paid in March.", by="kg.desk")
    network.clock.time += REPORTS_KEPT
    network.watch_reports.report(NGO, submission(employer=employer("Another Invented")))
    assert network.watched_employers.forget_old()
    with network.database.read() as transaction:
        assert network.watch_store.replies(transaction, None) == []


def test_organization_makes_a_bounded_number_of_reports_retracted_or_not(
    network: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.directory.domain.watch_report.MOST_REPORTS", 2)
    first = network.watch_reports.report(NGO, submission())
    network.watch_reports.report(NGO, submission())
    network.watch_reports.retract(NGO, first.id)
    facts = len(network.events())
    refused = refusal_of(lambda: network.watch_reports.report(NGO, submission()))
    assert (refused.slug, "have not expired" in refused.detail) == ("conflict", True)
    assert len(network.events()) == facts
    network.watch_reports.report(OTHER, submission())
    network.clock.time += REPORTS_KEPT
    for _ in range(2):
        network.watch_reports.report(NGO, submission())


def test_organization_makes_a_bounded_number_of_reports_in_a_day(network: Directory) -> None:
    for _ in range(MOST_IN_A_DAY):
        made = network.watch_reports.report(NGO, submission())
        network.watch_reports.retract(NGO, made.id)
    refused = refusal_of(lambda: network.watch_reports.report(NGO, submission()))
    assert (refused.slug, "24 hours" in refused.detail) == ("conflict", True)
    network.watch_reports.report(OTHER, submission())
    network.clock.time += A_DAY
    network.watch_reports.report(NGO, submission())


def test_report_needs_a_recipient_unrelated_to_its_reporter(network: Directory) -> None:
    """Else nobody but the reporter holds its name and the salt."""
    refused = refusal_of(lambda: network.watch_reports.report(UNION, submission(UNION)))
    assert [error.pointer for error in refused.errors] == ["/evidence"]
    network.entries.put_organization(
        OPERATOR, organization("ru.union-branch", kind="union", country="RU", parent=UNION)
    )
    refused = refusal_of(lambda: network.watch_reports.report("ru.union-branch", submission(UNION)))
    assert [error.pointer for error in refused.errors] == ["/evidence"]
    network.watch_reports.report(UNION, submission(UNION, INSPECTORATE))


def test_reply_outlasts_the_retraction_of_the_reports(network: Directory) -> None:
    made = [network.watch_reports.report(reporter, submission()) for reporter in (NGO, OTHER)]
    (entry,) = network.watched_employers.page(EVERYTHING, "", 9)
    network.watched_employers.reply(entry.id, "Paid in March.", by="kg.desk")
    for one in made:
        network.watch_reports.retract(one.reporter, one.id)
    assert watched(network) == []
    assert network.watched_employers.forget_old()
    for one in made:
        network.watch_reports.report(one.reporter, submission())
    shown = network.watched_employers.one(entry.id).reply
    assert shown is not None
    assert shown.text == "Paid in March."


def test_reading_gives_way_to_other_requests(network: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    for reporter in (NGO, OTHER):
        network.watch_reports.report(reporter, submission())
    ended: list[None] = []
    monkeypatch.setattr("runtime.turn.Turn.end_if_over", lambda _: ended.append(None))
    assert watched(network) == ["Stroy Invented"]
    # Where rows are read, where they are compared, and where the entry is made.
    assert len(ended) > 6


def test_reply_is_shown_with_its_author_and_replaced_by_the_next(network: Directory) -> None:
    network.watch_reports.report(NGO, submission(UNION))
    network.watch_reports.report(OTHER, submission(INSPECTORATE))
    (entry,) = network.watched_employers.page(EVERYTHING, "", 9)
    for text in ("Paid in March.", "Paid in March.", "Paid in April."):
        network.watched_employers.reply(entry.id, text, by="kg.desk")
    shown = network.watched_employers.one(entry.id).reply
    assert shown is not None
    assert (shown.text, shown.by, shown.at) == ("Paid in April.", "kg.desk", network.clock.now())
    told = [event.data for event in network.events() if isinstance(event.data, EmployerReplied)]
    assert [fact.text for fact in told] == ["Paid in March.", "Paid in April."]
    assert told[0].recipients == (UNION, INSPECTORATE)
    unknown = "01930f6e-5d2a-7c11-8a4f-0b6d2f9c1a01"
    assert refusal_of(lambda: network.watched_employers.reply(unknown, "x", by="k")).slug == "not-found"


def test_repetition_under_a_key_makes_one_report(network: Directory) -> None:
    wanted = submission()
    first = network.watch_reports.report(NGO, wanted, key="k")
    facts = len(network.events())
    assert network.watch_reports.report(NGO, wanted, key="k") == first
    assert len(network.events()) == facts
    other = dataclasses.replace(wanted, last_month="2026-03")
    refused = refusal_of(lambda: network.watch_reports.report(NGO, other, key="k"))
    assert refused.slug == "idempotency-conflict"
    assert network.watch_reports.report(OTHER, other, key="k").id != first.id


def test_excluded_organization_repeats_its_report_and_makes_no_other(network: Directory) -> None:
    wanted, reports = submission(), network.watch_reports
    first = reports.report(NGO, wanted, key="k")
    facts = len(network.events())
    assert reports.report(NGO, wanted, key="k", repeats_only=True) == first
    other = dataclasses.replace(wanted, last_month="2026-03")
    for again, key in ((wanted, None), (wanted, "other"), (other, "new")):
        refused = refusal_of(lambda: reports.report(NGO, again, key=key, repeats_only=True))  # noqa: B023
        assert refused.slug == "forbidden"
    assert len(network.events()) == facts


@pytest.mark.parametrize("fault", ["new key", "other content", "no key", "malformed key", "malformed body"])
def test_resource_gives_an_excluded_organization_its_first_report_only(
    network: Directory, fault: str
) -> None:
    body = plain(submission())
    caller = Principal(id=NGO, client_id=NGO, roles=frozenset({"partner"}))

    def post(key: str | None, document: Any, *, excluded: bool) -> Response:
        return api.post_watch_report(
            network,  # type: ignore[arg-type]  # has the handlers that the resource calls
            Request(
                method="POST",
                route="/v1/watch/reports",
                headers={} if key is None else {"idempotency-key": key},
                body=json.dumps(document).encode(),
                caller=dataclasses.replace(caller, excluded=excluded),
            ),
        )

    first = post("k", body, excluded=False)
    again = post("k", body, excluded=True)
    assert (again.status, again.body) == (first.status, first.body)
    key, document = {
        "new key": ("new", body),
        "other content": ("k", {**body, "last_month": "2026-03"}),
        "no key": (None, body),
        "malformed key": ("\u00e9", body),
        "malformed body": ("k", {}),
    }[fault]
    refused = refusal_of(lambda: post(key, document, excluded=True))
    assert (refused.slug, str(refused)) == ("forbidden", str(excluded_refusal()))


def test_evidence_must_be_sealed_to_an_organization_that_opted_in(network: Directory) -> None:
    network.watch_reports.choose(INSPECTORATE, receives=False)
    refused = refusal_of(lambda: network.watch_reports.report(NGO, submission(UNION, INSPECTORATE)))
    assert [error.pointer for error in refused.errors] == ["/evidence/1/organization"]
    wrong = Evidence(organization=UNION, sealed=seal({"text": "x"}, public_key(KEYS[INSPECTORATE])))
    refused = refusal_of(lambda: network.watch_reports.report(NGO, submission(evidence=(wrong,))))
    assert (refused.slug, refused.errors[0].pointer) == ("case-not-sealed", "/evidence/0/sealed")
    assert network.watch_reports.reports_of(NGO, "", 9) == []


def test_evidence_for_a_key_replaced_without_proof_is_refused_during_the_pause(network: Directory) -> None:
    key = generate_key()
    network.keys.publish(UNION, read(SealingKey, public_key(key)), by=OPERATOR.id, operator=True)
    sealed = Evidence(organization=UNION, sealed=seal({"text": "Invented."}, public_key(key)))
    until = network.clock.now() + KEY_PAUSE
    refused = refusal_of(lambda: network.watch_reports.report(NGO, submission(evidence=(sealed,))))
    assert (refused.slug, refused.until, refused.retry_after) == ("conflict", until, 86_400)
    assert [error.pointer for error in refused.errors] == ["/evidence/0/sealed"]
    assert "without this recipient" in refused.detail
    assert network.watch_reports.reports_of(NGO, "", 9) == []
    assert [one.id for one in network.watch_reports.receiving("", 9)] == [INSPECTORATE]
    network.watch_reports.report(NGO, submission(INSPECTORATE))
    network.clock.time = until
    assert {one.id for one in network.watch_reports.receiving("", 9)} == {UNION, INSPECTORATE}
    network.watch_reports.report(NGO, submission(evidence=(sealed,)))


def test_period_must_not_be_in_the_future(network: Directory) -> None:
    refused = refusal_of(lambda: network.watch_reports.report(NGO, submission(last_month="2026-04")))
    assert refused.errors[0].pointer == "/last_month"


def test_only_unions_and_state_bodies_opt_in_with_a_key(network: Directory) -> None:
    assert refusal_of(lambda: network.watch_reports.choose(NGO, receives=True)).slug == "forbidden"
    network.entries.put_organization(OPERATOR, organization("ru.new-union", kind="union"))
    assert refusal_of(lambda: network.watch_reports.choose("ru.new-union", receives=True)).slug == "conflict"
    assert network.watch_reports.choose(NGO, receives=False) is None


def test_choices_have_a_rate_and_opting_out_always_succeeds(network: Directory) -> None:
    for _ in range(OPT_INS.burst - 1):  # it has opted in once
        network.watch_reports.choose(UNION, receives=False)
        network.watch_reports.choose(UNION, receives=True)
    network.watch_reports.choose(UNION, receives=False)
    with pytest.raises(RateLimited) as limited:
        network.watch_reports.choose(UNION, receives=True)
    assert network.watch_reports.chosen(UNION) is None
    assert [one.id for one in network.watch_reports.receiving("", 9)] == [INSPECTORATE]
    for _ in range(5):
        assert network.watch_reports.choose(UNION, receives=False) is None
    facts = [event.data for event in network.events() if isinstance(event.data, WatchReportsChosen)]
    assert sum(fact.organization == UNION for fact in facts) == 2 * OPT_INS.burst
    network.seconds += limited.value.retry_after
    assert network.watch_reports.choose(UNION, receives=True) == network.clock.now()


def test_choice_is_on_record_and_changes_who_receives(network: Directory) -> None:
    since = network.watch_reports.choose(UNION, receives=True)
    assert since == network.watch_reports.chosen(UNION) == network.clock.now()
    network.clock.time += dt.timedelta(days=1)
    assert network.watch_reports.choose(UNION, receives=True) == since
    network.watch_reports.choose(UNION, receives=False)
    facts = [event.data for event in network.events() if isinstance(event.data, WatchReportsChosen)]
    assert [(fact.organization, fact.receives) for fact in facts] == [
        (UNION, True),
        (INSPECTORATE, True),
        (UNION, False),
    ]
    assert [one.id for one in network.watch_reports.receiving("", 9)] == [INSPECTORATE]
    network.suspensions.suspend(INSPECTORATE, SuspensionReason.other, by="kg.desk")
    assert network.watch_reports.receiving("", 9) == []
