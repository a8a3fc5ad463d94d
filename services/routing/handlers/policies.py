"""Applies policies, and follows the one in force in every process."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from contracts.envelope import Event
from contracts.errors import Defect, PointerError, Refused, Unavailable
from runtime.background import Spawn
from runtime.clock import Clock
from runtime.identifiers import new_id
from runtime.messaging.outbox.outbox import Outbox, outgoing
from runtime.periodic import Periodic
from runtime.storage.change_poll import ChangePoll
from runtime.storage.database import Database
from services.routing.domain.applied_policy import AppliedPolicy, StoredVersion, applied_fact
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.policy_document import ConfiguredPolicy, PolicyDocument
from services.routing.ports import PolicyStore

_log = logging.getLogger(__name__)

# The partition key of the facts about policies.
POLICY = "routing_policy"
# `by` of a hub's first policy, which no operator applied.
SERVICE = "routing"
POLL_SECONDS = 0.25


class Policies:
    """The record of policies. Each change is one transaction with its fact, so that the log has all of them.

    Used by the service and by operators' commands, in several processes at once.
    """

    def __init__(self, *, database: Database, store: PolicyStore, outbox: Outbox, source: str) -> None:
        """source: the CloudEvents source of the facts."""
        self._database = database
        self._store = store
        self._outbox = outbox
        self._source = source

    def apply(self, document: PolicyDocument, *, by: str, now: dt.datetime) -> AppliedPolicy | None:
        """Put a policy in force and return it; None if it is in force already.

        An earlier policy may be applied again. Raises Refused `conflict` if its version names another
        content, and DatabaseUnavailable. A policy whose stored content was changed does not prevent the next.
        """
        with self._database.write() as transaction:
            self._store.hold(transaction)
            known = self._store.versions(transaction)
            if known and known[-1].digest == document.digest:
                return None
            _check_version(document, known)
            return self._add(transaction, known[-1] if known else None, document, by, now)

    def check(self, document: PolicyDocument, *, within: str = "") -> None:
        """Raise Refused `conflict` if the policy's version names another content, and DatabaseUnavailable.

        within: the pointer to the policy in a larger document.
        """
        with self._database.read() as transaction:
            _check_version(document, self._store.versions(transaction), within)

    def first(self, document: PolicyDocument, now: dt.datetime) -> AppliedPolicy:
        """Return the policy in force; where there is none, put this one in force."""
        with self._database.read() as transaction:
            newest = self._store.newest(transaction)
        if newest is not None:
            return newest
        with self._database.write() as transaction:
            self._store.hold(transaction)
            # Another process may have been faster.
            newest = self._store.newest(transaction)
            return newest or self._add(transaction, None, document, SERVICE, now)

    def newer_than(self, number: int) -> AppliedPolicy | None:
        """Return the policy in force if its number is higher, else None."""
        with self._database.read() as transaction:
            return self._store.newest(transaction, number)

    def when_changed(self, work: Callable[[], None]) -> ChangePoll:
        """Return the work, skipped while nothing is committed in the database of the policies."""
        return ChangePoll(self._database, work)

    def every(self) -> list[AppliedPolicy]:
        """Return all policies, the first one first."""
        with self._database.read() as transaction:
            return list(self._store.every(transaction))

    def _add(
        self,
        transaction: Connection,
        previous: StoredVersion | None,
        document: PolicyDocument,
        by: str,
        now: dt.datetime,
    ) -> AppliedPolicy:
        number = 1 if previous is None else previous.number + 1
        applied = AppliedPolicy(number=number, document=document, by=by, at=now)
        self._store.add(transaction, applied)
        event_id = new_id()
        event = Event(
            id=event_id,
            source=self._source,
            time=now,
            partition_key=POLICY,
            correlation_id=event_id,
            causation_id=None,
            data=applied_fact(applied, None if previous is None else previous.version),
        )
        self._outbox.add(transaction, [outgoing(event)])
        return applied


class LivePolicy:
    """The policy in force, in one process (`application.Background`).

    A policy applies to every process within POLL_SECONDS and one read of the database. The table is the one
    source: no message can be late, lost or in another order, and a restart reads the same policy.
    """

    def __init__(
        self,
        policies: Policies,
        configured: ConfiguredPolicy,
        clock: Clock,
        after_commit: Callable[[], None],
    ) -> None:
        """configured: the policy of KOPURO_POLICY or the default, for a hub that has none yet."""
        self._policies = policies
        self._configured = configured
        self._clock = clock
        self._after_commit = after_commit
        self._applied: AppliedPolicy | None = None
        self._problem: str | None = None
        self._polling = Periodic("routing policy", policies.when_changed(self.refresh), seconds=POLL_SECONDS)

    def start(self, spawn: Spawn) -> None:
        """Load the policy in force, and follow it. Raises DatabaseUnavailable, and Defect."""
        configured = self._configured.document
        self._applied = self._policies.first(configured, self._clock.now())
        self._after_commit()
        if not self._configured.is_kept_by(self._applied.document):
            _log.warning(
                "the configured policy is not in force: apply it with `kopuro routing policy apply`",
                extra={"in_force": self._applied.document.version, "configured": configured.version},
            )
        self._polling.start(spawn)

    def stop(self) -> None:
        """Stop following."""
        self._polling.stop()

    def refresh(self) -> None:
        """Load a policy that was applied since. A damaged one leaves the present policy in force."""
        number = 0 if self._applied is None else self._applied.number
        try:
            newer = self._policies.newer_than(number)
        except Defect as error:
            if self._problem is None:
                _log.error("the newest policy cannot be used", extra={"reason": error.detail})
            self._problem = error.detail
            return
        self._problem = None
        if newer is not None:
            _log.info("policy changed", extra={"version": newer.document.version})
            self._applied = newer

    def current(self) -> RoutingPolicy:
        """Return the policy in force. Raises Unavailable before it is loaded."""
        if self._applied is None:
            raise Unavailable("The routing policy is not loaded yet.")
        return self._applied.document.policy

    def alarm(self) -> str | None:
        """Return the `/readyz` warning: why the newest policy is not in force; None otherwise."""
        return self._problem


def _check_version(document: PolicyDocument, known: Sequence[StoredVersion], within: str = "") -> None:
    if any(one.version == document.version and one.digest != document.digest for one in known):
        where = PointerError(pointer=f"{within}/version", detail="Give the changed policy another version.")
        raise Refused(
            "conflict", f"Version {document.version} belongs to another policy already.", errors=(where,)
        )
