"""The reads that delivery records: the acceptor's fetch of a case, and what a coordinator's page contains."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from contracts.errors import Refused, Unavailable
from contracts.facts import CaseFetched
from runtime.access.daily_reads import DailyReads
from runtime.access.read_recorder import ReadRecorder
from runtime.access.reads import NOTHING_READ, Read
from runtime.access.tokens import Principal
from runtime.messaging.outbox.outbox import Outbox
from runtime.web.request import Request
from services.delivery import api
from services.delivery.adapters.tables import MESSAGING
from tests.unit.services.delivery.workbench import (
    ACCEPTOR,
    REFERRAL,
    SEALED,
    STRANGER,
    Workbench,
    released_case,
    unplaced,
)


def recorder(bench: Workbench) -> ReadRecorder:
    return ReadRecorder(
        database=bench.database,
        outbox=Outbox(MESSAGING.outbox),
        source="/kg/delivery",
        clock=bench.clock,
        after_commit=lambda: None,
    )


def daily(bench: Workbench) -> DailyReads:
    return DailyReads(lambda: bench.clock.now().date())


def request(who: str, role: str = "partner", client: str = "acceptors-server") -> Request:
    return Request(
        method="GET",
        route="/v1/case/<referral_id>",
        path_params={"referral_id": REFERRAL},
        caller=Principal(id=who, roles=frozenset({role}), client_id=client),
    )


def test_fetch_of_a_case_is_recorded_with_organization_and_client(bench: Workbench) -> None:
    bench.receive(released_case())
    fetched = api.case(bench.partner, recorder(bench), daily(bench), request(ACCEPTOR))
    assert SEALED.encode() in fetched.body
    fact = CaseFetched(referral_id=REFERRAL, organization=ACCEPTOR, client_id="acceptors-server")
    assert [(event.data, event.partition_key) for event in bench.sent()] == [(fact, REFERRAL)]


def test_acceptor_that_fetches_a_case_again_and_again_does_not_fill_its_history(bench: Workbench) -> None:
    bench.receive(released_case())
    reads, fetches = recorder(bench), daily(bench)
    for _ in range(50):
        assert SEALED.encode() in api.case(bench.partner, reads, fetches, request(ACCEPTOR)).body
    assert len(bench.sent()) == 1
    bench.clock.time += dt.timedelta(days=1)
    api.case(bench.partner, reads, fetches, request(ACCEPTOR))
    assert len(bench.sent()) == 2


def test_first_fetch_by_another_client_or_of_another_case_is_recorded(bench: Workbench) -> None:
    bench.receive(released_case())
    reads, fetches = recorder(bench), daily(bench)
    api.case(bench.partner, reads, fetches, request(ACCEPTOR))
    api.case(bench.partner, reads, fetches, request(ACCEPTOR, client="thief"))
    facts = [event.data for event in bench.sent() if isinstance(event.data, CaseFetched)]
    assert [fact.client_id for fact in facts] == ["acceptors-server", "thief"]
    resealed = SEALED.replace("a2V5", "bmV3")
    bench.receive(released_case(case=resealed))
    assert resealed.encode() in api.case(bench.partner, reads, fetches, request(ACCEPTOR)).body
    assert len(bench.sent()) == 3


def test_refused_fetch_of_a_case_is_not_a_read(bench: Workbench) -> None:
    bench.receive(released_case())
    with pytest.raises(Refused):
        api.case(bench.partner, recorder(bench), daily(bench), request(STRANGER))
    assert bench.sent() == []


def test_case_does_not_leave_while_its_fetch_cannot_be_recorded(bench: Workbench) -> None:
    bench.receive(released_case())
    with bench.database.write() as transaction:
        transaction.exec_driver_sql("ALTER TABLE outbox RENAME TO gone")
    with pytest.raises(Unavailable):
        api.case(bench.partner, recorder(bench), daily(bench), request(ACCEPTOR))


def test_coordinators_page_states_its_referrals_and_an_empty_page_none(bench: Workbench) -> None:
    assert api.mailbox(bench.partner, request("kg.coordinator", "coordinator")).read is NOTHING_READ
    bench.receive(unplaced(), released_case())
    page = api.mailbox(bench.partner, request("kg.coordinator", "coordinator"))
    assert page.read == Read.of_list([REFERRAL], {})
    assert api.mailbox(bench.partner, request(ACCEPTOR)).read is None, "a party's own mailbox"


def test_coordinators_page_states_the_types_and_the_place_that_were_asked_for(bench: Workbench) -> None:
    bench.receive(unplaced())
    asked = {"type": "referral.unplaced", "from": "2026-03-01T00:00:00Z"}
    coordinator = replace(request("kg.coordinator", "coordinator"), query_params={**asked, "limit": "5"})
    assert api.mailbox(bench.partner, coordinator).read == Read.of_list([REFERRAL], asked)
