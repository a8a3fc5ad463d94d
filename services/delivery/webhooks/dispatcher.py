"""Sends the notices that are due.

Every endpoint has a few places of its own, so that a slow one delays no other; one that fails has a single
place. A claimed notice is due again after a while: if the process ends before the result is stored, the
notice is sent again, and the receiver recognises it by its `webhook-id`.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from contracts.errors import Unavailable
from runtime.access.standing import IsExcluded
from runtime.background import Spawn
from runtime.clock import Clock
from runtime.periodic import Periodic
from runtime.storage.change_poll import ChangePoll
from runtime.storage.database import Database
from runtime.storage.group_commit import GroupCommit
from services.delivery.webhooks.domain.endpoint import Endpoint, EndpointState
from services.delivery.webhooks.domain.notice import CHALLENGE, TEST, Notice, NoticeEvent, following_state
from services.delivery.webhooks.domain.payload import MEDIA_TYPE, body_of
from services.delivery.webhooks.domain.retries import Haste
from services.delivery.webhooks.domain.signature import SigningSecret, signed_headers
from services.delivery.webhooks.feeder import Feeder
from services.delivery.webhooks.metrics import WebhookMetrics
from services.delivery.webhooks.outcomes import LEASE, AttemptResult
from services.delivery.webhooks.ports import EndpointResponse, Endpoints, Notices, NotSent, SecretSeal, Sender

_log = logging.getLogger(__name__)

# Requests under way: in all, and to one endpoint. One that fails has a single place.
PLACES: Final = 256
PLACES_PER_ENDPOINT: Final = 4
# Endpoints in one transaction. On SQLite nothing else runs during a transaction.
_AT_ONCE: Final = 8
_SECONDS_BETWEEN_ROUNDS: Final = 0.5
_SECONDS_BETWEEN_BUSY_ROUNDS: Final = 0.02
_SECONDS_BETWEEN_COUNTS: Final = 5.0
_SECONDS_TO_FINISH: Final = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedNotice:
    """A notice to send now, with everything that its request needs."""

    endpoint: Endpoint
    notice: Notice
    secrets: tuple[SigningSecret, ...]


class Dispatcher:
    """Background work (`runtime.background.Background`). Several processes may share the database."""

    def __init__(
        self,
        *,
        database: Database,
        endpoints: Endpoints,
        notices: Notices,
        outcomes: GroupCommit[AttemptResult, None],
        sender: Sender,
        seal: SecretSeal,
        clock: Clock,
        is_excluded: IsExcluded,
        mailbox_url: Callable[[str, int], str],
        metrics: WebhookMetrics,
    ) -> None:
        """mailbox_url: returns the URL at which an organisation reads its message with a sequence."""
        self._feeder = Feeder(database=database, endpoints=endpoints, notices=notices, clock=clock)
        self._database = database
        self._endpoints = endpoints
        self._notices = notices
        self._outcomes = outcomes
        self._sender = sender
        self._seal = seal
        self._clock = clock
        self._is_excluded = is_excluded
        self._mailbox_url = mailbox_url
        self._metrics = metrics
        self._rounds = ChangePoll(database, self.round)
        self._periodic = Periodic("webhooks", self._paced_round, seconds=_SECONDS_BETWEEN_ROUNDS)
        self._spawn: Spawn | None = None
        self._next_count = 0.0
        self._next_round = 0.0
        self._last = ""
        self._busy: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._idle = threading.Event()
        self._idle.set()

    def start(self, spawn: Spawn) -> None:
        """See `Background`."""
        self._spawn = spawn
        self._periodic.start(spawn)

    def wake(self) -> None:
        """Look for messages and due notices soon."""
        self._rounds.wake()
        self._periodic.wake()

    def stop(self) -> None:
        """See `Background`. Requests that do not end soon are sent again after the next start."""
        self._periodic.stop()
        self._idle.wait(_SECONDS_TO_FINISH)

    def round(self) -> bool:
        """Make notices of new messages, and start the requests that are due. Raises Unavailable.

        Return whether a notice waits, or a message for its notice.
        """
        was_behind = self._feeder.feed()
        return self._start_due() or was_behind

    def _paced_round(self) -> None:
        """Run a round, but not at once after another: many requests that end soon share the next one."""
        time.sleep(max(0.0, self._next_round - time.monotonic()))
        if self._rounds():
            self._next_round = time.monotonic() + _SECONDS_BETWEEN_BUSY_ROUNDS

    def _start_due(self) -> bool:
        now = self._clock.now()
        with self._database.read() as transaction:
            owed = self._notices.owed(transaction, now)
            are_waiting = self._notices.are_waiting(transaction)
            self._count(transaction)
        ready = [endpoint for endpoint in owed if self._places(endpoint) > 0]
        # In turn, so that endpoints with much to send do not take the places of those behind them.
        ready.sort(key=lambda endpoint: (endpoint.id <= self._last, endpoint.id))
        for start in range(0, len(ready), _AT_ONCE):
            for claim in self._claimed(ready[start : start + _AT_ONCE], now):
                self._launch(claim)
            time.sleep(0)
        return are_waiting

    def _claimed(self, endpoints: Sequence[Endpoint], now: dt.datetime) -> list[ClaimedNotice]:
        """Claim due notices of these endpoints, as many as there are places."""
        left = PLACES - self._busy.total()
        if left <= 0:
            return []
        claims: list[ClaimedNotice] = []
        # May be repeated after a loss of power: the receiver recognises what it has seen.
        with self._database.write(durable=False) as transaction:
            for endpoint in endpoints:
                most = min(self._places(endpoint), left - len(claims))
                if most > 0:
                    claims += self._claims_of(transaction, endpoint, now, most)
                    self._last = endpoint.id
        return claims

    def _count(self, transaction: Connection) -> None:
        """Measure how many notices wait, but not in every round."""
        if time.monotonic() >= self._next_count:
            self._next_count = time.monotonic() + _SECONDS_BETWEEN_COUNTS
            self._metrics.waiting.set(self._notices.count_waiting(transaction))

    def _claims_of(
        self, transaction: Connection, endpoint: Endpoint, now: dt.datetime, most: int
    ) -> list[ClaimedNotice]:
        due = self._notices.due(
            transaction,
            endpoint.id,
            now,
            most,
            only_challenge=endpoint.state is EndpointState.unverified,
        )
        if not due:
            return []
        read = self._notices.acknowledged(transaction, due)
        sendable = []
        for notice in due:
            event = _end(notice, now, is_read=notice.number in read)
            if event is None:
                sendable.append(notice)
            else:
                self._notices.put(
                    transaction, replace(notice, state=following_state(notice.state, event)), now
                )
        self._notices.claim(transaction, sendable, now + LEASE)
        try:
            secrets = tuple(
                self._seal.open(endpoint.id, sealed)
                for sealed in self._endpoints.secrets(transaction, endpoint.id, now)
            )
            if not secrets:
                # A request without a signature goes to nobody: only a writer to the database deletes them.
                raise Unavailable("The webhook has no secret.")
        except Unavailable as fault:
            _log.error("webhook secret cannot be opened", extra={"reason": fault.detail})
            return []
        return [
            ClaimedNotice(
                endpoint=endpoint, notice=replace(each, attempts=each.attempts + 1), secrets=secrets
            )
            for each in sendable
        ]

    def _places(self, endpoint: Endpoint) -> int:
        if self._is_excluded(endpoint.organization):
            return 0
        most = PLACES_PER_ENDPOINT if endpoint.health.failing_since is None else 1
        return most - self._busy[endpoint.id]

    def _launch(self, claim: ClaimedNotice) -> None:
        assert self._spawn is not None
        with self._lock:
            self._busy[claim.endpoint.id] += 1
            self._idle.clear()
        self._metrics.in_flight.inc()
        self._spawn(lambda: self._run(claim))

    def _run(self, claim: ClaimedNotice) -> None:
        try:
            self._attempt(claim)
        except Unavailable as error:
            _log.warning("webhook result not stored", extra={"reason": error.detail})
        except Exception:  # noqa: BLE001 - one endpoint's fault must not end the mailboxes' process
            _log.error("webhook attempt failed", exc_info=True)
        finally:
            with self._lock:
                self._busy[claim.endpoint.id] -= 1
                if self._busy[claim.endpoint.id] <= 0:
                    del self._busy[claim.endpoint.id]
                if not self._busy:
                    self._idle.set()
            self._metrics.in_flight.dec()
            # The next notice of this referral, or of this endpoint, may be sent now.
            self.wake()

    def _attempt(self, claim: ClaimedNotice) -> None:
        notice, started_at = claim.notice, self._clock.now()
        is_own = notice.type in (CHALLENGE, TEST)
        endpoint = claim.endpoint
        url = "" if is_own else self._mailbox_url(endpoint.organization, notice.sequence)
        body = body_of(notice, endpoint, url)
        headers = signed_headers(
            claim.secrets, message_id=notice.message_id, timestamp=int(started_at.timestamp()), body=body
        )
        answer: EndpointResponse | None = None
        fault: str | None = None
        try:
            answer = self._sender.post(
                claim.endpoint.url,
                {"Content-Type": MEDIA_TYPE, "User-Agent": "Kopuro-Webhooks", **headers},
                body,
            )
        except NotSent as error:
            fault = error.fault
        outcome = AttemptResult(
            endpoint=claim.endpoint,
            notice=notice,
            started_at=started_at,
            ended_at=self._clock.now(),
            answer=answer,
            fault=fault,
        )
        self._metrics.attempts.labels(outcome.failure or "sent").inc()
        self._metrics.seconds.observe((outcome.ended_at - started_at).total_seconds())
        self._outcomes.submit(outcome)


def _end(notice: Notice, now: dt.datetime, *, is_read: bool) -> NoticeEvent | None:
    """Return why a due notice is not sent any more, None if it is."""
    if is_read:
        return NoticeEvent.read
    if notice.until < now:
        return NoticeEvent.give_up if notice.haste is Haste.other else NoticeEvent.expire
    return None
