"""Agreements that overlap: refused by every interface, with the name of the other."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from contracts.organization import Agreement
from services.directory.domain.agreement_overlap import overlap_fault
from tests.unit.services.directory.samples import agreement

KNOWN = agreement("known", needs=["legal"], effective_until="2026-12-31")


def other(**changes: Any) -> Agreement:
    return agreement("other", **{"needs": ["legal.wage_claim"], "effective_from": "2026-01-01", **changes})


def test_same_parties_class_needs_and_days_overlap() -> None:
    assert "agreement known" in (overlap_fault(None, other(), [KNOWN]) or "")
    assert overlap_fault(None, other(needs=[]), [KNOWN]) is not None
    parties = ["kg.a", "kg.b"]
    pair = replace(KNOWN, parties=("kg.b", "kg.a"))
    assert overlap_fault(None, other(parties=parties), [pair]) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"needs": ["health.hiv"]},
        {"disclosure": "sensitive"},
        {"effective_from": "2027-01-01"},
        {"effective_from": "2020-01-01", "effective_until": "2021-02-28"},
        {"parties": ["kg.a", "kg.b"]},
    ],
)
def test_agreement_that_differs_in_one_of_them_does_not_overlap(changes: dict[str, Any]) -> None:
    assert overlap_fault(None, other(**changes), [KNOWN]) is None


def test_agreement_does_not_overlap_itself() -> None:
    assert overlap_fault(KNOWN, replace(KNOWN, title="New"), [KNOWN]) is None


def test_overlap_of_an_earlier_build_can_be_narrowed_and_kept_but_not_changed() -> None:
    present = other()
    ended = replace(present, effective_until=dt.date(2026, 3, 1))
    assert overlap_fault(present, present, [KNOWN]) is None
    assert overlap_fault(present, ended, [KNOWN]) is None
    assert overlap_fault(present, replace(present, title="New"), [KNOWN]) is not None
