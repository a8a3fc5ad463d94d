"""A part of a referral: a referral of its own for some of the needs of another one, with the same sender."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.part_id import part_id


@dataclass(frozen=True, kw_only=True, slots=True)
class PartOf:
    """The place of a part in the referral that was split.

    referral_id: the referral that was split. position: from 1. count: the number of its parts. asked: the
    organisations that had been asked about the whole referral, and count as asked about the part.
    declined_as_full: when some of these declined the whole for lack of capacity; they are asked again once
    they have room. whole_needs: the needs of the whole referral; the acceptor of a part learns them all from
    the one case. Empty once the facts have been reduced.
    """

    referral_id: str
    position: int
    count: int
    asked: tuple[str, ...] = ()
    declined_as_full: Mapping[str, dt.datetime] = field(default_factory=dict)
    whole_needs: tuple[str, ...] = ()

    @property
    def family(self) -> tuple[str, ...]:
        """The ids of the split referral and of all its parts."""
        return self.referral_id, *part_ids(self.referral_id, self.count)


def part_ids(referral_id: str, count: int) -> tuple[str, ...]:
    """Return the ids of a referral's parts, in their order."""
    return tuple(part_id(referral_id, position) for position in range(1, count + 1))
