from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

import pytest

from contracts import envelope as envelopes
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


def test_encoded_event_is_a_structured_cloudevent() -> None:
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


def test_extension_attribute_names_follow_cloudevents() -> None:
    # §3: lower-case letters and digits, and should not exceed 20 characters
    assert all(name.isalnum() and name.islower() and len(name) <= 20 for name in MESSAGE)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"id": NaN}', b"\x00", b"[" * 100_000])
def test_bytes_that_are_not_json_are_malformed(body: bytes) -> None:
    assert malformed(body) == "not JSON"


@pytest.mark.parametrize("message", [[], None, "x", 1, {}, {**MESSAGE, "specversion": "0.3"}])
def test_message_that_is_not_cloudevents_1_is_malformed(message: Any) -> None:
    assert malformed(message) == "/specversion: not a CloudEvent of version 1.0"


@pytest.mark.parametrize("name", ["id", "source", "type", "time", "partitionkey", "correlationid", "data"])
def test_message_without_required_attribute_is_malformed(name: str) -> None:
    message = {key: value for key, value in MESSAGE.items() if key != name}
    assert malformed(message) == f"/{name}: missing"


@pytest.mark.parametrize("value", ["", None, 1, [], {}])
@pytest.mark.parametrize("name", ["id", "source", "type", "time", "partitionkey", "correlationid"])
def test_required_attribute_that_is_not_text_is_malformed(name: str, value: Any) -> None:
    assert malformed({**MESSAGE, name: value}) == f"/{name}: not a text"


@pytest.mark.parametrize("id_", ["i" * 65, "nul\0nul", "\0"])
def test_id_too_long_or_with_nul_is_malformed(id_: str) -> None:
    assert malformed({**MESSAGE, "id": id_}) == "/id: longer than 64 characters, or contains a NUL"


@pytest.mark.parametrize("id_", ["i" * 64, "Айгерим", " "])
def test_id_with_any_other_text_is_accepted(id_: str) -> None:
    assert decode(json.dumps({**MESSAGE, "id": id_}).encode()).id == id_


@pytest.mark.parametrize("name", ["causationid", "traceparent"])
def test_optional_attribute_is_absent_null_or_text(name: str) -> None:
    absent = {key: value for key, value in MESSAGE.items() if key != name}
    assert decode(json.dumps(absent).encode()) == decode(json.dumps({**MESSAGE, name: None}).encode())
    assert malformed({**MESSAGE, name: 1}) == f"/{name}: not a text"


@pytest.mark.parametrize(
    "time", ["2026-03-01T12:00:00", "2026-03-01", "noon", "0001-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z"]
)
def test_time_without_offset_or_date_is_malformed(time: str) -> None:
    assert malformed({**MESSAGE, "time": time}) == "/time: not an RFC 3339 time with an offset"


@pytest.mark.parametrize("data", [None, [], "x", 1])
def test_data_that_is_not_an_object_is_malformed(data: Any) -> None:
    assert malformed({**MESSAGE, "data": data}) == "/data: not an object"


@pytest.mark.parametrize("name", ["kopuro.offer.accepted.v2", "kopuro.offer.eaten.v1", "offer.accepted"])
def test_unknown_type_is_an_envelope_but_a_malformed_event(name: str) -> None:
    message = {**MESSAGE, "type": name}
    assert malformed(message) == "/type: not in the catalogue"
    assert Envelope.decode(json.dumps(message).encode()).type == name


def test_data_of_wrong_shape_is_malformed_with_pointer() -> None:
    data = {key: value for key, value in MESSAGE["data"].items() if key != "offer_id"}
    assert malformed({**MESSAGE, "data": data}) == "/offer_id: missing"


def test_envelope_keeps_the_received_bytes() -> None:
    body = EVENT.encode() + b" "
    envelope = Envelope.decode(body)
    assert envelope.body == body
    assert envelope.data == MESSAGE["data"]
    assert envelope.event() == EVENT


@pytest.mark.parametrize("name", EXAMPLES)
def test_event_equals_that_of_its_envelope(name: str) -> None:
    body = EXAMPLES[name].encode()
    assert decode(body) == Envelope.decode(body).event()


def test_event_is_read_without_an_envelope_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    body = EVENT.encode()
    monkeypatch.setattr(envelopes, "Envelope", None)
    assert decode(body) == EVENT


def test_event_time_is_encoded_in_utc() -> None:
    bishkek = dt.timezone(dt.timedelta(hours=6))
    event = dataclasses.replace(EVENT, time=NOON.astimezone(bishkek))
    assert json.loads(event.encode())["time"] == "2026-03-01T12:00:00Z"
    assert decode(event.encode()).time == NOON


def test_event_with_naive_time_raises() -> None:
    with pytest.raises(ValueError, match="naive"):
        dataclasses.replace(EVENT, time=dt.datetime(2026, 3, 1))  # noqa: DTZ001


def test_event_type_is_that_of_its_fact() -> None:
    event: Event[Any] = EVENT
    assert event.type == "kopuro.offer.accepted.v1"
