"""Submissions over AMQP, answered a second: by a whole hub with a gateway, and by a plain FastStream service.

One organisation publishes referrals with confirms and consumes the answers, as docs/integrating.md says. The
time runs from the first submission to the last answer.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aio_pika
import httpx
import orjson
from aio_pika.abc import AbstractIncomingMessage

from admin.embedded_broker import LOOPBACK
from admin.keys import public_half, sealing_key
from benchmarks.kopuro_hub import RAISED_LIMITS, boundless
from benchmarks.story import story
from contracts.broker_rights import PARTNERS_VHOST
from kopuro_client import Kopuro
from sandbox import network
from sandbox.hub import Hub
from sandbox.hub_files import GATEWAY, HUB
from services.gateway.adapters.management_users import ManagementUsers
from services.gateway.domain.partner import client_of, exchange_of, hashed, queue_of

COUNT: Final = 2_000
QUICK_COUNT: Final = 100
# Submissions that wait for their confirm at one time.
_UNCONFIRMED: Final = 100
_PREFETCH: Final = 100
_ACCESS_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 300.0


def measure_amqp(directory: Path, amqp_uri: str, count: int) -> dict[str, float]:
    """Return the answered submissions a second by system.

    amqp_uri: an empty virtual host for the peer; the hub has a broker of its own. Raises TimeoutError.
    """
    return {"kopuro": _kopuro(directory / "hub", count), "faststream": _peer(directory, amqp_uri, count)}


def _kopuro(directory: Path, count: int) -> float:
    environment = {**os.environ, **RAISED_LIMITS}
    environment.pop("KOPURO_AMQP_URI", None)
    hub = Hub(directory, members=boundless(network.load().organizations), environment=environment, amqp=True)
    hub.start()
    try:
        document = json.loads(hub.files.discovery.read_text(encoding="utf-8"))
        told = story(document["custody_key"], dt.datetime.now(dt.UTC))
        exchange = exchange_of(told.sender)
        return asyncio.run(answered(connected(hub, told.sender), told.sender, told.body, count, exchange))
    finally:
        hub.stop()


def connected(hub: Hub, organization: str) -> str:
    """Connect the organisation over AMQP; return its URI once it has access. Raises TimeoutError."""
    assert hub.broker is not None
    broker, files = hub.broker.identity, hub.files
    operator = files.people()["operator"]
    key = public_half(json.loads(files.key(GATEWAY).read_text(encoding="utf-8")))
    with Kopuro.discover(
        files.discovery_address(), operator["client_id"], operator["client_secret"]
    ) as client:
        client.administration.issue_client(
            organization, "partner", client_id=client_of(organization), keys=[key]
        )
    users, password = ManagementUsers(broker.management_uri(HUB)), secrets.token_urlsafe(16)
    users.put(organization, hashed(password, secrets.token_bytes(4)))
    until = time.monotonic() + _ACCESS_SECONDS
    permissions = f"{broker.management_uri(HUB)}/api/vhosts/{PARTNERS_VHOST}/permissions"
    while not any(entry["user"] == organization for entry in httpx.get(permissions).json()):
        if time.monotonic() > until:
            raise TimeoutError(f"{organization} has no access over AMQP")
        time.sleep(0.1)
    return f"amqp://{organization}:{quote(password, safe='')}@{LOOPBACK}:{broker.amqp_port}/partners"


def _peer(directory: Path, amqp_uri: str, count: int) -> float:
    directory.mkdir(exist_ok=True)
    told = story(_custody_key(), dt.datetime.now(dt.UTC))
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.peers.faststream_submissions"]
    peer = subprocess.Popen(
        [*command, amqp_uri, str(directory / "peer.sqlite"), told.sender],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert peer.stdout is not None
        if peer.stdout.readline() != "ready\n":
            raise RuntimeError(f"the peer ended with status {peer.wait()}")
        # The peer does not check the property that names the sender; the broker would refuse another user's.
        return asyncio.run(answered(amqp_uri, told.sender, told.body, count, "submit", names_user=False))
    finally:
        peer.communicate("")


def _custody_key() -> Mapping[str, str]:
    key: Mapping[str, str] = public_half(sealing_key())
    return key


async def answered(
    amqp_uri: str, organization: str, body: bytes, count: int, exchange_name: str, *, names_user: bool = True
) -> float:
    """Submit a referral `count` times and return the answers a second.

    body: of `POST /v1/referrals`. Raises TimeoutError, and ValueError for a submission that was refused.
    """
    submission = orjson.dumps({"submit": "referral", **orjson.loads(body)})
    missing = {f"submission-{number}" for number in range(count)}
    finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def on_message(message: AbstractIncomingMessage) -> None:
        answer: dict[str, Any] = orjson.loads(message.body)["data"]
        await message.ack()
        missing.discard(answer.get("message_id", ""))
        if "problem" in answer and not finished.done():
            finished.set_exception(ValueError(f"a submission was refused: {answer['problem']}"))
        elif not missing and not finished.done():
            finished.set_result(None)

    async with await aio_pika.connect(amqp_uri) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=_PREFETCH)
        exchange = await channel.get_exchange(exchange_name, ensure=False)
        queue = await channel.get_queue(queue_of(organization), ensure=False)
        await queue.consume(on_message)
        free = asyncio.Semaphore(_UNCONFIRMED)

        async def publish(key: str) -> None:
            async with free:
                message = aio_pika.Message(
                    submission,
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    message_id=key,
                    user_id=organization if names_user else None,
                )
                await exchange.publish(message, routing_key=organization)

        started = time.monotonic()
        async with asyncio.timeout(_ANSWER_SECONDS):
            await asyncio.gather(*(publish(key) for key in sorted(missing)))
            await finished
        return count / (time.monotonic() - started)
