"""Bytes that are not one clear HTTP request (RFC 9112), over raw sockets."""

from __future__ import annotations

import socket
from dataclasses import dataclass

import httpx
import orjson
import pytest

from admin.embedded_broker import LOOPBACK
from runtime.web.head import LARGEST_HEAD, LONGEST_LINE, MOST_HEADERS
from tests.runtime.sample_process import SampleProcess

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

MARKER = b"Aigerim-Toktogulova"
SMUGGLED = b"GET /v1/wait?seconds=0 HTTP/1.1\r\nHost: x\r\n\r\n"
_SMUGGLED_RAN = 'kopuro_http_requests_total{method="GET",route="/v1/wait"'


@dataclass(frozen=True, slots=True)
class Received:
    status: int
    headers: dict[str, str]
    body: bytes
    rest: bytes  # what came behind the first answer


def exchange(sample: SampleProcess, request: bytes) -> Received:
    """Send, keep our side open, and read until the service closes the connection."""
    received = b""
    with socket.create_connection((LOOPBACK, sample.port), timeout=10) as connection:
        connection.sendall(request)
        while piece := connection.recv(65536):
            received += piece
    head, _, rest = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    length = int(headers["content-length"])
    return Received(int(status_line.split()[1]), headers, rest[:length], rest[length:])


def smuggled_requests(sample: SampleProcess) -> list[str]:
    metrics = httpx.get(sample.operations_url + "/metrics").text
    return [line for line in metrics.splitlines() if line.startswith(_SMUGGLED_RAN)]


def assert_refused(sample: SampleProcess, request: bytes, status: int, slug: str) -> None:
    before = smuggled_requests(sample)
    answer = exchange(sample, request + SMUGGLED)
    document = orjson.loads(answer.body)
    assert (answer.status, document["type"]) == (status, f"urn:kopuro:problem:{slug}")
    assert document["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.rest == b""
    assert smuggled_requests(sample) == before
    assert MARKER not in answer.body
    assert MARKER.decode() not in sample.log.read_text()


def echo(sample: SampleProcess, *lines: bytes, body: bytes = b"{}") -> bytes:
    """Return a POST request with a token and these header lines."""
    authorization = sample.token("partner")["Authorization"].encode()
    head = (b"POST /v1/echo HTTP/1.1", b"Host: x", b"Authorization: " + authorization, *lines)
    return b"".join(line + b"\r\n" for line in head) + b"\r\n" + body


HEADER_LINES = {
    "no colon": b"Content-Type application/json",
    "no name": b": application/json",
    "space before the colon": b"Content-Length : 2",
    "tab before the colon": b"Content-Length\t: 2",
    "space before the name": b" Content-Length: 2",
    "folded line": b"X-Name: a\r\n b",
    "folded line with a tab": b"X-Name: a\r\n\tContent-Length: 2",
    "space in the name": b"X Name: a",
    "quote in the name": b'X"Name: a',
    "byte beyond ASCII in the name": b"X-N\xc3\xa4me: a",
    "NUL in the name": b"X-\0Name: a",
    "NUL in the value": b"X-Name: a\0b",
    "control character in the value": b"X-Name: a\x01b",
    "DEL in the value": b"X-Name: a\x7fb",
    "bare CR in the value": b"X-Name: a\rContent-Length: 40",
    "bare CR before the end": b"X-Name: a\r",
    "bare LF": b"X-Name: a\nX-Other: b",
    "bare LF before an empty line": b"X-Name: a\n",
}


@pytest.mark.parametrize("line", HEADER_LINES.values(), ids=HEADER_LINES.keys())
def test_malformed_header_line_is_refused(sample: SampleProcess, line: bytes) -> None:
    assert_refused(
        sample, echo(sample, b"X-Person: " + MARKER, line, b"Content-Length: 2"), 400, "malformed-request"
    )


FRAMINGS = {
    "two lengths": (b"Content-Length: 2", b"Content-Length: 40"),
    "the same length twice": (b"Content-Length: 2", b"Content-Length: 2"),
    "a list of equal lengths": (b"Content-Length: 2, 2",),
    "a list of lengths": (b"Content-Length: 2, 40",),
    "length and chunks": (b"Content-Length: 2", b"Transfer-Encoding: chunked"),
    "chunks and length": (b"Transfer-Encoding: chunked", b"Content-Length: 2"),
    "empty length": (b"Content-Length:",),
    "signed length": (b"Content-Length: +2",),
    "negative length": (b"Content-Length: -2",),
    "hexadecimal length": (b"Content-Length: 0x2",),
    "length with an underscore": (b"Content-Length: 0_2",),
    "length with a space": (b"Content-Length: 2 0",),
    "length in other digits": ("Content-Length: ٢".encode(),),
    "length of 19 digits": (b"Content-Length: 0000000000000000002",),
    "another coding": (b"Transfer-Encoding: gzip",),
    "another coding and chunked": (b"Transfer-Encoding: gzip, chunked",),
    "chunked twice": (b"Transfer-Encoding: chunked, chunked",),
    "two transfer codings": (b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    "two chunked lines": (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "quoted coding": (b'Transfer-Encoding: "chunked"',),
    "empty coding": (b"Transfer-Encoding:",),
    "second host": (b"Host: y", b"Content-Length: 2"),
}


@pytest.mark.parametrize("lines", FRAMINGS.values(), ids=FRAMINGS.keys())
def test_ambiguous_framing_is_refused(sample: SampleProcess, lines: tuple[bytes, ...]) -> None:
    assert_refused(sample, echo(sample, *lines), 400, "malformed-request")


@pytest.mark.parametrize("order", [1, -1], ids=["length first", "chunks first"])
def test_body_that_is_well_formed_by_its_length_and_by_its_chunks_is_refused(
    sample: SampleProcess, order: int
) -> None:
    body = b"2\r\n{}\r\n0\r\n\r\n"
    lines = [f"Content-Length: {len(body)}".encode(), b"Transfer-Encoding: chunked"][::order]
    assert_refused(sample, echo(sample, *lines, body=body), 400, "malformed-request")


CHUNKS = {
    "0x prefix": b"0x2\r\n{}\r\n0\r\n\r\n",
    "plus": b"+2\r\n{}\r\n0\r\n\r\n",
    "minus": b"-2\r\n{}\r\n0\r\n\r\n",
    "underscore": b"0_2\r\n{}\r\n0\r\n\r\n",
    "empty size": b"\r\n{}\r\n0\r\n\r\n",
    "extension without a size": b";a\r\n{}\r\n0\r\n\r\n",
    "space before the size": b" 2\r\n{}\r\n0\r\n\r\n",
    "space behind the size": b"2 \r\n{}\r\n0\r\n\r\n",
    "no hexadecimal number": b"2g\r\n{}\r\n0\r\n\r\n",
    "digits of another script": "٢\r\n{}\r\n0\r\n\r\n".encode(),
    "sixteen digits": b"0000000000000002\r\n{}\r\n0\r\n\r\n",
    "bytes behind the data": b"2\r\n{}xx0\r\n\r\n",
    "one byte behind the data": b"2\r\n{}x\r\n0\r\n\r\n",
    "no line end behind the data": b"2\r\n{}0\r\n\r\n",
    "bare LF behind the size": b"2\n{}\r\n0\r\n\r\n",
    "bare CR behind the size": b"2\r{}\r\n0\r\n\r\n",
    "bare LF behind the data": b"2\r\n{}\n0\r\n\r\n",
    "bare LF behind the last chunk": b"2\r\n{}\r\n0\n\r\n",
    "bare LF for the end": b"2\r\n{}\r\n0\r\n\n",
    "bare LF in an extension": b"2;a\nb\r\n{}\r\n0\r\n\r\n",
    "NUL in an extension": b"2;a=\0\r\n{}\r\n0\r\n\r\n",
    "trailer without a colon": b"2\r\n{}\r\n0\r\nX-Name\r\n\r\n",
    "trailer with a bare LF": b"2\r\n{}\r\n0\r\nX-Name: a\n\r\n",
    "folded trailer": b"2\r\n{}\r\n0\r\nX-Name: a\r\n b\r\n\r\n",
}


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS.keys())
def test_malformed_chunk_is_refused(sample: SampleProcess, body: bytes) -> None:
    assert_refused(sample, echo(sample, b"Transfer-Encoding: chunked", body=body), 400, "malformed-request")


REQUEST_LINES = {
    "no version": b"GET /v1/ping",
    "two spaces": b"GET  /v1/ping HTTP/1.1",
    "tab": b"GET\t/v1/ping HTTP/1.1",
    "space behind the version": b"GET /v1/ping HTTP/1.1 ",
    "space before the method": b" GET /v1/ping HTTP/1.1",
    "space in the target": b"GET /v1/ping x HTTP/1.1",
    "lower-case version": b"GET /v1/ping http/1.1",
    "version of two digits": b"GET /v1/ping HTTP/1.10",
    "fragment": b"GET /v1/ping#a HTTP/1.1",
    "target without a slash": b"GET v1/ping HTTP/1.1",
    "bytes beyond ASCII": "GET /v1/things/Ош HTTP/1.1".encode(),
    "NUL": b"GET /v1/ping\0 HTTP/1.1",
    "bare CR": b"GET /v1/ping HTTP/1.1\rHost: y",
    "bare LF": b"GET /v1/ping HTTP/1.1\nHost: y",
    "no method": b"/v1/ping HTTP/1.1",
    "brackets in the method": b"<b> /v1/ping HTTP/1.1",
    "two empty lines first": b"\r\n\r\nGET /v1/ping HTTP/1.1",
}


@pytest.mark.parametrize("line", REQUEST_LINES.values(), ids=REQUEST_LINES.keys())
def test_malformed_request_line_is_refused(sample: SampleProcess, line: bytes) -> None:
    request = line + b"\r\nHost: x\r\nX-Person: " + MARKER + b"\r\n\r\n"
    assert_refused(sample, request, 400, "malformed-request")


def test_request_line_is_never_echoed(sample: SampleProcess) -> None:
    assert_refused(sample, MARKER + b" " + MARKER + b"\r\n\r\n", 400, "malformed-request")


HOSTS = {
    "no host": (b"",),
    "space": (b"Host: kopuro.example a",),
    "tab": (b"Host: kopuro\t.example",),
    "path": (b"Host: kopuro.example/v1",),
    "user": (b"Host: " + MARKER + b"@kopuro.example",),
    "scheme": (b"Host: http://kopuro.example",),
    "port that is not a number": (b"Host: kopuro.example:http",),
    "two ports": (b"Host: kopuro.example:80:80",),
    "port alone": (b"Host: :80",),
    "open bracket": (b"Host: [::1",),
    "incomplete escape": (b"Host: kopuro%2.example",),
    "byte beyond ASCII": ("Host: Ош".encode(),),
    "two hosts": (b"Host: kopuro.example", b"Host: other.example"),
    "two equal hosts": (b"Host: kopuro.example", b"host: kopuro.example"),
}


@pytest.mark.parametrize("lines", HOSTS.values(), ids=HOSTS.keys())
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_missing_or_malformed_host_is_refused(
    sample: SampleProcess, lines: tuple[bytes, ...], version: bytes
) -> None:
    if (lines, version) == ((b"",), b"1.0"):
        lines = (b"Host",)  # HTTP/1.0 needs no host
    head = b"".join(line + b"\r\n" for line in (b"GET /v1/ping HTTP/" + version, *lines) if line)
    assert_refused(sample, head + b"\r\n", 400, "malformed-request")


def test_absolute_target_with_user_information_is_refused(sample: SampleProcess) -> None:
    request = b"GET http://" + MARKER + b"@kopuro.example/v1/ping HTTP/1.1\r\nHost: kopuro.example\r\n\r\n"
    assert_refused(sample, request, 400, "malformed-request")


@pytest.mark.parametrize("method", [b"get", b"Get", b"head", b"HEAd", b"BREW", b"get" + MARKER])
def test_unknown_method_is_not_implemented(sample: SampleProcess, method: bytes) -> None:
    request = method + b" /v1/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert_refused(sample, request, 501, "method-not-implemented")


@pytest.mark.parametrize("expectation", [b"200-ok", b"100-continue, 200-ok", b"100-continue;a=b", MARKER])
def test_unknown_expectation_is_refused(sample: SampleProcess, expectation: bytes) -> None:
    request = echo(sample, b"Expect: " + expectation, b"Content-Length: 2")
    assert_refused(sample, request, 417, "expectation-failed")


def test_expectation_of_http_1_0_is_ignored(sample: SampleProcess) -> None:
    for expectation in (b"100-continue", b"200-ok"):
        request = echo(sample, b"Expect: " + expectation, b"Content-Length: 2")
        answer = exchange(sample, request.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (answer.status, orjson.loads(answer.body)["document"]) == (202, {})


def test_refusal_before_the_body_of_a_waiting_client_closes_the_connection(sample: SampleProcess) -> None:
    """Such a client sends no body after the refusal: the service must not wait for it and read a request."""
    request = (
        b"POST /v1/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n"
        b"Expect: 100-Continue\r\nContent-Length: 40\r\n\r\n"
    )
    assert_refused(sample, request, 401, "invalid-token")


MISSPELT = {
    "Idempotency_Key": b"idempotency-key",
    "IDEMPOTENCY_KEY": b"idempotency-key",
    "If_Match": b"if-match",
    "If_None-Match": b"if-none-match",
    "Kopuro_Proof": b"kopuro-proof",
    "Content_Type": b"content-type",
    "Content_Length": b"content-length",
    "Transfer_Encoding": b"transfer-encoding",
}


@pytest.mark.parametrize("name", MISSPELT)
def test_header_spelt_with_an_underscore_is_refused_by_name(sample: SampleProcess, name: str) -> None:
    request = echo(sample, name.encode() + b": " + MARKER, b"Content-Length: 2")
    assert_refused(sample, request, 400, "misspelt-header")
    assert MISSPELT[name] in exchange(sample, request).body


def test_chunks_in_http_1_0_are_refused(sample: SampleProcess) -> None:
    request = b"POST /v1/echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    assert_refused(sample, request, 400, "malformed-request")


def test_other_version_is_refused(sample: SampleProcess) -> None:
    assert_refused(sample, b"GET /v1/ping HTTP/2.0\r\nHost: x\r\n\r\n", 505, "malformed-request")


def test_overlong_head_is_refused(sample: SampleProcess) -> None:
    long = b"x" * LONGEST_LINE
    assert_refused(sample, echo(sample, b"X-Name: " + long), 431, "head-too-large")
    many = [b"X-%d: a" % number for number in range(MOST_HEADERS)]
    assert_refused(sample, echo(sample, *many), 431, "head-too-large")
    large = [b"X-%d: %b" % (number, long[:-20]) for number in range(LARGEST_HEAD // LONGEST_LINE + 1)]
    assert_refused(sample, echo(sample, *large), 431, "head-too-large")
    request = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % long
    assert_refused(sample, request, 414, "head-too-large")


REPEATED_HEADERS = {
    "Idempotency-Key": (b"Idempotency-Key: a", b"Idempotency-Key: b"),
    "equal Idempotency-Keys": (b"Idempotency-Key: a", b"idempotency-key: a"),
    "Authorization": (b"Authorization: Bearer " + MARKER,),
    "Content-Type": (b"Content-Type: application/json", b"Content-Type: text/plain"),
    "Kopuro-Proof": (b"Kopuro-Proof: a", b"Kopuro-Proof: b"),
    "If-Match": (b'If-Match: "1"', b'If-Match: "2"'),
}


@pytest.mark.parametrize("lines", REPEATED_HEADERS.values(), ids=REPEATED_HEADERS.keys())
def test_repeated_header_is_refused(sample: SampleProcess, lines: tuple[bytes, ...]) -> None:
    assert_refused(sample, echo(sample, *lines, b"Content-Length: 2"), 400, "duplicate-header")


PATHS = [
    "%2f",
    "%2F",
    "a%2Fb",
    "%5C",
    "\\",
    "%00",
    "%0a",
    "%7F",
    "..",
    "%2e%2E",
    ".",
    "../things/1",
    "%zz",
    "%",
]


@pytest.mark.parametrize("path", [*PATHS, "%ff", "%c0%af"])
def test_ambiguous_path_is_refused(sample: SampleProcess, path: str) -> None:
    request = f"GET /v1/things/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert_refused(sample, request.encode(), 400, "invalid-path")


@pytest.mark.parametrize("coding", [b"gzip", b"deflate", b"br", b"gzip, identity", b"x-" + MARKER])
def test_encoded_body_is_refused(sample: SampleProcess, coding: bytes) -> None:
    request = echo(sample, b"Content-Encoding: " + coding, b"Content-Length: 2", b"Connection: close")
    assert_refused(sample, request, 415, "unsupported-content-encoding")


def test_refusal_of_encoded_body_names_the_accepted_coding(sample: SampleProcess) -> None:
    headers = {**sample.token("partner"), "Content-Encoding": "gzip"}
    answer = httpx.post(sample.url + "/v1/echo", content=b"{}", headers=headers)
    assert answer.headers["accept-encoding"] == "identity"


def test_repeated_json_name_is_refused(sample: SampleProcess) -> None:
    answer = httpx.post(
        sample.url + "/v1/echo", content=b'{"a": [{"b": 1, "b": 1}]}', headers=sample.token("partner")
    )
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:kopuro:problem:duplicate-name")
    assert answer.json()["errors"][0]["pointer"] == "/a/0/b"


def test_body_shorter_than_announced_runs_nothing(sample: SampleProcess) -> None:
    """The client closes its side in the middle of the body: the partial body is not processed."""
    with socket.create_connection((LOOPBACK, sample.port), timeout=10) as connection:
        connection.sendall(echo(sample, b"Content-Length: 9"))
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"urn:kopuro:problem:malformed-request" in answer
    assert b"Connection: close\r\n" in answer


GOOD = {
    "one empty line first": b"\r\nGET /v1/ping HTTP/1.1\r\nHost: x\r\n",
    "absolute form": b"GET http://kopuro.example/v1/ping HTTP/1.1\r\nHost: kopuro.example\r\n",
    "no space behind the colon": b"GET /v1/ping HTTP/1.1\r\nHost:x\r\n",
    "spaces around the value": b"GET /v1/ping HTTP/1.1\r\nHost: \t x \t\r\n",
    "empty value": b"GET /v1/ping HTTP/1.1\r\nHost:\r\nX-Empty:\r\n",
    "host with a port": b"GET /v1/ping HTTP/1.1\r\nHost: kopuro.example:8080\r\n",
    "host with an underscore": b"GET /v1/ping HTTP/1.1\r\nHost: my_kopuro:\r\n",
    "IPv6 host": b"GET /v1/ping HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n",
    "header of a proxy with an underscore": b"GET /v1/ping HTTP/1.1\r\nHost: x\r\nX_Real_Ip: 192.0.2.1\r\n",
    "expectation without a body": b"GET /v1/ping HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n",
    "bytes beyond ASCII in a value": b"GET /v1/ping HTTP/1.1\r\nHost: x\r\nX-Name: \xd0\x90\r\n",
    "a list over two lines": b"GET /v1/ping HTTP/1.1\r\nHost: x\r\nAccept: a/b\r\nAccept: c/d\r\n",
}


@pytest.mark.parametrize("head", GOOD.values(), ids=GOOD.keys())
def test_unusual_but_clear_head_is_answered(sample: SampleProcess, head: bytes) -> None:
    answer = exchange(sample, head + b"Connection: close\r\n\r\n")
    assert (answer.status, answer.body) == (200, b'{"pong":true}')


@pytest.mark.parametrize(
    "body",
    [
        b"2\r\n{}\r\n0\r\n\r\n",
        b"2;name=value\r\n{}\r\n0\r\n\r\n",
        b"1\r\n{\r\n01\r\n}\r\n000\r\n\r\n",
        b"2\r\n{}\r\n0\r\nX-Trailer: a\r\n\r\n",
    ],
)
def test_requests_behind_a_chunked_one_are_answered_in_order(sample: SampleProcess, body: bytes) -> None:
    last = b"GET /v1/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = exchange(sample, echo(sample, b"Transfer-Encoding: chunked", body=body) + last)
    assert (answer.status, orjson.loads(answer.body)["document"]) == (202, {})
    assert answer.rest.endswith(b'\r\n\r\n{"pong":true}')


def test_continue_response_precedes_the_body(sample: SampleProcess) -> None:
    with socket.create_connection((LOOPBACK, sample.port), timeout=10) as connection:
        connection.sendall(echo(sample, b"Content-Length: 2", b"Expect: 100-continue", body=b""))
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        assert connection.recv(65536).startswith(b"HTTP/1.1 202 ")


def test_http_1_0_connection_closes_unless_it_is_to_be_kept(sample: SampleProcess) -> None:
    answer = exchange(sample, b"GET /v1/ping HTTP/1.0\r\n\r\n")
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    kept = b"GET /v1/ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    answer = exchange(sample, kept + b"GET /v1/ping HTTP/1.0\r\n\r\n")
    assert answer.headers["connection"] == "keep-alive"
    assert answer.rest.startswith(b"HTTP/1.1 200 ")
