"""The bell of one process: long polls wait for it."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from runtime.storage.database import Database
from services.delivery.ports import Mailboxes


class MailboxNotifier:
    """See `ports.Bell`. `look` finds out whom to ring for, whichever process put the messages there."""

    def __init__(self, database: Database, mailboxes: Mailboxes) -> None:
        self._database = database
        self._mailboxes = mailboxes
        self._seen: int | None = None
        self._rings: dict[str, set[threading.Event]] = {}
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """See `ports.Bell`."""
        return self._stopped

    @contextmanager
    def listening(self, *mailboxes: str) -> Iterator[threading.Event]:
        """See `ports.Bell`."""
        ring = threading.Event()
        for mailbox in mailboxes:
            self._rings.setdefault(mailbox, set()).add(ring)
        try:
            yield ring
        finally:
            for mailbox in mailboxes:
                rings = self._rings[mailbox]
                rings.discard(ring)
                if not rings:
                    del self._rings[mailbox]

    def look(self) -> None:
        """Rings for every mailbox that something came to since the last look.

        One small query, however many wait. Raises DatabaseUnavailable.
        """
        with self._database.read() as transaction:
            seen, organizations = self._mailboxes.newer_than(transaction, self._seen)
        # What came before the first look is found by everybody who then begins to wait.
        first = self._seen is None
        self._seen = seen
        self._ring(list(self._rings) if first else organizations)

    def stop(self) -> None:
        """Ends every wait, now and from now on."""
        self._stopped = True
        self._ring(list(self._rings))

    def _ring(self, organizations: Collection[str]) -> None:
        for organization in organizations:
            for ring in list(self._rings.get(organization, ())):
                ring.set()
