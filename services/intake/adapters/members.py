"""The network's members in memory, from the replica of the directory, and the keys they have had."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select

from contracts.facts import OrganizationChanged
from contracts.organization import Organization
from contracts.records import read
from runtime.clock import Clock
from runtime.messaging.replica import ReplicaRecord
from runtime.storage.database import Database
from runtime.storage.sql_statement import SqlStatement
from services.intake.adapters.tables import SEALING_KEYS
from services.intake.domain.members import Member, member_of

_PUBLISHED = SqlStatement("INSERT INTO sealing_keys (organization, kid) VALUES (?, ?) ON CONFLICT DO NOTHING")


class MembersInMemory:
    """The members by id. Pass `absorb` to a replica; calls must not overlap (`ReplicaView` serialises them).

    The replica holds only the latest key of an organisation. The ids of earlier ones are stored, so that a
    note that was sealed before a key was replaced is still admitted after a restart.
    """

    def __init__(self, database: Database, clock: Clock, *, pause: dt.timedelta) -> None:
        """pause: after the replacement of a sealing key without proof of the earlier one."""
        self._database = database
        self._clock = clock
        self._pause = pause
        self._members: dict[str, Member] = {}
        self._kids: dict[str, frozenset[str]] | None = None

    def get(self, organization: str) -> Member | None:
        """Return the organisation, or None if the replica has no such record.

        It has its replaced keys only while they are accepted.
        """
        member = self._members.get(organization)
        if member is None or not member.replaced:
            return member
        now = self._clock.now()
        return replace(member, replaced=tuple(key for key in member.replaced if now < key.until))

    def absorb(self, records: Sequence[ReplicaRecord]) -> None:
        """Apply new and changed records. Raises DatabaseUnavailable; then nothing has changed."""
        organizations = [
            read(Organization, record.data["organization"])
            for record in records
            if record.type == OrganizationChanged.type
        ]
        if not organizations:
            return
        kids = dict(self._stored() if self._kids is None else self._kids)
        new = {
            (one.id, one.sealing_key.kid)
            for one in organizations
            if one.sealing_key is not None and one.sealing_key.kid not in kids.get(one.id, ())
        }
        if new:
            with self._database.write() as transaction:
                _PUBLISHED.run_for_each(transaction, sorted(new))
        for organization, kid in new:
            kids[organization] = kids.get(organization, frozenset()) | {kid}
        self._kids = kids
        for one in organizations:
            current = {one.sealing_key.kid} if one.sealing_key is not None else set()
            earlier = kids.get(one.id, frozenset()) - current
            self._members[one.id] = member_of(one, earlier, pause=self._pause)

    def _stored(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = defaultdict(set)
        with self._database.read() as transaction:
            for row in transaction.execute(select(SEALING_KEYS)):
                found[row.organization].add(row.kid)
        return {organization: frozenset(kids) for organization, kids in found.items()}
