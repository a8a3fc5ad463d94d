"""Identifiers: UUIDv7; those of referrals are not to be found from their neighbours."""

from __future__ import annotations

import time
from uuid import RFC_4122, UUID

from runtime.identifiers import new_id, new_unguessable_id


def test_identifiers_are_uuids_of_version_7_with_the_time_of_their_creation() -> None:
    before = time.time_ns() // 1_000_000
    for made in (UUID(new_id()), UUID(new_unguessable_id())):
        assert (made.version, made.variant) == (7, RFC_4122)
        assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1


def test_identifiers_of_a_process_rise() -> None:
    made = [new_id() for _ in range(5_000)]
    assert made == sorted(set(made))


def test_unguessable_identifiers_are_far_from_those_made_just_before() -> None:
    """The acceptor of a part knows the message that was made next, and not the referral that was split."""
    distances = [UUID(new_id()).int ^ UUID(new_unguessable_id()).int for _ in range(1_000)]
    # The ids are of one millisecond, with 74 random bits. Fewer than 50 have the chance of one in 16 million.
    assert min(distances) >> 50
