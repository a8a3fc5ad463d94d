"""The work with windows: they follow the users at the partners' broker."""

from __future__ import annotations

import threading
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from services.gateway.gateway_metrics import GatewayMetrics
from services.gateway.window_updater import WindowUpdater
from services.gateway.window_work import WindowWork
from tests.journey.waiting import until
from tests.unit.services.gateway.doubles import OSH, BrokerInMemory, HubInMemory, message


def spawned(work: Callable[[], None]) -> object:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_windows_begin_and_end_with_the_users_at_the_broker() -> None:
    hub, broker = HubInMemory(mailbox=[message(0)]), BrokerInMemory()
    metrics = GatewayMetrics(CollectorRegistry())

    def updater_of(organization: str) -> WindowUpdater:
        return WindowUpdater(
            organization, hub=hub, queues=broker, users=broker, metrics=metrics, clock=lambda: 0.0
        )

    work = WindowWork(broker, updater_of, lambda: None)
    assert work.unready() is not None
    work.start(spawned)
    until(lambda: work.unproved() == 1, "the copy")
    until(lambda: work.unready() is None, "the users, which are known once every window has begun")
    assert work.states() == (1, 0)
    assert [one.id for one in broker.ready] == ["m0"]
    del broker.users[OSH]
    until(lambda: work.states() == (0, 0), "the end of the window")
    work.stop()
