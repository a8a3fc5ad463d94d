"""Wakes the long polls of one process."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from runtime.storage.database import Database
from services.delivery.ports import Mailboxes


class MailboxNotifier:
    """See `ports.Notifier`. `poll` finds new messages, whichever process appended them."""

    def __init__(self, database: Database, mailboxes: Mailboxes) -> None:
        self._database = database
        self._mailboxes = mailboxes
        self._seen: int | None = None
        self._signals: dict[str, set[threading.Event]] = {}
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """See `ports.Notifier`."""
        return self._stopped

    @contextmanager
    def listening(self, *mailboxes: str) -> Iterator[threading.Event]:
        """See `ports.Notifier`."""
        signal = threading.Event()
        for mailbox in mailboxes:
            self._signals.setdefault(mailbox, set()).add(signal)
        try:
            yield signal
        finally:
            for mailbox in mailboxes:
                signals = self._signals[mailbox]
                signals.discard(signal)
                if not signals:
                    del self._signals[mailbox]

    def poll(self) -> None:
        """Signal every mailbox that has received messages since the last poll.

        One small query for any number of waiters. Raises DatabaseUnavailable.
        """
        with self._database.read() as transaction:
            seen, organizations = self._mailboxes.newer_than(transaction, self._seen)
        # Waiters read their mailboxes themselves; the first poll does not know which messages are new.
        first = self._seen is None
        self._seen = seen
        self._signal(list(self._signals) if first else organizations)

    def wake(self) -> None:
        """Signal every waiter, e.g. to check again that it may wait."""
        self._signal(list(self._signals))

    def stop(self) -> None:
        """End every present and future wait."""
        self._stopped = True
        self._signal(list(self._signals))

    def _signal(self, organizations: Collection[str]) -> None:
        for organization in organizations:
            for signal in list(self._signals.get(organization, ())):
                signal.set()
