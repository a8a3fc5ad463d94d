"""The number of messages in the broker's queues, for an operator's command."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from kopuro_client.errors import InvalidArgumentError
from runtime.messaging.ports import BrokerUnavailable
from runtime.messaging.rabbit.broker import RabbitBroker
from runtime.tls import BROKER, UnusableTlsFiles, tls_files


def queue_counts(variables: Mapping[str, str], queues: Sequence[str]) -> Mapping[str, int]:
    """Return the messages that are ready in each queue, at the broker that KOPURO_AMQP_URI names.

    A message that a consumer holds is not counted: AMQP does not report it. Raises InvalidArgumentError when
    the broker cannot be used, or a queue is missing or not open to the user.
    """
    try:
        broker = RabbitBroker(variables.get("KOPURO_AMQP_URI", ""), tls=tls_files(BROKER, variables))
        with contextlib.closing(broker.queue_reader()) as reader:
            return reader.counts(queues)
    except (UnusableTlsFiles, BrokerUnavailable) as error:
        raise InvalidArgumentError(str(error)) from None
