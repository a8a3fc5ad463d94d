"""The messages of a mailbox that a poll returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from contracts import facts
from contracts.errors import PointerError, Refused
from services.delivery.domain.recipients import RECIPIENTS

_PREFIX: Final = "kopuro."
_NAME: Final = "the name of a mailbox message without prefix and version, such as `offer.opened`"


# Notices of sealed messages, and answers to submissions over AMQP, are made here: they are not in the table
# of recipients.
_MADE_HERE: Final = (facts.CaseReleased.type, facts.NoteDelivered.type, facts.SubmissionAdmitted.type)


def _types_by_name() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for kind in (*RECIPIENTS, *_MADE_HERE):
        found.setdefault(name_of(kind), set()).add(kind)
    return {name: frozenset(kinds) for name, kinds in sorted(found.items())}


def name_of(message_type: str) -> str:
    """Return a type without prefix and version: `offer.opened` for `kopuro.offer.opened.v1`."""
    return message_type.removeprefix(_PREFIX).rsplit(".v", 1)[0]


# Every message that a mailbox may hold: its types in all versions, by name.
TYPES: Final = _types_by_name()


def types_of(names: Iterable[str]) -> frozenset[str]:
    """Return the types of all versions that have one of these names.

    Raises Refused `invalid-parameter` for a name that no message of a mailbox has.
    """
    found: set[str] = set()
    for name in names:
        if name not in TYPES:
            where = PointerError(pointer="/type", detail=f"Each must be {_NAME}.")
            raise Refused("invalid-parameter", f"A `type` must be {_NAME}.", errors=(where,))
        found |= TYPES[name]
    return frozenset(found)


def require_names(names: Mapping[str, str]) -> None:
    """Check the names of messages in a body, by JSON pointer.

    Raises Refused `invalid-submission` with the pointer of each name that no message of a mailbox has.
    """
    faults = [
        PointerError(pointer=place, detail=f"Must be {_NAME}.")
        for place, name in names.items()
        if name not in TYPES
    ]
    if faults:
        detail = f"Correct {', '.join(fault.pointer for fault in faults)}."
        raise Refused("invalid-submission", detail, errors=faults)


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The messages that a reader asks for.

    consumer: the named consumer that reads; it gets what it has not acknowledged itself. again: also the
    messages that were acknowledged; not with a consumer. types: as stored; none selects all.
    A closed message has the type of the message that it replaces.
    """

    consumer: str | None = None
    again: bool = False
    types: frozenset[str] = field(default=frozenset())


# The messages that the default consumer has not acknowledged.
WAITING: Final = Selection()
