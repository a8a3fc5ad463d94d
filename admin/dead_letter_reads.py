"""Records that an operator read the data of a dead letter: a fact that becomes an entry of the log."""

from __future__ import annotations

import datetime as dt
import re

from admin.operator_name import login_name
from contracts.envelope import Event
from contracts.errors import Refused
from contracts.facts import DeadLetterRead, Fact
from contracts.identifiers import UUID_PATTERN
from runtime.identifiers import new_id
from runtime.messaging.dead_letters.dead_letter_queue import Opened

_UUID = re.compile(UUID_PATTERN)
_HUB = re.compile(r"/([a-z]{2})/.")


def read_of(consumer: str, opened: Opened, *, now: dt.datetime) -> Event[Fact] | None:
    """Return the fact that this dead letter's data was read; None when it has no facts of a referral.

    The reader is the login name at this machine: the broker's user is the same for all operators. The hub is
    that of the dead letter's events. Raises Refused `conflict` when no event names one.
    """
    shown = [
        (event, data)
        for event, data in zip(opened.letter.events, opened.data, strict=True)
        if event is not None and data is not None
    ]
    named = [key for event, data in shown for key in (event.partition_key, data.get("referral_id"))]
    referral_ids = tuple(
        dict.fromkeys(key for key in named if isinstance(key, str) and _UUID.fullmatch(key) is not None)
    )
    if not referral_ids:
        return None
    hubs = [found[1] for event, _ in shown if (found := _HUB.match(event.source)) is not None]
    if not hubs:
        raise Refused(
            "conflict",
            "No event in the message names its hub, so the log cannot record the read.",
        )
    number = new_id()
    return Event(
        id=number,
        source=f"/{hubs[0]}/operations",
        time=now,
        partition_key=referral_ids[0] if len(referral_ids) == 1 else consumer,
        correlation_id=number,
        causation_id=None,
        data=DeadLetterRead(
            reader=login_name(),
            consumer=consumer,
            message_id=opened.letter.message_id,
            referral_ids=referral_ids,
            entries=len(shown),
        ),
    )
