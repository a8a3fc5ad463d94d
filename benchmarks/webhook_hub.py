"""Delivery's webhooks without a broker: mailboxes that a benchmark fills, and the dispatcher that sends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path

import eventlet
from prometheus_client import CollectorRegistry

from contracts.commitment import SALT_BYTES
from contracts.facts import ReferralFailed
from runtime.access.token_buckets import TokenBuckets
from runtime.clock import SystemClock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox
from runtime.storage.database import Database, sqlite_url
from runtime.storage.group_commit import GroupCommit
from runtime.storage.migrate import upgrade
from services.delivery.adapters.mailboxes import SqlMailboxes
from services.delivery.adapters.tables import MESSAGING
from services.delivery.ports import Arrival
from services.delivery.webhooks.adapters.http_sender import HttpSender
from services.delivery.webhooks.adapters.key_file_seal import KeyFileSeal
from services.delivery.webhooks.adapters.sql_endpoints import SqlEndpoints
from services.delivery.webhooks.adapters.sql_notices import SqlNotices
from services.delivery.webhooks.dispatcher import Dispatcher
from services.delivery.webhooks.metrics import WebhookMetrics
from services.delivery.webhooks.outcomes import AttemptResult, Outcomes
from services.delivery.webhooks.owners import CHANGES, EndpointOwners
from services.delivery.webhooks.webhook_facts import WebhookFacts


class SendingHub:
    """One organisation for each endpoint. Runs in a process whose threads are greenlets."""

    def __init__(self, directory: Path) -> None:
        self._database = Database.open(sqlite_url(directory / "delivery.sqlite"))
        upgrade("services.delivery", self._database)
        self._mailboxes, self._clock = SqlMailboxes(), SystemClock()
        endpoints, self._notices, outbox = SqlEndpoints(), SqlNotices(), Outbox(MESSAGING.outbox)
        facts, seal = WebhookFacts("/kg/delivery", new_id), KeyFileSeal.from_file(directory / "key")
        outcomes = Outcomes(
            endpoints=endpoints, notices=self._notices, facts=facts, outbox=outbox, chance=lambda: 0.5
        )
        sender = HttpSender(permitted=(ip_network("127.0.0.1/32"),))
        self._dispatcher = Dispatcher(
            database=self._database,
            endpoints=endpoints,
            notices=self._notices,
            outcomes=GroupCommit[AttemptResult, None](
                self._database, outcomes.write, after_commit=lambda: None
            ),
            sender=sender,
            seal=seal,
            clock=self._clock,
            is_excluded=lambda _: False,
            mailbox_url=lambda _organization, sequence: (
                f"https://hub.example/v1/mailbox?from={sequence}&limit=1"
            ),
            metrics=WebhookMetrics(CollectorRegistry()),
        )
        self._owners = EndpointOwners(
            database=self._database,
            endpoints=endpoints,
            notices=self._notices,
            seal=seal,
            facts=facts,
            outbox=outbox,
            clock=self._clock,
            new_id=new_id,
            new_challenge=new_id,
            new_salt=lambda: bytes(SALT_BYTES),
            is_local=True,
            sender=sender,
            after_commit=lambda: None,
            changes=TokenBuckets(CHANGES),
        )
        self._organizations: list[str] = []
        self._dispatcher.start(eventlet.spawn)

    def register(self, urls: Sequence[str]) -> None:
        """Register an endpoint for each URL; return when all are verified."""
        for number, url in enumerate(urls):
            organization = f"kg.member-{number}"
            new = self._owners.register(organization, organization, url, ())
            self._owners.test(organization, new.endpoint.id)
            self._organizations.append(organization)
        while not all(self._is_verified(organization) for organization in self._organizations):
            time.sleep(0.1)

    def steadily(self, seconds: float, rate: int, *, excluded: int) -> dict[str, float]:
        """Put messages into the mailboxes in turn; return when each of those after `excluded` was put."""
        put: dict[str, float] = {}
        begun = time.monotonic()
        for number in range(int(seconds * rate)):
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            place = number % len(self._organizations)
            (message,) = self._append([self._organizations[place]])
            if place >= excluded:
                put[message] = time.monotonic()
            self._dispatcher.wake()
        self._drain()
        return put

    def at_once(self, count: int, *, excluded: int) -> tuple[float, list[str]]:
        """Put many messages into the mailboxes after `excluded`; return when that began, and the ids."""
        fast = self._organizations[excluded:]
        started = time.monotonic()
        messages = self._append([fast[number % len(fast)] for number in range(count)])
        self._dispatcher.wake()
        self._drain(within=120)
        return started, messages

    def stop(self) -> None:
        self._dispatcher.stop()
        self._database.close()

    def _is_verified(self, organization: str) -> bool:
        return all(each.state == "active" for each in self._owners.endpoints(organization))

    def _append(self, organizations: Sequence[str]) -> list[str]:
        arrivals = [
            Arrival(
                organization=organization,
                message_id=new_id(),
                type=ReferralFailed.type,
                referral_id=new_id(),
                correlation_id=new_id(),
                body=b"{}",
            )
            for organization in organizations
        ]
        with self._database.write() as transaction:
            self._mailboxes.append(transaction, arrivals, self._clock.now())
        return [arrival.message_id for arrival in arrivals]

    def _drain(self, within: float = 30) -> None:
        """Return when nothing waits any more, apart from what the slow endpoints have."""
        until = time.monotonic() + within
        quiet = 0
        last = -1
        while quiet < 10 and time.monotonic() < until:
            time.sleep(0.1)
            with self._database.read() as transaction:
                waiting = self._notices.count_waiting(transaction)
                waiting += len(self._notices.behind(transaction))
            quiet = quiet + 1 if waiting == last else 0
            last = waiting
            if waiting == 0:
                return
