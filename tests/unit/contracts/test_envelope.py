from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

import pytest

from contracts.envelope import Envelope, Event, decode
from contracts.records import Malformed
from tests.golden_messages.examples import EXAMPLES, NOON

EVENT = EXAMPLES["kopuro.offer.accepted.v1"]
MESSAGE: dict[str, Any] = json.loads(EVENT.encode())


def malformed(message: Any) -> str:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    with pytest.raises(Malformed) as caught:
        decode(body)
    return str(caught.value)


def test_a_message_is_a_cloudevent_in_structured_json() -> None:
    assert {
        "specversion": "1.0",
        "id": EVENT.id,
        "source": "/kg/routing",
        "type": "kopuro.offer.accepted.v1",
        "subject": EVENT.partition_key,
        "time": "2026-03-01T12:00:00.123456Z",
        "datacontenttype": "application/json",
        "dataclassification": "routing-facts",
        "partitionkey": EVENT.partition_key,
        "correlationid": EVENT.correlation_id,
        "causationid": EVENT.causation_id,
        "traceparent": EVENT.traceparent,
        "data": None,
    } == {**MESSAGE, "data": None}


def test_the_extension_attributes_are_named_as_cloudevents_allows() -> None:
    # §3: lower-case letters and digits, and should not exceed 20 characters
    assert all(name.isalnum() and name.islower() and len(name) <= 20 for name in MESSAGE)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"id": NaN}', b"\x00", b"[" * 100_000])
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    assert malformed(body) == "not JSON"


@pytest.mark.parametrize("message", [[], None, "x", 1, {}, {**MESSAGE, "specversion": "0.3"}])
def test_what_is_no_cloudevent_of_version_1_is_malformed(message: Any) -> None:
    assert malformed(message) == "/specversion: not a CloudEvent of version 1.0"


@pytest.mark.parametrize("name", ["id", "source", "type", "time", "partitionkey", "correlationid", "data"])
def test_a_required_attribute_may_not_be_missing(name: str) -> None:
    message = {key: value for key, value in MESSAGE.items() if key != name}
    assert malformed(message) == f"/{name}: missing"


@pytest.mark.parametrize("value", ["", None, 1, [], {}])
@pytest.mark.parametrize("name", ["id", "source", "type", "time", "partitionkey", "correlationid"])
def test_a_required_attribute_is_a_text(name: str, value: Any) -> None:
    assert malformed({**MESSAGE, name: value}) == f"/{name}: not a text"


@pytest.mark.parametrize("id_", ["i" * 65, "nul\0nul", "\0"])
def test_an_id_that_a_database_would_cut_short_or_refuse_is_malformed(id_: str) -> None:
    assert malformed({**MESSAGE, "id": id_}) == "/id: longer than 64 characters, or contains a NUL"


@pytest.mark.parametrize("id_", ["i" * 64, "Айгерим", " "])
def test_any_other_text_is_an_id(id_: str) -> None:
    assert decode(json.dumps({**MESSAGE, "id": id_}).encode()).id == id_


@pytest.mark.parametrize("name", ["causationid", "traceparent"])
def test_an_optional_attribute_may_be_absent_or_null_and_is_otherwise_a_text(name: str) -> None:
    absent = {key: value for key, value in MESSAGE.items() if key != name}
    assert decode(json.dumps(absent).encode()) == decode(json.dumps({**MESSAGE, name: None}).encode())
    assert malformed({**MESSAGE, name: 1}) == f"/{name}: not a text"


@pytest.mark.parametrize(
    "time", ["2026-03-01T12:00:00", "2026-03-01", "noon", "0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z"]
)
def test_a_time_names_a_moment(time: str) -> None:
    assert malformed({**MESSAGE, "time": time}) == "/time: not an RFC 3339 time with an offset"


@pytest.mark.parametrize("data", [None, [], "x", 1])
def test_the_data_is_an_object(data: Any) -> None:
    assert malformed({**MESSAGE, "data": data}) == "/data: not an object"


@pytest.mark.parametrize("name", ["kopuro.offer.accepted.v2", "kopuro.offer.eaten.v1", "offer.accepted"])
def test_an_unknown_type_is_malformed_as_an_event_and_still_an_envelope(name: str) -> None:
    message = {**MESSAGE, "type": name}
    assert malformed(message) == "/type: not in the catalogue"
    assert Envelope.decode(json.dumps(message).encode()).type == name


def test_data_of_another_shape_is_malformed_and_says_where() -> None:
    data = {key: value for key, value in MESSAGE["data"].items() if key != "offer_id"}
    assert malformed({**MESSAGE, "data": data}) == "/offer_id: missing"


def test_the_envelope_keeps_the_bytes_as_they_came() -> None:
    body = EVENT.encode() + b" "
    envelope = Envelope.decode(body)
    assert envelope.body == body
    assert envelope.data == MESSAGE["data"]
    assert envelope.event() == EVENT


def test_time_is_written_in_utc_whatever_the_offset_it_came_with() -> None:
    bishkek = dt.timezone(dt.timedelta(hours=6))
    event = dataclasses.replace(EVENT, time=NOON.astimezone(bishkek))
    assert json.loads(event.encode())["time"] == "2026-03-01T12:00:00Z"
    assert decode(event.encode()).time == NOON


def test_an_event_has_no_naive_time() -> None:
    with pytest.raises(ValueError, match="naive"):
        dataclasses.replace(EVENT, time=dt.datetime(2026, 3, 1))  # noqa: DTZ001


def test_an_event_knows_its_type() -> None:
    event: Event[Any] = EVENT
    assert event.type == "kopuro.offer.accepted.v1"
