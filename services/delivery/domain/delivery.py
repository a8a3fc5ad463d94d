"""The state machine of one message in one mailbox."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from contracts.errors import Refused
from contracts.facts import CaseReleased, OfferOpened


class State(StrEnum):
    queued = "queued"
    delivered = "delivered"  # handed out at least once, and handed out again until acknowledged
    acknowledged = "acknowledged"


class Step(StrEnum):
    hand_out = "hand_out"
    acknowledge = "acknowledge"


# Both steps are repeatable: an answer may be lost on its way, and then the organisation asks again.
TRANSITIONS: Mapping[State, Mapping[Step, State]] = {
    State.queued: {
        Step.hand_out: State.delivered,
    },
    State.delivered: {
        Step.hand_out: State.delivered,
        Step.acknowledge: State.acknowledged,
    },
    # Handed out: by a poll that read the mailbox just before the acknowledgement.
    State.acknowledged: {
        Step.hand_out: State.acknowledged,
        Step.acknowledge: State.acknowledged,
    },
}

# Only what somebody's promise hangs on is told to audit: when an organisation could know of an offer, and
# when it had the case. A journey has some ten other notices; to log two facts about each would make the
# audit log three times as long and tell an auditor nothing. Their rows keep the same times.
RECORDED = frozenset({OfferOpened.type, CaseReleased.type})


class IllegalStep(Refused):
    """The step has no place in this state. Nothing has changed."""

    def __init__(self, state: State, taken: Step) -> None:
        super().__init__("conflict", f"A message that is {state} takes no {taken}.")


def step(state: State, taken: Step) -> State:
    """The state after a step. Raises IllegalStep."""
    following = TRANSITIONS[state].get(taken)
    if following is None:
        raise IllegalStep(state, taken)
    return following
