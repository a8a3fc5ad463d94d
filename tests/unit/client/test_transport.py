import gzip
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from kopuro_client import (
    ClientError,
    DefectError,
    InvalidArgumentError,
    RefusedError,
    RetryPolicy,
    Transport,
    TransportError,
    UnavailableError,
)
from kopuro_client.transport import HttpRequest, json_body
from tests.dripping import DrippingServer
from tests.unit.client.conftest import Passing
from tests.unit.client.fake_hub import Answer, FakeHub, answer, problem

BUSY = problem(503, "unavailable", "The service is temporarily unavailable")
HOME = "/intake/v1/x"


def transport(passing: Passing) -> Transport:
    retry = RetryPolicy(attempts=3, first_delay=0.5, patience=10.0)
    return Transport(retry=retry, answer_limit=5.0, sleep=passing.sleep, clock=passing.clock)


def reading(hub: FakeHub) -> HttpRequest:
    return HttpRequest(method="GET", url=hub.base + HOME, repeatable=True)


def writing(hub: FakeHub) -> HttpRequest:
    return HttpRequest(method="POST", url=hub.base + HOME, content=b"{}")


def test_a_repeatable_request_is_repeated_while_the_hub_is_unavailable(
    hub: FakeHub, passing: Passing
) -> None:
    hub.script("GET", HOME, BUSY, BUSY, answer({"at": "last"}))
    assert transport(passing).send(reading(hub)) == b'{"at": "last"}'
    assert passing.slept == [0.5, 1.0]


def test_the_repetitions_end(hub: FakeHub, passing: Passing) -> None:
    hub.script("GET", HOME, BUSY)
    with pytest.raises(UnavailableError, match="just now"):
        transport(passing).send(reading(hub))
    assert len(hub.received) == 3


def test_the_hubs_retry_after_is_followed(hub: FakeHub, passing: Passing) -> None:
    busy = Answer(status=429, headers={"Retry-After": "4"})
    hub.script("GET", HOME, busy, answer({}))
    transport(passing).send(reading(hub))
    assert passing.slept == [4.0]


def test_a_retry_after_beyond_our_patience_is_told_at_once(hub: FakeHub, passing: Passing) -> None:
    hub.script("GET", HOME, Answer(status=503, headers={"Retry-After": "3600"}))
    with pytest.raises(UnavailableError) as caught:
        transport(passing).send(reading(hub))
    assert caught.value.retry_after == 3600.0
    assert passing.slept == []
    assert len(hub.received) == 1


def test_a_request_that_is_not_repeatable_is_sent_once(hub: FakeHub, passing: Passing) -> None:
    hub.script("POST", HOME, BUSY)
    with pytest.raises(UnavailableError):
        transport(passing).send(writing(hub))
    assert len(hub.received) == 1


@pytest.mark.parametrize(("status", "family"), [(422, RefusedError), (500, DefectError), (302, DefectError)])
def test_what_would_not_get_better_is_not_repeated(
    hub: FakeHub, passing: Passing, status: int, family: type[ClientError]
) -> None:
    hub.script("GET", HOME, Answer(status=status, headers={"Location": f"{hub.base}/elsewhere"}))
    with pytest.raises(family):
        transport(passing).send(reading(hub))
    assert [request.path for request in hub.received] == [HOME]


def test_an_answer_that_breaks_off_is_a_transport_error(hub: FakeHub, passing: Passing) -> None:
    hub.script("GET", HOME, Answer(status=200, body=b"x" * 1000, cut=True))
    with pytest.raises(TransportError):
        transport(passing).send(reading(hub))
    assert len(hub.received) == 3


@pytest.mark.parametrize("status", [200, 503])
def test_an_answer_without_end_is_given_up_and_not_asked_for_again(hub: FakeHub, status: int) -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        for number in range(10_000):  # 600 MB: what is not read is not sent either
            sent.append(number)
            yield b"x" * 64 * 1024

    hub.script("GET", HOME, Answer(status=status, chunks=endless))
    with pytest.raises(DefectError, match=r"127\.0\.0\.1:\d+ has more than 1,000,000 bytes"):
        Transport(largest_answer=1_000_000).send(reading(hub))
    assert len(hub.received) == 1
    assert len(sent) < 1_000


def test_what_counts_is_the_size_after_decompression(hub: FakeHub) -> None:
    body = gzip.compress(b" " * 1_000_001)
    assert len(body) < 2_000
    hub.script("GET", HOME, Answer(status=200, body=body, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(DefectError, match="more than 1,000,000 bytes"):
        Transport(largest_answer=1_000_000).send(reading(hub))
    assert len(Transport(largest_answer=1_000_001).send(reading(hub))) == 1_000_001


def test_silence_ends_at_the_time_limit(hub: FakeHub) -> None:
    answered = threading.Event()

    def late() -> Answer:
        answered.wait(10)
        return answer({})

    hub.script("POST", HOME, late)
    impatient = Transport(answer_limit=0.05)
    try:
        with pytest.raises(TransportError, match="in time"):
            impatient.send(writing(hub))
    finally:
        answered.set()


def test_a_long_poll_may_take_its_own_wait(hub: FakeHub) -> None:
    waited = threading.Event()

    def held() -> Answer:
        waited.wait(0.2)
        return answer({"held": True})

    hub.script("GET", HOME, held)
    request = HttpRequest(method="GET", url=hub.base + HOME, wait=5.0)
    assert b"held" in Transport(answer_limit=0.05).send(request)


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nX-Drip: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_answer_sent_byte_by_byte_is_given_up(start: bytes, passing: Passing) -> None:
    with DrippingServer(start) as hub:
        bounded = Transport(total_limit=0.3, sleep=passing.sleep, retry=RetryPolicy(attempts=2))
        began = time.monotonic()
        request = HttpRequest(method="GET", url=f"http://127.0.0.1:{hub.port}{HOME}", repeatable=True)
        with pytest.raises(TransportError, match=f"no whole answer in time from 127.0.0.1:{hub.port}"):
            bounded.send(request)
        assert 0.6 <= time.monotonic() - began < 2
        assert len(passing.slept) == 1


def test_total_limit_leaves_a_long_poll_its_wait(hub: FakeHub) -> None:
    held = threading.Event()

    def later() -> Answer:
        held.wait(0.3)
        return answer({"held": True})

    hub.script("GET", HOME, later)
    request = HttpRequest(method="GET", url=hub.base + HOME, wait=5.0)
    assert b"held" in Transport(total_limit=0.05).send(request)


def test_nobody_there_is_a_transport_error_that_names_the_place(passing: Passing) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    request = HttpRequest(
        method="GET", url=f"http://127.0.0.1:{port}/v1/referrals/secret-id", repeatable=True
    )
    with pytest.raises(TransportError, match=f"cannot connect to 127.0.0.1:{port}") as caught:
        transport(passing).send(request)
    assert "secret-id" not in str(caught.value)
    assert len(passing.slept) == 2


@pytest.mark.parametrize(
    "url", ["ftp://example.invalid/", "http://[::1", "no address", "http://a:b:c/", "http://\x00/"]
)
def test_an_impossible_address_is_an_invalid_argument(passing: Passing, url: str) -> None:
    with pytest.raises(InvalidArgumentError):
        transport(passing).send(HttpRequest(method="GET", url=url))


def test_a_header_that_http_cannot_carry_is_an_invalid_argument(hub: FakeHub, passing: Passing) -> None:
    for value in ("ключ", "a\r\nb: c"):
        with pytest.raises(ClientError):
            transport(passing).send(writing(hub).having(Idempotency_Key=value))
    assert hub.received == []


def test_a_closed_transport_raises_our_error(hub: FakeHub, passing: Passing) -> None:
    closed = transport(passing)
    closed.close()
    with pytest.raises(TransportError):
        closed.send(writing(hub))


@pytest.mark.parametrize("value", [float("inf"), object(), {"x": {1, 2}}, "\ud800"])
def test_what_json_cannot_say_is_an_invalid_argument(value: object) -> None:
    with pytest.raises(InvalidArgumentError):
        json_body(value)


def test_a_request_shows_neither_headers_nor_content() -> None:
    request = HttpRequest(
        method="POST", url="http://x", headers={"Authorization": "Bearer t"}, content=b"case"
    )
    assert "Bearer" not in repr(request)
    assert "case" not in repr(request)


def test_outage_and_its_end_are_said_once_each(hub: FakeHub, passing: Passing) -> None:
    said: list[str] = []
    lasting = Transport(
        retry=RetryPolicy.lasting(), sleep=passing.sleep, clock=passing.clock, notice=said.append
    )
    hub.script("GET", HOME, *[BUSY] * 50, answer({"at": "last"}), *[BUSY] * 2, answer({}))
    assert lasting.send(reading(hub)) == b'{"at": "last"}'
    assert sum(passing.slept) > 300
    place = hub.base.removeprefix("http://")
    assert said == [
        "The service is temporarily unavailable; trying again until it answers",
        f"{place} answers again after {sum(passing.slept):.0f} seconds",
    ]
    lasting.send(reading(hub))
    assert len(said) == 4
    lasting.send(reading(hub))
    assert len(said) == 4


def test_refusal_ends_an_outage_too(hub: FakeHub, passing: Passing) -> None:
    said: list[str] = []
    lasting = Transport(
        retry=RetryPolicy.lasting(), sleep=passing.sleep, clock=passing.clock, notice=said.append
    )
    hub.script("GET", HOME, BUSY, problem(404, "not-found", "Nothing here"))
    with pytest.raises(RefusedError):
        lasting.send(reading(hub))
    assert len(said) == 2


def test_hub_that_is_not_there_yet_is_waited_for(passing: Passing) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said: list[str] = []
    answering: list[FakeHub] = []

    def sleep(seconds: float) -> None:
        passing.sleep(seconds)
        if len(passing.slept) == 100:
            answering.append(FakeHub(port))

    lasting = Transport(retry=RetryPolicy.lasting(), sleep=sleep, clock=passing.clock, notice=said.append)
    try:
        request = HttpRequest(
            method="GET", url=f"http://127.0.0.1:{port}/.well-known/kopuro", repeatable=True
        )
        assert b"custody_key" in lasting.send(request)
    finally:
        for started in answering:
            started.stop()
    assert said[0] == f"cannot connect to 127.0.0.1:{port}; trying again until it answers"
    assert len(said) == 2
