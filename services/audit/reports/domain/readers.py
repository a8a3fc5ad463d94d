"""The recorded reads of a referral's facts. Pure.

Staff and operators are always named. An organisation that was offered a referral must not learn from the
reads which other organisations are parties to it. So it gets only the names of a filter, and of the
organisations' own reads only its own. Once its part has ended, it gets no later reads by staff either. The
sender reads everything, as in its story.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.facts import (
    CaseFetched,
    DeadLetterRead,
    HistoryExported,
    HistoryRead,
    LogExported,
    PartOpened,
    ReferralRead,
    ReferralSubmitted,
)
from contracts.responses.history import RecordedRead as ShownRead

READ_TYPES: Final = frozenset(
    fact.type
    for fact in (ReferralRead, CaseFetched, DeadLetterRead, HistoryRead, HistoryExported, LogExported)
)

# The first entry of a referral, or of a part of one.
_BEGINNINGS: Final = frozenset({ReferralSubmitted.type, PartOpened.type})


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedRead:
    """A log entry about a read. type: the event's; data: its content."""

    index: int
    time: dt.datetime
    type: str
    data: Mapping[str, Any]

    @property
    def reader(self) -> str:
        """The principal that read; of a fetched case the organisation."""
        return str(self.data.get("reader") or self.data.get("organization") or "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """The organisation that asks who read its referral, or staff. organization: None for staff.

    parties: every organisation that the referral's entries name; sender: the one that submitted it.
    until: the entry that ended the organisation's part; None while it has one.
    """

    organization: str | None
    sender: str | None
    parties: Collection[str]
    until: int | None = None

    @property
    def sees_everything(self) -> bool:
        """Whether the viewer may see everything about the reads."""
        return self.organization is None or self.organization == self.sender

    def sees(self, read: RecordedRead) -> bool:
        """Return whether the viewer learns of the read."""
        if self.sees_everything or read.reader == self.organization:
            return True
        # Later reads would reveal how the referral continues.
        is_later = self.until is not None and read.index > self.until
        return read.reader not in self.parties and not is_later

    def shown(self, read: RecordedRead) -> ShownRead:
        """Return the read as the viewer sees it, without the ids of other referrals in the same answer.

        filter: values are null for a viewer that must not learn them.
        """
        data = read.data
        asked = {**(data.get("filter") or {})}
        return ShownRead(
            index=read.index,
            time=read.time,
            type=read.type,
            reader=read.reader,
            client_id=data.get("client_id"),
            roles=tuple(data.get("roles") or ()),
            resource=data.get("resource"),
            filter=asked if self.sees_everything else dict.fromkeys(asked),
            entries=data.get("entries"),
        )


def viewer_of(
    organization: str | None, steps: Sequence[tuple[str, str | None]], *, until: int | None = None
) -> Viewer:
    """Return the viewer. steps: type and organisation of every entry of the referral; until: see `Viewer`."""
    return Viewer(
        organization=organization,
        sender=next((party for type, party in steps if type in _BEGINNINGS), None),
        parties=frozenset(party for _, party in steps if party is not None),
        until=until,
    )
