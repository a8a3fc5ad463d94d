"""Members and their keys on both databases, across restarts."""

from __future__ import annotations

from contracts.facts import OrganizationChanged, TokenKeyChanged
from contracts.organization import SealingKey
from contracts.records import plain
from runtime.messaging.replica import ReplicaRecord
from runtime.storage.database import Database
from services.intake.adapters.members import MembersInMemory
from services.intake.domain.members import Member
from tests.support.migrated import upgrade
from tests.unit.services.intake.samples import OSH, organization


def record(kid: str | None) -> ReplicaRecord:
    key = None if kid is None else SealingKey(kty="OKP", crv="X25519", x="A" * 43, kid=kid)
    data = {"organization": plain(organization(OSH, key=key))}
    return ReplicaRecord(type=OrganizationChanged.type, key=OSH, change=1, data=data)


def test_earlier_keys_of_a_member_are_known_after_a_restart(database_url: str) -> None:
    database = Database.open(database_url)
    upgrade("services.intake", database)
    first, second = "a" * 43, "b" * 43
    members = MembersInMemory(database)
    assert members.get(OSH) is None
    for kid in (first, second, first, None, second):
        members.absorb([record(kid)])
    restarted = MembersInMemory(database)
    restarted.absorb([ReplicaRecord(type=TokenKeyChanged.type, key="k", change=1, data={}), record(second)])
    expected = Member(id=OSH, in_good_standing=True, kid=second, earlier_kids=frozenset({first}))
    assert members.get(OSH) == restarted.get(OSH) == expected
    database.close()
