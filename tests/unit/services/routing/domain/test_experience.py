"""The figures that earlier referrals give for the next one."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from itertools import count

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

_PERSONS = count()


def nobodys(_: str) -> bool:
    return False


def past(
    minutes: int | None = None, *, found_nobody: bool = False, person: str = "", sender: str = "kg.another"
) -> PastReferral:
    """By default another person's."""
    return PastReferral(
        person=person or f"person-{next(_PERSONS)}",
        sender=sender,
        need_group="legal",
        country="RU",
        opt_in_kinds=frozenset(),
        answered_after=None if minutes is None else dt.timedelta(minutes=minutes),
        found_nobody=found_nobody,
    )


def test_too_few_referrals_are_withheld() -> None:
    few = [past(5, found_nobody=True) for _ in range(FEWEST - 1)]
    assert experience_of(few, nobodys) == NO_EXPERIENCE
    assert experience_of([*few, past(5)], nobodys) != NO_EXPERIENCE


def test_parts_of_one_person_count_once() -> None:
    parts = [past(5, found_nobody=True, person="one") for _ in range(FEWEST)]
    assert experience_of(parts, nobodys) == NO_EXPERIENCE
    others = [past(60) for _ in range(FEWEST - 1)]
    found = experience_of([*parts, *others, past(person="one")], nobodys)
    assert (found.found_nobody, found.half_answered_seconds) == (0.2, 3_600)


def test_figures_need_enough_persons_of_other_organizations() -> None:
    """A sender that knows its own referrals subtracts them."""
    own = [past(5, found_nobody=True, sender="kg.own") for _ in range(FEWEST)]
    others = [past(5) for _ in range(FEWEST)]
    assert experience_of([*own, *others[1:]], "kg.own".__eq__) == NO_EXPERIENCE
    assert experience_of([*own, *others], "kg.own".__eq__).found_nobody == 0.5


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
    assert experience_of([past(one) for one in minutes], nobodys).half_answered_seconds == seconds


@pytest.mark.parametrize(("unplaced", "share"), [(0, 0.0), (1, 0.1), (3, 0.4), (8, 1.0)])
def test_share_that_found_nobody_is_rounded_to_tenths(unplaced: int, share: float) -> None:
    known = [past(5, found_nobody=number < unplaced) for number in range(8)]
    assert experience_of(known, nobodys).found_nobody == share


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
