"""Keeps the window of one organisation: copies, proofs, erasure, and its access to the broker."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from contracts.errors import Defect, Unavailable
from services.gateway.domain.window import Window, rebuilt
from services.gateway.gateway_metrics import GatewayMetrics
from services.gateway.ports import (
    BrokerUsers,
    HubClient,
    NotAdmitted,
    Queues,
    QueueState,
    SessionEnded,
    UserConflict,
)

_log = logging.getLogger(__name__)

# Messages of one page of the mailbox.
PAGE: Final = 200
# Seconds to wait for a message when every copy is proved; the hub ends the wait when access ends.
IDLE_WAIT: Final = 20.0
# Seconds to wait while copies are unproved: the interval between two reads of the broker's count. It is
# doubled up to the longest while the consumer does nothing.
PROOF_WAIT: Final = 1.0
LONGEST_PROOF_WAIT: Final = 8.0
# Seconds between two looks for closed messages in a queue that is not empty.
ERASURE_SECONDS: Final = 20.0
# Seconds until an organisation that is not admitted is tried again.
NOT_ADMITTED_PAUSE: Final = 10.0
FULL_PAUSE: Final = 1.0
FAILURE_PAUSE: Final = 2.0
# Seconds until a password is tried again that the broker or the hub could not take.
PASSWORD_PAUSE: Final = 5.0


class WindowUpdater:
    """The window of one organisation. `turn` is called again and again by one greenlet."""

    def __init__(
        self,
        organization: str,
        *,
        hub: HubClient,
        queues: Queues,
        users: BrokerUsers,
        metrics: GatewayMetrics,
        clock: Callable[[], float],
        password_replaced: Callable[[str], None] = lambda _: None,
    ) -> None:
        """clock: seconds, monotonic. password_replaced: called once the broker has a new password."""
        self._password_replaced = password_replaced
        self.organization = organization
        self._hub = hub
        self._queues = queues
        self._users = users
        self._metrics = metrics
        self._clock = clock
        self._window = Window()
        self._session: int | None = None
        self._withdrawn = False
        self._looked_at = 0.0
        self._proof_wait = PROOF_WAIT
        self._last_left: tuple[int, int | None] | None = None
        # The hash that the broker and then the hub are still to get, and when to try again.
        self._password: str | None = None
        self._password_again = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the organisation has access to its queue."""
        return self._session is not None

    @property
    def unproved(self) -> int:
        """Copies whose acknowledgement is not proved."""
        return len(self._window.copied)

    def turn(self) -> float:
        """Do what is due; return the seconds until the next turn. Raises none of the ports' errors."""
        try:
            return self._advance()
        except NotAdmitted:
            return self._withdraw()
        except UserConflict:
            self._report_conflict()
            return NOT_ADMITTED_PAUSE
        except SessionEnded:
            self._session = None
            return 0.0
        except Unavailable as error:
            _log.warning("organisation's queue not filled for now", extra={"reason": str(error)})
            return FAILURE_PAUSE
        except Defect as defect:
            _log.error("organisation's queue not filled after a defect", extra={"reason": str(defect)})
            return NOT_ADMITTED_PAUSE

    def _advance(self) -> float:
        if self._session is None:
            self._open()
        self._apply_password_if_possible()
        assert self._session is not None
        standing = self._queues.standing(self._session, self.organization)
        waiting = standing.waiting
        if self._window.copied:
            self._prove(standing)
        if waiting > len(self._window.copied) or (waiting and self._window.copied and self._lingers()):
            # The messages in the queue are copied again, the closed ones without their content. There are
            # more than were copied if a consumer gave back what it had got before the queue was emptied.
            self._rebuild()
            return 0.0
        self._window, free = self._window.free(waiting, self._clock())
        if not free:
            self._hub.require_admitted(self.organization)
            return FULL_PAUSE
        self._copy(free)
        return 0.0

    def _open(self) -> None:
        self._hub.require_admitted(self.organization)
        # Done before the permissions: a user of the replaced password must not get access.
        self._apply_password()
        # Before the permissions: messages of an earlier session may have been closed meanwhile.
        self._rebuild()
        self._users.grant(self.organization)
        self._withdrawn = False

    def _apply_password(self) -> None:
        """Apply a password that the organisation has asked for, or that replaces one of a revoked client."""
        # One that could not be applied before may have been replaced since.
        self._password = self._hub.new_password(self.organization) or self._password
        if self._password is not None:
            self._users.replace_password(self.organization, self._password)
            self._hub.password_applied(self.organization, self._password)
            self._password = None
            self._password_replaced(self.organization)
            _log.info("password replaced", extra={"organization": self.organization})

    def _apply_password_if_possible(self) -> None:
        """Apply it, or try again later: an open window works without it."""
        if self._clock() < self._password_again:
            return
        try:
            self._apply_password()
        except (Unavailable, Defect) as fault:
            self._password_again = self._clock() + PASSWORD_PAUSE
            _log.warning("password not replaced yet", extra={"reason": str(fault)})

    def _rebuild(self) -> None:
        self._session = None
        session = self._queues.begin(self.organization)
        self._window, self._session, self._looked_at = rebuilt(), session, self._clock()

    def _prove(self, standing: QueueState) -> None:
        count = self._users.count(self.organization)
        left = (standing.waiting, None if count is None else count.messages)
        idle = standing.waiting > 0 and left == self._last_left
        self._proof_wait = min(2 * self._proof_wait, LONGEST_PROOF_WAIT) if idle else PROOF_WAIT
        self._last_left = left
        if count is None:
            return
        window, proved = self._window.counted(count)
        # A consumer would miss the messages meanwhile, and gets to all of them soon anyway.
        if not standing.consumers and window.can_be_looked_at(count, standing.waiting):
            assert self._session is not None
            window, proved = window.looked_at(count, self._queues.look(self._session, self.organization))
        # Acknowledge before storing the window: a proof that the hub did not get is then found again.
        if proved:
            self._hub.acknowledge(self.organization, proved)
            self._metrics.acknowledged(len(proved))
        self._window = window

    def _lingers(self) -> bool:
        """Return whether the queue holds a message with content that the hub has erased."""
        if self._clock() - self._looked_at < ERASURE_SECONDS:
            return False
        assert self._session is not None
        closed = self._hub.closed(self.organization, among=self._window.copied)
        self._looked_at = self._clock()
        lingering = self._window.lingering(closed)
        # A message that was acknowledged meanwhile is left out: emptying the queue repeats messages.
        return bool(lingering) and not lingering.isdisjoint(
            self._queues.look(self._session, self.organization)
        )

    def _copy(self, free: int) -> None:
        page = self._hub.page(
            self.organization,
            after=self._window.cursor,
            limit=min(free, PAGE),
            wait=self._proof_wait if self._window.copied else IDLE_WAIT,
        )
        # After a page that the queue took in part, the same page is read again.
        copied = frozenset(self._window.copied)
        messages = [message for message in page.messages if message.id not in copied]
        assert self._session is not None
        confirmed = self._queues.copy(self._session, self.organization, messages) if messages else 0
        self._window = (
            self._window.with_copies(
                [message.id for message in messages[:confirmed]],
                page.cursor if confirmed == len(messages) else None,
                closed=frozenset(message.id for message in messages[:confirmed] if message.is_closed),
            )
            if confirmed or page.cursor != self._window.cursor
            else self._window
        )
        self._metrics.copied(confirmed)

    def _withdraw(self) -> float:
        self._session = None
        self._window = rebuilt()
        if self._withdrawn:
            return NOT_ADMITTED_PAUSE
        try:
            self._users.withdraw(self.organization)
            # Also what an earlier process has copied: the hub may have erased it meanwhile.
            self._queues.begin(self.organization)
        except UserConflict:
            self._report_conflict()
            return NOT_ADMITTED_PAUSE
        except Unavailable as error:
            _log.warning("access not revoked yet", extra={"reason": str(error)})
            return FAILURE_PAUSE
        self._withdrawn = True
        _log.warning("access to the partners' broker revoked", extra={"organization": self.organization})
        return NOT_ADMITTED_PAUSE

    def _report_conflict(self) -> None:
        _log.error("the broker user is not the gateway's", extra={"organization": self.organization})
