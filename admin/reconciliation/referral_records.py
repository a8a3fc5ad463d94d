"""The records of one referral in the log and in routing's tables, in comparable form."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedFact:
    """An entry of the log. fact: the event type without `kopuro.` and the version.

    actor: the event's source. data: as logged; None once it is erased, and if it does not match the log's
    commitment. detail: what routing's timeline says of such a fact; None without data.
    """

    index: int
    fact: str
    message_id: str
    organization: str | None
    time: dt.datetime
    actor: str = ""
    data: Mapping[str, Any] | None = None
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredEvidence:
    """A message that the vault keeps as evidence. data: None, and the other texts empty, if it is damaged."""

    message_id: str = ""
    fact: str = ""
    actor: str = ""
    time: dt.datetime | None = None
    data: Mapping[str, Any] | None = None

    def is_of(self, entry: LoggedFact) -> bool:
        """Return whether it is the message of the entry. The content of an erased entry is not compared."""
        head = (self.message_id, self.fact, self.actor, self.time)
        if self.data is None or head != (entry.message_id, entry.fact, entry.actor, entry.time):
            return False
        return entry.data is None or entry.data == self.data


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredStep:
    """A step of the timeline. organization: the party concerned besides the sender, None if there is none.

    detail: None if it is damaged.
    """

    fact: str
    time: dt.datetime
    organization: str | None
    detail: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredOffer:
    """An offer in routing's table."""

    id: str
    organization: str
    service: str
    rank: int
    state: str
    opened_at: dt.datetime
    deadline: dt.datetime
