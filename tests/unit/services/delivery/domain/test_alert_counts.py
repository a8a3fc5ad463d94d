from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import get_type_hints

from contracts import facts
from contracts.codes import Urgency
from contracts.records import load, plain
from services.delivery.domain.alert_counts import (
    CAUSES,
    SINGLE,
    SINGLY,
    AlertKind,
    alert_kind,
    counted,
    hour_of,
    is_single,
)
from services.delivery.domain.closing import ALERTS
from services.delivery.domain.recipients import COORDINATED, RECIPIENTS

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
KIND = AlertKind(organization="kg.sender", type=facts.ReferralUnplaced.type)


def test_every_message_of_the_coordinators_is_counted_or_has_a_reason_why_one_cannot_repeat_it() -> None:
    assert CAUSES.keys() | SINGLY.keys() == COORDINATED.keys()
    assert not CAUSES.keys() & SINGLY.keys()
    assert all(SINGLY.values())


def test_every_alert_of_the_coordinators_is_counted_by_a_field_that_names_an_organization() -> None:
    # An organisation cannot cause many of these: see `SINGLY`.
    few = {facts.ReferralAcceptorDeclinedPart.type}
    assert CAUSES.keys() > ALERTS - few
    assert SINGLY.keys() >= few
    for kind, field in CAUSES.items():
        assert field in get_type_hints(facts.CATALOGUE[kind])
        assert kind in COORDINATED
        assert kind in RECIPIENTS


def test_alerts_count_by_urgency_where_they_tell_it() -> None:
    data = {"sender": "kg.sender", "organization": "ru.acceptor"}
    urgent = alert_kind(facts.ReferralUnplaced.type, {**data, "urgency": "urgent"})
    assert urgent == replace(KIND, urgency="urgent") != KIND
    assert alert_kind(facts.ReferralOverdue.type, data) == AlertKind(
        organization="ru.acceptor", type=facts.ReferralOverdue.type
    )
    fact = counted(replace(KIND, urgency="urgent"), NOON, 0, SINGLE + 1)
    assert fact is not None
    assert fact.urgency is Urgency.urgent


def test_count_can_name_every_type_that_is_counted() -> None:
    for kind in CAUSES:
        fact = counted(AlertKind(organization="kg.sender", type=kind), NOON, 0, SINGLE + 1)
        assert fact is not None
        assert load(facts.AlertsCounted, plain(fact)) == fact


def test_alerts_of_a_burst_are_counted_whenever_their_number_has_doubled() -> None:
    messages = []
    for number in range(1, 301):
        fact = counted(KIND, NOON, number - 1, number)
        messages += [number] if is_single(number) else []
        messages += [fact.messages] if fact is not None else []
    assert messages == [*range(1, SINGLE + 1), 21, 41, 81, 161]


def test_alerts_that_arrive_together_are_counted_once() -> None:
    assert counted(KIND, NOON, 0, SINGLE) is None
    assert counted(KIND, NOON, 5, 300) == facts.AlertsCounted(
        organization="kg.sender", message_type=facts.ReferralUnplaced.type, since=NOON, messages=300
    )


def test_alerts_of_one_hour_count_together() -> None:
    assert hour_of(NOON + dt.timedelta(minutes=59, microseconds=3)) == NOON
    assert hour_of(NOON + dt.timedelta(minutes=60)) == NOON + dt.timedelta(hours=1)


def test_alert_without_its_optional_urgency_is_of_no_urgency() -> None:
    data = {"organization": "kg.one", "urgency": None}
    assert alert_kind(facts.OfferRevoked.type, data) == AlertKind(
        organization="kg.one", type=facts.OfferRevoked.type
    )
