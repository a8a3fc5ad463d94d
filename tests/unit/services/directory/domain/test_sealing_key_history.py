"""Changes of a record's sealing key, and the effect of a proof."""

from __future__ import annotations

import datetime as dt

from contracts.codes import KeyManner
from contracts.organization import KEY_OVERLAP, MOST_EARLIER_KEYS, Organization, SealingKey
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


def test_every_key_is_accepted_for_a_day_from_its_own_replacement() -> None:
    present = organization(sealing_key=plain(new_sealing_key()))
    first = present.sealing_key
    present = with_key(present, second := key(), manner=KeyManner.proved, at=NOON)
    later = NOON + dt.timedelta(hours=1)
    present = with_key(present, key(), manner=KeyManner.proved, at=later)
    change = present.sealing_key_change
    assert first is not None
    assert change is not None
    assert [(one.kid, one.until) for one in change.replaced] == [
        (second.kid, later + KEY_OVERLAP),
        (first.kid, NOON + KEY_OVERLAP),
    ]
    assert change.accepts(first.kid, later)
    assert not change.accepts(first.kid, NOON + KEY_OVERLAP)
    assert change.accepts(second.kid, NOON + KEY_OVERLAP)


def test_accepted_keys_are_bounded_and_a_replacement_without_proof_ends_them() -> None:
    present = organization(sealing_key=plain(new_sealing_key()))
    for _ in range(MOST_EARLIER_KEYS + 3):
        present = with_key(present, key(), manner=KeyManner.proved, at=NOON)
    change = present.sealing_key_change
    assert change is not None
    assert len(change.replaced) == MOST_EARLIER_KEYS + 1
    lost = with_key(present, key(), manner=KeyManner.approved, at=NOON).sealing_key_change
    assert lost is not None
    assert lost.replaced == ()


def test_key_that_returns_is_the_present_one_only() -> None:
    present = organization(sealing_key=plain(first := new_sealing_key()))
    present = with_key(present, key(), manner=KeyManner.proved, at=NOON)
    present = with_key(present, first, manner=KeyManner.proved, at=NOON)
    change = present.sealing_key_change
    assert change is not None
    assert first.kid not in {one.kid for one in change.replaced}
