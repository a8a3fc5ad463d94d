"""The figures that earlier referrals give for the next one."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from contracts.codes import OrganizationKind
from services.routing.domain.experience import (
    FEWEST,
    NO_EXPERIENCE,
    PastReferral,
    comparable,
    experience_of,
)
from tests.unit.services.routing.samples import consent, facts


def past(minutes: int | None = None, *, found_nobody: bool = False) -> PastReferral:
    return PastReferral(
        need_group="legal",
        country="RU",
        opt_in_kinds=frozenset(),
        answered_after=None if minutes is None else dt.timedelta(minutes=minutes),
        found_nobody=found_nobody,
    )


def test_too_few_referrals_are_withheld() -> None:
    assert experience_of([past(5, found_nobody=True)] * (FEWEST - 1)) == NO_EXPERIENCE
    assert experience_of([past(5)] * FEWEST) != NO_EXPERIENCE


@pytest.mark.parametrize(
    ("minutes", "seconds"),
    [
        ([1, 2, 3, 4, 5], 900),
        ([10, 20, 31, 400, None], 2_700),
        ([10, 20, 31, None, None], 2_700),
        ([10, 20, None, None, None], None),
        ([10, 20, 30, None, None, None], 1_800),
        ([0, 0, 0, 0, 0], 900),
    ],
)
def test_half_answered_is_the_median_rounded_up(minutes: list[int | None], seconds: int | None) -> None:
    """An unanswered referral counts as one that took longer than all others."""
    assert experience_of([past(one) for one in minutes]).half_answered_seconds == seconds


@pytest.mark.parametrize(("unplaced", "share"), [(0, 0.0), (1, 0.1), (3, 0.4), (8, 1.0)])
def test_share_that_found_nobody_is_rounded_to_tenths(unplaced: int, share: float) -> None:
    known = [past(5, found_nobody=number < unplaced) for number in range(8)]
    assert experience_of(known).found_nobody == share


def test_referrals_with_further_opt_ins_are_not_comparable() -> None:
    """A consulate may have answered them."""
    consulate, state = OrganizationKind.consular_representative, OrganizationKind.state_body
    kinds = [(), (consulate,), (state,), (consulate, state)]
    known = [replace(past(5), opt_in_kinds=frozenset(one)) for one in kinds]
    assert comparable(known, facts()) == known[:1]
    assert comparable(known, facts(consent=consent(opt_in_kinds=(consulate,)))) == known[:2]
    assert comparable(known, facts(consent=consent(opt_in_kinds=(consulate, state)))) == known


def test_referrals_of_another_group_or_country_are_not_comparable() -> None:
    known = [past(5), replace(past(5), need_group="work"), replace(past(5), country="KZ")]
    assert comparable(known, facts(needs=("legal", "work"), region="RU-SPE")) == known[:1]
