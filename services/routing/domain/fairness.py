"""Fairness between organisations that are about equally suitable, and towards newcomers.

The best organisations form a band of equals: their scores differ from the best by at most `Fairness.band`.
Among equal candidates, the one that was asked least recently comes first. An unknown organisation is equal if
it would be so with prompt answers: it gets its turn, and no second one before the first is judged. In a share
of the referrals, `Fairness.explore`, an organisation that is outside the band or hardly known comes first:
without being asked it could never show that it answers. For an emergency there is neither of the two.

A hash of the referral's id and the attempt decides whether to explore. The decision can therefore be
repeated from its record, and nobody can predict or steer it through a random generator's state.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from marshmallow.validate import Range

from contracts.quick_init import quick_init


@dataclass(frozen=True, kw_only=True, slots=True)
class Fairness:
    """The policy's part about fairness.

    band: the width of the band of equals. With the default weights, the default covers moderate differences
    of answer time, load and freshness. It does not cover a difference that the person notices: of nearness,
    of language or of cost. explore: the share of referrals, never emergencies, in which an organisation
    outside the band or hardly known is asked first. few: an organisation that has answered or let expire
    fewer offers is hardly known; 0: an unknown one gets no benefit of the doubt either.
    """

    band: Annotated[float, Range(min=0.0, max=1.0)] = 0.03
    explore: Annotated[float, Range(min=0.0, max=0.5)] = 0.1
    few: Annotated[int, Range(min=0, max=1000)] = 5


# Not frozen: a decision makes two for each organisation that may be asked.
@dataclass(kw_only=True, slots=True)
class Contender:
    """An organisation that may be asked, as far as turns depend on it.

    last_asked: when it got its latest offer, None if it never got one. judged: how many offers it has
    answered or let expire. unknown: whether it has no judged offer and no open one. equal: whether it is in
    the band of equals.
    """

    last_asked: dt.datetime | None = None
    judged: int = 0
    unknown: bool = False
    equal: bool = False


@quick_init
@dataclass(frozen=True, kw_only=True, slots=True)
class FairTurn:
    """Why the first organisation of a decision comes first.

    band, explore, few: the policy's values. benefit: what full responsiveness would add to the score of an
    unknown organisation; its score with that decides whether it is equal. 0 for an emergency. attempt: how
    many organisations had been asked before. draw: from 0 to 1, below `explore` if the decision explores;
    None for an emergency. equals: how many organisations are in the band. explored: the organisation that
    comes first to be given a chance, if any. organizations: the contenders by id.
    """

    band: float
    explore: float
    few: int
    benefit: float
    attempt: int
    draw: float | None
    equals: int
    explored: str | None = None
    organizations: Mapping[str, Contender] = field(default_factory=dict)


def draw_of(referral_id: str, attempt: int) -> float:
    """Return a number from 0 to below 1, always the same for one attempt of one referral."""
    digest = hashlib.sha256(f"explore {referral_id} {attempt}".encode()).digest()
    # 53 bits: as many as a float holds exactly.
    return (int.from_bytes(digest[:8]) >> 11) / 2**53
