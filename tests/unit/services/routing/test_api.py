"""Routing's HTTP resources: parsing, paging and refusals."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.codes import Answer
from contracts.errors import Refused
from contracts.facts import (
    AnswerSubmitted,
    CasePaused,
    CoordinatorWithdrawalRefused,
    OfferOpened,
    ReferralWithdrawn,
)
from runtime.access.tokens import Principal
from runtime.identifiers import new_id
from runtime.web.request import Request
from services.routing import api
from services.routing.adapters.week_events import SqlWeekEvents
from services.routing.adapters.weekly_reports import SqlWeeklyReports
from services.routing.bootstrap import read_policy
from services.routing.domain.policy import RoutingPolicy
from services.routing.handlers.weekly_reports import ReportQueries, ReportWeeks
from tests.services.made_cursors import made_cursors
from tests.support.events import message_of
from tests.support.service_resources import resources
from tests.unit.services.routing.samples import NOW, SENDER, organization, service
from tests.unit.services.routing.workbench import Workbench, opened, submitted, workbench


@pytest.fixture
def bench(sqlite_database: str) -> Iterator[Workbench]:
    bench = workbench(sqlite_database, organization("ru.far", service(areas=("RU-SPE",))))
    yield bench
    bench.close()


def request(
    caller: str, role: str, *, path: dict[str, str] | None = None, body: Any = None, **query: str
) -> Request:
    return Request(
        method="GET",
        route="/",
        path_params=path or {},
        query_params=query,
        body=json.dumps(body).encode(),
        caller=Principal(id=caller, roles=frozenset({role})),
    )


def coordinator(**options: Any) -> Request:
    return request("kg.coordinator", "coordinator", **options)


def test_unplaced_referrals_are_paged(bench: Workbench) -> None:
    ids = [new_id() for _ in range(5)]
    bench.take(*(submitted(one) for one in ids))
    pages, query = [], {"limit": "2"}
    while True:
        page = json.loads(api.unplaced(bench.queries, coordinator(**query)).body)
        pages.append([item["id"] for item in page["items"]])
        if page["next"] is None:
            break
        query = {"limit": "2", "after": page["next"]}
    assert pages == [ids[:2], ids[2:4], ids[4:]]


def test_forged_cursors_are_refused(bench: Workbench) -> None:
    for cursor in made_cursors("unplaced"):
        with pytest.raises(Refused) as caught:
            api.unplaced(bench.queries, coordinator(after=cursor))
        assert caught.value.slug == "invalid-cursor"


def test_full_last_page_has_no_next_cursor(bench: Workbench) -> None:
    bench.take(*(submitted(new_id()) for _ in range(2)))
    page = json.loads(api.unplaced(bench.queries, coordinator(limit="2")).body)
    assert len(page["items"]) == 2
    assert page["next"] is None


def test_foreign_cursor_is_refused(bench: Workbench) -> None:
    with pytest.raises(Refused) as refused:
        api.unplaced(bench.queries, coordinator(after="bm90LW91cnM"))
    assert refused.value.slug == "invalid-cursor"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/organization"),
        ({"organization": "RU Far"}, "/organization"),
        ({"organization": "ru.far", "force": True}, "/force"),
    ],
)
def test_placement_that_breaks_the_contract_is_refused(bench: Workbench, body: Any, pointer: str) -> None:
    with pytest.raises(Refused) as refused:
        api.place(bench.commands, coordinator(path={"id": new_id()}, body=body), bench.clock)
    assert [error.pointer for error in refused.value.errors] == [pointer]


def test_placement_response_holds_the_submission_id(bench: Workbench) -> None:
    referral = new_id()
    bench.take(submitted(referral))
    asked = coordinator(path={"id": referral}, body={"organization": "ru.far"})
    answer = api.place(bench.commands, asked, bench.clock)
    assert answer.status == 202
    assert json.loads(answer.body) == {"id": bench.published()[-1].id, "status": "submitted"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"reason": "other"}, "/organization"),
        ({"organization": SENDER}, "/reason"),
        ({"organization": SENDER, "reason": "no longer needed"}, "/reason"),
    ],
)
def test_coordinator_withdrawal_that_breaks_the_contract_is_refused(
    bench: Workbench, body: Any, pointer: str
) -> None:
    with pytest.raises(Refused) as refused:
        api.withdraw(bench.commands, coordinator(path={"id": new_id()}, body=body), bench.clock)
    assert [error.pointer for error in refused.value.errors] == [pointer]


def test_coordinator_withdrawal_takes_effect_from_the_queue(bench: Workbench) -> None:
    referral = new_id()
    bench.take(submitted(referral))
    asked = coordinator(path={"id": referral}, body={"organization": SENDER, "reason": "consent_revoked"})
    with pytest.raises(Refused) as refused:
        api.withdraw(bench.commands, asked, bench.clock)
    assert refused.value.slug == "conflict"
    assert isinstance(bench.published()[-1].data, CoordinatorWithdrawalRefused)
    bench.without_client.add(SENDER)
    answer = api.withdraw(bench.commands, asked, bench.clock)
    submission = bench.published()[-1]
    assert (answer.status, json.loads(answer.body)["id"]) == (202, submission.id)
    (withdrawn,) = bench.take(submission)
    assert withdrawn == ReferralWithdrawn(
        referral_id=referral,
        sender=SENDER,
        organization=None,
        reason="consent_revoked",
        coordinator="kg.coordinator",
    )


def test_sender_reads_decisions(bench: Workbench) -> None:
    referral = new_id()
    bench.take(submitted(referral))
    asked = request(SENDER, "partner", path={"id": referral})
    shown = json.loads(api.decisions(bench.queries, asked, bench.clock).body)
    assert shown["paused"] is None
    assert shown["referral_id"] == referral
    assert [one["trigger"] for one in shown["decisions"]] == ["submitted"]


def test_pause_is_in_the_timeline_and_explanation_until_it_ends(bench: Workbench) -> None:
    referral = new_id()
    bench.absorb([organization("ru.near")])
    opened = next(fact for fact in bench.take(submitted(referral)) if isinstance(fact, OfferOpened))
    bench.take(
        message_of(
            AnswerSubmitted(
                referral_id=referral,
                offer_id=opened.offer_id,
                organization=opened.organization,
                answer=Answer.accept,
            ),
            referral,
            time=NOW,
        )
    )
    until = NOW + dt.timedelta(hours=24)
    paused = CasePaused(referral_id=referral, organization=opened.organization, sender=SENDER, until=until)
    assert bench.take(message_of(paused, referral, time=NOW)) == []
    for viewer in (SENDER, opened.organization):
        view = bench.queries.referral(referral, viewer, oversight=False)
        assert view.timeline[-1].fact == "case.paused"
    asked = request(SENDER, "partner", path={"id": referral})
    assert json.loads(api.decisions(bench.queries, asked, bench.clock).body)["paused"] == {
        "organization": opened.organization,
        "until": "2026-03-03T09:00:00Z",
    }
    bench.clock.time = until
    assert json.loads(api.decisions(bench.queries, asked, bench.clock).body)["paused"] is None


@pytest.mark.parametrize(
    ("oversight", "detail"),
    [
        (True, "No referral has this id."),
        (False, "No referral with this id was sent by your organisation or offered to it."),
    ],
)
def test_unknown_referral_is_refused_in_the_words_of_the_reader(
    bench: Workbench, oversight: bool, detail: str
) -> None:
    with pytest.raises(Refused) as refused:
        bench.queries.referral(new_id(), "kg.coordinator", oversight=oversight)
    assert refused.value.detail == detail


# --- the policy file ------------------------------------------------------------------------------


def test_policy_without_a_file_is_the_default(tmp_path: Path) -> None:
    assert read_policy(None).document.policy == RoutingPolicy()
    file = tmp_path / "policy.json"
    file.write_text('{"version": "2027-1", "emergency_offers": 5}')
    assert read_policy(file).document.policy == RoutingPolicy(version="2027-1", emergency_offers=5)


def test_invalid_policy_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    for text in ("{", '{"emergency_offers": 0}', "[]"):
        file.write_text(text)
        with pytest.raises(Refused):
            read_policy(file)


def reports(bench: Workbench) -> ReportQueries:
    """Three offers of last week, in a report and in statements."""
    offered = [bench.take(submitted(new_id(), region="RU-SPE")) for _ in range(3)]
    assert all(opened(published) for published in offered)
    bench.clock.time = NOW + dt.timedelta(days=7)
    stored = SqlWeeklyReports()
    ReportWeeks(
        database=bench.database,
        reports=stored,
        events=SqlWeekEvents(),
        network=bench.network,
        unready=lambda: None,
        clock=bench.clock,
    ).turn()
    return ReportQueries(database=bench.database, reports=stored)


def test_statement_is_of_the_caller_and_report_is_for_coordinators(bench: Workbench) -> None:
    queries = reports(bench)
    own = api.statement(queries, request("ru.far", "partner", week="2026-W10"))
    other = api.statement(queries, request("ru.other", "partner"))
    assert [json.loads(one.body)["asked"]["count"] for one in (own, other)] == [3, 0]
    whole = json.loads(api.report(queries, coordinator(language="ky")).body)
    row = next(one for one in whole["organizations"] if one["organization"] == "ru.far")
    assert row["asked"] == {"count": None, "withheld": True, "change": None}


@pytest.mark.parametrize(
    ("parameter", "accepted", "language"),
    [({}, "", "en"), ({}, "ru-RU, en;q=0.5", "ru"), ({"language": "ky"}, "ru", "ky"), ({}, "de", "en")],
)
def test_labels_of_a_report_are_in_the_language_that_the_caller_prefers(
    bench: Workbench, parameter: dict[str, str], accepted: str, language: str
) -> None:
    queries = reports(bench)
    asked = replace(coordinator(format="csv", **parameter), headers={"accept-language": accepted})
    by_header = api.report(queries, asked)
    assert by_header.headers["Content-Language"] == language
    assert by_header.headers["Vary"] == "Accept-Language"
    assert by_header.body == api.report(queries, coordinator(format="csv", language=language)).body


def test_only_coordinators_may_ask_for_reports_and_only_members_for_statements() -> None:
    roles = {one.route().template: set(one.route().roles or ()) for _, one, _ in resources("routing")}
    assert roles["/v1/coordination/report"] == {"coordinator"}
    assert roles["/v1/coordination/statistics"] == {"coordinator"}
    assert roles["/v1/statement"] == {"partner"}


@pytest.mark.parametrize(
    ("ask", "query"),
    [
        (api.report, {"week": "2026-W60"}),
        (api.report, {"language": "xx"}),
        (api.report, {"language": "uz"}),
        (api.statement, {"language": "de"}),
        (api.series, {"language": "uz"}),
        (api.series, {"every": "day"}),
        (api.series, {"limit": "0"}),
        (api.statement, {"week": "last"}),
    ],
)
def test_malformed_parameter_of_a_report_is_refused(
    bench: Workbench, ask: Callable[[ReportQueries, Request], object], query: dict[str, str]
) -> None:
    with pytest.raises(Refused) as refused:
        ask(reports(bench), coordinator(**query))
    assert refused.value.slug in ("invalid-parameter", "invalid-limit")
