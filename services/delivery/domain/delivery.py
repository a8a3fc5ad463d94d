"""The state machine of one message in one mailbox."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from contracts.errors import Refused
from contracts.facts import CaseReleased, OfferOpened


class DeliveryState(StrEnum):
    queued = "queued"
    delivered = "delivered"  # returned by a poll at least once; returned again until acknowledged
    acknowledged = "acknowledged"


class DeliveryEvent(StrEnum):
    deliver = "deliver"
    acknowledge = "acknowledge"


# The messages whose delivery audit records: it shows when an organisation could know of an offer and when it
# had the case. A journey has some ten other notices; two facts about each would make the audit log three
# times as long and give an auditor no information.
RECORDED = frozenset({OfferOpened.type, CaseReleased.type})

# Recorded messages. Both steps are idempotent: a response may be lost, and then the organisation asks again.
TRANSITIONS: Mapping[DeliveryState, Mapping[DeliveryEvent, DeliveryState]] = {
    DeliveryState.queued: {
        DeliveryEvent.deliver: DeliveryState.delivered,
    },
    DeliveryState.delivered: {
        DeliveryEvent.deliver: DeliveryState.delivered,
        DeliveryEvent.acknowledge: DeliveryState.acknowledged,
    },
    # Delivered by a poll that read the mailbox just before the acknowledgement.
    DeliveryState.acknowledged: {
        DeliveryEvent.deliver: DeliveryState.acknowledged,
        DeliveryEvent.acknowledge: DeliveryState.acknowledged,
    },
}

# All other notices. Their delivery is not stored, so that a poll which finds only such notices writes
# nothing; therefore they can be acknowledged at any time. `delivered` rows come from an earlier version.
NOTICE_TRANSITIONS: Mapping[DeliveryState, Mapping[DeliveryEvent, DeliveryState]] = {
    **TRANSITIONS,
    DeliveryState.queued: {
        DeliveryEvent.deliver: DeliveryState.queued,
        DeliveryEvent.acknowledge: DeliveryState.acknowledged,
    },
}


class IllegalDeliveryTransition(Refused):
    """The event is not allowed in this state. Nothing has changed."""

    def __init__(self, state: DeliveryState, event: DeliveryEvent) -> None:
        super().__init__("conflict", f"Cannot {event} a message in state {state}.")


def is_recorded(message_type: str, state: DeliveryState, *, is_closed: bool = False) -> bool:
    """Return whether audit records the message's steps. is_closed: its content has been erased.

    A message that was closed before it was delivered is a notice: the organisation never had its content.
    """
    return message_type in RECORDED and not (is_closed and state is DeliveryState.queued)


def step(
    message_type: str, state: DeliveryState, event: DeliveryEvent, *, is_closed: bool = False
) -> DeliveryState:
    """Return the state of a message of this type after an event. Raises IllegalDeliveryTransition."""
    recorded = is_recorded(message_type, state, is_closed=is_closed)
    transitions = TRANSITIONS if recorded else NOTICE_TRANSITIONS
    following = transitions[state].get(event)
    if following is None:
        raise IllegalDeliveryTransition(state, event)
    return following
