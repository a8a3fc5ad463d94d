"""The number of messages that wait for the vault and may be sealed to a transit key."""

from __future__ import annotations

from sqlalchemy import func, select

from contracts.topology import dead_letter_queue_name
from runtime.messaging.ports import BrokerUnavailable, QueueReader
from runtime.storage.database import Database
from services.vault.adapters.tables import MESSAGING

_QUEUE = "vault.sealed"


class WaitingMessages:
    """The messages in the queue, among its dead letters and among the retries. For one thread."""

    def __init__(self, reader: QueueReader, database: Database) -> None:
        self._reader = reader
        self._database = database

    def count(self) -> int | None:
        """Return their number; None while the broker is away. Raises DatabaseUnavailable."""
        try:
            at_the_broker = sum(self._reader.counts([_QUEUE, dead_letter_queue_name(_QUEUE)]).values())
        except BrokerUnavailable:
            return None
        retries = select(func.count()).select_from(MESSAGING.retries)
        with self._database.read() as transaction:
            postponed: int = transaction.execute(
                retries.where(MESSAGING.retries.c.consumer == _QUEUE)
            ).scalar_one()
        return at_the_broker + postponed

    def close(self) -> None:
        """Close the connection to the broker."""
        self._reader.close()
