"""Figures about earlier referrals: how soon they were answered, and how many found no organisation.

Figures are withheld unless they count FEWEST persons without those of the reader's own organisations, and the
others are rounded. So no figure says how one referral went, even to a sender that subtracts its own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from contracts.referral import ReferralFacts
from contracts.vocabularies import country_of, need_group

FEWEST: Final = 5
# Younger referrals may still be waiting for their first answer.
SETTLED_AFTER: Final = dt.timedelta(days=1)
# Older referrals say little about the network of today.
COUNTED_FOR: Final = dt.timedelta(days=90)
_SECONDS_STEP: Final = 900


@dataclass(frozen=True, kw_only=True, slots=True)
class PastReferral:
    """A referral that counts as experience.

    person: the id of the referral, or of the one of which it is a part. sender: who sent it. need_group: of
    the principal need. country: of the person's region. opt_in_kinds: those that the consent opts in to.
    answered_after: from its submission to its first acceptance or decline; None if there is none.
    found_nobody: whether it was ever unplaced.
    """

    person: str
    sender: str
    need_group: str
    country: str
    opt_in_kinds: frozenset[str]
    answered_after: dt.timedelta | None
    found_nobody: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Experience:
    """half_answered_seconds: within how many seconds half of the referrals got their first answer, rounded up
    to a quarter of an hour; None if less than half got one. found_nobody: the share that was ever unplaced,
    rounded to tenths. Both are None for too few referrals.
    """

    half_answered_seconds: int | None = None
    found_nobody: float | None = None


NO_EXPERIENCE = Experience()


def experience_of(past: Iterable[PastReferral], is_own: Callable[[str], bool]) -> Experience:
    """Return the experience of these referrals; see `comparable` for which.

    A person whose referral was split counts once: with the first answer about any part, and as one for whom
    nobody was found if that holds for a part. is_own: whether a sender is one of the reader's
    organisations.
    """
    persons: dict[str, PastReferral] = {}
    for one in past:
        known = persons.get(one.person)
        persons[one.person] = one if known is None else _together(known, one)
    counted = persons.values()
    if sum(not is_own(one.sender) for one in counted) < FEWEST:
        return NO_EXPERIENCE
    times = sorted(one.answered_after for one in counted if one.answered_after is not None)
    half = (len(counted) + 1) // 2
    return Experience(
        half_answered_seconds=_rounded_up(times[half - 1]) if len(times) >= half else None,
        found_nobody=round(sum(one.found_nobody for one in counted) / len(counted), 1),
    )


def _together(one: PastReferral, other: PastReferral) -> PastReferral:
    answered = [time for time in (one.answered_after, other.answered_after) if time is not None]
    return replace(
        one,
        answered_after=min(answered, default=None),
        found_nobody=one.found_nobody or other.found_nobody,
    )


def comparable(past: Iterable[PastReferral], facts: ReferralFacts) -> list[PastReferral]:
    """Return the referrals of the same need group and country whose consent opted in to no further kind.

    Organisations of further kinds may have answered the others. A preview of these facts must not reveal
    that.
    """
    group, country = need_group(facts.needs[0]), country_of(facts.region)
    kinds = frozenset(facts.consent.opt_in_kinds)
    return [
        one for one in past if (one.need_group, one.country) == (group, country) and one.opt_in_kinds <= kinds
    ]


def _rounded_up(time: dt.timedelta) -> int:
    steps = -(-time // dt.timedelta(seconds=_SECONDS_STEP))
    return max(1, steps) * _SECONDS_STEP
