"""The record that an operator read a dead letter's data."""

from __future__ import annotations

import datetime as dt
import os
import pwd
from collections.abc import Mapping
from typing import Any

import pytest

from admin.dead_letter_reads import read_of
from admin.operator_name import login_name
from contracts.errors import Refused
from runtime.identifiers import new_id
from runtime.messaging.dead_letters.dead_letter_queue import DeadLetter, EventSummary, Opened

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
FIRST, SECOND = new_id(), new_id()


def summary(key: str, source: str = "/kg/intake") -> EventSummary:
    return EventSummary(
        id=new_id(),
        type="kopuro.referral.submitted.v1",
        source=source,
        time=NOON,
        partition_key=key,
        correlation_id="c",
        causation_id=None,
        traceparent=None,
    )


def opened(*events: tuple[EventSummary | None, Mapping[str, Any] | None]) -> Opened:
    letter = DeadLetter(
        number=1,
        consumer="routing",
        message_id="m1",
        reason="Defect",
        first_seen=None,
        origin="routing.0",
        exchange="kopuro.events.intake",
        partition_key="k",
        size=1,
        events=tuple(event for event, _ in events),
    )
    return Opened(letter=letter, data=tuple(data for _, data in events), digest=b"")


def test_read_names_operator_and_every_referral_once() -> None:
    read = read_of(
        "routing",
        opened((summary(FIRST), {"referral_id": FIRST}), (summary("kg.a"), {"referral_id": SECOND})),
        now=NOON,
    )
    assert read is not None
    assert read.source == "/kg/operations"
    assert read.partition_key == "routing", "not the history of one of two referrals"
    assert read.data.reader == login_name()  # type: ignore[attr-defined]
    assert read.data.referral_ids == (FIRST, SECOND)  # type: ignore[attr-defined]


def test_read_of_one_referral_is_in_its_history() -> None:
    read = read_of("routing", opened((summary(FIRST), {"sender": "kg.a"}), (None, None)), now=NOON)
    assert read is not None
    assert read.partition_key == FIRST
    assert read.data.entries == 1  # type: ignore[attr-defined]


def test_sealed_data_and_data_of_no_referral_leave_no_record() -> None:
    assert read_of("routing", opened((summary(FIRST), None)), now=NOON) is None
    assert read_of("routing", opened((summary("kg.a"), {"organization": "kg.a"})), now=NOON) is None


def test_data_of_a_referral_whose_events_name_no_hub_is_refused() -> None:
    with pytest.raises(Refused):
        read_of("routing", opened((summary(FIRST, source="forged"), {"sender": "kg.a"})), now=NOON)


def test_environment_gives_the_operator_no_other_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "kg.coordinator")
    assert login_name() == pwd.getpwuid(os.getuid()).pw_name


def test_operator_without_a_login_name_is_named_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_number: int) -> pwd.struct_passwd:
        raise KeyError("uid not found")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    read = read_of("routing", opened((summary(FIRST), {})), now=NOON)
    assert read is not None
    assert read.data.reader.startswith("uid ")  # type: ignore[attr-defined]
