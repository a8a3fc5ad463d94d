"""The coordinators' queues through the API, on both databases."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from contracts.codes import (
    Answer,
    DeclineReason,
    DisclosureClass,
    Outcome,
    ProgressStatus,
    ReferralStatus,
    SealedContent,
    UnreadableReason,
    Urgency,
    WithdrawalReason,
)
from contracts.errors import Refused
from contracts.facts import (
    AgreementChanged,
    AnswerSubmitted,
    OutcomeSubmitted,
    ProgressSubmitted,
    ReplacementSubmitted,
    UnreadableSubmitted,
    WithdrawalSubmitted,
)
from contracts.organization import ApprovedService
from contracts.records import plain
from runtime.access.tokens import Principal
from runtime.identifiers import new_id
from runtime.messaging.replica import ReplicaRecord
from runtime.turn import Turn
from runtime.web.request import Request
from services.routing import api
from services.routing.domain.coordination_queue import (
    QueueFilter,
    QueueKind,
    is_in_queue,
    priority_of,
    queue_item,
)
from services.routing.domain.directory import Directory
from services.routing.domain.needs_covered import needs_covered
from services.routing.domain.referral import Referral
from services.routing.domain.report_rows import wish_rows
from services.routing.domain.wishes import Change, ChangeKind, Wish
from tests.services.made_cursors import made_cursors
from tests.unit.services.routing.samples import (
    HOUR,
    NOW,
    SENDER,
    agreement,
    facts,
    network,
    organization,
    service,
)
from tests.unit.services.routing.workbench import (
    Workbench,
    accepted_by,
    event,
    opened,
    sender,
    submitted,
    workbench,
)


@pytest.fixture
def bench(database_url: str) -> Iterator[Workbench]:
    bench = workbench(database_url, "ru.one", "ru.two", "ru.three", sender("kz.other"))
    yield bench
    bench.close()


def page(bench: Workbench, kind: str, **query: str) -> dict[str, Any]:
    asked = Request(
        method="GET",
        route="/",
        path_params={},
        query_params={"kind": kind, **query},
        body=b"",
        caller=Principal(id="kg.coordinator", roles=frozenset({"coordinator"})),
    )
    found: dict[str, Any] = json.loads(api.queue(bench.coordination, asked, bench.clock).body)
    return found


def queued(bench: Workbench, kind: str, **query: str) -> list[str]:
    return [item["id"] for item in page(bench, kind, **query)["items"]]


def at(bench: Workbench, moment: dt.datetime) -> None:
    bench.clock.time = moment


def test_unplaced_queue_orders_by_urgency_then_age(bench: Workbench) -> None:
    ids = [new_id() for _ in range(4)]
    urgencies = (Urgency.routine, Urgency.urgent, Urgency.emergency, Urgency.urgent)
    for one, urgency in zip(ids, urgencies, strict=True):
        bench.take(submitted(one, needs=("consular.passport",), urgency=urgency))
    ordered = [ids[2], ids[1], ids[3], ids[0]]
    assert queued(bench, "unplaced") == ordered
    first = page(bench, "unplaced", limit="3")
    second = page(bench, "unplaced", limit="3", after=first["next"])
    assert [item["id"] for item in (*first["items"], *second["items"])] == ordered
    assert second["next"] is None
    assert first["items"][0] == {
        "id": ids[2],
        "status": "unplaced",
        "urgency": "emergency",
        "needs": ["consular.passport"],
        "region": "RU-MOW",
        "sender": SENDER,
        "submitted_at": "2026-03-02T09:00:00Z",
        "since": "2026-03-02T09:00:00Z",
        "reason": "no_candidate",
        "waits_for": [],
        "deadline": None,
        "part_of": None,
        "acceptor": None,
        "covers": [],
    }


def test_queue_and_candidates_say_which_of_several_needs_an_organization_meets(database_url: str) -> None:
    legal = service(needs=("legal",))
    far = service(id="clinic", needs=("health",), areas=("KZ",))
    bench = workbench(
        database_url,
        organization("ru.one", legal, far),
        organization("ru.two", legal, service(id="home", needs=("basic_needs.shelter", "health.hiv"))),
    )
    needs = ("legal.wage_claim", "basic_needs.shelter", "health.primary_care")
    bench.take(submitted(one := new_id(), needs=needs, urgency=Urgency.emergency))
    expected = {
        "ru.one": (["legal.wage_claim"], ["basic_needs.shelter", "health.primary_care"]),
        "ru.two": (["legal.wage_claim", "basic_needs.shelter"], ["health.primary_care"]),
    }
    [item] = page(bench, "emergency")["items"]
    assert {c["organization"]: (c["needs"], c["lacking"]) for c in item["covers"]} == {
        name: expected[name] for name in item["waits_for"]
    }
    assert item["waits_for"]
    found = plain(bench.coordination.candidates(one, None, NOW))["covers"]
    assert {c["organization"]: (c["needs"], c["lacking"]) for c in found} == expected
    bench.take(submitted(two := new_id(), needs=("legal.wage_claim",)))
    assert bench.coordination.candidates(two, None, NOW).covers == ()
    bench.close()


def test_sensitive_need_is_covered_by_an_approved_service_only() -> None:
    near = service(id="clinic", needs=("health.hiv", "legal"))
    approval = ApprovedService(service="clinic", needs=("health.hiv",), by="kg.coordinator", at=NOW)
    directory = network(
        organization("ru.one", near), organization("ru.two", near, approved_services=(approval,))
    )
    found = needs_covered(["ru.one", "ru.two"], ("legal", "health.hiv"), "RU-MOW", directory)
    assert [(one.needs, one.lacking) for one in found] == [
        (("legal",), ("health.hiv",)),
        (("legal", "health.hiv"), ()),
    ]


@pytest.mark.parametrize("needed", ["health", "health.hiv"])
def test_group_of_needs_is_not_covered_by_a_service_for_its_sensitive_needs_only(needed: str) -> None:
    directory = network(organization("ru.one", service(needs=("health.hiv", "legal"))))
    [found] = needs_covered(["ru.one"], ("legal", needed), "RU-MOW", directory)
    assert (found.needs, found.lacking) == (("legal",), (needed,))


def test_sensitive_need_is_not_covered_by_a_service_for_its_whole_group_without_approval() -> None:
    directory = network(organization("ru.one", service(needs=("health", "legal"))))
    [found] = needs_covered(["ru.one"], ("legal", "health.hiv"), "RU-MOW", directory)
    assert (found.needs, found.lacking) == (("legal",), ("health.hiv",))


def test_queue_compares_the_needs_of_20_organizations_at_most() -> None:
    names = [f"ru.org{number:02}" for number in range(25)]
    referral = Referral(
        id=new_id(),
        sender=names[0],
        facts=facts(needs=("legal", "health.primary_care")),
        status=ReferralStatus.unplaced,
        submitted_at=NOW,
        updated_at=NOW,
        correlation_id="c",
        waits_for=frozenset((name, "aid") for name in names),
    )
    item = queue_item(referral, QueueKind.unplaced, NOW, network(*map(organization, names)))
    assert item.waits_for == tuple(names)
    assert [one.organization for one in item.covers] == names[1:21]


def test_other_work_runs_between_two_items_and_between_two_candidates(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    legal = ("legal.wage_claim", "legal.contract")
    bench.take(*(submitted(new_id(), needs=legal, urgency=Urgency.emergency) for _ in range(2)))
    one = queued(bench, "emergency")[0]
    steps: list[str] = []
    compared = Directory.offered_services_of

    def compare(directory: Directory, organization: str) -> Any:
        steps.append(organization)
        return compared(directory, organization)

    monkeypatch.setattr(Directory, "offered_services_of", compare)
    monkeypatch.setattr(Turn, "end_if_over", lambda _: steps.append("turn"))
    bench.coordination.queue(QueueKind.emergency, NOW, QueueFilter(), after=None, limit=10)
    first = steps.index("turn")
    assert set(steps[:first]) == set(steps[first + 1 : -1]) != set()
    assert "turn" not in steps[:first] + steps[first + 1 : -1]
    steps.clear()
    covers = bench.coordination.candidates(one, None, NOW).covers
    names = [found.organization for found in covers]
    assert steps[-2 * len(names) :] == [step for name in names for step in (name, "turn")]
    assert len(names) == 3


def test_emergency_of_another_sender_is_on_the_first_page_during_a_flood(bench: Workbench) -> None:
    flood = [new_id() for _ in range(60)]
    bench.take(*(submitted(one, urgency=Urgency.emergency) for one in flood))
    bench.take(submitted(other := new_id(), sender="kz.other", urgency=Urgency.emergency))
    at(bench, NOW + HOUR)
    assert queued(bench, "emergency", limit="10")[:3] == [flood[0], other, flood[1]]
    # Every referral is in the queue, in the order of its sender.
    whole: list[str] = []
    following: dict[str, str] = {}
    while True:
        found = page(bench, "emergency", limit="7", **following)
        whole += [item["id"] for item in found["items"]]
        if found["next"] is None:
            break
        following = {"after": found["next"]}
    assert [one for one in whole if one != other] == flood
    assert len(whole) == 61


def test_pages_skip_no_referral_while_others_leave_the_queue(bench: Workbench) -> None:
    flood = [new_id() for _ in range(8)]
    for one in flood:
        bench.take(submitted(one, needs=("consular.passport",), urgency=Urgency.emergency))
    bench.take(submitted(other := new_id(), sender="kz.other", needs=("consular.passport",)))
    first = page(bench, "unplaced", limit="4")
    for one in flood[:3]:
        withdrawal = WithdrawalSubmitted(referral_id=one, organization=SENDER, reason=WithdrawalReason.other)
        bench.take(event(withdrawal, one))
    second = page(bench, "unplaced", limit="50", after=first["next"])
    assert [item["id"] for item in second["items"]] == [*flood[4:], other]


def test_sender_whose_emergencies_have_ended_waits_for_no_turn(bench: Workbench) -> None:
    for _ in range(5):
        bench.take(submitted(one := new_id(), needs=("consular.passport",), urgency=Urgency.emergency))
        withdrawal = WithdrawalSubmitted(referral_id=one, organization=SENDER, reason=WithdrawalReason.other)
        bench.take(event(withdrawal, one))
    bench.take(submitted(own := new_id(), needs=("consular.passport",), urgency=Urgency.emergency))
    bench.take(
        submitted(new_id(), sender="kz.other", needs=("consular.passport",), urgency=Urgency.emergency)
    )
    assert queued(bench, "unplaced")[0] == own


def test_unplaced_queue_shows_when_a_full_service_can_be_asked(database_url: str) -> None:
    bench = workbench(database_url, "ru.one")
    (offer,) = opened(bench.take(submitted(new_id())))
    full = AnswerSubmitted(
        referral_id=offer.referral_id,
        offer_id=offer.offer_id,
        organization=offer.organization,
        answer=Answer.decline,
        reason=DeclineReason.no_capacity,
    )
    bench.take(event(full, offer.referral_id))
    bench.take(submitted(waiting := new_id()))
    by_id = {item["id"]: item["deadline"] for item in page(bench, "unplaced")["items"]}
    assert by_id == {offer.referral_id: None, waiting: "2026-03-03T09:00:00Z"}
    bench.close()


def test_silent_queue_holds_offers_past_half_of_their_answer_time(bench: Workbench) -> None:
    urgent, routine = new_id(), new_id()
    (offer,) = opened(bench.take(submitted(urgent, urgency=Urgency.urgent)))
    bench.take(submitted(routine))
    at(bench, NOW + 12 * HOUR - dt.timedelta(microseconds=1))
    assert queued(bench, "silent") == []
    at(bench, NOW + 12 * HOUR)
    (item,) = page(bench, "silent")["items"]
    assert (item["id"], item["reason"]) == (urgent, "half_of_answer_time_passed")
    assert item["waits_for"] == [offer.organization]
    assert (item["since"], item["deadline"]) == ("2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z")
    at(bench, NOW + 36 * HOUR)
    assert queued(bench, "silent") == [urgent, routine]
    bench.take(accepted_by(offer))
    assert queued(bench, "silent") == [routine]


def test_overdue_queue_keeps_a_referral_until_the_acceptor_reports(bench: Workbench) -> None:
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral, urgency=Urgency.urgent)))
    bench.take(accepted_by(offer))
    due = NOW + 72 * HOUR
    assert queued(bench, "overdue") == []
    bench.fire(due)
    bench.fire(due + 72 * HOUR)
    (item,) = page(bench, "overdue")["items"]
    assert (item["id"], item["reason"], item["waits_for"]) == (
        referral,
        "report_overdue",
        [offer.organization],
    )
    # Since the first missed report, not since the last reminder.
    assert (item["since"], item["deadline"]) == ("2026-03-05T09:00:00Z", "2026-03-11T09:00:00Z")
    report = ProgressSubmitted(
        referral_id=referral, organization=offer.organization, status=ProgressStatus.in_progress
    )
    bench.take(event(report, referral, due + 73 * HOUR))
    assert queued(bench, "overdue") == []


def test_emergency_queue_holds_open_emergencies_only(bench: Workbench) -> None:
    emergency, closed = new_id(), new_id()
    bench.take(submitted(emergency, urgency=Urgency.emergency), submitted(new_id(), urgency=Urgency.urgent))
    offers = opened(bench.take(submitted(closed, urgency=Urgency.emergency)))
    assert queued(bench, "emergency") == [emergency, closed]
    bench.take(accepted_by(offers[0]))
    (_, held) = page(bench, "emergency")["items"]
    assert (held["status"], held["reason"]) == ("accepted", "report_awaited")
    assert held["waits_for"] == [offers[0].organization]
    outcome = OutcomeSubmitted(
        referral_id=closed, organization=offers[0].organization, outcome=Outcome.resolved
    )
    bench.take(event(outcome, closed))
    (item,) = page(bench, "emergency")["items"]
    assert (item["id"], item["reason"]) == (emergency, "answer_awaited")
    assert item["waits_for"] == ["ru.one", "ru.three", "ru.two"]


def test_queue_waits_for_the_sender_while_the_acceptor_cannot_read_the_case(bench: Workbench) -> None:
    referral = new_id()
    (offer,) = opened(bench.take(submitted(referral, urgency=Urgency.urgent)))
    unreadable = UnreadableSubmitted(
        referral_id=referral,
        organization=offer.organization,
        content=SealedContent.case,
        reason=UnreadableReason.cannot_decrypt,
    )
    bench.take(accepted_by(offer), event(unreadable, referral))

    def overdue() -> tuple[str, list[str]]:
        bench.fire(bench.clock.time + 30 * 24 * HOUR)
        (item,) = page(bench, "overdue")["items"]
        return item["reason"], item["waits_for"]

    assert overdue() == ("case_overdue", [SENDER])
    again = ReplacementSubmitted(referral_id=referral, organization=SENDER, to=offer.organization)
    bench.take(event(again, referral, bench.clock.time))
    assert overdue() == ("report_overdue", [offer.organization])


def test_emergency_without_a_readable_case_waits_for_its_sender(bench: Workbench) -> None:
    referral = new_id()
    first, *_ = opened(bench.take(submitted(referral, urgency=Urgency.emergency)))
    unreadable = UnreadableSubmitted(
        referral_id=referral,
        organization=first.organization,
        content=SealedContent.case,
        reason=UnreadableReason.cannot_decrypt,
    )
    bench.take(accepted_by(first), event(unreadable, referral))
    (item,) = page(bench, "emergency")["items"]
    assert (item["reason"], item["waits_for"]) == ("case_awaited", [SENDER])


def test_queues_hold_exactly_the_referrals_that_the_domain_names(bench: Workbench) -> None:
    ids = [new_id() for _ in range(12)]
    for number, one in enumerate(ids):
        urgency = list(Urgency)[number % 3]
        needs = ("consular.passport",) if number % 4 == 3 else ("legal.wage_claim",)
        published = bench.take(submitted(one, urgency=urgency, needs=needs))
        if offers := opened(published)[: number % 2]:
            bench.take(accepted_by(offers[0]))
    for hours in (0, 1, 20, 40, 80, 800):
        moment = NOW + hours * HOUR
        bench.fire(moment)
        with bench.database.read() as transaction:
            known = bench.store.view(transaction, ids).values()
        for kind in QueueKind:
            expected = sorted(
                (one for one in known if is_in_queue(one, kind, moment)),
                key=lambda one: (priority_of(one), one.turn_at, one.id),
            )
            assert queued(bench, kind) == [one.id for one in expected], (kind, hours)


def test_queue_is_filtered_by_region_need_and_organization(bench: Workbench) -> None:
    bench.absorb([organization("ru.far", service(areas=("RU-SPE",), needs=("legal.contract",)))])
    moscow, far, other = new_id(), new_id(), new_id()
    bench.take(submitted(moscow, urgency=Urgency.emergency))
    bench.take(submitted(far, urgency=Urgency.emergency, region="RU-SPE", needs=("legal.contract",)))
    bench.take(
        submitted(
            other,
            sender="kz.other",
            urgency=Urgency.emergency,
            region="KZ-ALA",
            needs=("health.primary_care",),
        )
    )
    for query, expected in (
        ({"region": "RU-SPE"}, [far]),
        ({"region": "RU"}, [moscow, far]),
        ({"region": "KZ"}, [other]),
        ({"need": "legal"}, [moscow, far]),
        ({"need": "legal.wage_claim"}, [moscow]),
        ({"organization": "kz.other"}, [other]),
        ({"organization": "ru.far"}, [far]),
        ({"organization": "ru.one"}, [moscow]),
        ({"organization": SENDER, "region": "RU-MOW"}, [moscow]),
    ):
        assert queued(bench, "emergency", **query) == expected, query


@pytest.mark.parametrize(
    "query",
    [
        {"kind": "lost"},
        {"region": "RU%"},
        {"need": "legal.wage_cl"},
        {"organization": "a b"},
        {"organization": "nobody"},
        {"organization": "RU.nobody"},
        {"organization": "ru." + "x" * 98},
        {"limit": "0"},
    ],
)
def test_queue_with_an_invalid_parameter_is_refused(bench: Workbench, query: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        page(bench, **{"kind": "unplaced", **query})
    assert refused.value.slug == "invalid-parameter"


@pytest.mark.parametrize("kind", QueueKind)
def test_queue_with_a_forged_cursor_is_refused(bench: Workbench, kind: QueueKind) -> None:
    for cursor in made_cursors(f"q-{kind}"):
        with pytest.raises(Refused) as refused:
            page(bench, kind, after=cursor)
        assert refused.value.slug == "invalid-cursor"


def test_queue_with_a_cursor_of_another_queue_is_refused(bench: Workbench) -> None:
    for _ in range(2):
        bench.take(submitted(new_id(), needs=("consular.passport",)))
    cursor = page(bench, "unplaced", limit="1")["next"]
    with pytest.raises(Refused) as refused:
        page(bench, "emergency", after=cursor)
    assert refused.value.slug == "invalid-cursor"


# --- the network as a whole -------------------------------------------------------------------------


def asked(**query: str) -> Request:
    return Request(
        method="GET",
        route="/",
        path_params={},
        query_params=query,
        body=b"",
        caller=Principal(id="kg.coordinator", roles=frozenset({"coordinator"})),
    )


def engaged(bench: Workbench, organization_id: str) -> dict[str, Any]:
    request = replace(asked(), path_params={"id": organization_id})
    found: dict[str, Any] = json.loads(api.engagements(bench.coordination, request).body)
    return found


def test_engagements_count_open_offers_and_accepted_referrals_by_urgency(database_url: str) -> None:
    bench = workbench(database_url, "ru.one")
    urgencies = (Urgency.emergency, Urgency.urgent, Urgency.urgent, Urgency.routine)
    offers = [opened(bench.take(submitted(new_id(), urgency=one)))[0] for one in urgencies]
    for offer in offers[:2]:
        bench.take(accepted_by(offer))
    none = {"emergency": 0, "urgent": 0, "routine": 0}
    assert engaged(bench, "ru.one") == {
        "organization": "ru.one",
        "open_offers": {"emergency": 0, "urgent": 1, "routine": 1},
        "accepted": {"emergency": 1, "urgent": 1, "routine": 0},
        "sent": none,
        "sensitive_offers": {},
    }
    assert engaged(bench, "kg.unknown") == {
        "organization": "kg.unknown",
        **dict.fromkeys(("open_offers", "accepted", "sent"), none),
        "sensitive_offers": {},
    }
    assert engaged(bench, SENDER)["sent"] == {"emergency": 1, "urgent": 2, "routine": 1}
    completed = OutcomeSubmitted(
        referral_id=offers[0].referral_id, organization="ru.one", outcome=Outcome.resolved
    )
    bench.take(event(completed, offers[0].referral_id))
    assert engaged(bench, "ru.one")["accepted"] == {"emergency": 0, "urgent": 1, "routine": 0}
    assert engaged(bench, SENDER)["sent"] == {"emergency": 0, "urgent": 2, "routine": 1}
    bench.close()


def test_engagements_count_offers_about_sensitive_needs_by_service(database_url: str) -> None:
    approval = ApprovedService(service="legal", needs=("health.hiv",), by="kg.operator", at=NOW)
    needs = ("health.hiv", "legal.wage_claim")
    bench = workbench(
        database_url, organization("ru.one", service(needs=needs), approved_services=(approval,))
    )
    allowed = {"agreement": plain(agreement(disclosure=DisclosureClass.sensitive))}
    version = bench.network.directory.version + 1
    record = ReplicaRecord(type=AgreementChanged.type, key="network", change=version, data=allowed)
    bench.network.absorb([record])
    for need in (*needs, "health.hiv"):
        assert opened(bench.take(submitted(new_id(), needs=(need,))))
    assert engaged(bench, "ru.one")["sensitive_offers"] == {"legal": 2}
    bench.close()


def test_wishes_count_unplaced_referrals_only(bench: Workbench) -> None:
    for _ in range(2):
        bench.take(submitted(new_id(), needs=("consular.passport",)))
    bench.take(submitted(new_id(), languages=("tg",)), submitted(new_id()))
    found = json.loads(api.wishes(bench.whole_network, asked(), bench.clock).body)
    assert found["considered"] == 3
    assert [(one["changes"][0]["kind"], one["referrals"]) for one in found["items"]] == [
        ("service", 2),
        ("interpreter", 1),
    ]
    assert found["items"][1]["changes"] == [
        {
            "kind": "interpreter",
            "organization": None,
            "region": "RU-MOW",
            "need": None,
            "language": "tg",
            "conditions": [],
            "service": None,
        }
    ]
    few = json.loads(api.wishes(bench.whole_network, asked(limit="1", need="legal"), bench.clock).body)
    assert (few["considered"], len(few["items"])) == (1, 1)


def test_coverage_is_paged_and_filtered(bench: Workbench) -> None:
    bench.take(submitted(new_id(), languages=("tg",)))
    whole = json.loads(api.coverage(bench.whole_network, asked(), bench.clock).body)
    assert whole["next"] is None
    assert [(one["language"], one["services"], one["unplaced"]) for one in whole["items"]] == [
        ("ky", 3, 0),
        ("ru", 3, 0),
        ("tg", 0, 1),
    ]
    items, after = [], ""
    while True:
        part = json.loads(api.coverage(bench.whole_network, asked(limit="2", after=after), bench.clock).body)
        items += part["items"]
        if (after := part["next"]) is None:
            break
    assert items == whole["items"]
    lacking = json.loads(api.coverage(bench.whole_network, asked(lacking="true"), bench.clock).body)
    assert lacking["items"] == whole["items"][2:]


def test_csv_of_coverage_has_all_cells(bench: Workbench) -> None:
    bench.take(submitted(new_id(), languages=("tg",)))
    cells = json.loads(api.coverage(bench.whole_network, asked(), bench.clock).body)["items"]
    answer = api.coverage(bench.whole_network, asked(format="csv"), bench.clock)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    assert rows == [{name: str(value) for name, value in one.items()} for one in cells]


def test_csv_of_wishes_has_a_row_for_each_change(bench: Workbench) -> None:
    for _ in range(2):
        bench.take(submitted(new_id(), needs=("consular.passport",)))
    bench.take(submitted(new_id(), languages=("tg",)))
    text = api.wishes(bench.whole_network, asked(format="csv", limit="2"), bench.clock).body.decode()
    assert text.splitlines() == [
        '"rank","referrals","emergencies","change","organization","region","need","language","conditions","service"',
        '1,2,0,"service","","RU-MOW","consular.passport","","",""',
        '2,1,0,"interpreter","","RU-MOW","","tg","",""',
    ]
    place = Change(kind=ChangeKind.places, region="RU-MOW", need="legal")
    vetting = Change(kind=ChangeKind.vetting, organization="ru.one")
    both = Wish(changes=(place, vetting), referrals=3, emergencies=1)
    assert [row[:5] for row in wish_rows([both])][1:] == [
        (1, 3, 1, "places", None),
        (1, 3, 1, "vetting", "ru.one"),
    ]


@pytest.mark.parametrize(
    "query",
    [
        {"lacking": "yes"},
        {"language": "xx"},
        {"region": "RU%"},
        {"after": "bm90LW91cnM"},
        {"format": "xml"},
        {"format": "csv", "limit": "2"},
        {"format": "csv", "after": ""},
    ],
)
def test_coverage_with_an_invalid_parameter_is_refused(bench: Workbench, query: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        api.coverage(bench.whole_network, asked(**query), bench.clock)
    assert refused.value.slug in ("invalid-parameter", "invalid-cursor")


def test_coverage_with_a_forged_cursor_is_refused(bench: Workbench) -> None:
    for cursor in made_cursors("coverage"):
        with pytest.raises(Refused) as refused:
            api.coverage(bench.whole_network, asked(after=cursor), bench.clock)
        assert refused.value.slug == "invalid-cursor"
