"""The background work that bounds what each organisation costs the partners' broker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from contracts.errors import Unavailable
from runtime.background import Spawn
from services.gateway.domain.broker_load import LONGEST_BAN, Account, BrokerSample, work_between
from services.gateway.gateway_metrics import GatewayMetrics
from services.gateway.ports import BrokerUsers, PartnerConnections, UserConflict

_log = logging.getLogger(__name__)

# How often the broker counts.
LOOK_SECONDS: Final = 5.0
# How many bans of an organisation may end early because it has replaced its password, and within how many
# seconds. Each of its clients may replace it, so the directory's bound of each client is not enough.
EARLY_ENDS: Final = 2
EARLY_ENDS_SECONDS: Final = LONGEST_BAN


class FloodGuard:
    """Bans organisations that flood the broker (`application.Background`).

    A new process knows of no ban: `BrokerUsers.grant`, with which each window begins, ends them.
    """

    def __init__(
        self,
        users: BrokerUsers,
        connections: PartnerConnections,
        metrics: GatewayMetrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """clock: seconds, monotonic."""
        self._users = users
        self._connections = connections
        self._metrics = metrics
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        # When the latest bans of an organisation ended early, by organisation.
        self._ended_early: dict[str, tuple[float, ...]] = {}
        # The banned organisations whose connections the broker has closed.
        self._closed: set[str] = set()
        self._last: tuple[float, BrokerSample] | None = None
        self._stopping = threading.Event()

    def banned(self) -> int:
        """Return how many organisations the broker refuses because of a ban."""
        return len(self._closed)

    def password_replaced(self, organization: str) -> None:
        """End the ban: a user of the earlier password may have caused it, and has no access now.

        If the organisation floods the broker again, the next, longer ban follows at once. The ban ends with
        the next turn. A third ban within an hour does not end early, whichever clients replace the password.
        """
        account = self._accounts.get(organization)
        if account is None or account.until is None:
            return
        if not account.is_due(self._clock()):
            since = self._clock() - EARLY_ENDS_SECONDS
            earlier = tuple(at for at in self._ended_early.get(organization, ()) if at > since)
            if len(earlier) >= EARLY_ENDS:
                _log.warning(
                    "the ban continues despite the new password: too many bans ended early within an hour",
                    extra={"organization": organization},
                )
                return
            self._ended_early[organization] = (*earlier, self._clock())
        # An empty bucket: the owner must not be banned for what the thief did.
        self._accounts[organization] = replace(account, filled=0.0, until=min(account.until, self._clock()))

    def start(self, spawn: Spawn) -> None:
        """See `runtime.background.Background`."""
        spawn(self._run)

    def stop(self) -> None:
        """See `runtime.background.Background`."""
        self._stopping.set()

    def turn(self) -> None:
        """Count what was done since the last turn, and ban and release.

        Raises Unavailable, but not before the others' turns if it concerns one organisation.
        """
        organizations = set(self._users.all())
        failed = self._release_due()
        now, sample = self._clock(), self._connections.sample()
        for organization, account in self._charged(organizations, now, sample).items():
            self._accounts[organization] = account
        self._last = now, sample
        connected = {one.organization for one in sample.connections}
        for organization, account in self._accounts.items():
            # Again too, where a connection was about to open while the others were closed.
            if account.until is not None and (organization not in self._closed or organization in connected):
                try:
                    self._ban(organization, account)
                except Unavailable as error:
                    failed = error
        since = now - EARLY_ENDS_SECONDS
        self._ended_early = {name: ends for name, ends in self._ended_early.items() if ends[-1] > since}
        gone = [
            name
            for name, one in self._accounts.items()
            if one.equals_new or (one.until is None and name not in organizations)
        ]
        for name in gone:
            del self._accounts[name]
        if failed is not None:
            raise failed

    def _charged(self, organizations: set[str], now: float, sample: BrokerSample) -> dict[str, Account]:
        if self._last is None:
            return {}  # work from before this process started is charged to nobody
        at, last = self._last
        work = work_between(last, sample)
        accounts = self._accounts | {
            name: Account(at=at) for name in work.keys() & organizations - self._accounts.keys()
        }
        return {name: account.charged(work.get(name, 0.0), now) for name, account in accounts.items()}

    def _ban(self, organization: str, account: Account) -> None:
        seconds = round(account.banned)
        reason = f"banned for {seconds} seconds: too much work for the broker"
        try:
            self._connections.ban(organization, reason)
        except UserConflict:
            _log.error("the broker user is not the gateway's", extra={"organization": organization})
        if organization not in self._closed:
            self._closed.add(organization)
            self._metrics.ban()
            _log.warning(
                "organisation banned at the partners' broker for flooding it",
                extra={"organization": organization, "seconds": seconds},
            )

    def _release_due(self) -> Unavailable | None:
        """Release those whose ban has ended; return the error of one that could not be released."""
        now = self._clock()
        failed: Unavailable | None = None
        for organization in [name for name, one in self._accounts.items() if one.is_due(now)]:
            try:
                self._connections.release(organization)
            except UserConflict:
                _log.error("the broker user is not the gateway's", extra={"organization": organization})
            except Unavailable as error:
                failed = error
                continue
            self._accounts[organization] = self._accounts[organization].after_release(now)
            self._closed.discard(organization)
            _log.info("ban at the partners' broker ended", extra={"organization": organization})
        return failed

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.turn()
            except Unavailable as error:
                # The warning `windows` of /readyz reports it.
                _log.warning("the load of the partners' broker is not known", extra={"reason": str(error)})
            self._stopping.wait(LOOK_SECONDS)
