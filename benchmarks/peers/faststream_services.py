"""The journey in FastStream over aio-pika: subscribers, a publishing broker, and Starlette for HTTP.

`python -m benchmarks.peers.faststream_services SERVICE`, configured by `peers.process`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.peers import steps
from benchmarks.peers.process import PeerSettings, announce_ready
from benchmarks.peers.records import open_database
from benchmarks.story import sample_directory
from contracts.envelope import CONTENT_TYPE, Envelope, Event
from contracts.facts import Fact
from runtime.storage.database import Database

PREFETCH = 100
EVENTS = RabbitExchange("events", type=ExchangeType.TOPIC, durable=True)

Handler = Callable[[bytes], Awaitable[None]]


class Service:
    """The broker, database and HTTP routes of one service."""

    def __init__(self, name: str, settings: PeerSettings) -> None:
        self.name = name
        self.database: Database = open_database(Path(settings.database))
        self.broker = RabbitBroker(
            settings.amqp_uri, default_channel=Channel(prefetch_count=PREFETCH, publisher_confirms=True)
        )
        self.routes: list[Route] = []

    def subscribe(self, kinds: Iterable[type[Fact]], handler: Handler) -> None:
        """Consume a durable queue for each kind of event."""
        for kind in kinds:
            queue = RabbitQueue(f"{self.name}.{kind.routing_key}", durable=True, routing_key=kind.routing_key)
            self.broker.subscriber(queue, EVENTS)(handler)

    async def publish(self, event: Event[Fact]) -> None:
        """Publish an event and return when the broker has confirmed it."""
        await self.broker.publish(
            event.encode(),
            exchange=EVENTS,
            routing_key=event.data.routing_key,
            persist=True,
            content_type=CONTENT_TYPE,
            message_id=event.id,
        )


def intake(service: Service) -> None:
    async def admit(step: Callable[[Connection], Event[Fact]]) -> Event[Fact]:
        # SQLite takes well under a millisecond: a thread would cost more than it saves.
        with service.database.write() as transaction:
            event = step(transaction)
        await service.publish(event)
        return event

    async def submit(request: Request) -> Response:
        body = await request.body()
        event = await admit(lambda t: steps.submit(t, _caller(request), body))
        return _json({"id": event.partition_key, "status": "requested"}, 202)

    async def accept(request: Request) -> Response:
        offer_id = request.path_params["id"]
        try:
            return _submitted(await admit(lambda t: steps.accept(t, _caller(request), offer_id)))
        except LookupError:
            return _json({"title": "There is no such offer."}, 404)

    async def progress(request: Request) -> Response:
        body, referral_id = await request.body(), request.path_params["id"]
        return _submitted(await admit(lambda t: steps.progress(t, _caller(request), referral_id, body)))

    async def complete(request: Request) -> Response:
        body, referral_id = await request.body(), request.path_params["id"]
        return _submitted(await admit(lambda t: steps.complete(t, _caller(request), referral_id, body)))

    async def remember_offer(body: bytes) -> None:
        with service.database.write() as transaction:
            steps.remember_offer(transaction, Envelope.decode(body))

    service.subscribe(steps.INTAKE_KEYS, remember_offer)
    service.routes += [
        Route("/v1/referrals", submit, methods=["POST"]),
        Route("/v1/offers/{id}/accept", accept, methods=["POST"]),
        Route("/v1/referrals/{id}/progress", progress, methods=["POST"]),
        Route("/v1/referrals/{id}/complete", complete, methods=["POST"]),
    ]


def routing(service: Service) -> None:
    directory = sample_directory()

    async def take_effect(body: bytes) -> None:
        with service.database.write() as transaction:
            event = steps.route(transaction, directory, Envelope.decode(body))
        await service.publish(event)

    service.subscribe(steps.ROUTING_KEYS, take_effect)


def delivery(service: Service) -> None:
    bell: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def deliver(body: bytes) -> None:
        with service.database.write() as transaction:
            recipients = steps.deliver(transaction, Envelope.decode(body))
        for organization in recipients:
            bell[organization].set()

    async def mailbox(request: Request) -> Response:
        caller, after = _caller(request), int(request.query_params.get("after", 0))
        limit, wait = int(request.query_params["limit"]), float(request.query_params["wait"])
        with service.database.read() as transaction:
            is_waiting = steps.is_waiting(transaction, caller, after)
        if not is_waiting:
            bell[caller].clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(bell[caller].wait(), wait)
        with service.database.write() as transaction:
            page = steps.hand_out(transaction, caller, after, limit)
        for event in page.records:
            await service.publish(event)
        return _json(
            {"items": [orjson.Fragment(body) for body in page.bodies], "next": str(page.following)}, 200
        )

    async def acknowledge(request: Request) -> Response:
        ids = orjson.loads(await request.body())["ids"]
        with service.database.write() as transaction:
            events = steps.acknowledge(transaction, _caller(request), ids)
        for event in events:
            await service.publish(event)
        return _json({"items": [{"id": message_id, "status": 204} for message_id in ids]}, 200)

    service.subscribe(steps.DELIVERY_KEYS, deliver)
    service.routes += [
        Route("/v1/mailbox", mailbox, methods=["GET"]),
        Route("/v1/mailbox:acknowledge", acknowledge, methods=["POST"]),
    ]


def audit(service: Service) -> None:
    async def record(body: bytes) -> None:
        with service.database.write() as transaction:
            steps.record(transaction, Envelope.decode(body))

    for kinds in steps.PUBLISHED_FACTS.values():
        service.subscribe(kinds, record)


SERVICES = {"intake": intake, "routing": routing, "delivery": delivery, "audit": audit}


def _caller(request: Request) -> str:
    # The peers check no tokens, which saves them the cost.
    return str(request.headers["Authorization"]).removeprefix("Bearer ")


def _submitted(event: Event[Fact]) -> Response:
    return _json({"id": event.id, "status": "submitted"}, 202)


def _json(document: Any, status: int) -> Response:
    return Response(orjson.dumps(document), status_code=status, media_type="application/json")


def main() -> None:
    """Run one service until it is stopped."""
    settings = PeerSettings.from_environment()
    service = Service(sys.argv[1], settings)
    SERVICES[service.name](service)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await service.broker.start()
        announce_ready(settings)
        yield
        await service.broker.stop()

    uvicorn.run(
        Starlette(routes=service.routes, lifespan=lifespan),
        host=settings.door.host,
        port=settings.door.port,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
