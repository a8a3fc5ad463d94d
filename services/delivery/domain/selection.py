"""The messages of a mailbox that a poll returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from contracts import facts
from contracts.errors import PointerError, Refused
from services.delivery.domain.recipients import RECIPIENTS

_PREFIX: Final = "kopuro."


# Notices of sealed messages, answers to submissions over AMQP and counts of alerts are made here: they are
# not in the table of recipients.
_MADE_HERE: Final = (
    facts.CaseReleased.type,
    facts.NoteDelivered.type,
    facts.SubmissionAdmitted.type,
    facts.AlertsCounted.type,
    facts.EmployerReportDelivered.type,
)


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
_ALL: Final = frozenset().union(*TYPES.values())
_KIND: Final = (
    "a message of the mailbox, with prefix and version or without them, such as `offer.opened` or"
    f" `kopuro.offer.opened.v1`. The messages are: {', '.join(TYPES)};"
    " `message.closed` has the type of the message that it replaces"
)


def _types(kind: str) -> frozenset[str]:
    """Return the types that a kind stands for: all versions of a name, or the whole type alone."""
    return frozenset({kind}) if kind in _ALL else TYPES.get(kind, frozenset())


def types_of(kinds: Iterable[str]) -> frozenset[str]:
    """Return the types of messages that have one of these names or whole types.

    Raises Refused `invalid-parameter` for a kind that a mailbox does not hold.
    """
    found: set[str] = set()
    for kind in kinds:
        types = _types(kind)
        if not types:
            where = PointerError(pointer="/type", detail=f"Each must be {_KIND}.")
            raise Refused("invalid-parameter", "`type` names an unknown message.", errors=(where,))
        found |= types
    return frozenset(found)


def require_kinds(kinds: Mapping[str, str]) -> None:
    """Check the kinds of messages in a body, by JSON pointer: names or whole types.

    Raises Refused `invalid-submission` with the pointer of each kind that a mailbox does not hold.
    """
    faults = [
        PointerError(pointer=place, detail=f"Must be {_KIND}.")
        for place, kind in kinds.items()
        if not _types(kind)
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
