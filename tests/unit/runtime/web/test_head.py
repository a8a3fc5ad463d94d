"""Heads and chunked bodies, compared with h11."""

from __future__ import annotations

import contextlib
import io
import time

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.errors import Refused
from runtime.web.chunks import BadChunk, Chunks
from runtime.web.head import LONGEST_LINE, BadHead, RequestHead, environment, read_head
from runtime.web.path import decode_path
from tests.long_run import times

_SECOND = b"GET /second HTTP/1.1\r\nHost: y\r\n\r\n"
_PIECES = [
    b"GET / HTTP/1.1\r\n", b"POST /a?b HTTP/1.1\r\n", b"Host: x\r\n", b"Content-Length: 2\r\n",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n", b"{}", b"2\r\n", b"0\r\n", b"0x",
    b"\r", b"\n", b" ", b"\t", b":", b"\0", b";a=b", b"-", b"+", b"X-Name: a\r\n", b"chunked", b"f",
]  # fmt: skip


def whole(request: bytes) -> tuple[RequestHead, bytes, bytes] | None:
    """Return head, body and rest of `request` as Kopuro reads it; None when refused or incomplete."""
    file = io.BufferedReader(io.BytesIO(request))
    try:
        head = read_head(file.readline)
        if head is None:
            return None
        body = b""
        if head.length is None:
            chunks = Chunks(file)
            while piece := chunks.read(3):
                body += piece
        else:
            body = file.read(head.length)
            if len(body) < head.length:
                return None
    except (Refused, BadChunk):
        return None
    return head, body, file.read()


def other(request: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return method, target, body and rest of `request` as h11 reads it."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(request)
    head = connection.next_event()
    assert isinstance(head, h11.Request)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    return head.method, head.target, body, connection.trailing_data[0]


@settings(max_examples=times(100, 400))
@given(st.lists(st.sampled_from(_PIECES), max_size=14).map(b"".join), st.booleans())
@example(b"Host: x\r\nContent-Length: 2\r\n\r\n{}", True)
@example(b"Host: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nX-Name: a\r\n\r\n", True)
def test_accepted_request_equals_that_of_h11(pieces: bytes, begun: bool) -> None:
    request = (b"POST /first HTTP/1.1\r\n" if begun else b"") + pieces + _SECOND
    ours = whole(request)
    if ours is not None:
        head, body, rest = ours
        assert (head.method.encode(), head.target.encode(), body, rest) == other(
            request.removeprefix(b"\r\n")
        )


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_parsed_or_refused(noise: bytes) -> None:
    with contextlib.suppress(Refused):
        read_head(io.BytesIO(b"GET / HTTP/1.1\r\n" + noise).readline)


def test_incomplete_head_returns_none() -> None:
    request = b"GET /a HTTP/1.1\r\nHost: x\r\nAccept: a\r\n\r\n"
    assert read_head(io.BytesIO(request).readline) is not None
    for end in range(len(request) - 1):
        with contextlib.suppress(Refused):
            assert read_head(io.BytesIO(request[:end]).readline) is None


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"close", False),
        (b"1.1", b"Keep-Alive, CLOSE", False),
        (b"1.0", b"", False),
        (b"1.0", b"keep-alive", True),
    ],
)
def test_keep_alive_follows_the_connection_header(version: bytes, connection: bytes, kept: bool) -> None:
    request = b"GET / HTTP/%b\r\nHost: x\r\nConnection: %b\r\n\r\n" % (version, connection)
    head = read_head(io.BytesIO(request).readline)
    assert head is not None
    assert head.keeps_alive is kept


def test_header_with_underscore_is_not_taken_for_one_with_hyphen() -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nX_Name: a\r\nX-Name: b\r\n\r\n"
    head = read_head(io.BytesIO(request).readline)
    assert head is not None
    assert environment(head)["HTTP_X_NAME"] == "b"


def test_path_is_percent_decoded() -> None:
    assert decode_path("/v1/referrals:batch") == "/v1/referrals:batch"
    assert decode_path("/.well-known/%d0%90") == "/.well-known/А"
    assert decode_path("/v1/a...b/") == "/v1/a...b/"


@pytest.mark.parametrize("path", ["//v1/referrals", "///v1/referrals", "/v1//referrals", "/v1/referrals//"])
def test_path_with_empty_segment_is_refused(path: str) -> None:
    with pytest.raises(Refused) as refusal:
        decode_path(path)
    assert refusal.value.slug == "invalid-path"


@pytest.mark.parametrize("end", [b"b\r\n", b"\x01\r\n"])
def test_long_runs_of_spaces_in_headers_cost_little_time(end: bytes) -> None:
    """A pattern that strips them itself takes seconds for a head of the largest size."""
    line = b": a" + b" " * (LONGEST_LINE - 20) + end
    lines = [
        b"GET / HTTP/1.1\r\n",
        b"Host: x\r\n",
        *(b"X-%d" % number + line for number in range(7)),
        b"\r\n",
    ]
    started = time.process_time()
    with contextlib.suppress(BadHead):
        read_head(lambda _size: lines.pop(0))
    assert time.process_time() - started < 0.3
