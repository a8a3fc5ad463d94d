"""The state machine of one message in one mailbox."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from contracts.errors import Refused
from contracts.facts import CaseReleased, OfferOpened


class DeliveryState(StrEnum):
    queued = "queued"
    delivered = "delivered"  # handed out at least once, and handed out again until acknowledged
    acknowledged = "acknowledged"


class DeliveryEvent(StrEnum):
    hand_out = "hand_out"
    acknowledge = "acknowledge"


# Only what somebody's promise hangs on is told to audit: when an organisation could know of an offer, and
# when it had the case. A journey has some ten other notices; to log two facts about each would make the
# audit log three times as long and tell an auditor nothing.
RECORDED = frozenset({OfferOpened.type, CaseReleased.type})

# What is recorded. Both steps are repeatable: an answer may be lost on its way, and then the organisation
# asks again.
TRANSITIONS: Mapping[DeliveryState, Mapping[DeliveryEvent, DeliveryState]] = {
    DeliveryState.queued: {
        DeliveryEvent.hand_out: DeliveryState.delivered,
    },
    DeliveryState.delivered: {
        DeliveryEvent.hand_out: DeliveryState.delivered,
        DeliveryEvent.acknowledge: DeliveryState.acknowledged,
    },
    # Handed out: by a poll that read the mailbox just before the acknowledgement.
    DeliveryState.acknowledged: {
        DeliveryEvent.hand_out: DeliveryState.acknowledged,
        DeliveryEvent.acknowledge: DeliveryState.acknowledged,
    },
}

# All other notices. That one was handed out is not written down, so that a poll which finds only such
# notices writes nothing; and so nobody can be refused for acknowledging it too early. `delivered` is what
# an earlier version wrote down of them.
NOTICE_TRANSITIONS: Mapping[DeliveryState, Mapping[DeliveryEvent, DeliveryState]] = {
    **TRANSITIONS,
    DeliveryState.queued: {
        DeliveryEvent.hand_out: DeliveryState.queued,
        DeliveryEvent.acknowledge: DeliveryState.acknowledged,
    },
}


class IllegalDeliveryTransition(Refused):
    """The step has no place in this state. Nothing has changed."""

    def __init__(self, state: DeliveryState, taken: DeliveryEvent) -> None:
        super().__init__("conflict", f"A message that is {state} takes no {taken}.")


def step(message_type: str, state: DeliveryState, taken: DeliveryEvent) -> DeliveryState:
    """The state of a message of this type after a step. Raises IllegalDeliveryTransition."""
    transitions = TRANSITIONS if message_type in RECORDED else NOTICE_TRANSITIONS
    following = transitions[state].get(taken)
    if following is None:
        raise IllegalDeliveryTransition(state, taken)
    return following
