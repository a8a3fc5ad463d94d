"""The state machine of an endpoint, and how long it may fail.

An endpoint is `unverified` until it answers a signed challenge, so that the hub sends notices only to
receivers that expect them. Only an `active` endpoint gets notices. While it is not active, its messages wait
in the mailbox; once it is active again, notices continue with the oldest of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from contracts.canonical import canonical_json
from contracts.commitment import commitment_to
from contracts.errors import Refused
from services.delivery.domain.selection import name_of
from services.delivery.webhooks.domain.endpoint_url import EndpointUrl


class EndpointState(StrEnum):
    unverified = "unverified"
    active = "active"
    disabled = "disabled"


class EndpointEvent(StrEnum):
    verify = "verify"  # it answered the challenge
    move = "move"  # its owner changed its URL
    enable = "enable"  # its owner enabled it
    disable = "disable"  # its owner disabled it
    gone = "gone"  # it answered 410
    fail = "fail"  # it has failed for too long


TRANSITIONS: Mapping[EndpointState, Mapping[EndpointEvent, EndpointState]] = {
    EndpointState.unverified: {
        EndpointEvent.verify: EndpointState.active,
        EndpointEvent.move: EndpointState.unverified,
        EndpointEvent.enable: EndpointState.unverified,
        EndpointEvent.disable: EndpointState.disabled,
        EndpointEvent.gone: EndpointState.disabled,
        EndpointEvent.fail: EndpointState.disabled,
    },
    EndpointState.active: {
        EndpointEvent.verify: EndpointState.active,
        EndpointEvent.move: EndpointState.unverified,
        EndpointEvent.enable: EndpointState.active,
        EndpointEvent.disable: EndpointState.disabled,
        EndpointEvent.gone: EndpointState.disabled,
        EndpointEvent.fail: EndpointState.disabled,
    },
    # The result of a request that was under way when the endpoint was disabled is not applied.
    EndpointState.disabled: {
        EndpointEvent.move: EndpointState.disabled,
        EndpointEvent.enable: EndpointState.unverified,
        EndpointEvent.disable: EndpointState.disabled,
    },
}


class IllegalEndpointTransition(Refused):
    """The event is not allowed in this state. Nothing has changed."""

    def __init__(self, state: EndpointState, event: EndpointEvent) -> None:
        super().__init__("conflict", f"Cannot {event} an endpoint that is {state}.")


def following_state(state: EndpointState, event: EndpointEvent) -> EndpointState:
    """Return the state of an endpoint after an event. Raises IllegalEndpointTransition."""
    following = TRANSITIONS[state].get(event)
    if following is None:
        raise IllegalEndpointTransition(state, event)
    return following


# Failing for this long disables an endpoint; its owner gets a notice at these percentages of that time.
FAILING_FOR: Final = dt.timedelta(days=5)
DISABLED: Final = 100
NOTICES: Final = (50, 70, 90, DISABLED)
_OUTAGE: Final = dt.timedelta(minutes=2)
# After this time without an attempt, the endpoint's condition is unknown. Longer than any pause between
# retries.
_FORGOTTEN_AFTER: Final = dt.timedelta(days=1)
_COMMITTED: Final = b"kopuro webhook endpoint\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """The failures of an endpoint.

    failing_since: every attempt since then has failed. noticed: the highest of NOTICES that was sent, or 0.
    """

    failing_since: dt.datetime | None = None
    last_failure: dt.datetime | None = None
    noticed: int = 0

    def after_failure(self, now: dt.datetime) -> tuple[Health, int | None]:
        """Return the health after a failed attempt, and the notice of NOTICES that is now due, if any."""
        since = self.failing_since
        if since is None or self.last_failure is None or now - self.last_failure > _FORGOTTEN_AFTER:
            return Health(failing_since=now, last_failure=now), None
        passed = (now - since) / FAILING_FOR * 100
        reached = max((percent for percent in NOTICES if passed >= percent), default=0)
        notice = reached if reached > self.noticed else None
        return Health(failing_since=since, last_failure=now, noticed=max(reached, self.noticed)), notice

    def was_away(self, now: dt.datetime) -> bool:
        """Return whether attempts have failed for so long that the endpoint itself is at fault.

        After a shorter time one message may be at fault. Its notice must not become due whenever another
        message succeeds.
        """
        return self.failing_since is not None and now - self.failing_since > _OUTAGE

    @property
    def disabled_at(self) -> dt.datetime | None:
        """Return when the endpoint will be disabled if it keeps failing."""
        return None if self.failing_since is None else self.failing_since + FAILING_FOR


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A partner's endpoint.

    types: the messages that it gets notices of, by whole type or name; empty: all. position: the mailbox
    sequence up to which notices were made. challenge: the text that the endpoint must return to be verified.
    reason: why it is disabled (`owner`, `gone` or `failing`), else None. since: when it was disabled; None if
    it is not disabled, or if an earlier build disabled it. salt: of the commitment to this URL and these
    types; None until the owner changes an endpoint that an earlier build registered.
    """

    id: str
    organization: str
    url: EndpointUrl
    types: frozenset[str]
    created_at: dt.datetime
    state: EndpointState = EndpointState.unverified
    reason: str | None = None
    since: dt.datetime | None = None
    position: int = 0
    challenge: str = field(default="", repr=False)
    health: Health = field(default_factory=Health)
    salt: bytes | None = field(default=None, repr=False)

    @property
    def commitment(self) -> str | None:
        """Return the commitment to the URL and the types that the log holds; None without a salt."""
        return None if self.salt is None else commitment(self.id, self.url.text, self.types, self.salt)

    @property
    def disabled_at(self) -> dt.datetime | None:
        """Return when the endpoint was disabled, or when it will be if it keeps failing."""
        return self.since if self.state is EndpointState.disabled else self.health.disabled_at

    def disabled(self, event: EndpointEvent, reason: str, now: dt.datetime) -> Endpoint:
        """Return the endpoint after an event that disables it. Raises IllegalEndpointTransition.

        An endpoint that is already disabled keeps its reason and time.
        """
        state = following_state(self.state, event)
        if self.state is EndpointState.disabled:
            return self
        return replace(self, state=state, reason=reason, since=now)

    def wants(self, message_type: str) -> bool:
        """Return whether the endpoint gets notices of messages of this type."""
        return not self.types or message_type in self.types or name_of(message_type) in self.types


def commitment(endpoint_id: str, url: str, types: Collection[str], salt: bytes) -> str:
    """Return the commitment to where an endpoint is and which messages it gets notices of.

    The log has no URL: its path and query may be a secret of the receiver. Raises ValueError for a salt of
    another length.
    """
    content = canonical_json({"id": endpoint_id, "types": sorted(types), "url": url})
    return commitment_to(content, salt, domain=_COMMITTED)
