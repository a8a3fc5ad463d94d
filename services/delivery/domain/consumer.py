"""Named consumers: programs of one organisation that each read its whole mailbox at their own pace.

A consumer acknowledges message by message, in any order. Its position is the place in the mailbox up to which
it needs nothing any more; acknowledgements above the position are kept one by one until the position passes
them. So a message that waits for a repair keeps its place, whatever is acknowledged after it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from contracts.errors import PointerError, Refused
from services.delivery.domain.selection import types_of

# An organisation's named consumers. Each keeps messages from being deleted until it has acknowledged them.
MOST_CONSUMERS: Final = 10
# The versions of the contract that a consumer may pin, oldest first. The last is the default.
CONTRACTS: Final = ("1",)


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedConsumer:
    """A named consumer. position: the sequence up to which it needs no message.

    types: the names of the messages that it reads, such as `offer.opened`; none means all. contract: the
    version of the contract in which it reads messages.
    """

    organization: str
    name: str
    position: int
    created_at: dt.datetime
    types: tuple[str, ...] = ()
    contract: str = CONTRACTS[-1]

    def selected(self, asked: frozenset[str]) -> frozenset[str]:
        """Return the types that a poll returns. asked: the poll's own filter, empty for none.

        Raises Refused `invalid-parameter` if no message that the consumer reads fits the filter. Raises
        `conflict` if this hub does not write the contract that the consumer pins: another version of the hub
        had accepted it, and messages in another version would be misread.
        """
        if self.contract not in CONTRACTS:
            detail = (
                "This hub does not write the version of the contract that the consumer pins. PUT the consumer"
                f" with a `contract` that the hub writes: {', '.join(CONTRACTS)}."
            )
            raise Refused("conflict", detail)
        own = types_of(self.types)
        if not own or not asked:
            return own or asked
        if not own & asked:
            raise Refused("invalid-parameter", "The consumer reads no message of this `type`.")
        return own & asked


@dataclass(frozen=True, kw_only=True, slots=True)
class OldMessage:
    """A message whose time in the mailbox is over. name: of its type, such as `offer.opened`."""

    sequence: int
    organization: str
    name: str


def unknown_consumer() -> Refused:
    """Return the refusal of a consumer that does not exist."""
    return Refused(
        "not-found",
        "Your organisation has no consumer of this name. Create it with PUT /v1/mailbox/consumers/{name}.",
    )


def require_contract(contract: str) -> str:
    """Return the version of the contract. Raises Refused `invalid-submission` if the hub cannot write it."""
    if contract not in CONTRACTS:
        detail = f"Must be a version that this hub writes: {', '.join(CONTRACTS)}."
        where = PointerError(pointer="/contract", detail=detail)
        raise Refused("invalid-submission", "Correct /contract.", errors=(where,))
    return contract


def position_after(
    position: int, acknowledged: Iterable[int], *, first_needed: int | None, newest: int
) -> int:
    """Return the position of a consumer after an acknowledgement. It never moves back.

    acknowledged: the sequences above the position that it has acknowledged. first_needed: the lowest sequence
    that it still needs; None if it needs none, and then it is done with everything up to `newest`.
    """
    if first_needed is not None:
        return max(position, first_needed - 1)
    return max(position, newest, *acknowledged)


def still_needed(
    messages: Iterable[OldMessage],
    consumers: Mapping[str, Collection[NamedConsumer]],
    acknowledged: Collection[tuple[str, str, int]],
) -> frozenset[int]:
    """Return the sequences of the messages that a consumer has not acknowledged, so that they are kept.

    consumers: by organisation. acknowledged: organisation, consumer and sequence, above the positions.
    """
    return frozenset(
        message.sequence
        for message in messages
        for consumer in consumers.get(message.organization, ())
        if message.sequence > consumer.position
        and (not consumer.types or message.name in consumer.types)
        and (consumer.organization, consumer.name, message.sequence) not in acknowledged
    )
