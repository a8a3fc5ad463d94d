from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from contracts.organization import Agreement
from contracts.record_schema import schema_of
from contracts.rfc3339 import in_utc, parse_date, parse_time

NO_TIMES = (
    "2026-05-01T08:30Z",
    "2026-05-01T08Z",
    "2026-05-01",
    "2026-05-01T08:30:00",
    "2026-05-01 08:30:00Z",
    "2026-05-01x08:30:00Z",
    "20260501T083000Z",
    "2026-W18-5T08:30:00Z",
    "2026-05-01T08:30:00,5Z",
    "2026-05-01T08:30:00.Z",
    "2026-05-01T08:30:00+06",
    "2026-05-01T08:30:00+0600",
    "2026-05-01T08:30:00+06:00:01",
    "2026-05-01T08:30:005+06:00",
    "2026-05-01T08:30:00:Z",
    "2026-05-01T08:30:60Z",
    "2026-05-01T24:00:00Z",
    "2026-02-29T08:30:00Z",
    "2026-05-01T08:30:00Z\n",
    " 2026-05-01T08:30:00Z",
    "٢026-05-01T08:30:00Z",
    "",
)
NO_DATES = ("20260501", "2026-W18-5", "2026-5-1", "2026-05-01T00:00:00Z", "2026-02-29", "2026-05-01\n", "")


@pytest.mark.parametrize("text", NO_TIMES)
def test_parse_time_refuses_other_texts_than_rfc_3339_times(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_time(text)


@pytest.mark.parametrize("text", NO_DATES)
def test_parse_date_refuses_other_texts_than_rfc_3339_dates(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_date(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-01T14:30:00+06:00",
        "2026-05-01T08:30:00Z",
        "2026-05-01t08:30:00z",
        "2026-05-01T08:30:00-00:00",
        "2026-05-01T08:30:00.000Z",
        "2026-05-01T08:30:00.0000009Z",
    ],
)
def test_parse_time_returns_every_form_of_rfc_3339_in_utc(text: str) -> None:
    assert parse_time(text).isoformat() == "2026-05-01T08:30:00+00:00"


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_times_are_read_as_they_are_written(moment: dt.datetime) -> None:
    assert parse_time(moment.isoformat()) == moment


@given(st.dates())
def test_dates_are_read_as_they_are_written(day: dt.date) -> None:
    assert parse_date(day.isoformat()) == day


def test_records_of_partners_take_only_rfc_3339_dates() -> None:
    field = schema_of(Agreement)().fields["effective_from"]
    assert field.deserialize("2026-05-01") == dt.date(2026, 5, 1)
    for text in NO_DATES:
        with pytest.raises(ValidationError, match="date"):
            field.deserialize(text)


def test_in_utc_requires_an_offset() -> None:
    bishkek = dt.timezone(dt.timedelta(hours=6))
    assert in_utc(dt.datetime(2026, 3, 1, 18, tzinfo=bishkek)).isoformat() == "2026-03-01T12:00:00+00:00"
    with pytest.raises(ValueError, match="naive"):
        in_utc(dt.datetime(2026, 3, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="UTC"):
        in_utc(dt.datetime.min.replace(tzinfo=bishkek))
