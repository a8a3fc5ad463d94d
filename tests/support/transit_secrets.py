"""Transit keys with their private halves, for tests of intake without a vault."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from contracts.envelope import Event
from contracts.facts import (
    Fact,
    SealedCaseReplaced,
    SealedCaseSubmitted,
    SealedNoteSubmitted,
    TransitKeyPublished,
    TransitSeal,
)
from runtime import transit_seal

FIRST = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class TransitSecrets:
    """The keys that were made, by kid."""

    def __init__(self) -> None:
        self.secrets: dict[str, bytes] = {}

    def new(self, published_at: dt.datetime = FIRST) -> TransitKeyPublished:
        """Return the public half of a new key."""
        kid, x, secret = transit_seal.generate()
        self.secrets[kid] = secret
        return TransitKeyPublished(kid=kid, x=x, published_at=published_at)

    def opened(self, event: Event[Fact]) -> Event[Fact]:
        """Return the event without its transit seal."""
        match event.data:
            case (
                SealedCaseSubmitted(transit=TransitSeal()) | SealedCaseReplaced(transit=TransitSeal()) as fact
            ):
                assert fact.transit is not None
                whole = transit_seal.open_sealed(
                    fact.transit, fact.case, self.secrets[fact.transit.kid], fact.referral_id
                )
                return replace(event, data=replace(fact, case=whole, transit=None))
            case SealedNoteSubmitted(transit=TransitSeal()) as note:
                assert note.transit is not None
                whole = transit_seal.open_sealed(
                    note.transit, note.note, self.secrets[note.transit.kid], note.referral_id
                )
                return replace(event, data=replace(note, note=whole, transit=None))
            case _:
                return event
