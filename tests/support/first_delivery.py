"""A fact's message as a consumer receives it."""

from contracts.envelope import Event
from contracts.facts import Fact
from runtime.messaging.ports import Delivery
from tests.support.hub_keys import proof_of


def first_delivery(message: Event[Fact], queue: str) -> Delivery:
    """Return the first delivery of the message from the queue."""
    return Delivery(
        tag=1,
        queue=queue,
        routing_key=message.data.routing_key,
        message_id=message.id,
        body=message.encode(),
        headers=proof_of(message),
        redelivered=False,
    )
