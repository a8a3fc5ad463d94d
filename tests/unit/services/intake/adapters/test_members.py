"""Members and their keys on both databases, across restarts."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from contracts.codes import KeyManner
from contracts.facts import OrganizationChanged, TokenKeyChanged
from contracts.organization import KEY_OVERLAP, ReplacedKey, SealingKey, SealingKeyChange
from contracts.records import plain
from runtime.messaging.replica import ReplicaRecord
from runtime.settings import KEY_PAUSE
from runtime.storage.database import Database
from services.intake.adapters.members import MembersInMemory
from services.intake.domain.members import Member, receiver_keys
from tests.support.migrated import upgrade
from tests.support.settable_clock import SettableClock
from tests.unit.services.intake.samples import OSH, organization

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def record(kid: str | None) -> ReplicaRecord:
    key = None if kid is None else SealingKey(kty="OKP", crv="X25519", x="A" * 43, kid=kid)
    data = {"organization": plain(organization(OSH, key=key))}
    return ReplicaRecord(type=OrganizationChanged.type, key=OSH, change=1, data=data)


def test_earlier_keys_of_a_member_are_known_after_a_restart(database_url: str) -> None:
    database = Database.open(database_url)
    upgrade("services.intake", database)
    first, second = "a" * 43, "b" * 43
    members = MembersInMemory(database, SettableClock(NOON), pause=KEY_PAUSE)
    assert members.get(OSH) is None
    for kid in (first, second, first, None, second):
        members.absorb([record(kid)])
    restarted = MembersInMemory(database, SettableClock(NOON), pause=KEY_PAUSE)
    restarted.absorb([ReplicaRecord(type=TokenKeyChanged.type, key="k", change=1, data={}), record(second)])
    expected = Member(id=OSH, in_good_standing=True, kid=second, earlier_kids=frozenset({first}))
    assert members.get(OSH) == restarted.get(OSH) == expected
    database.close()


@pytest.mark.parametrize(
    ("manner", "paused_until"), [(KeyManner.proved, None), (KeyManner.approved, NOON + KEY_PAUSE)]
)
def test_key_that_replaced_another_without_proof_is_paused(
    database_url: str, manner: KeyManner, paused_until: dt.datetime | None
) -> None:
    database = Database.open(database_url)
    upgrade("services.intake", database)
    key = SealingKey(kty="OKP", crv="X25519", x="A" * 43, kid="b" * 43)
    changed = replace(organization(OSH, key=key), sealing_key_change=SealingKeyChange(at=NOON, manner=manner))
    members = MembersInMemory(database, SettableClock(NOON), pause=KEY_PAUSE)
    data = {"organization": plain(changed)}
    members.absorb([ReplicaRecord(type=OrganizationChanged.type, key=OSH, change=1, data=data)])
    member = members.get(OSH)
    assert member is not None
    assert member.paused_until == paused_until
    database.close()


@pytest.mark.parametrize(("manner", "accepted"), [(KeyManner.proved, True), (KeyManner.approved, False)])
def test_key_before_is_accepted_for_a_day_if_its_holder_replaced_it(
    database_url: str, manner: KeyManner, accepted: bool
) -> None:
    database, clock = Database.open(database_url), SettableClock(NOON)
    upgrade("services.intake", database)
    old, new = "a" * 43, "b" * 43
    key = SealingKey(kty="OKP", crv="X25519", x="A" * 43, kid=new)
    earlier, end = "c" * 43, NOON + dt.timedelta(hours=1)
    change = SealingKeyChange(
        at=NOON, manner=manner, previous=old, earlier=(ReplacedKey(kid=earlier, until=end),)
    )
    changed = replace(organization(OSH, key=key), sealing_key_change=change)
    members = MembersInMemory(database, clock, pause=KEY_PAUSE)
    data = {"organization": plain(changed)}
    members.absorb([ReplicaRecord(type=OrganizationChanged.type, key=OSH, change=1, data=data)])
    assert receiver_keys(members.get, OSH) == ({earlier, old, new} if accepted else {new})
    clock.time = end
    assert receiver_keys(members.get, OSH) == ({old, new} if accepted else {new})
    clock.time = NOON + KEY_OVERLAP
    assert receiver_keys(members.get, OSH) == {new}
    database.close()
