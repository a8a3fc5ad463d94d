"""SIGTERM stops every service within its time limit, whatever the state of its broker connection."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey

from contracts.topology import DEAD_LETTERS, dead_letter_queue_name, hub_topology
from kopuro_client.sealing import generate_key, public_key
from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.outbox.relay import IDLE_SECONDS
from runtime.messaging.ports import Outgoing
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.storage.database import Database
from sandbox.broker import PrivateBroker
from tests.faults.alarms import alarmed
from tests.faults.network import FAULTS
from tests.faults.tcp_proxy import TcpProxy
from tests.processes import HUB, RunningService
from tests.support.migrated import upgrade

pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

SERVICES = ("directory", "intake", "routing", "delivery", "vault", "audit")
STOPPED_WITHIN = 10.0


class Started:
    """One service of a hub, and its database from outside."""

    def __init__(self, name: str, directory: Path, keys: Path, *, amqp_uri: str) -> None:
        directory.mkdir(parents=True)
        RabbitBroker(amqp_uri).declare(hub_topology())
        self._name = name
        self._url = f"sqlite:///{directory / 'database.sqlite'}"
        database = Database.open(self._url)
        upgrade(f"services.{name}", database)
        database.close()
        self.service = RunningService(
            f"services.{name}",
            directory,
            amqp_uri=amqp_uri,
            database_url=self._url,
            environment={
                "KOPURO_CUSTODY_KEY": str(keys / "custody"),
                "KOPURO_TOKEN_SIGNING_KEY": str(keys / "signing"),
                "KOPURO_LOG_SIGNING_KEY": str(keys / "signing"),
                "KOPURO_LOG_DIRECTORY": str(directory / "log-tiles"),
            },
        )
        custody = public_key(json.loads((keys / "custody").read_text()))
        announced = {"hub": HUB, "version": "1", "custody_key": custody}
        (directory / "discovery.json").write_text(json.dumps(announced))

    def have_something_to_publish(self) -> None:
        letter = Outgoing(
            exchange=DEAD_LETTERS,
            routing_key=dead_letter_queue_name("audit.log"),
            message_id=secrets.token_hex(8),
            partition_key="",
            body=b"{}",
        )
        tables = import_module(f"services.{self._name}.adapters.tables")
        database = Database.open(self._url)
        with database.write() as transaction:
            Outbox(tables.MESSAGING.outbox).add(transaction, [letter])
        database.close()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("keys")
    (directory / "custody").write_text(json.dumps(generate_key()))
    signing = OKPKey.generate_key("Ed25519", private=True).as_dict(private=True)
    (directory / "signing").write_text(json.dumps(signing))
    return directory


@contextmanager
def running(started: Sequence[Started]) -> Iterator[None]:
    """Run all services at the same time; inside the block each is connected to the broker."""
    with ExitStack() as stack:
        for one in started:
            one.service.process.spawn()
        for one in started:
            stack.enter_context(one.service)
        for one in started:
            one.service.until_ready()
        yield


def all_stop_in_time(started: Sequence[Started]) -> None:
    for one in started:
        one.have_something_to_publish()
    # An idle relay looks that often. Each relay must be in the middle of a wave that does not get through.
    time.sleep(IDLE_SECONDS + 0.5)
    asked = time.monotonic()
    for one in started:
        one.service.process.ask_to_stop()
    for one in started:
        left = STOPPED_WITHIN - (time.monotonic() - asked)
        assert one.service.process.wait(max(left, 0)), f"{one.service.name} does not stop"
    codes = {one.service.name: one.service.process.exit_code() for one in started}
    assert set(codes.values()) == {0}, codes


def test_every_service_stops_in_a_partition(vhost: str, keys: Path, tmp_path: Path) -> None:
    with TcpProxy(vhost) as proxy:
        started = [Started(name, tmp_path / name, keys, amqp_uri=proxy.uri) for name in SERVICES]
        with running(started):
            FAULTS["partition"](proxy)
            all_stop_in_time(started)


def test_every_service_stops_while_the_broker_blocks_its_publishers(
    own_broker: PrivateBroker, keys: Path, tmp_path: Path
) -> None:
    uri = own_broker.add_vhost(f"stopping-{secrets.token_hex(4)}")
    started = [Started(name, tmp_path / name, keys, amqp_uri=uri) for name in SERVICES]
    with running(started), alarmed(own_broker, "memory"):
        all_stop_in_time(started)


def test_service_stops_under_every_other_network_fault(
    broker: PrivateBroker, keys: Path, tmp_path: Path
) -> None:
    """A directory behind each fault, all of them at once: it is ready without any other service."""
    faults = [inflict for name, inflict in FAULTS.items() if name != "partition"]
    with ExitStack() as stack:
        vhosts = [broker.add_vhost(f"stopping-{secrets.token_hex(4)}") for _ in faults]
        ways = [stack.enter_context(TcpProxy(vhost)) for vhost in vhosts]
        started = [
            Started("directory", tmp_path / str(number), keys, amqp_uri=way.uri)
            for number, way in enumerate(ways)
        ]
        with running(started):
            for inflict, way in zip(faults, ways, strict=True):
                inflict(way)
            all_stop_in_time(started)
