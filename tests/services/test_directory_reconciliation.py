"""Reconciliation of the directory: its own handlers write the rows, and its outbox the log.

Every change leaves rows that agree with its facts, and reconciliation names each row that is rewritten.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import select

from admin.reconciliation.differences import Difference
from admin.reconciliation.reconcile import DELIVERED_TYPES, Compared, engines, reconcile
from admin.reconciliation.service_states import SERVICES, ServiceStates
from contracts.envelope import Envelope
from contracts.organization import Organization
from runtime.messaging.outbox.event_batch import decode_batch
from services.directory.adapters.tables import MESSAGING
from services.directory.load import LOADER
from tests.support.hub_on_disk import HubOnDisk
from tests.unit.services.directory.handlers.test_sealing_keys import Pair, challenged
from tests.unit.services.directory.samples import OPERATOR, Directory, organization

BEGIN = dt.datetime.now(dt.UTC) - dt.timedelta(days=20)


class DirectoryWithLog:
    """A directory whose events are logged and delivered. Each change is an hour after the one before."""

    def __init__(self, hub: HubOnDisk) -> None:
        self.hub = hub
        self.directory = Directory(hub.databases["directory"])
        self.directory.clock.time = BEGIN

    def later(self, hours: float = 1) -> None:
        self.directory.clock.time += dt.timedelta(hours=hours)

    def log(self) -> None:
        """Log and deliver every event of the outbox, which is not emptied."""
        table = MESSAGING.outbox
        with self.hub.databases["directory"].read() as transaction:
            bodies = transaction.execute(select(table.c.body).order_by(table.c.number)).scalars().all()
        events = [Envelope.decode(event) for body in bodies for event in decode_batch(body)]
        self.hub.log.append(events)
        for event in (one for one in events if one.type in DELIVERED_TYPES):
            self.hub.deliver("", event, event.time)

    def prove(self, organization_id: str, old: Pair, new: Pair) -> None:
        """Replace the key by one whose request the holder of the old one has proved."""
        self.later()
        asked = challenged(self.directory.keys.publish(organization_id, new.public, by=organization_id))
        self.directory.keys.prove(organization_id, asked.challenge.id, old.content(asked)["answer"])

    def key_proved_after_an_approved_one(self) -> None:
        name, keys = "kg.approved-keys", [Pair.new() for _ in range(4)]
        self.directory.entries.put_organization(OPERATOR, organization(name))
        self.directory.keys.publish(name, keys[0].public, by=name)
        self.later()
        self.directory.keys.publish(name, keys[1].public, by=OPERATOR.id, operator=True)
        self.prove(name, keys[1], keys[2])
        self.prove(name, keys[2], keys[3])

    def key_of_a_loaded_record_and_back_to_it(self) -> None:
        name, keys = "kg.loaded-keys", [Pair.new() for _ in range(2)]
        loaded = replace(organization(name), sealing_key=keys[0].public)
        self.directory.entries.enter(Organization, [loaded], by=LOADER)
        self.prove(name, keys[0], keys[1])
        self.prove(name, keys[1], keys[0])


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectoryWithLog]:
    """A directory after every kind of change."""
    hub = HubOnDisk(f"sqlite:///{tmp_path_factory.mktemp('hub')}/{{service}}.sqlite")
    made = DirectoryWithLog(hub)
    made.key_proved_after_an_approved_one()
    made.key_of_a_loaded_record_and_back_to_it()
    made.log()
    yield made
    hub.close()


def found(changed: DirectoryWithLog) -> list[Difference]:
    opened = engines({service: changed.hub.template.format(service=service) for service in SERVICES})
    try:
        settled = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
        return list(reconcile(ServiceStates(opened), settled, Compared()))
    finally:
        for engine in opened.values():
            engine.dispose()


def test_directory_agrees_with_the_log_of_its_own_events(changed: DirectoryWithLog) -> None:
    assert found(changed) == []
