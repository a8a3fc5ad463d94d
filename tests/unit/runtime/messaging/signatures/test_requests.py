"""Proof of requests: who asked, of whom, for which queue, and when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from contracts.topology import QUERIES, ROUTING_QUERIES
from runtime.messaging.headers import SIGNED
from runtime.messaging.ports import Delivery, Outgoing
from runtime.messaging.signatures.requests import FRESH, RepliedBefore, Request, RequestProofs
from runtime.messaging.signatures.verifier import NotAuthentic
from tests.support.hub_keys import peers, signer
from tests.support.settable_clock import SettableClock

NOW = dt.datetime(2026, 11, 28, 12, 0, tzinfo=dt.UTC)
REQUEST = Request(
    to=ROUTING_QUERIES,
    reply_to="intake.replies.1",
    reply_key="A" * 43,
    number="1",
    asked_at=NOW,
    query={"ask": "referrals", "viewer": "kg.osh", "oversight": False},
)


def delivered(body: bytes, by: str | None = "intake", user: str | None = "kg.intake") -> Delivery:
    """Return the message as routing receives it. by: the signer; None: unsigned."""
    message = Outgoing(
        exchange=QUERIES, routing_key=ROUTING_QUERIES, message_id="m", partition_key="", body=body
    )
    (sent,) = [message] if by is None else signer(by).sign([message])
    return Delivery(
        tag=1,
        queue=ROUTING_QUERIES,
        routing_key=ROUTING_QUERIES,
        message_id="m",
        body=sent.body,
        headers=sent.headers,
        redelivered=False,
        user_id=user,
    )


def proofs(clock: SettableClock | None = None) -> RequestProofs:
    return RequestProofs(peers("routing", "intake"), clock or SettableClock(NOW))


def failed_check(delivery: Delivery, reader: RequestProofs | None = None) -> str:
    with pytest.raises(NotAuthentic) as caught:
        (reader or proofs()).read(delivery)
    return caught.value.check


def test_signed_request_is_read() -> None:
    assert proofs().read(delivered(REQUEST.encode())) == REQUEST


@pytest.mark.parametrize(
    ("author", "check"), [(None, "unsigned"), ("audit", "source"), ("routing", "source"), ("nobody", "key")]
)
def test_request_that_intake_did_not_sign_is_refused(author: str | None, check: str) -> None:
    assert failed_check(delivered(REQUEST.encode(), by=author)) == check


@pytest.mark.parametrize("user", [None, "kg.audit", "kg.routing"])
def test_request_sent_by_another_broker_user_is_refused(user: str | None) -> None:
    assert failed_check(delivered(REQUEST.encode(), user=user)) == "user"


@pytest.mark.parametrize(
    "alter",
    [
        lambda request: replace(request, reply_to="intake.replies.thief"),
        lambda request: replace(request, reply_key="B" * 43),
        lambda request: replace(request, query={**request.query, "oversight": True}),
        lambda request: replace(request, query={**request.query, "viewer": "kg.thief"}),
        lambda request: replace(request, number="2"),
        lambda request: replace(request, asked_at=NOW + dt.timedelta(seconds=1)),
    ],
    ids=["reply_to", "reply_key", "oversight", "viewer", "number", "asked_at"],
)
def test_proof_covers_everything_that_the_reply_depends_on(alter: Callable[[Request], Request]) -> None:
    genuine = delivered(REQUEST.encode())
    assert failed_check(replace(genuine, body=alter(REQUEST).encode())) == "digest"


def test_proof_of_a_fact_proves_no_request() -> None:
    fact = orjson.dumps({"specversion": "1.0", "type": "referral.submitted", "data": {}})
    assert failed_check(delivered(fact)) == "form"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"null",
        b"{}",
        orjson.dumps({**orjson.loads(REQUEST.encode()), "asked_at": "2026-11-28T12:00:00"}),
        orjson.dumps({**orjson.loads(REQUEST.encode()), "asked_at": 1}),
        orjson.dumps({**orjson.loads(REQUEST.encode()), "query": []}),
        orjson.dumps({**orjson.loads(REQUEST.encode()), "number": None}),
    ],
)
def test_signed_bytes_that_are_not_a_request_are_refused(body: bytes) -> None:
    assert failed_check(delivered(body)) == "form"


@pytest.mark.parametrize("apart", [FRESH, -FRESH])
def test_request_is_fresh_for_a_minute_on_either_clock(apart: dt.timedelta) -> None:
    message = delivered(REQUEST.encode())
    assert proofs(SettableClock(NOW + apart)).read(message) == REQUEST
    beyond = apart + dt.timedelta(milliseconds=1) * (1 if apart > dt.timedelta() else -1)
    assert failed_check(message, proofs(SettableClock(NOW + beyond))) == "stale"


def test_request_to_another_queue_is_refused() -> None:
    assert failed_check(delivered(replace(REQUEST, to="vault.queries").encode())) == "address"


def test_captured_request_is_refused_for_as_long_as_it_is_fresh() -> None:
    # dated ahead of our clock by as much as is tolerated
    clock = SettableClock(NOW - FRESH)
    reader, message = proofs(clock), delivered(REQUEST.encode())
    reader.read(message)
    for moment in (NOW - FRESH, NOW, NOW + FRESH):
        clock.time = moment
        other = replace(REQUEST, number=str(moment), asked_at=moment)
        reader.read(delivered(other.encode()))
        assert failed_check(message, reader) == "replayed"
    clock.time = NOW + FRESH + dt.timedelta(seconds=1)
    assert failed_check(message, reader) == "stale"


def test_redelivery_of_a_request_that_has_its_reply_is_not_a_replay() -> None:
    reader, message = proofs(), delivered(REQUEST.encode())
    reader.read(message)
    with pytest.raises(RepliedBefore):
        reader.read(replace(message, redelivered=True))
    assert failed_check(message, reader) == "replayed"


def test_redelivery_that_is_not_authentic_or_has_no_reply_is_treated_as_a_first_delivery() -> None:
    again = replace(delivered(REQUEST.encode()), redelivered=True)
    assert failed_check(replace(again, body=b"x")) == "digest"
    assert failed_check(again, proofs(SettableClock(NOW + 2 * FRESH))) == "stale"
    assert proofs().read(again) == REQUEST


def test_forgeries_use_up_no_memory_and_genuine_requests_are_forgotten() -> None:
    clock = SettableClock(NOW)
    reader = proofs(clock)
    failed_check(delivered(REQUEST.encode(), by="audit"), reader)
    assert not reader._known
    for minute in range(10):
        clock.time = NOW + dt.timedelta(minutes=minute)
        reader.read(delivered(replace(REQUEST, number=str(minute), asked_at=clock.time).encode()))
    assert list(reader._known) == ["7", "8", "9"]


def test_request_whose_reply_was_not_sent_is_read_again() -> None:
    reader, message = proofs(), delivered(REQUEST.encode())
    request = reader.read(message)
    reader.forget([request])
    assert reader.read(message) == request


def test_proof_is_in_the_header_of_facts() -> None:
    assert set(delivered(REQUEST.encode()).headers) == {SIGNED}
