"""Bindings that the broker lacks, read from RabbitMQ's management API."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest
from prometheus_client import CollectorRegistry

from contracts.topology import EVENTS, REPLIES, hub_topology, reply_queue_prefix
from kopuro_client.commands import main
from runtime.messaging.metrics import MessagingMetrics
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.messaging.rabbit.management import ManagementApi
from runtime.messaging.rabbit.management_http import ANSWER_SECONDS
from runtime.messaging.topology_watch import CHECK_SECONDS, TopologyWatch
from sandbox.broker import PrivateBroker, server_script
from sandbox.ports import free_ports
from sandbox.rabbit_installation import RabbitInstallation
from tests.support.hub_users import imported

TOPOLOGY = hub_topology()
LOST = f"binding {EVENTS}.vault -> audit.log (#)"


def plugins(broker: PrivateBroker, *names: str) -> None:
    """Make these the node's plugins, although a private node does not see any."""
    installation = RabbitInstallation.found(server_script(), path=os.environ["PATH"])
    if installation is not None:
        directory = json.dumps(str(installation.rabbit.parent))
        broker.evaluate(f"application:set_env(rabbit, plugins_dir, {directory})")
    broker.files.plugins.write_text(f"[{','.join(names)}].\n")
    file = json.dumps(str(broker.files.plugins))
    # AMQP is answered before the start is complete.
    done = broker.evaluate(f"rabbit:await_startup(), rabbit_plugins:ensure({file})", timeout=120)
    assert done.startswith("{ok,"), done


@pytest.fixture(scope="module")
def management_uri(broker: PrivateBroker) -> Iterator[str]:
    """The address of the node's management API, which the node has for this module only, on loopback.

    Starting and stopping the plug-ins takes 2 s of CPU time.
    """
    (port,) = free_ports(1)
    listener = f'[{{ip, "127.0.0.1"}}, {{port, {port}}}]'
    broker.evaluate(
        f"application:set_env(rabbitmq_management, tcp_config, {listener}, [{{persistent, true}}])"
    )
    plugins(broker, "rabbitmq_management")
    identity = broker.identity
    yield f"http://{quote(identity.user, safe='')}:{quote(identity.password, safe='')}@127.0.0.1:{port}"
    plugins(broker)


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def lacking(registry: CollectorRegistry) -> set[str]:
    return {
        sample.labels["name"]
        for family in registry.collect()
        if family.name == "kopuro_broker_lacks"
        for sample in family.samples
    }


def test_lost_binding_of_audit_is_named_and_stops_publishing(vhost: str, management_uri: str) -> None:
    broker = RabbitBroker(vhost, management_uri=management_uri)
    broker.declare(TOPOLOGY)
    registry, clock = CollectorRegistry(), Clock()
    with (
        contextlib.closing(broker.queue_reader()) as reader,
        contextlib.closing(broker._connection_factory.connect()) as link,
    ):
        watch = TopologyWatch(reader, TOPOLOGY, lacking=MessagingMetrics(registry).lacking, now=clock)
        watch.look()
        assert watch.is_complete
        assert (watch.obstacle(), lacking(registry)) == (None, set())

        link.channel().queue_unbind("audit.log", f"{EVENTS}.vault", "#")
        clock.time += CHECK_SECONDS
        watch.look()
        assert not watch.is_complete
        assert LOST in str(watch.obstacle())
        assert lacking(registry) == {LOST}

        broker.declare(TOPOLOGY)
        watch.look()
        assert watch.is_complete
        assert (watch.obstacle(), lacking(registry)) == (None, set())


def test_strays_of_a_stolen_password_of_intake_are_named_and_removed(
    vhost: str,
    broker: PrivateBroker,
    management_uri: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = vhost.rpartition("/")[2]
    thief = RabbitBroker(imported(broker, vhost, tmp_path)["intake"])
    hub = RabbitBroker(vhost, management_uri=management_uri)
    prefix = reply_queue_prefix("intake")
    own, lasting = f"{prefix}0a", f"{prefix}0b"
    registry, clock = CollectorRegistry(), Clock()
    with (
        contextlib.closing(hub.queue_reader()) as reader,
        contextlib.closing(thief._connection_factory.connect()) as link,
    ):
        watch = TopologyWatch(reader, TOPOLOGY, strays=MessagingMetrics(registry).strays, now=clock)
        channel = link.channel()
        # Intake's private queue is declared so: it ends with its connection, and is no stray.
        channel.queue_declare(own, exclusive=True, durable=False, auto_delete=True)
        channel.queue_bind(own, f"{REPLIES}.intake", own)
        watch.look()
        assert (watch.surplus(), watch.is_complete) == (None, True)

        channel.queue_declare(lasting, durable=True, exclusive=False, auto_delete=False)
        channel.queue_bind(lasting, f"{REPLIES}.intake", own)
        channel.exchange_declare(f"{prefix}0c", "fanout", durable=True, auto_delete=False)
        clock.time += CHECK_SECONDS
        watch.look()
        assert f"queue {lasting}, exchange {prefix}0c," in str(watch.surplus())
        assert registry.get_sample_value("kopuro_broker_strays") == 2
        # A stray stops nothing.
        assert (watch.obstacle(), watch.is_complete) == (None, True)

        options = ["admin", "broker", "remove-strays", "--management-uri", management_uri, "--vhost", place]
        assert main(options) == 1
        assert capsys.readouterr().out == f"queue {lasting}\nexchange {prefix}0c\n"
        assert main([*options, "--yes"]) == 0
        clock.time += CHECK_SECONDS
        watch.look()
        assert watch.surplus() is None
        assert registry.get_sample_value("kopuro_broker_strays") == 0
        channel.queue_declare(own, passive=True)


def test_binding_between_declared_things_that_the_topology_lacks_is_a_stray(
    vhost: str, management_uri: str
) -> None:
    broker = RabbitBroker(vhost, management_uri=management_uri)
    broker.declare(TOPOLOGY)
    api = ManagementApi(management_uri, vhost.rpartition("/")[2])
    assert api.strays(TOPOLOGY) == ()
    with contextlib.closing(broker._connection_factory.connect()) as link:
        link.channel().queue_bind("vault.events", f"{EVENTS}.intake", "a key/with # and \N{SNOWMAN}")
    (stray,) = api.strays(TOPOLOGY)
    assert str(stray) == f"binding {EVENTS}.intake -> vault.events (a key/with # and ?)"
    api.remove(stray)
    assert api.strays(TOPOLOGY) == ()
    assert api.missing(TOPOLOGY) == ()


def test_silent_management_api_stops_nothing(vhost: str, caplog: pytest.LogCaptureFixture) -> None:
    (port,) = free_ports(1)
    secret = "hunter2"
    broker = RabbitBroker(vhost, management_uri=f"http://watch:{secret}@127.0.0.1:{port}")
    broker.declare(TOPOLOGY)
    with contextlib.closing(broker.queue_reader()) as reader:
        assert reader.missing(TOPOLOGY) == reader.missing(TOPOLOGY) == ()
    (warning,) = [record for record in caplog.records if record.message == "bindings cannot be compared"]
    assert secret not in str(warning.__dict__)


class ListedBindings(BaseHTTPRequestHandler):
    """A management API whose list of bindings lacks one."""

    def do_GET(self) -> None:
        listed = [
            {
                "source": one.source,
                "destination": one.destination,
                "destination_type": "exchange" if one.to_exchange else "queue",
                "routing_key": one.key,
                "arguments": dict(one.arguments),
            }
            for one in TOPOLOGY.bindings
            if (one.source, one.destination) != (f"{EVENTS}.vault", "audit.log")
        ]
        body = json.dumps(listed if self.path.startswith("/api/bindings/") else []).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""


def test_missing_binding_blocks_while_the_management_api_is_silent_until_a_restart(vhost: str) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), ListedBindings)
    broker = RabbitBroker(vhost, management_uri=f"http://watch:x@127.0.0.1:{server.server_port}")
    broker.declare(TOPOLOGY)
    with contextlib.closing(broker.queue_reader()) as reader:
        watch = TopologyWatch(reader, TOPOLOGY)
        serving = Thread(target=server.serve_forever)
        serving.start()
        watch.look()
        server.shutdown()
        serving.join()
        server.server_close()
        assert "API" not in str(watch.obstacle())
        for _ in range(3):
            started = time.monotonic()
            watch.look()
            assert LOST in str(watch.obstacle())
            assert "management API does not answer" in str(watch.obstacle())
            assert "restore the API or restart the service" in str(watch.obstacle())
        assert time.monotonic() - started < ANSWER_SECONDS, "the API is not asked each time"
    with contextlib.closing(broker.queue_reader()) as reader:
        restarted = TopologyWatch(reader, TOPOLOGY)
        restarted.look()
        assert restarted.is_complete


def test_management_api_that_refuses_the_user_is_unavailable(vhost: str, management_uri: str) -> None:
    uri = management_uri.replace("http://", "http://not-")
    with pytest.raises(BrokerUnavailable, match="status 401"):
        ManagementApi(uri, vhost.rpartition("/")[2]).missing(TOPOLOGY)


def test_alarms_for_which_the_broker_blocks_publishers_are_named(
    broker: PrivateBroker, management_uri: str
) -> None:
    user = "rabbit_auth_backend_internal"
    # The hub's user `watch` has the tag `management` and no other. It must be enough for this request.
    broker.evaluate(
        f'{user}:add_user(<<"alarms">>, <<"pw">>, <<"test">>), '
        f'{user}:set_tags(<<"alarms">>, [management], <<"test">>)'
    )
    api = ManagementApi(f"http://alarms:pw@{management_uri.partition('@')[2]}", "/")
    assert api.alarms() == ()
    try:
        for resource in ("memory", "disk"):
            broker.evaluate(f"rabbit_alarm:set_alarm({{{{resource_limit, {resource}, node()}}, []}})")
        assert api.alarms() == ("disk space", "memory")
    finally:
        for resource in ("memory", "disk"):
            broker.evaluate(f"rabbit_alarm:clear_alarm({{resource_limit, {resource}, node()}})")
        broker.evaluate(f'{user}:delete_user(<<"alarms">>, <<"test">>)')
    with pytest.raises(BrokerUnavailable, match="status 401"):
        api.alarms()
