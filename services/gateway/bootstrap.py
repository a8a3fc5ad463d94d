"""Composition of the gateway process; the only place that chooses adapters."""

from __future__ import annotations

import json
import time
from typing import Final

from kopuro_client.client_key import ClientKey
from kopuro_client.errors import InvalidArgumentError
from runtime.access.tokens import TokenVerifier, issuer_of
from runtime.application import Application
from runtime.clock import SystemClock
from runtime.messaging.rabbit.connection import ConnectionFactory
from runtime.settings import Settings, SettingsError
from runtime.telemetry.metrics import build_info, process_registry
from services.gateway.adapters.http_hub import HttpHub
from services.gateway.adapters.management_users import ManagementUsers
from services.gateway.adapters.rabbit_queues import RabbitQueues
from services.gateway.adapters.rabbit_submissions import RabbitSubmissions
from services.gateway.flood_guard import FloodGuard
from services.gateway.gateway_metrics import GatewayMetrics
from services.gateway.submission_processor import SubmissionProcessor
from services.gateway.submission_work import SubmissionWork
from services.gateway.window_updater import WindowUpdater
from services.gateway.window_work import WindowWork

_CONNECT_SECONDS: Final = 5.0
_HEARTBEAT_SECONDS: Final = 20


class GatewayConnections:
    """The connections that end with the process."""

    def __init__(self, hub: HttpHub, queues: RabbitQueues) -> None:
        self._hub = hub
        self._queues = queues

    def close(self) -> None:
        """Close them."""
        self._queues.close()
        self._hub.close()


def build(settings: Settings) -> Application[None]:
    """Build the gateway process. Raises SettingsError without its key, the vhost or the management API."""
    if settings.gateway_key is None:
        raise SettingsError(["KOPURO_GATEWAY_KEY is not set"])
    if settings.broker_management_uri is None:
        raise SettingsError(["KOPURO_BROKER_MANAGEMENT_URI is not set"])
    try:
        key = ClientKey.from_jwk(json.loads(settings.gateway_key.read_text(encoding="utf-8")))
    except (OSError, ValueError, InvalidArgumentError):
        # Not chained: the cause may quote the contents of the key file.
        raise SettingsError(["KOPURO_GATEWAY_KEY does not name a private JWK with a kid"]) from None
    factory = ConnectionFactory(
        uri=settings.amqp_uri,
        connect_timeout=_CONNECT_SECONDS,
        heartbeat=_HEARTBEAT_SECONDS,
        tls=settings.broker_tls,
    )
    clock, registry = SystemClock(), process_registry()
    build_info(registry, "gateway")
    metrics = GatewayMetrics(registry)
    hub = HttpHub(settings.discovery, key)
    queues = RabbitQueues(factory)
    users = ManagementUsers(settings.broker_management_uri, vhost=factory.vhost, tls=settings.broker_tls)
    submissions = SubmissionWork(
        RabbitSubmissions(factory, users.submitters), SubmissionProcessor(hub, metrics)
    )
    guard = FloodGuard(users, users, metrics)

    def updater_of(organization: str) -> WindowUpdater:
        return WindowUpdater(
            organization,
            hub=hub,
            queues=queues,
            users=users,
            metrics=metrics,
            clock=time.monotonic,
            password_replaced=guard.password_replaced,
        )

    windows = WindowWork(users, updater_of, queues.beat)
    metrics.observe(
        windows.states,
        windows.unproved,
        submissions.dead_letters,
        submissions.waiting_seconds,
        guard.banned,
    )
    return Application(
        name="gateway",
        settings=settings,
        database=GatewayConnections(hub, queues),
        handlers=None,
        # The gateway has no resources that take tokens, so it trusts no token key.
        verifier=TokenVerifier(lambda: {"keys": []}, issuer_of(settings.hub), clock, clients=lambda _: None),
        is_excluded=lambda _: True,
        readiness=[("submissions", submissions.unready), ("windows", windows.unready)],
        warnings=[("parked submissions", submissions.alarm)],
        background=[submissions, windows, guard],
        registry=registry,
        clock=clock,
    )
