"""The benchmark driver against a fake hub with set response times."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import orjson

from benchmarks.driver import ACCEPTED, COMPLETED, OFFERED, PROGRESSED, Driver
from benchmarks.keepalive import Endpoint
from benchmarks.story import SampleReferral
from benchmarks.systems import Doors, System

SENDER, ACCEPTOR = "kg.sender", "ru.acceptor"
STORY = SampleReferral(sender=SENDER, acceptors=(ACCEPTOR,), body=b"{}")
TOLD = {"accept": ACCEPTED, "progress": PROGRESSED, "complete": COMPLETED}


class Hub:
    """The acceptor's message of the completion arrives some time after the sender acknowledged its own."""

    work_begins_with = ACCEPTED

    def __init__(self) -> None:
        self._mailboxes: dict[str, asyncio.Queue[str]] = {SENDER: asyncio.Queue(), ACCEPTOR: asyncio.Queue()}

    async def serve(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._door = Endpoint(host="127.0.0.1", port=server.sockets[0].getsockname()[1])

    def doors(self) -> Doors:
        return Doors(intake=self._door, delivery=self._door)

    def token(self, organization: str) -> str:
        return organization

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except asyncio.IncompleteReadError:
                writer.close()
                return
            who, length = (head.partition(name)[2].split()[0] for name in ("Bearer", "Content-Length:"))
            body = await reader.readexactly(int(length))
            lines = await self._answer(who, head.split()[1].partition("?")[0], body)
            content = b"\n".join(map(orjson.dumps, lines))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content) + content)

    async def _answer(self, who: str, path: str, body: bytes) -> list[Any]:
        match path:
            case "/v1/referrals":
                self._tell(ACCEPTOR, OFFERED)
                return [{"id": "r"}]
            case "/v1/submissions:batch":
                said = [orjson.loads(line)["submit"] for line in body.splitlines()]
                for what in said:
                    self._tell(SENDER if what == "complete" else ACCEPTOR, TOLD[what])
                return [{"line": number, "status": 202} for number, _ in enumerate(said, start=1)]
            case "/v1/mailbox:acknowledge" if who == SENDER:
                asyncio.get_running_loop().call_later(0.3, self._tell, ACCEPTOR, COMPLETED)
            case "/v1/mailbox":
                told = await self._mailboxes[who].get()
                data = {"referral_id": "r", "offer_id": "o"}
                return [{"items": [{"id": "m", "type": told, "data": data}], "next": "1"}]
        return []

    def _tell(self, who: str, kind: str) -> None:
        self._mailboxes[who].put_nowait(kind)


def test_driver_waits_for_the_acceptors_last_message() -> None:
    async def scenario() -> dict[str, int]:
        hub = Hub()
        await hub.serve()
        async with Driver(cast(System, hub), STORY) as driver:
            await driver.submit(1, as_batch=False)
            await driver.all_closed(10)
            return {step: len(seconds) for step, seconds in driver.timings.latencies().items()}

    counted = asyncio.run(scenario())
    assert set(counted.values()) == {1}, counted
