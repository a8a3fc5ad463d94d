"""Requests with a deadline, on the fake broker and on RabbitMQ."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, cast

import orjson
import pytest

from contracts.errors import Refused, Unavailable
from contracts.topology import QUERIES, REPLIES, Exchange, Queue, Topology, addressed, merged, published_to
from runtime.clock import SystemClock
from runtime.messaging.memory import MemoryBroker, MemoryPublisher
from runtime.messaging.ports import MOST_MESSAGE_BYTES, Broker, BrokerUnavailable, Delivery, Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.request_reply import RequestClient, RequestServer, _reply_in
from runtime.messaging.signatures.requests import Request
from runtime.messaging.signatures.sealed_replies import ReplyOpener, ReplySealer
from tests.faults.tcp_proxy import TcpProxy
from tests.support.hub_keys import peers, signer
from tests.support.settable_clock import SettableClock

QUERY_QUEUE = merged(
    Topology(
        exchanges=(Exchange(name=published_to(REPLIES, "asker."), kind="direct"),),
        queues=(Queue(name="queries", arguments={"x-message-ttl": 3000}),),
        bindings=(),
    ),
    addressed(QUERIES, ["queries"]),
)


USER = "hub"


@pytest.fixture
def hub(any_broker: Broker) -> Broker:
    hub = any_broker if isinstance(any_broker, RabbitBroker) else MemoryBroker(user=USER)
    hub.declare(QUERY_QUEUE)
    return hub


def user_of(hub: Broker) -> str:
    return hub.user if isinstance(hub, RabbitBroker) else USER


def client(hub: Broker, *, deadline: float = 10, refused: list[str] | None = None) -> RequestClient:
    return RequestClient(
        hub,
        "asker",
        peers=peers("asker", "answerer", user=user_of(hub)),
        clock=SystemClock(),
        refused=(refused if refused is not None else list[str]()).append,
        deadline=deadline,
    )


def server(
    hub: Broker, answer: Callable[[Mapping[str, Any]], Any], refused: list[str] | None = None
) -> RequestServer:
    return RequestServer(
        hub,
        answer,
        peers=peers("answerer", "asker", user=user_of(hub)),
        clock=SystemClock(),
        refused=(refused if refused is not None else list[str]()).append,
    )


@contextmanager
def asking(hub: Broker, *, deadline: float = 10, refused: list[str] | None = None) -> Iterator[RequestClient]:
    queries = client(hub, deadline=deadline, refused=refused)
    threads: list[threading.Thread] = []

    def spawn(function: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=function))
        threads[-1].start()

    with pytest.raises(Unavailable):
        queries.ask("queries", {})  # the reply consumer does not exist yet
    queries.start(spawn)
    try:
        give_up = time.monotonic() + 10
        while not listening(queries):
            assert time.monotonic() < give_up
            time.sleep(0.01)
        yield queries
    finally:
        queries.stop()
        for thread in threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in threads)


def listening(queries: RequestClient) -> bool:
    return queries._replies.name is not None


@contextmanager
def answering(hub: Broker, answer: Callable[[Mapping[str, Any]], Any]) -> Iterator[None]:
    processor = server(hub, answer)
    stop = threading.Event()

    def run() -> None:
        with closing(hub.consumer(["queries"], 100)) as consumer:
            while not stop.is_set():
                deliveries = consumer.take(100, 0.1)
                processor.process(deliveries)
                consumer.acknowledge(deliveries)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def answer(query: Mapping[str, Any]) -> Any:
    match query.get("kind"):
        case "refuse":
            raise Refused("not-found", "There is no such referral.", status=404)
        case "away":
            raise Unavailable("The answerer's own database is away.")
        case "fail":
            raise ValueError("a defect")
        case "unanswerable":
            return object()
    return {"double": query["number"] * 2}


def test_request_gets_its_reply(hub: Broker) -> None:
    with answering(hub, answer), asking(hub) as queries:
        assert queries.ask("queries", {"number": 21}) == {"double": 42}


def test_refusal_reaches_requester_unchanged(hub: Broker) -> None:
    with answering(hub, answer), asking(hub) as queries, pytest.raises(Refused) as caught:
        queries.ask("queries", {"kind": "refuse"})
    assert (caught.value.slug, caught.value.detail, caught.value.status) == (
        "not-found",
        "There is no such referral.",
        404,
    )


def test_failing_request_server_replies_with_error_and_continues(hub: Broker) -> None:
    with answering(hub, answer), asking(hub) as queries:
        for kind in ("away", "fail", "unanswerable"):
            started = time.monotonic()
            with pytest.raises(Unavailable):
                queries.ask("queries", {"kind": kind})
            assert time.monotonic() - started < 5, "a clear no is not a deadline"
        assert queries.ask("queries", {"number": 1}) == {"double": 2}


@pytest.mark.parametrize("queue", ["queries", "nowhere"])
def test_request_without_reply_ends_at_deadline(hub: Broker, queue: str) -> None:
    with asking(hub, deadline=0.3) as queries:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            queries.ask(queue, {"number": 1})
        assert 0.2 < time.monotonic() - started < 3


def test_reply_after_deadline_is_discarded(hub: Broker) -> None:
    with asking(hub, deadline=0.2) as queries:
        with pytest.raises(Unavailable):
            queries.ask("queries", {"number": 1})
        with answering(hub, answer):
            # the first reply comes late, and is not taken for the reply to the second query
            for number in range(2, 50):
                try:
                    assert queries.ask("queries", {"number": number}) == {"double": 2 * number}
                except Unavailable:
                    continue
                break
            else:
                pytest.fail("never answered")


def test_concurrent_requests_get_their_own_replies(hub: Broker) -> None:
    with answering(hub, answer), asking(hub) as queries, ThreadPoolExecutor(50) as pool:
        numbers = range(300)
        answers = list(pool.map(lambda number: queries.ask("queries", {"number": number}), numbers))
    assert answers == [{"double": 2 * number} for number in numbers]


def test_silent_connection_ends_request_at_deadline(vhost: str, proxied: str, proxy: TcpProxy) -> None:
    RabbitBroker(vhost).declare(QUERY_QUEUE)
    with asking(RabbitBroker(proxied, confirm_timeout=2), deadline=0.5) as queries:
        proxy.frozen.set()
        started = time.monotonic()
        with ThreadPoolExecutor(5) as pool:
            failures = list(pool.map(lambda _: fails(queries), range(5)))
        assert failures == [True] * 5
        assert time.monotonic() - started < 2
        proxy.frozen.clear()


def test_request_server_replies_at_once_after_idle_connection_was_dropped(
    vhost: str, proxied: str, proxy: TcpProxy
) -> None:
    direct = RabbitBroker(vhost)
    direct.declare(QUERY_QUEUE)
    processor = server(RabbitBroker(proxied), answer)
    consumer = direct.consumer(["queries"], 10)
    with asking(direct) as queries, ThreadPoolExecutor(1) as pool:
        for number in (1, 2):
            reply = pool.submit(queries.ask, "queries", {"number": number})
            deliveries = consumer.take(1, 10)
            processor.process(deliveries)
            consumer.acknowledge(deliveries)
            assert reply.result(10) == {"double": 2 * number}
            proxy.break_all()
    consumer.close()


def fails(queries: RequestClient) -> bool:
    try:
        queries.ask("queries", {"number": 1})
    except Unavailable:
        return True
    return False


@pytest.mark.parametrize(
    "body",
    [
        *(b"x", b"1", b"null", b"{}", b'{"number": 1}', b'{"number": "n"}', b'{"number": "n", "result": 1}'),
        *(b'{"number": "n", "sealed": 1}', b'{"number": "n", "sealed": "A"}'),
    ],
)
def test_unreadable_reply_counts_as_no_reply(body: bytes) -> None:
    assert _reply_in(body, ReplyOpener())[1] == {}


@pytest.mark.parametrize("reply", [b"x", b"1", b"null", b'{"refused": 1}'])
def test_sealed_bytes_that_are_not_a_reply_count_as_no_reply(reply: bytes) -> None:
    opener = ReplyOpener()
    body = orjson.dumps({"number": "n", "sealed": ReplySealer().seal(reply, opener.key, "n")})
    assert _reply_in(body, opener) == ("n", {})


@pytest.mark.parametrize(("author", "check"), [(None, "unsigned"), ("intake", "source"), ("asker", "source")])
def test_forged_reply_is_ignored_and_the_genuine_one_arrives(
    hub: Broker, author: str | None, check: str
) -> None:
    refused: list[str] = []
    asked = threading.Event()

    def forge() -> None:
        with closing(hub.consumer(["queries"], 1)) as consumer:
            deliveries: list[Delivery] = []
            while not deliveries:
                deliveries = list(consumer.take(1, 0.1))
            request = orjson.loads(deliveries[0].body)
            forged = ReplySealer().seal(b'{"result": "forged"}', request["reply_key"], request["number"])
            body = orjson.dumps({"number": request["number"], "sealed": forged})
            reply = Outgoing(
                exchange=REPLIES,
                routing_key=request["reply_to"],
                message_id="forged",
                partition_key="",
                body=body,
                transient=True,
            )
            with closing(hub.publisher()) as publisher:
                publisher.publish([reply] if author is None else signer(author).sign([reply]))
            server(hub, answer).process(deliveries)
            consumer.acknowledge(deliveries)
            asked.set()

    with asking(hub, refused=refused) as queries:
        thread = threading.Thread(target=forge)
        thread.start()
        try:
            assert queries.ask("queries", {"number": 4}) == {"double": 8}
        finally:
            thread.join(10)
    assert asked.is_set()
    assert refused == [check]


class LosingBroker(MemoryBroker):
    """Loses its connection at the first `losses` attempts to publish."""

    losses = 2

    def publisher(self) -> MemoryPublisher:
        publisher = super().publisher()
        publish = publisher.publish

        def lose(messages: Sequence[Outgoing]) -> None:
            if self.losses:
                self.losses -= 1
                raise BrokerUnavailable("The connection broke.")
            publish(messages)

        publisher.publish = lose  # type: ignore[method-assign] # one method of the fake
        return publisher


def test_request_whose_acknowledgement_was_lost_gets_one_reply_and_is_not_a_replay(hub: Broker) -> None:
    answered: list[Any] = []
    refused: list[str] = []

    def count(query: Mapping[str, Any]) -> str:
        answered.append(query)
        return "done"

    processor = server(hub, count, refused)
    taken: list[Delivery] = []

    def take() -> Sequence[Delivery]:
        deliveries: Sequence[Delivery] = ()
        give_up = time.monotonic() + 10
        while not deliveries and time.monotonic() < give_up:
            deliveries = consumer.take(100, 0.1)
        taken.extend(deliveries)
        return deliveries

    with asking(hub) as queries:
        with ThreadPoolExecutor(1) as pool, closing(hub.consumer(["queries"], 100)) as consumer:
            reply = pool.submit(queries.ask, "queries", {"number": 1})
            processor.process(take())
            assert reply.result(10) == "done"
            # The connection breaks before the acknowledgement.
        with closing(hub.consumer(["queries"], 100)) as consumer:
            again = take()
            processor.process(again)
            assert (len(answered), refused) == (1, [])
            # The same bytes, sent by somebody else: a replay.
            processor.process([replace(one, redelivered=False) for one in again])
            consumer.acknowledge(again)
    assert [one.redelivered for one in taken] == [False, True]
    assert (len(answered), refused) == (1, ["replayed"])


def test_request_that_the_broker_redelivers_after_an_outage_is_answered() -> None:
    broker = LosingBroker(user=USER)
    broker.declare(QUERY_QUEUE)
    asked: list[Any] = []
    processor = server(broker, asked.append)
    request = Request(
        to="queries",
        reply_to="asker.1",
        reply_key=ReplyOpener().key,
        number="1",
        asked_at=SystemClock().now(),
        query={"number": 3},
    )
    message = Outgoing(
        exchange=QUERIES, routing_key="queries", message_id="1", partition_key="", body=request.encode()
    )
    broker.losses = 0
    with closing(broker.publisher()) as publisher:
        publisher.publish(signer("asker").sign([message]))
    broker.losses = 2  # the publisher of replies tries twice
    with closing(broker.consumer(["queries"], 10)) as consumer:
        deliveries = consumer.take(1, 1)
        with pytest.raises(BrokerUnavailable):
            processor.process(deliveries)
        for _ in range(2):
            processor.process(deliveries)
    assert asked == [{"number": 3}] * 2, "once more after the outage, and not a third time"


def test_reply_that_is_too_large_is_refused_and_the_others_are_sent() -> None:
    broker = MemoryBroker(user=USER)
    broker.declare(QUERY_QUEUE)
    counted: list[None] = []
    processor = RequestServer(
        broker,
        lambda query: "x" * query["size"],
        peers=peers("answerer", "asker", user=USER),
        clock=SystemClock(),
        too_large=lambda: counted.append(None),
    )
    replies = broker.private_consumer("asker")
    replies.take(1, 0)
    assert replies.name is not None
    opener = ReplyOpener()
    sizes = {"1": 10, "2": MOST_MESSAGE_BYTES, "3": 20}
    requests = [
        Request(
            to="queries",
            reply_to=replies.name,
            reply_key=opener.key,
            number=number,
            asked_at=SystemClock().now(),
            query={"size": size},
        )
        for number, size in sizes.items()
    ]
    with closing(broker.publisher()) as publisher:
        publisher.publish(
            signer("asker").sign(
                [
                    Outgoing(
                        exchange=QUERIES,
                        routing_key="queries",
                        message_id=request.number,
                        partition_key="",
                        body=request.encode(),
                    )
                    for request in requests
                ]
            )
        )
    with closing(broker.consumer(["queries"], 10)) as consumer:
        processor.process(consumer.take(10, 1))
    received = dict(_reply_in(one.body, opener) for one in replies.take(10, 1))
    assert {number: "result" in reply for number, reply in received.items()} == {
        "1": True,
        "2": False,
        "3": True,
    }
    assert received["2"]["refused"]["slug"] == "response-too-large"
    assert len(counted) == 1


def test_large_reply_stops_nobody_else(hub: Broker) -> None:
    with answering(hub, lambda query: "x" * query["size"]), asking(hub) as queries:
        with ThreadPoolExecutor(4) as pool:
            large = [pool.submit(queries.ask, "queries", {"size": MOST_MESSAGE_BYTES}) for _ in range(2)]
            small = [pool.submit(queries.ask, "queries", {"size": 3}) for _ in range(2)]
        assert [one.result() for one in small] == ["xxx"] * 2
        assert {cast(Refused, one.exception()).slug for one in large} == {"response-too-large"}


def test_request_that_is_too_large_is_refused_before_it_is_sent(hub: Broker) -> None:
    with asking(hub) as queries, pytest.raises(Refused) as caught:
        queries.ask("queries", {"long": "x" * MOST_MESSAGE_BYTES})
    assert caught.value.slug == "body-too-large"


def test_requests_that_are_not_authentic_leave_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    start = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
    clock = SettableClock(start)
    checks: list[str] = []
    processor = RequestServer(
        MemoryBroker(),
        lambda query: None,
        peers=peers("answerer", "asker", user=USER),
        clock=clock,
        refused=checks.append,
    )
    forged = Delivery(
        tag=1,
        queue="queries",
        routing_key="queries",
        message_id="1",
        body=b"{}",
        headers={},
        redelivered=False,
        user_id=USER,
    )
    processor.process([forged] * 500)
    clock.time = start + dt.timedelta(seconds=61)
    processor.process([forged] * 500)
    lines = [one for one in caplog.records if one.message == "request not authentic"]
    assert [vars(one)["withheld"] for one in lines] == [0, 499]
    assert len(checks) == 1000, "the metric counts each"
