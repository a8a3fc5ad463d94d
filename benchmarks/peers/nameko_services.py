"""The journey in stock nameko: event handlers and HTTP entrypoints, an EventDispatcher in each service.

`python -m benchmarks.peers.nameko_services SERVICE`, configured by `peers.process`.
"""

from __future__ import annotations

import eventlet

if __name__ == "__main__":
    eventlet.monkey_patch()

import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from nameko.events import EventDispatcher, event_handler
from nameko.extensions import DependencyProvider
from nameko.runners import ServiceRunner
from nameko.web.handlers import http
from sqlalchemy import Connection
from werkzeug.wrappers import Request, Response

from benchmarks.peers import steps
from benchmarks.peers.process import PeerSettings, announce_ready
from benchmarks.peers.records import open_database
from benchmarks.story import sample_directory
from contracts.envelope import CONTENT_TYPE, Envelope, Event
from contracts.facts import Fact
from runtime.storage.database import Database

WORKERS = 64  # a few long polls would occupy nameko's default of 10


def encode(event: Event[Fact]) -> bytes:
    """Serialize an event for nameko as its own encoding."""
    return event.encode()


def decode(body: bytes) -> Envelope:
    """Decode an envelope for nameko; the handler decodes the fact itself."""
    return Envelope.decode(body)


class Storage(DependencyProvider):
    """The service's database."""

    database: Database

    def setup(self) -> None:
        self.database = open_database(Path(self.container.config["DATABASE"]))

    def get_dependency(self, worker_ctx: Any) -> Database:
        return self.database


class Bell(DependencyProvider):
    """Wakes requests that wait for mailbox messages."""

    def setup(self) -> None:
        self.waiting: dict[str, threading.Event] = defaultdict(threading.Event)

    def get_dependency(self, worker_ctx: Any) -> dict[str, threading.Event]:
        return self.waiting


class SampleDirectory(DependencyProvider):
    """The sample network in memory."""

    def setup(self) -> None:
        self.directory = sample_directory()

    def get_dependency(self, worker_ctx: Any) -> Any:
        return self.directory


class IntakeService:
    name = "intake"
    database = Storage()
    dispatch = EventDispatcher()

    @http("POST", "/v1/referrals")
    def submit(self, request: Request) -> Response:
        event = self._admit(lambda t: steps.submit(t, _caller(request), request.get_data()))
        return _json({"id": event.partition_key, "status": "requested"}, 202)

    @http("POST", "/v1/offers/<offer_id>/accept")
    def accept(self, request: Request, offer_id: str) -> Response:
        try:
            return _submitted(self._admit(lambda t: steps.accept(t, _caller(request), offer_id)))
        except LookupError:
            return _json({"title": "There is no such offer."}, 404)

    @http("POST", "/v1/referrals/<referral_id>/progress")
    def progress(self, request: Request, referral_id: str) -> Response:
        body = request.get_data()
        return _submitted(self._admit(lambda t: steps.progress(t, _caller(request), referral_id, body)))

    @http("POST", "/v1/referrals/<referral_id>/complete")
    def complete(self, request: Request, referral_id: str) -> Response:
        body = request.get_data()
        return _submitted(self._admit(lambda t: steps.complete(t, _caller(request), referral_id, body)))

    @event_handler("routing", "offer.opened")
    def remember_offer(self, message: Envelope) -> None:
        with self.database.write() as transaction:
            steps.remember_offer(transaction, message)

    def _admit(self, step: Callable[[Connection], Event[Fact]]) -> Event[Fact]:
        with self.database.write() as transaction:
            event = step(transaction)
        self.dispatch(event.data.routing_key, event)
        return event


class RoutingService:
    name = "routing"
    database = Storage()
    directory = SampleDirectory()
    dispatch = EventDispatcher()

    @event_handler("intake", "referral.submitted")
    @event_handler("intake", "answer.submitted")
    @event_handler("intake", "progress.submitted")
    @event_handler("intake", "outcome.submitted")
    def take_effect(self, message: Envelope) -> None:
        with self.database.write() as transaction:
            event = steps.route(transaction, self.directory, message)
        self.dispatch(event.data.routing_key, event)


class DeliveryService:
    name = "delivery"
    database = Storage()
    bell = Bell()
    dispatch = EventDispatcher()

    @event_handler("routing", "offer.opened")
    @event_handler("routing", "offer.accepted")
    @event_handler("routing", "referral.progressed")
    @event_handler("routing", "referral.completed")
    def deliver(self, message: Envelope) -> None:
        with self.database.write() as transaction:
            recipients = steps.deliver(transaction, message)
        for organization in recipients:
            self.bell[organization].set()

    @http("GET", "/v1/mailbox")
    def mailbox(self, request: Request) -> Response:
        caller, after = _caller(request), int(request.args.get("after", 0))
        limit, wait = int(request.args["limit"]), float(request.args["wait"])
        with self.database.read() as transaction:
            is_waiting = steps.is_waiting(transaction, caller, after)
        if not is_waiting:
            self.bell[caller].clear()
            self.bell[caller].wait(wait)
        with self.database.write() as transaction:
            page = steps.hand_out(transaction, caller, after, limit)
        for event in page.records:
            self.dispatch(event.data.routing_key, event)
        return _json(
            {"items": [orjson.Fragment(body) for body in page.bodies], "next": str(page.following)}, 200
        )

    @http("POST", "/v1/mailbox:acknowledge")
    def acknowledge(self, request: Request) -> Response:
        ids = orjson.loads(request.get_data())["ids"]
        with self.database.write() as transaction:
            events = steps.acknowledge(transaction, _caller(request), ids)
        for event in events:
            self.dispatch(event.data.routing_key, event)
        return _json({"items": [{"id": message_id, "status": 204} for message_id in ids]}, 200)


class AuditService:
    name = "audit"
    database = Storage()

    @event_handler("intake", "referral.submitted")
    @event_handler("intake", "answer.submitted")
    @event_handler("intake", "progress.submitted")
    @event_handler("intake", "outcome.submitted")
    @event_handler("routing", "offer.opened")
    @event_handler("routing", "offer.accepted")
    @event_handler("routing", "referral.progressed")
    @event_handler("routing", "referral.completed")
    @event_handler("delivery", "delivery.delivered")
    @event_handler("delivery", "delivery.acknowledged")
    def record(self, message: Envelope) -> None:
        with self.database.write() as transaction:
            steps.record(transaction, message)


SERVICES = {s.name: s for s in (IntakeService, RoutingService, DeliveryService, AuditService)}


def _caller(request: Request) -> str:
    # The peers check no tokens, which saves them the cost.
    return str(request.headers["Authorization"]).removeprefix("Bearer ")


def _submitted(event: Event[Fact]) -> Response:
    return _json({"id": event.id, "status": "submitted"}, 202)


def _json(document: Any, status: int) -> Response:
    return Response(orjson.dumps(document), status=status, mimetype="application/json")


def main() -> None:
    """Run one service until it is stopped."""
    settings = PeerSettings.from_environment()
    runner = ServiceRunner(
        {
            "AMQP_URI": settings.amqp_uri,
            "DATABASE": settings.database,
            "WEB_SERVER_ADDRESS": f"{settings.door.host}:{settings.door.port}",
            "max_workers": WORKERS,
            "serializer": "cloudevents",
            "SERIALIZERS": {
                "cloudevents": {
                    "encoder": f"{__name__}.encode",
                    "decoder": f"{__name__}.decode",
                    "content_type": CONTENT_TYPE,
                    "content_encoding": "binary",
                }
            },
        }
    )
    runner.add_service(SERVICES[sys.argv[1]])
    runner.start()
    announce_ready(settings)
    runner.wait()


if __name__ == "__main__":
    main()
