"""Requests with a deadline, on the fake broker and on RabbitMQ."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest

from contracts.errors import Refused, Unavailable
from contracts.topology import QUERIES, REPLIES, Exchange, Queue, Topology, addressed, merged, published_to
from runtime.messaging.ports import Broker
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.request_reply import RequestClient, RequestServer, _reply_in
from tests.faults.tcp_proxy import TcpProxy

QUESTIONS = merged(
    Topology(
        exchanges=(Exchange(name=published_to(REPLIES, "asker."), kind="direct"),),
        queues=(Queue(name="questions", arguments={"x-message-ttl": 3000}),),
        bindings=(),
    ),
    addressed(QUERIES, ["questions"]),
)


@pytest.fixture
def hub(any_broker: Broker) -> Broker:
    any_broker.declare(QUESTIONS)
    return any_broker


@contextmanager
def asking(hub: Broker, *, deadline: float = 10) -> Iterator[RequestClient]:
    queries = RequestClient(hub, "asker", deadline=deadline)
    threads: list[threading.Thread] = []

    def spawn(function: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=function))
        threads[-1].start()

    with pytest.raises(Unavailable):
        queries.ask("questions", {})  # the reply consumer does not exist yet
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
    processor = RequestServer(hub, answer)
    stop = threading.Event()

    def run() -> None:
        with closing(hub.consumer(["questions"], 100)) as consumer:
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


def answer(question: Mapping[str, Any]) -> Any:
    match question.get("kind"):
        case "refuse":
            raise Refused("not-found", "There is no such referral.", status=404)
        case "away":
            raise Unavailable("The answerer's own database is away.")
        case "fail":
            raise ValueError("a defect")
        case "unanswerable":
            return object()
    return {"double": question["number"] * 2}


def test_request_gets_its_reply(hub: Broker) -> None:
    with answering(hub, answer), asking(hub) as queries:
        assert queries.ask("questions", {"number": 21}) == {"double": 42}


def test_refusal_reaches_requester_unchanged(hub: Broker) -> None:
    with answering(hub, answer), asking(hub) as queries, pytest.raises(Refused) as caught:
        queries.ask("questions", {"kind": "refuse"})
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
                queries.ask("questions", {"kind": kind})
            assert time.monotonic() - started < 5, "a clear no is not a deadline"
        assert queries.ask("questions", {"number": 1}) == {"double": 2}


@pytest.mark.parametrize("queue", ["questions", "nowhere"])
def test_request_without_reply_ends_at_deadline(hub: Broker, queue: str) -> None:
    with asking(hub, deadline=0.3) as queries:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            queries.ask(queue, {"number": 1})
        assert 0.2 < time.monotonic() - started < 3


def test_reply_after_deadline_is_discarded(hub: Broker) -> None:
    with asking(hub, deadline=0.2) as queries:
        with pytest.raises(Unavailable):
            queries.ask("questions", {"number": 1})
        with answering(hub, answer):
            # the first answer comes late, and is not taken for that to the second question
            for number in range(2, 50):
                try:
                    assert queries.ask("questions", {"number": number}) == {"double": 2 * number}
                except Unavailable:
                    continue
                break
            else:
                pytest.fail("never answered")


def test_concurrent_requests_get_their_own_replies(hub: Broker) -> None:
    with answering(hub, answer), asking(hub) as queries, ThreadPoolExecutor(50) as pool:
        numbers = range(300)
        answers = list(pool.map(lambda number: queries.ask("questions", {"number": number}), numbers))
    assert answers == [{"double": 2 * number} for number in numbers]


def test_silent_connection_ends_request_at_deadline(vhost: str, proxied: str, proxy: TcpProxy) -> None:
    RabbitBroker(vhost).declare(QUESTIONS)
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
    direct.declare(QUESTIONS)
    processor = RequestServer(RabbitBroker(proxied), answer)
    consumer = direct.consumer(["questions"], 10)
    with asking(direct) as queries, ThreadPoolExecutor(1) as pool:
        for number in (1, 2):
            question = pool.submit(queries.ask, "questions", {"number": number})
            deliveries = consumer.take(1, 10)
            processor.process(deliveries)
            consumer.acknowledge(deliveries)
            assert question.result(10) == {"double": 2 * number}
            proxy.break_all()
    consumer.close()


def fails(queries: RequestClient) -> bool:
    try:
        queries.ask("questions", {"number": 1})
    except Unavailable:
        return True
    return False


@pytest.mark.parametrize("body", [b"x", b"1", b"null", b'{"refused": 1}'])
def test_unreadable_reply_counts_as_no_reply(body: bytes) -> None:
    assert _reply_in(body) == {}
