"""Agreements: one person may narrow one, and nothing else."""

from __future__ import annotations

import pytest

from contracts.organization import Agreement
from services.directory.domain.agreement_change import narrows
from tests.unit.services.directory.samples import agreement

PARTIES = ["kg.one", "kg.two", "kg.three"]
PRESENT = agreement(parties=PARTIES, effective_until="2027-01-01")
OPEN = agreement()


@pytest.mark.parametrize(
    ("present", "wanted", "is_narrower"),
    [
        (PRESENT, agreement(parties=PARTIES[:2], effective_until="2027-01-01"), True),
        (PRESENT, agreement(parties=PARTIES, effective_until="2026-03-01"), True),
        (OPEN, agreement(effective_until="2026-03-01"), True),
        (None, PRESENT, False),
        (PRESENT, agreement(parties=[*PARTIES, "kg.four"], effective_until="2027-01-01"), False),
        (PRESENT, agreement(parties=["*"], effective_until="2027-01-01"), False),
        (OPEN, agreement(parties=PARTIES), False),
        (PRESENT, agreement(parties=PARTIES, effective_until="2027-01-02"), False),
        (PRESENT, agreement(parties=PARTIES), False),
        (
            PRESENT,
            agreement(parties=PARTIES[:2], effective_until="2027-01-01", disclosure="sensitive"),
            False,
        ),
        (PRESENT, agreement(parties=PARTIES[:2], effective_until="2027-01-01", title="Another"), False),
        (agreement(needs=["legal"]), agreement(), False),
    ],
)
def test_only_fewer_parties_or_an_earlier_end_narrow_an_agreement(
    present: Agreement | None, wanted: Agreement, is_narrower: bool
) -> None:
    assert narrows(present, wanted) is is_narrower
