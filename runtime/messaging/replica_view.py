"""A service's view of its replica in memory: the only reader of the table while the service runs.

The view uses no row without a valid code (`row_code`): it keeps the record that it had and asks the owner to
send its records again. A process that finds such a row at its start uses no row until they have arrived.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Sequence

from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.replica import INCOMPLETE, Replica, ReplicaRecord
from runtime.storage.database import Database

_log = logging.getLogger(__name__)

# Records that one warning names.
_NAMED = 3


class ReplicaView:
    """A service's in-memory view of its replica. It follows the table, whichever process writes it."""

    def __init__(
        self,
        database: Database,
        replica: Replica,
        absorb: Callable[[Sequence[ReplicaRecord]], None],
        outbox: Outbox,
    ) -> None:
        """absorb: receives the new and changed records."""
        self._database = database
        self._replica = replica
        self._absorb = absorb
        self._outbox = outbox
        self._seen = 0
        self._refused: set[tuple[str, str]] = set()
        # Named by the warning for the life of the process: somebody wrote to the database.
        self._ever_refused: set[tuple[str, str]] = set()
        # The consumer and the timer both refresh; the slower one must not restore older records.
        self._refreshing = threading.Lock()

    @property
    def refused(self) -> int:
        """The number of rows that were read and are not used."""
        return len(self._refused)

    def unready(self) -> str | None:
        """Return None unless the stored rows are not used until the owner has sent its records again."""
        return INCOMPLETE if self._refused and not self._seen else None

    def alarm(self) -> str | None:
        """Return the `/readyz` warning: which rows somebody else has written. None if there were none."""
        if not self._ever_refused:
            return None
        found = sorted(self._ever_refused)
        # Somebody else may have written any text.
        named = ", ".join(ascii(f"{_short(type)} {key}"[:100])[1:-1] for type, key in found[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        return (
            f"Somebody else has written to the table replica of this service's database: {named}{more}. "
            "These rows are not used. Find out who can write to the database, and run kopuro admin reconcile."
        )

    def refresh(self, now: dt.datetime) -> None:
        """Absorb the changes since the last call. Cheap when there are none."""
        with self._refreshing:
            with self._database.read() as transaction:
                changes = self._replica.newer_than(transaction, self._seen)
                complete = not changes.refused or self._replica.is_marked(transaction)
            self._refuse(set(changes.refused), complete, now)
            if changes.refused and not self._seen:
                # While the record that suspends an organisation is unusable, it would be in good standing.
                return
            if changes.records:
                self._absorb(changes.records)
                self._seen = changes.records[-1].change

    def _refuse(self, refused: set[tuple[str, str]], complete: bool, now: dt.datetime) -> None:
        """Request the owner's records for new rows without a valid code.

        complete: False while the codes of the whole table are of an earlier build or key: that is no alarm,
        and the records have been requested.
        """
        new = refused - self._refused
        if new and complete:
            self._ever_refused |= new
            _log.error("rows of the replica are not used: they have no valid code", extra={"rows": len(new)})
            with self._database.write() as transaction:
                self._replica.request(transaction, self._outbox, now)
        # After the request: one that failed is made again.
        self._refused = refused


def _short(type: str) -> str:
    """Return what a record of the type is about."""
    return type.split(".")[1] if "." in type else type
