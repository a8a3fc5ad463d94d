"""Simulations of policies for coordinators: which of the last referrals would have gone elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection

from contracts.errors import Unavailable, drop_frames
from contracts.referral import ReferralFacts
from runtime.storage.database import Database
from services.routing.domain.directory import Directory
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.policy_document import PolicyDocument
from services.routing.domain.policy_simulation import Simulation, simulate
from services.routing.domain.recomputation import NotReproducible
from services.routing.domain.stored_decision import DecisionSources, StoredDecision
from services.routing.handlers.policies import Policies
from services.routing.handlers.turns import in_turns
from services.routing.ports import StoredDecisions

# The most referrals of one simulation, the most decisions that it makes again, and how many of those that
# would change it keeps.
MOST_REFERRALS: Final = 500
MOST_DECISIONS: Final = 5_000
MOST_EFFECTS: Final = 200
# A simulation ends after this time with the referrals that it has decided by then.
LONGEST: Final = 20.0
# In one process. Every caller has one at a time (`Share.simulation`).
MOST_AT_ONCE: Final = 2
_RETRY_AFTER: Final = 5


class PolicySimulations:
    """Reads only, one decision at a time; other work is done between two of them."""

    def __init__(
        self,
        *,
        database: Database,
        stored: StoredDecisions,
        policies: Policies,
        directory: Directory,
        unready: Callable[[], str | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """unready: returns why the directory is not complete, or None. clock: returns seconds."""
        self._database = database
        self._stored = stored
        self._policies = policies
        self._directory = directory
        self._unready = unready
        self._clock = clock
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)

    def simulate(self, document: PolicyDocument, last: int) -> Simulation:
        """Make the decisions about the last referrals again, the newest referral first.

        The directory is the present one; the observations are those of the decision's time. Raises Refused
        `conflict` if the policy's version names another content, Unavailable while the directory is
        incomplete or while others simulate, and DatabaseUnavailable.
        """
        self._policies.check(document, within="/policy")
        if (reason := self._unready()) is not None:
            raise Unavailable(reason)
        with self._place():
            result = Simulation()
            decisions = _Decisions(self._database, self._stored, self._clock, result)
            sources = DecisionSources(
                referral_of=decisions.referral_of,
                policies=lambda: decisions.policies,
                directory_at=lambda _version: self._directory,
                is_present=True,
            )
            return simulate(
                in_turns(decisions.of_last(min(last, MOST_REFERRALS))),
                sources,
                document.policy,
                result,
                most_effects=MOST_EFFECTS,
            )

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Unavailable("Other simulations are running.", retry_after=_RETRY_AFTER)
        try:
            yield
        finally:
            self._places.release()


class _Decisions:
    """The decisions of one simulation. Each is read on its own, in a transaction that ends before it is made.

    policies: of the hub, by version.
    """

    def __init__(
        self,
        database: Database,
        stored: StoredDecisions,
        clock: Callable[[], float],
        result: Simulation,
    ) -> None:
        self._database = database
        self._stored = stored
        self._clock = clock
        self._result = result
        self._end = clock() + LONGEST
        self._referral: tuple[str, tuple[str, ReferralFacts] | NotReproducible] | None = None
        with database.read() as transaction:
            self.policies: Mapping[str, RoutingPolicy] = stored.policies(transaction)

    def referral_of(self, referral_id: str) -> tuple[str, ReferralFacts]:
        """Return the sender and the facts of a referral. Raises NotReproducible."""
        if self._referral is None or self._referral[0] != referral_id:
            with self._database.read() as transaction:
                self._referral = referral_id, self._read(transaction, referral_id)
        found = self._referral[1]
        if isinstance(found, NotReproducible):
            raise found
        return found

    def _read(self, transaction: Connection, referral_id: str) -> tuple[str, ReferralFacts] | NotReproducible:
        try:
            return self._stored.referral(transaction, referral_id)
        except NotReproducible as reason:
            drop_frames(reason)
            return reason

    def of_last(self, last: int) -> Iterator[StoredDecision]:
        """Yield the searches for the last referrals; say in the result which were not read."""
        left = MOST_DECISIONS
        with self._database.read() as transaction:
            referrals = self._stored.newest_referrals(transaction, last)
        for referral_id in referrals:
            with self._database.read() as transaction:
                # The facts before the decisions: they are reduced when these are erased.
                self._referral = referral_id, self._read(transaction, referral_id)
                ids = self._stored.ids(transaction, referral_id, left + 1)
            for id_ in ids:
                if left == 0:
                    self._result.leave_out(referral_id, "too_many_decisions", "too many decisions")
                    break
                if self._clock() > self._end:
                    self._result.leave_out(referral_id, "no_time_left", "no time left")
                    break
                left -= 1
                with self._database.read() as transaction:
                    decision = self._stored.decision(transaction, id_)
                if decision is None:
                    self._result.leave_out(referral_id, "damaged", "its record is not JSON")
                elif decision.is_search:
                    yield decision
