"""Reading of bodies: what is counted, when others run, and what ends it before the end."""

from __future__ import annotations

import io
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.errors import Refused
from runtime import turn
from runtime.web.body import read_body
from runtime.web.chunks import Chunks

SEGMENT = 64 * 1024
LIMIT = 8 * 1024 * 1024


def announced(stream: Any, length: int) -> dict[str, Any]:
    return {"CONTENT_LENGTH": str(length), "wsgi.input": stream}


def chunked(body: bytes, size: int = SEGMENT) -> dict[str, Any]:
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(part), part)
        for part in (body[start : start + size] for start in range(0, len(body), size))
    )
    stream = io.BufferedReader(io.BytesIO(chunks + b"0\r\n\r\n"))
    return {"CONTENT_LENGTH": "", "wsgi.input": Chunks(stream)}


def test_further_segments_of_an_announced_body_are_counted() -> None:
    for length, expected in ((SEGMENT, 0), (SEGMENT + 1, 1), (3 * SEGMENT, 2)):
        counted: list[None] = []
        read_body(announced(io.BytesIO(bytes(length)), length), LIMIT, partial(counted.append, None))
        assert len(counted) == expected


@pytest.mark.parametrize("is_chunked", [False, True])
def test_others_run_between_the_segments_of_a_body_that_has_arrived(
    is_chunked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    yields: list[float] = []
    moments = iter(range(1000))
    clock = SimpleNamespace(perf_counter=lambda: float(next(moments)), sleep=yields.append)
    monkeypatch.setattr(turn, "time", clock)
    body = b"x" * (4 * SEGMENT)
    environ = chunked(body) if is_chunked else announced(io.BytesIO(body), len(body))
    assert read_body(environ, LIMIT) == body
    assert yields == [0] * (4 if is_chunked else 3)  # the end of a chunked body is a look of its own


@pytest.mark.parametrize(("is_chunked", "counted_in_all"), [(False, 9), (True, LIMIT // SEGMENT - 1)])
def test_refused_body_is_read_no_further_and_counts_whole(is_chunked: bool, counted_in_all: int) -> None:
    body = b"x" * (10 * SEGMENT)
    environ = chunked(body) if is_chunked else announced(io.BytesIO(body), len(body))
    checked: list[bytes] = []
    counted: list[None] = []

    def check(piece: bytes) -> None:
        checked.append(piece)
        if len(checked) == 2:
            raise Refused("body-too-large", "Too long.")

    with pytest.raises(Refused, match="Too long"):
        read_body(environ, LIMIT, lambda: counted.append(None), check)
    assert [len(piece) for piece in checked] == [SEGMENT] * 2
    assert len(counted) == counted_in_all
    if not is_chunked:
        assert environ["wsgi.input"].tell() == 2 * SEGMENT


@pytest.mark.parametrize("size", [1, 7, 100, 5000, 9000])
def test_small_chunks_that_have_arrived_are_read_together(size: int) -> None:
    """The buffer of a connection holds 8 KiB: a chunk that it cuts is read alone."""
    body = bytes(index % 251 for index in range(10_000))
    pieces: list[bytes] = []
    assert read_body(chunked(body, size), LIMIT, check=pieces.append) == body
    assert len(pieces) <= 2 + 2 * -(-len(body) * (size + 5) // size // 8192)


def test_chunks_beyond_the_limit_are_refused_with_the_reason() -> None:
    read_body(chunked(bytes(15_000), 1), LIMIT)
    with pytest.raises(Refused, match=r"malformed: the body has too many chunks for its size\.$"):
        read_body(chunked(bytes(16_000), 1), LIMIT)


def test_others_run_between_small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    yields: list[float] = []
    monkeypatch.setattr("runtime.web.chunks.time", SimpleNamespace(sleep=yields.append))
    read_body(chunked(bytes(10_000), 1), LIMIT)
    assert len(yields) >= 7  # a buffer of the connection has 1,365 of them
