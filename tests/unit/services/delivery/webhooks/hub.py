"""Webhooks on a real database, with a real clock's stand-in and a sender that the test answers for."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path

from prometheus_client import CollectorRegistry

from contracts.commitment import SALT_BYTES
from contracts.facts import Fact, WebhookChanged, WebhookFailing
from runtime.access.token_buckets import TokenBuckets
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.group_commit import GroupCommit
from services.delivery.adapters.tables import MESSAGING
from services.delivery.webhooks.adapters.key_file_seal import KeyFileSeal
from services.delivery.webhooks.adapters.sql_endpoints import SqlEndpoints
from services.delivery.webhooks.adapters.sql_notices import SqlNotices
from services.delivery.webhooks.dispatcher import Dispatcher
from services.delivery.webhooks.domain.endpoint import Endpoint
from services.delivery.webhooks.domain.endpoint_url import EndpointUrl
from services.delivery.webhooks.metrics import WebhookMetrics
from services.delivery.webhooks.outcomes import AttemptResult, Outcomes
from services.delivery.webhooks.owners import CHANGES, EndpointOwners, NewSecret
from services.delivery.webhooks.ports import EndpointResponse, NotSent, Sender
from services.delivery.webhooks.webhook_facts import WebhookFacts
from tests.support.webhook_receiver import Received, repeating_challenge
from tests.unit.services.delivery.workbench import ACCEPTOR, Workbench

URL = "https://cases.example.org/hook?token=s3cret"


class AnsweringSender:
    """Answers as the test says and keeps every request. answer: an exception is raised."""

    def __init__(self) -> None:
        self.requests: list[tuple[EndpointUrl, Received]] = []
        self.answer: Callable[[Received], tuple[int, bytes] | NotSent] = repeating_challenge

    def post(self, url: EndpointUrl, headers: Mapping[str, str], body: bytes) -> EndpointResponse:
        request = Received(
            path=url.target, headers={name.lower(): value for name, value in headers.items()}, body=body, at=0
        )
        self.requests.append((url, request))
        answer = self.answer(request)
        if isinstance(answer, NotSent):
            raise answer
        return EndpointResponse(status=answer[0], media_type="application/json", body=answer[1])

    def refusal_of(self, url: EndpointUrl) -> str | None:
        return None

    @property
    def types(self) -> list[str]:
        return [request.type.split(".", 1)[1] for _, request in self.requests]


class WebhookHub:
    """Delivery with webhooks. `restart` makes new parts on the same database, as a new process has them."""

    def __init__(
        self, bench: Workbench, directory: Path, sender: Sender | None = None, *, is_local: bool = False
    ) -> None:
        self.bench = bench
        self.clock = bench.clock
        self.sender = AnsweringSender()
        self._directory = directory
        self._is_local = is_local
        self._sender: Sender = sender or self.sender
        self.excluded: set[str] = set()
        self._challenges = count()
        self._salts = count()
        self.restart()

    def restart(self) -> None:
        database, outbox = self.bench.database, Outbox(MESSAGING.outbox)
        seal = self.seal = KeyFileSeal.from_file(self._directory / "webhooks.key")
        self.endpoints, self.notices = SqlEndpoints(), SqlNotices()
        facts = WebhookFacts("/kg/delivery", new_id)
        outcomes = Outcomes(
            endpoints=self.endpoints, notices=self.notices, facts=facts, outbox=outbox, chance=lambda: 0
        )
        self.registry = CollectorRegistry()
        self.dispatcher = Dispatcher(
            database=database,
            endpoints=self.endpoints,
            notices=self.notices,
            outcomes=GroupCommit[AttemptResult, None](database, outcomes.write, after_commit=lambda: None),
            sender=self._sender,
            seal=seal,
            clock=self.clock,
            is_excluded=self.excluded.__contains__,
            mailbox_url=lambda _, sequence: f"https://hub/v1/mailbox?from={sequence - 1}",
            metrics=WebhookMetrics(self.registry),
        )
        self.owners = EndpointOwners(
            database=database,
            endpoints=self.endpoints,
            notices=self.notices,
            seal=seal,
            facts=facts,
            outbox=outbox,
            clock=self.clock,
            new_id=new_id,
            new_challenge=lambda: f"challenge-{next(self._challenges)}",
            new_salt=lambda: next(self._salts).to_bytes(SALT_BYTES),
            is_local=self._is_local,
            sender=self._sender,
            after_commit=lambda: None,
            changes=TokenBuckets(CHANGES, clock=lambda: self.clock.now().timestamp()),
        )
        # In the caller's thread: a round ends when its requests have been answered.
        self.dispatcher._spawn = lambda function: function()

    def later(self, **duration: float) -> None:
        """Let time pass, then run rounds until nothing is due."""
        self.clock.time += dt.timedelta(**duration)
        self.settle()

    def settle(self) -> None:
        while True:
            before = len(self.sender.requests)
            self.dispatcher.round()
            if len(self.sender.requests) == before:
                return

    def verified(
        self, organization: str = ACCEPTOR, url: str = URL, types: tuple[str, ...] = ()
    ) -> NewSecret:
        """Return a new endpoint that has answered its challenge; forget the requests so far."""
        new = self.owners.register(organization, f"{organization}-client", url, types)
        self.later(seconds=5)
        assert self.state(new).state == "active"
        self.sender.requests.clear()
        return new

    def state(self, new: NewSecret) -> Endpoint:
        return self.owners.show(new.endpoint.organization, new.endpoint.id)

    def facts(self) -> list[str]:
        """Return what the outbox says about endpoints."""
        return [_told(event.data) for event in self.bench.sent() if _is_about_webhooks(event.data)]

    def stored(self) -> str:
        return self.bench.everything_stored()


def threads(function: Callable[[], None]) -> object:
    """Run in a thread of its own, as a process runs it in a greenlet (`Spawn`)."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def _is_about_webhooks(fact: Fact) -> bool:
    return isinstance(fact, WebhookChanged | WebhookFailing)


def _told(fact: Fact) -> str:
    return fact.change if isinstance(fact, WebhookChanged) else f"failing {getattr(fact, 'percent', '')}"
