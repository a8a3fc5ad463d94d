"""Batching of events in the outbox, and unpacking into the same bytes."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.topology import EVENTS, partition_of
from runtime.messaging.outbox.event_batch import (
    MOST_BYTES,
    MOST_EVENTS,
    decode_batch,
    encode_batch,
    event_count,
    is_batch,
)
from runtime.messaging.ports import Outgoing


def message(
    number: int,
    *,
    key: str = "offer.opened",
    partition: str | None = None,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    transient: bool = False,
) -> Outgoing:
    return Outgoing(
        exchange=EVENTS,
        routing_key=key,
        message_id=f"m{number}",
        partition_key=f"r{number}" if partition is None else partition,
        body=b'{"n":%d}' % number if body is None else body,
        headers=headers or {},
        transient=transient,
    )


def decoded(batches: list[Outgoing]) -> list[tuple[str, bytes]]:
    return [(one.routing_key, body) for one in batches for body in decode_batch(one.body)]


def test_single_event_is_not_batched() -> None:
    assert encode_batch([message(1)]) == [message(1)]
    assert decode_batch(message(1).body) == [message(1).body]
    assert event_count(message(1).body) == 1


def test_events_with_one_route_are_batched() -> None:
    (batch,) = encode_batch([message(1), message(2), message(3)])
    assert batch.body == b'[\n{"n":1},\n{"n":2},\n{"n":3}\n]'
    assert (batch.message_id, batch.partition_key, batch.routing_key) == ("m1", "r1", "offer.opened")
    assert decode_batch(batch.body) == [b'{"n":1}', b'{"n":2}', b'{"n":3}']
    assert event_count(batch.body) == 3


def test_event_batch_is_a_json_array() -> None:
    (batch,) = encode_batch([message(1), message(2)])
    assert orjson.loads(batch.body) == [{"n": 1}, {"n": 2}]


def test_events_with_other_routes_get_other_batches() -> None:
    batches = encode_batch(
        [message(1), message(2, key="offer.accepted"), message(3), message(4, key="offer.accepted")]
    )
    assert [one.routing_key for one in batches] == ["offer.opened", "offer.accepted"]
    assert [event_count(one.body) for one in batches] == [2, 2]


def test_partitioned_events_are_batched_by_partition() -> None:
    batches = encode_batch([message(n, key="answer.submitted") for n in range(40)])
    assert len(batches) == 4
    for batch in batches:
        numbers = [event["n"] for event in orjson.loads(batch.body)]
        assert {partition_of(f"r{n}") for n in numbers} == {partition_of(batch.partition_key)}


def test_event_never_overtakes_another_with_its_partition_key() -> None:
    # m3 may not join m1: m2 lies between them
    batches = encode_batch(
        [
            message(1, partition="a"),
            message(2, key="offer.declined", partition="b"),
            message(3, partition="b"),
        ]
    )
    assert [(one.routing_key, event_count(one.body)) for one in batches] == [
        ("offer.opened", 1),
        ("offer.declined", 1),
        ("offer.opened", 1),
    ]


@pytest.mark.parametrize(
    "odd",
    [
        message(2, headers={"kopuro-reason": "x"}),
        message(2, transient=True),
        message(2, body=b'{"n":\n2}'),
        message(2, body=b"\xff"),
        message(2, body=b""),
        message(2, body=b"[]"),
    ],
)
def test_unbatchable_message_keeps_its_place(odd: Outgoing) -> None:
    assert encode_batch([message(1), odd, message(3), message(4)]) == [
        message(1),
        odd,
        *encode_batch([message(3), message(4)]),
    ]


def test_event_batch_is_bounded() -> None:
    batches = encode_batch([message(n) for n in range(2 * MOST_EVENTS + 1)])
    assert [event_count(one.body) for one in batches] == [MOST_EVENTS, MOST_EVENTS, 1]
    large = b'{"x":"' + b"x" * (MOST_BYTES // 2) + b'"}'
    assert [event_count(one.body) for one in encode_batch([message(n, body=large) for n in range(3)])] == [
        1,
        1,
        1,
    ]


_BODIES = st.dictionaries(st.text(max_size=3), st.text() | st.integers(-9, 9) | st.none(), max_size=3).map(
    orjson.dumps
)
_MESSAGES = st.lists(
    st.builds(
        message,
        st.integers(0, 999),
        key=st.sampled_from(["offer.opened", "offer.accepted", "answer.submitted"]),
        partition=st.sampled_from(["a", "b", "c", "d", "e"]),
        body=_BODIES,
        headers=st.sampled_from([{}, {}, {}, {"h": "1"}]),
    ),
    max_size=60,
)


@given(_MESSAGES)
def test_batching_loses_nothing_and_keeps_both_orders(messages: list[Outgoing]) -> None:
    batches = encode_batch(messages)
    assert sorted(decoded(batches)) == sorted((one.routing_key, one.body) for one in messages)
    # Bodies may be alike, so the orders are compared by marks of our own.
    marked = [
        message(n, key=one.routing_key, partition=one.partition_key, headers=dict(one.headers))
        for n, one in enumerate(messages)
    ]
    arrived = [orjson.loads(body)["n"] for one in encode_batch(marked) for body in decode_batch(one.body)]
    for same in ("partition_key", "routing_key"):
        for value in {getattr(one, same) for one in marked}:
            numbers = [n for n in arrived if getattr(marked[n], same) == value]
            if same == "partition_key" or value != "answer.submitted":
                assert numbers == sorted(numbers)


@given(st.binary(max_size=60))
@example(b"[\n]")
@example(b"[\n\n]")
@example(b"[\n,\n\n]")
def test_decode_batch_keeps_every_byte(body: bytes) -> None:
    parts = decode_batch(body)
    assert len(parts) == event_count(body)
    assert (b"[\n" + b",\n".join(parts) + b"\n]" if is_batch(body) else parts[0]) == body
