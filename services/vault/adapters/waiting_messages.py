"""The messages that wait for the vault and may be sealed to a transit key."""

from __future__ import annotations

from sqlalchemy import func, select

from contracts.topology import dead_letter_queue_name
from runtime.messaging.ports import BrokerUnavailable, QueueReader
from runtime.storage.database import Database
from services.vault.adapters.tables import MESSAGING
from services.vault.domain.quiet_window import WaitingForVault

_QUEUE = "vault.sealed"
_DEAD_LETTERS = dead_letter_queue_name(_QUEUE)
# If the outbox is longer, dead letters in transit to the broker are not counted every second.
_LONGEST_OUTBOX = 1000


class WaitingMessages:
    """The messages in the queue, among its dead letters and among the retries. For one thread."""

    def __init__(self, reader: QueueReader, database: Database) -> None:
        self._reader = reader
        self._database = database

    def count(self) -> WaitingForVault | None:
        """Return the waiting messages; None while the broker is unavailable or the outbox is long.

        Raises DatabaseUnavailable.
        """
        # The database first: a retry that fails moves on to the outbox, and from there to the broker.
        retries, outbox = MESSAGING.retries, MESSAGING.outbox
        unsent = select(outbox.c.routing_key).order_by(outbox.c.number).limit(_LONGEST_OUTBOX)
        with self._database.read() as transaction:
            oldest = transaction.execute(
                select(func.min(retries.c.first_seen)).where(retries.c.consumer == _QUEUE)
            ).scalar_one()
            keys = transaction.execute(unsent).scalars().all()
        if len(keys) == _LONGEST_OUTBOX:
            return None
        try:
            counts = self._reader.counts([_QUEUE, _DEAD_LETTERS])
        except BrokerUnavailable:
            return None
        return WaitingForVault(
            queued=counts[_QUEUE],
            dead_letters=counts[_DEAD_LETTERS] + keys.count(_DEAD_LETTERS),
            oldest_retry=oldest,
        )

    def close(self) -> None:
        """Close the connection to the broker."""
        self._reader.close()
