"""Property: no byte that a caller sends reaches a service's log, whatever it sends, on both ports."""

from __future__ import annotations

import base64
import socket
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from admin.embedded_broker import LOOPBACK
from runtime.telemetry.logs import JsonFormatter
from runtime.web.protocol import EventletLog, Protocol
from tests.runtime.sample_process import SampleProcess

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

MARKER = b"Zhyldyz-Asanova-71"
_FORMS = [
    MARKER,
    quote("Жылдыз 71").encode(),
    base64.b64encode(MARKER + b":" + MARKER),
    b'"\r\n\x00\xff<' + MARKER,
]

_marked = st.sampled_from(_FORMS)
_junk = st.one_of(
    _marked,
    st.sampled_from(
        [b"", b" ", b"\r\n", b"\n", b"\0", b":", b"/", b"{", b"[", b"0", b"ffffffff", b"%", b"="]
    ),
)
_method = st.one_of(st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD"]), _junk)
_path = st.one_of(
    st.sampled_from([b"/v1/echo", b"/v1/things/", b"/v1/fail/bug", b"/v1/refuse", b"/metrics", b"/readyz"]),
    _junk,
)
_version = st.one_of(st.just(b"HTTP/1.1"), st.sampled_from([b"HTTP/1.0", b"HTTP/2.0", MARKER]))
_name = st.one_of(
    st.sampled_from(
        [
            b"Authorization",
            b"Content-Type",
            b"Content-Encoding",
            b"Accept",
            b"Expect",
            b"Host",
            b"Idempotency-Key",
            b"If-Match",
            b"X-Forwarded-For",
            b"Connection",
        ]
    ),
    _junk,
)
_length = st.one_of(
    st.sampled_from(
        [b"Content-Length: 0", b"Content-Length: 3", b"Content-Length: 99", b"Content-Length: x"]
    ),
    st.just(b"Transfer-Encoding: chunked"),
    _marked.map(lambda text: b"Content-Length: " + text),
    _marked.map(lambda text: b"Transfer-Encoding: " + text),
)
_chunked = st.sampled_from([b"3\r\n{} \r\n0\r\n\r\n", b"zz", b"5;a=" + MARKER + b"\r\n", b"0\r\n" + MARKER])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request or something like it, with the marker in one or more places."""
    target = draw(_path) + draw(_junk)
    if draw(st.booleans()):
        target += b"?a=" + draw(_marked)
    lines = [draw(_method) + b" " + target + b" " + draw(_version), b"Host: x"]
    lines += [name + b": " + value for name, value in draw(st.lists(st.tuples(_name, _junk), max_size=3))]
    if draw(st.booleans()):
        lines.append(b"Authorization: @")
    lines.append(draw(_length))
    body = draw(st.one_of(_chunked, _junk.map(lambda junk: b'{"name": "' + MARKER + b'"}' + junk)))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body + draw(_junk)


def send(port: int, request: bytes) -> bytes:
    received = b""
    with socket.create_connection((LOOPBACK, port), timeout=20) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):
                received += piece
        except OSError:  # the service closed the connection first
            return received
    return received


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(request=requests(), pipelined=requests(), operations=st.booleans())
def test_no_byte_of_a_request_reaches_a_log_or_an_error_response(
    sample: SampleProcess, request: bytes, pipelined: bytes, operations: bool
) -> None:
    port = int(sample.operations_url.rpartition(":")[2]) if operations else sample.port
    authorization = sample.token("partner")["Authorization"].encode()
    answer = send(
        port, (request + pipelined).replace(b"Authorization: @", b"Authorization: " + authorization)
    )
    log = sample.log.read_bytes()
    for form in (*_FORMS, "Жылдыз".encode(), authorization.split(b" ")[1]):
        assert form not in log
        if (
            b" 202 " not in answer and b" 200 " not in answer
        ):  # the sample's resources return what they were sent
            assert form not in answer
    assert b"\r\nserver:" not in answer.lower()
    assert b"<html" not in answer.lower()
    assert b"Traceback" not in log


class Silent:
    """A connection's file that keeps what is written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def flush(self) -> None:
        return


def handler() -> Protocol:
    """Return a connection's handler whose attributes are those that the library's methods read."""
    made = Protocol.__new__(Protocol)
    made.wfile = Silent()
    made.client_address = (MARKER.decode(), 1)
    made.command, made.request_version = MARKER.decode(), "HTTP/1.1"
    made.requestline = MARKER.decode()
    made.server = SimpleNamespace(log=EventletLog(), log_format="%(request_line)s")
    return made


def test_errors_of_the_library_are_problems_without_a_text(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The `send_error` of the library sends a page that repeats the request, and logs it."""
    connection = handler()
    connection.send_error(400, MARKER.decode(), explain=MARKER.decode())
    assert connection.wfile.written.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in connection.wfile.written
    assert b"<" not in connection.wfile.written
    connection.log_error("code %d, message %s", 400, MARKER.decode())
    connection.log_request(MARKER.decode())
    told = "".join(capfd.readouterr()) + caplog.text
    assert MARKER not in connection.wfile.written
    assert MARKER.decode() not in told


@pytest.mark.parametrize("name", ["debug", "info", "error"])
def test_log_of_the_server_has_the_class_of_an_exception_alone(
    name: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    try:
        raise ValueError(MARKER.decode())
    except ValueError:
        getattr(EventletLog(), name)(MARKER.decode(), MARKER.decode())
    formatted = [JsonFormatter("sample", ["tests"]).format(record) for record in caplog.records]
    assert len(formatted) == (name != "debug")
    assert all("ValueError" in line for line in formatted)
    assert MARKER.decode() not in "".join([*formatted, *capfd.readouterr()])
