import functools
import gzip
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from dataclasses import replace

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
from tests.endless_servers import DrippingServer, FloodingServer
from tests.unit.client.conftest import FakeClock
from tests.unit.client.fake_hub import FakeHub, Response, json_response, problem

BUSY = problem(503, "unavailable", "The service is temporarily unavailable")
HOME = "/intake/v1/x"


def transport(fake_clock: FakeClock) -> Transport:
    retry = RetryPolicy(attempts=3, first_delay=0.5, patience=10.0)
    return Transport(retry=retry, answer_limit=5.0, sleep=fake_clock.sleep, clock=fake_clock.clock)


def reading(hub: FakeHub) -> HttpRequest:
    return HttpRequest(method="GET", url=hub.base + HOME, repeatable=True)


def writing(hub: FakeHub) -> HttpRequest:
    return HttpRequest(method="POST", url=hub.base + HOME, content=b"{}")


def test_repeatable_request_is_retried_while_hub_is_unavailable(hub: FakeHub, fake_clock: FakeClock) -> None:
    hub.script("GET", HOME, BUSY, BUSY, json_response({"at": "last"}))
    assert transport(fake_clock).send(reading(hub)) == b'{"at": "last"}'
    assert fake_clock.slept == [0.5, 1.0]


def test_retries_end_after_the_last_attempt(hub: FakeHub, fake_clock: FakeClock) -> None:
    hub.script("GET", HOME, BUSY)
    with pytest.raises(UnavailableError, match="temporarily unavailable"):
        transport(fake_clock).send(reading(hub))
    assert len(hub.received) == 3


def test_retry_waits_for_the_hubs_retry_after(hub: FakeHub, fake_clock: FakeClock) -> None:
    busy = Response(status=429, headers={"Retry-After": "4"})
    hub.script("GET", HOME, busy, json_response({}))
    transport(fake_clock).send(reading(hub))
    assert fake_clock.slept == [4.0]


def test_retry_after_beyond_patience_raises_at_once(hub: FakeHub, fake_clock: FakeClock) -> None:
    hub.script("GET", HOME, Response(status=503, headers={"Retry-After": "3600"}))
    with pytest.raises(UnavailableError) as caught:
        transport(fake_clock).send(reading(hub))
    assert caught.value.retry_after == 3600.0
    assert fake_clock.slept == []
    assert len(hub.received) == 1


def test_non_repeatable_request_is_sent_once(hub: FakeHub, fake_clock: FakeClock) -> None:
    hub.script("POST", HOME, BUSY)
    with pytest.raises(UnavailableError):
        transport(fake_clock).send(writing(hub))
    assert len(hub.received) == 1


@pytest.mark.parametrize(("status", "family"), [(422, RefusedError), (500, DefectError), (302, DefectError)])
def test_permanent_error_is_not_retried(
    hub: FakeHub, fake_clock: FakeClock, status: int, family: type[ClientError]
) -> None:
    hub.script("GET", HOME, Response(status=status, headers={"Location": f"{hub.base}/elsewhere"}))
    with pytest.raises(family):
        transport(fake_clock).send(reading(hub))
    assert [request.path for request in hub.received] == [HOME]


def test_truncated_response_raises_transport_error(hub: FakeHub, fake_clock: FakeClock) -> None:
    hub.script("GET", HOME, Response(status=200, body=b"x" * 1000, cut=True))
    with pytest.raises(TransportError):
        transport(fake_clock).send(reading(hub))
    assert len(hub.received) == 3


@pytest.mark.parametrize("status", [200, 503])
def test_endless_response_raises_defect_error_without_retry(hub: FakeHub, status: int) -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        for number in range(10_000):  # 600 MB in all, mostly never sent
            sent.append(number)
            yield b"x" * 64 * 1024

    hub.script("GET", HOME, Response(status=status, chunks=endless))
    with pytest.raises(DefectError, match=r"127\.0\.0\.1:\d+ has more than 1,000,000 bytes"):
        Transport(largest_answer=1_000_000).send(reading(hub))
    assert len(hub.received) == 1
    assert len(sent) < 1_000


def test_response_limit_counts_decompressed_bytes(hub: FakeHub) -> None:
    body = gzip.compress(b" " * 1_000_001)
    assert len(body) < 2_000
    hub.script("GET", HOME, Response(status=200, body=body, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(DefectError, match="more than 1,000,000 bytes"):
        Transport(largest_answer=1_000_000).send(reading(hub))
    assert len(Transport(largest_answer=1_000_001).send(reading(hub))) == 1_000_001


def test_request_limits_its_response_below_the_transport(hub: FakeHub) -> None:
    hub.script("GET", HOME, Response(status=200, body=b" " * 101))
    with pytest.raises(DefectError, match="more than 100 bytes, the limit for this response"):
        Transport().send(replace(reading(hub), largest_answer=100))


@functools.cache
def compressed_spaces(megabytes: int) -> bytes:
    """Return that many megabytes of spaces as gzip, without ever holding them."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(b" " * 1_000_000) for _ in range(megabytes)), packer.flush()])


def peak_while_reading(hub: FakeHub, response: Response) -> tuple[ClientError, int]:
    """Return the client's error, and the most bytes that were allocated while it read the response."""
    hub.script("GET", HOME, response)
    client = Transport(largest_answer=1_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ClientError) as caught:
            client.send(reading(hub))
        return caught.value, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_compressed_response_takes_no_more_memory_than_its_limit(hub: FakeHub) -> None:
    bomb = compressed_spaces(200)
    error, peak = peak_while_reading(
        hub, Response(status=200, body=bomb, headers={"Content-Encoding": "gzip"})
    )
    assert isinstance(error, DefectError)
    assert "more than 1,000,000 bytes" in str(error)
    assert peak < 5_000_000


@functools.cache
def twice_compressed_spaces(megabytes: int) -> bytes:
    return gzip.compress(compressed_spaces(megabytes))


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip,x-gzip", "deflate", "br", "zstd", "x"])
def test_response_with_another_coding_is_refused_unread(hub: FakeHub, coding: str) -> None:
    bomb = twice_compressed_spaces(200)
    error, peak = peak_while_reading(
        hub, Response(status=200, body=bomb, headers={"Content-Encoding": coding})
    )
    assert isinstance(error, DefectError)
    assert "content coding" in str(error)
    assert peak < 2_000_000
    asked = {name.lower(): value for name, value in hub.received[-1].headers.items()}
    assert asked["accept-encoding"] == "gzip"


PACKED = gzip.compress(b"{}", mtime=0)


@pytest.mark.parametrize(
    "body",
    [PACKED[:-3], PACKED + b"{}", PACKED * 2, b"{}"],
    ids=["cut short", "more behind", "twice", "not gzip"],
)
def test_damaged_gzip_raises_transport_error(hub: FakeHub, fake_clock: FakeClock, body: bytes) -> None:
    hub.script("GET", HOME, Response(status=200, body=body, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(TransportError, match="is damaged"):
        transport(fake_clock).send(reading(hub))


def test_silent_hub_raises_transport_error_at_time_limit(hub: FakeHub) -> None:
    answered = threading.Event()

    def late() -> Response:
        answered.wait(10)
        return json_response({})

    hub.script("POST", HOME, late)
    impatient = Transport(answer_limit=0.05)
    try:
        with pytest.raises(TransportError, match="in time"):
            impatient.send(writing(hub))
    finally:
        answered.set()


def test_long_poll_extends_the_time_limit_by_its_wait(hub: FakeHub) -> None:
    waited = threading.Event()

    def held() -> Response:
        waited.wait(0.2)
        return json_response({"held": True})

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
def test_response_sent_byte_by_byte_raises_transport_error(start: bytes, fake_clock: FakeClock) -> None:
    with DrippingServer(start) as hub:
        bounded = Transport(total_limit=0.3, sleep=fake_clock.sleep, retry=RetryPolicy(attempts=2))
        began = time.monotonic()
        request = HttpRequest(method="GET", url=f"http://127.0.0.1:{hub.port}{HOME}", repeatable=True)
        with pytest.raises(TransportError, match=f"no complete response in time from 127.0.0.1:{hub.port}"):
            bounded.send(request)
        assert 0.6 <= time.monotonic() - began < 2
        assert len(fake_clock.slept) == 1


INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


def test_attempt_at_a_response_without_end_is_over_with_its_connection(fake_clock: FakeClock) -> None:
    with FloodingServer(b"", INTERIM) as hub:
        bounded = Transport(total_limit=0.3, sleep=fake_clock.sleep, retry=RetryPolicy(attempts=2))
        request = HttpRequest(method="GET", url=f"http://127.0.0.1:{hub.port}{HOME}", repeatable=True)
        with pytest.raises(TransportError, match="no complete response in time"):
            bounded.send(request)
        for _ in range(2):
            assert hub.ended.acquire(timeout=10)


def test_attempt_without_end_ends_no_request_of_another_thread(hub: FakeHub) -> None:
    began, may_respond = threading.Event(), threading.Event()

    def later() -> Response:
        began.set()
        may_respond.wait(20)
        return json_response({"held": True})

    hub.script("GET", HOME, later, json_response({"next": True}))
    shared = Transport(total_limit=0.3, retry=RetryPolicy(attempts=1))
    results: list[bytes] = []
    poll = HttpRequest(method="GET", url=hub.base + HOME, wait=30.0)
    other = threading.Thread(target=lambda: results.append(shared.send(poll)))
    with FloodingServer(b"", INTERIM) as flooding:
        other.start()
        assert began.wait(10)
        with pytest.raises(TransportError, match="no complete response in time"):
            shared.send(HttpRequest(method="GET", url=f"http://127.0.0.1:{flooding.port}{HOME}"))
        assert b"next" in shared.send(poll)
        may_respond.set()
        other.join()
        assert results == [b'{"held": true}']
        assert flooding.ended.acquire(timeout=10)


def test_long_poll_extends_the_total_limit_by_its_wait(hub: FakeHub) -> None:
    held = threading.Event()

    def later() -> Response:
        held.wait(0.3)
        return json_response({"held": True})

    hub.script("GET", HOME, later)
    request = HttpRequest(method="GET", url=hub.base + HOME, wait=5.0)
    assert b"held" in Transport(total_limit=0.05).send(request)


def test_refused_connection_raises_transport_error_with_host(fake_clock: FakeClock) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    request = HttpRequest(
        method="GET", url=f"http://127.0.0.1:{port}/v1/referrals/secret-id", repeatable=True
    )
    with pytest.raises(TransportError, match=f"cannot connect to 127.0.0.1:{port}") as caught:
        transport(fake_clock).send(request)
    assert "secret-id" not in str(caught.value)
    assert len(fake_clock.slept) == 2


@pytest.mark.parametrize(
    "url", ["ftp://example.invalid/", "http://[::1", "no address", "http://a:b:c/", "http://\x00/"]
)
def test_invalid_url_raises_invalid_argument_error(fake_clock: FakeClock, url: str) -> None:
    with pytest.raises(InvalidArgumentError):
        transport(fake_clock).send(HttpRequest(method="GET", url=url))


def test_invalid_header_raises_invalid_argument_error(hub: FakeHub, fake_clock: FakeClock) -> None:
    for value in ("ключ", "a\r\nb: c"):
        with pytest.raises(ClientError):
            transport(fake_clock).send(writing(hub).having(Idempotency_Key=value))
    assert hub.received == []


def test_closed_transport_raises_transport_error(hub: FakeHub, fake_clock: FakeClock) -> None:
    closed = transport(fake_clock)
    closed.close()
    with pytest.raises(TransportError):
        closed.send(writing(hub))


@pytest.mark.parametrize("value", [float("inf"), object(), {"x": {1, 2}}, "\ud800"])
def test_body_without_json_form_raises_invalid_argument_error(value: object) -> None:
    with pytest.raises(InvalidArgumentError):
        json_body(value)


LOOP: list[object] = [1]
LOOP.append({"again": LOOP})


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"profile": {"staff": [1, float("nan")]}}, "has a number at /profile/staff/1 that is not finite"),
        ({"x/y": (1, {2})}, "has a set at /x~1y/1, which has no JSON form"),
        ("\ud800", "has text at the top level that is not valid Unicode"),
        ({"a": {"\ud800": 1}}, "has a member name in /a that is not valid Unicode"),
        (LOOP, "contains itself at /1/again"),
    ],
)
def test_value_without_json_form_is_named_by_its_place(value: object, fault: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        json_body(value)
    assert str(caught.value) == f"the request body cannot be written as JSON: it {fault}"


def test_request_repr_hides_headers_and_content() -> None:
    request = HttpRequest(
        method="POST", url="http://x", headers={"Authorization": "Bearer t"}, content=b"case"
    )
    assert "Bearer" not in repr(request)
    assert "case" not in repr(request)


def test_outage_and_recovery_are_reported_once_each(hub: FakeHub, fake_clock: FakeClock) -> None:
    notices: list[str] = []
    lasting = Transport(
        retry=RetryPolicy.lasting(), sleep=fake_clock.sleep, clock=fake_clock.clock, notice=notices.append
    )
    hub.script("GET", HOME, *[BUSY] * 50, json_response({"at": "last"}), *[BUSY] * 2, json_response({}))
    assert lasting.send(reading(hub)) == b'{"at": "last"}'
    assert sum(fake_clock.slept) > 300
    place = hub.base.removeprefix("http://")
    assert notices == [
        "The service is temporarily unavailable; retrying until it responds",
        f"{place} responds again after {sum(fake_clock.slept):.0f} seconds",
    ]
    lasting.send(reading(hub))
    assert len(notices) == 4
    lasting.send(reading(hub))
    assert len(notices) == 4


def test_refusal_ends_an_outage(hub: FakeHub, fake_clock: FakeClock) -> None:
    notices: list[str] = []
    lasting = Transport(
        retry=RetryPolicy.lasting(), sleep=fake_clock.sleep, clock=fake_clock.clock, notice=notices.append
    )
    hub.script("GET", HOME, BUSY, problem(404, "not-found", "Nothing here"))
    with pytest.raises(RefusedError):
        lasting.send(reading(hub))
    assert len(notices) == 2


def test_transport_retries_until_hub_starts(fake_clock: FakeClock) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    notices: list[str] = []
    answering: list[FakeHub] = []

    def sleep(seconds: float) -> None:
        fake_clock.sleep(seconds)
        if len(fake_clock.slept) == 100:
            answering.append(FakeHub(port))

    lasting = Transport(
        retry=RetryPolicy.lasting(), sleep=sleep, clock=fake_clock.clock, notice=notices.append
    )
    try:
        request = HttpRequest(
            method="GET", url=f"http://127.0.0.1:{port}/.well-known/kopuro", repeatable=True
        )
        assert b"custody_key" in lasting.send(request)
    finally:
        for started in answering:
            started.stop()
    assert notices[0] == f"cannot connect to 127.0.0.1:{port}; retrying until it responds"
    assert len(notices) == 2
