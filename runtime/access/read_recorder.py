"""Publishes a fact about each read of persons' facts; every such fact becomes an entry of the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import Defect
from contracts.facts import Fact, ReferralRead
from runtime.access.reads import NOTHING_READ, STAFF, Read, Reader
from runtime.access.tokens import Principal
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.messaging.ports import Outgoing
from runtime.storage.database import Database
from runtime.storage.group_commit import GroupCommit


class ReadRecorder:
    """Records reads. Safe for concurrent greenlets; concurrent calls share commits."""

    def __init__(
        self,
        *,
        database: Database,
        outbox: Outbox,
        source: str,
        clock: Clock,
        after_commit: Callable[[], None],
    ) -> None:
        """source: the CloudEvents source of this service. after_commit: wakes the relay."""
        self._outbox = outbox
        self._source = source
        self._clock = clock
        self._commits = GroupCommit[Outgoing, None](database, self._write, after_commit=after_commit)

    def record(self, fact: Fact, partition_key: str) -> None:
        """Commit the fact to the outbox. Raises Unavailable.

        Callers record before they respond: a crash in between records a read whose result nobody received.
        """
        number = new_id()
        event = Event(
            id=number,
            source=self._source,
            time=self._clock.now(),
            partition_key=partition_key,
            correlation_id=number,
            causation_id=None,
            data=fact,
        )
        self._commits.submit(outgoing(event))

    def record_response(self, principal: Principal, resource: str, read: Read | None) -> None:
        """Record that staff got an answer with these referrals; other principals read as parties.

        resource: method and route template. Raises Unavailable, and Defect for an answer that does not state
        what it contains: such an answer must not leave.
        """
        if principal.roles.isdisjoint(STAFF):
            return
        if read is None:
            raise Defect(f"{resource} does not state which referrals its response contains.")
        if read is NOTHING_READ:
            return
        reader = Reader.of(principal)
        referral_ids = tuple(dict.fromkeys(read.referral_ids))
        fact = ReferralRead(
            reader=reader.id,
            client_id=reader.client_id,
            roles=reader.roles,
            resource=resource,
            filter=read.filter,
            referral_ids=referral_ids,
            entries=len(referral_ids),
        )
        self.record(fact, referral_ids[0] if read.is_about_one else reader.id)

    def _write(self, transaction: Connection, messages: Sequence[Outgoing]) -> Sequence[None]:
        self._outbox.add(transaction, messages)
        return [None] * len(messages)
