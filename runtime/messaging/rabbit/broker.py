"""The RabbitMQ broker: kombu for URIs and connections, py-amqp's channels for everything else."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.topology import Topology
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.connection import BROKEN, ConnectionFactory, abandon, close
from runtime.messaging.rabbit.consumer import RabbitConsumer, RabbitPrivateConsumer
from runtime.messaging.rabbit.management import ManagementApi
from runtime.messaging.rabbit.publisher import RabbitPublisher
from runtime.messaging.rabbit.queue_reader import RabbitQueueReader
from runtime.tls import TlsFiles

HEARTBEAT_SECONDS = 10
CONNECT_TIMEOUT_SECONDS = 5
# A wave without all confirms by then is published again on a new connection.
CONFIRM_TIMEOUT_SECONDS = 15.0


class RabbitBroker:
    """The broker at an AMQP URI."""

    def __init__(
        self,
        uri: str,
        *,
        service: str | None = None,
        management_uri: str | None = None,
        tls: TlsFiles | None = None,
        connect_timeout: float = CONNECT_TIMEOUT_SECONDS,
        heartbeat: int = HEARTBEAT_SECONDS,
        confirm_timeout: float = CONFIRM_TIMEOUT_SECONDS,
    ) -> None:
        """Durations are in seconds. heartbeat: after two silent intervals a connection counts as broken.

        service: publishes to its own exchanges; None, for tools: to those of each fact's owner.
        management_uri: of the management API, which knows the bindings; None: they are not compared.
        tls: the files for `amqps://` and for a management URI with https; None: the system's CAs.
        """
        self._service = service
        self._connection_factory = ConnectionFactory(
            uri=uri, connect_timeout=connect_timeout, heartbeat=heartbeat, tls=tls
        )
        self._confirm_timeout = confirm_timeout
        self._management_uri = management_uri

    @property
    def user(self) -> str:
        """Return the broker's user that this process is."""
        return self._connection_factory.user

    def declare(self, topology: Topology) -> None:
        """See `ports.Broker`. Every exchange and queue is durable."""
        link = self._connection_factory.connect()
        try:
            channel = link.channel()
            for exchange in topology.exchanges:
                channel.exchange_declare(
                    exchange.name,
                    exchange.kind,
                    durable=True,
                    auto_delete=False,
                    arguments=dict(exchange.arguments),
                )
            for queue in topology.queues:
                channel.queue_declare(
                    queue.name, durable=True, auto_delete=False, arguments=dict(queue.arguments)
                )
            for binding in topology.bindings:
                bind = channel.exchange_bind if binding.to_exchange else channel.queue_bind
                bind(binding.destination, binding.source, binding.key, arguments=dict(binding.arguments))
        except BROKEN as error:
            abandon(link)
            # RabbitMQ's message names the queue or exchange that exists with other arguments
            raise BrokerUnavailable(f"The topology could not be declared: {error}") from error
        close(link)

    def publisher(self) -> RabbitPublisher:
        """See `ports.Broker`."""
        return RabbitPublisher(self._connection_factory, self._confirm_timeout, self._service)

    def consumer(self, queues: Sequence[str], prefetch: int) -> RabbitConsumer:
        """See `ports.Broker`."""
        return RabbitConsumer(self._connection_factory, queues, prefetch)

    def queue_reader(self) -> RabbitQueueReader:
        """See `ports.Broker`."""
        management = (
            None
            if self._management_uri is None
            else ManagementApi(
                self._management_uri, self._connection_factory.vhost, self._connection_factory.tls
            )
        )
        return RabbitQueueReader(self._connection_factory, management)

    def private_consumer(self, service: str) -> RabbitPrivateConsumer:
        """See `ports.Broker`."""
        return RabbitPrivateConsumer(self._connection_factory, service)
