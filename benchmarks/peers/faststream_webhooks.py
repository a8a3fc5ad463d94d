"""Webhooks in plain FastStream: a durable queue, and a subscriber that posts each message with httpx.

`python -m benchmarks.peers.faststream_webhooks AMQP_URI URL COUNT` sends COUNT messages, in turn to the URL
with `?0` to `?99`, and prints the figures as JSON. A message is acknowledged after the receiver's 2xx.
Nothing else is done: no mailbox, no record of attempts, no retry over days, no check of the address.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import sys
import time
from typing import Final

import httpx
import orjson
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue

from contracts.envelope import CONTENT_TYPE
from runtime.identifiers import new_id

# Requests at a time: FastStream starts a task for each message that the broker has sent.
PREFETCH: Final = 100
_ENDPOINTS: Final = 100
_PUBLISHED_AT_A_TIME: Final = 200
_SECRET: Final = bytes(32)


async def send(amqp_uri: str, url: str, count: int) -> dict[str, object]:
    """Return when the first message was published, the messages' ids, and the CPU seconds of this process.

    Raises httpx.HTTPError for the first webhook that was not delivered.
    """
    queue = RabbitQueue("webhooks", durable=True)
    broker = RabbitBroker(
        amqp_uri,
        default_channel=Channel(prefetch_count=PREFETCH, publisher_confirms=True),
        logger=None,
    )
    ids = [new_id() for _ in range(count)]
    sent = 0
    failures: list[Exception] = []
    finished = asyncio.Event()
    limits = httpx.Limits(max_connections=PREFETCH, max_keepalive_connections=0)
    async with httpx.AsyncClient(limits=limits, timeout=15) as client:

        @broker.subscriber(queue)
        async def deliver(body: bytes, message: RabbitMessage) -> None:
            nonlocal sent
            identity, at = message.message_id, str(int(time.time()))
            signed = hmac.digest(_SECRET, f"{identity}.{at}.".encode() + body, hashlib.sha256)
            headers = {
                "webhook-id": identity,
                "webhook-timestamp": at,
                "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
                "content-type": "application/json",
            }
            number = orjson.loads(body)["number"]
            try:
                answer = await client.post(f"{url}?{number % _ENDPOINTS}", content=body, headers=headers)
                answer.raise_for_status()
            except httpx.HTTPError as error:
                failures.append(error)
                finished.set()
                raise
            sent += 1
            if sent == count:
                finished.set()

        await broker.start()
        cpu, started = time.process_time(), time.monotonic()
        for at in range(0, count, _PUBLISHED_AT_A_TIME):
            await asyncio.gather(
                *(
                    broker.publish(
                        orjson.dumps({"number": number, "data": {"id": ids[number]}}),
                        queue=queue,
                        persist=True,
                        # FastStream hands over the bytes of a type that it does not decode.
                        content_type=CONTENT_TYPE,
                        message_id=ids[number],
                    )
                    for number in range(at, min(at + _PUBLISHED_AT_A_TIME, count))
                )
            )
        await finished.wait()
        cpu = time.process_time() - cpu
        await broker.stop()
    if failures:
        raise failures[0]
    return {"started": started, "backlog": ids, "cpu": cpu}


if __name__ == "__main__":
    uri, endpoint, number = sys.argv[1:]
    sys.stdout.write(orjson.dumps(asyncio.run(send(uri, endpoint, int(number)))).decode())
