"""Changes of a record's sealing key, and the effect of a proof."""

from __future__ import annotations

import datetime as dt

from contracts.codes import KeyManner
from contracts.organization import Organization, SealingKey
from contracts.records import plain, read
from services.directory.domain.sealing_key_history import OBJECTION, with_key
from tests.unit.services.directory.samples import NOON, new_sealing_key, organization


def key() -> SealingKey:
    return read(SealingKey, plain(new_sealing_key()))


def after(present: Organization, manner: KeyManner, at: dt.datetime) -> tuple[KeyManner, dt.datetime]:
    change = with_key(present, key(), manner=manner, at=at).sealing_key_change
    assert change is not None
    return change.manner, change.at


def test_proof_by_recently_approved_key_counts_as_that_approval() -> None:
    present = organization(sealing_key=plain(new_sealing_key()))
    approved = with_key(present, key(), manner=KeyManner.approved, at=NOON)
    soon, late = NOON + dt.timedelta(minutes=1), NOON + OBJECTION
    assert after(approved, KeyManner.proved, soon) == (KeyManner.approved, NOON)
    twice = with_key(approved, key(), manner=KeyManner.proved, at=soon)
    assert after(twice, KeyManner.proved, soon) == (KeyManner.approved, NOON)
    assert after(approved, KeyManner.proved, late) == (KeyManner.proved, late)


def test_proof_by_undisputed_key_counts() -> None:
    first = with_key(organization(sealing_key=None), key(), manner=KeyManner.approved, at=NOON)
    soon = NOON + dt.timedelta(minutes=1)
    assert after(first, KeyManner.proved, soon) == (KeyManner.proved, soon)
    assert after(first, KeyManner.approved, soon) == (KeyManner.approved, soon)
