"""The driver's HTTP client against a scripted server."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.keepalive import Endpoint, Link, Links, Rejected


async def _serve(answers: list[bytes], asked: list[bytes]) -> tuple[asyncio.Server, Endpoint]:
    """Gives each request the next answer; the connection number and the request are noted."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        number = connections
        while answers:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = int(head.split(b"Content-Length: ")[1].split(b"\r")[0])
            asked.append(b"%d " % number + head.split(b"\r")[0] + b" " + await reader.readexactly(length))
            writer.write(answers.pop(0))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, Endpoint(host="127.0.0.1", port=server.sockets[0].getsockname()[1])


def _ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def test_requests_share_a_connection() -> None:
    asked: list[bytes] = []

    async def scenario() -> list[bytes]:
        server, door = await _serve([_ok(b"one"), _ok(b""), _ok(b"three")], asked)
        link = Link(door, "token")
        found = [
            await link.done("POST", "/a", b"body"),
            await link.done("GET", "/b"),
            await link.done("GET", "/c"),
        ]
        link.close()
        server.close()
        return found

    assert asyncio.run(scenario()) == [b"one", b"", b"three"]
    assert asked == [b"1 POST /a HTTP/1.1 body", b"1 GET /b HTTP/1.1 ", b"1 GET /c HTTP/1.1 "]


def test_chunks_are_put_together() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"

    async def scenario() -> list[bytes]:
        server, door = await _serve([chunked, _ok(b"next")], [])
        link = Link(door, "token")
        found = [await link.done("GET", "/"), await link.done("GET", "/")]
        link.close()
        server.close()
        return found

    assert asyncio.run(scenario()) == [b"abcde", b"next"]


def test_refusal_names_request_and_response() -> None:
    refusal = b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 3\r\n\r\nbad"

    async def scenario() -> None:
        server, door = await _serve([refusal], [])
        link = Link(door, "token")
        try:
            await link.done("POST", "/v1/referrals", b"{}")
        finally:
            link.close()
            server.close()

    with pytest.raises(Rejected, match="POST /v1/referrals: 422 bad"):
        asyncio.run(scenario())


def test_client_reconnects_after_broken_connection() -> None:
    asked: list[bytes] = []

    async def scenario() -> bytes:
        server, door = await _serve(
            [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", _ok(b"whole")], asked
        )
        links = Links(door, "token", 1)
        async with links.one() as link:
            begun = asyncio.create_task(link.ask("GET", "/first"))
            while not asked:
                await asyncio.sleep(0)
            begun.cancel()
            await asyncio.gather(begun, return_exceptions=True)
        found = await links.done("GET", "/second")
        links.close()
        server.close()
        return found

    assert asyncio.run(scenario()) == b"whole"
    assert [request[:1] for request in asked] == [b"1", b"2"]
