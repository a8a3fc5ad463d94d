"""A service's view of its replica in memory: the only reader of the table while the service runs.

The view uses no row without a valid code (`row_code`): it keeps the record that it had and asks the owner to
send its records again. A process that finds such a row at its start uses no row until they have arrived.

`check` also compares the rows that were absorbed with the table (`ReplicaComparison`). A row that somebody
has rewritten, put back in an earlier version or deleted is refused in the same way.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable, Collection, Sequence
from itertools import islice

from runtime.messaging.outbox.outbox import Outbox
from runtime.messaging.replica import INCOMPLETE, RecordId, Replica, ReplicaRecord
from runtime.messaging.replica_comparison import COMPARED, ReplicaComparison
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
        # Whether the records of a complete replica were absorbed once.
        self._is_whole = False
        self._comparison = ReplicaComparison(replica)
        # The database's versions before the present comparison of all rows, and before the last complete one.
        self._comparing_since: object = None
        self._compared_since: object = None
        # A dictionary for its order: the one that was looked at last is the last.
        self._refused: dict[RecordId, None] = {}
        # Named by the warning for the life of the process: somebody wrote to the database.
        self._tampered: set[RecordId] = set()
        # The consumer and the timer both refresh; the slower one must not restore older records.
        self._refreshing = threading.Lock()

    @property
    def refused(self) -> int:
        """The number of rows that are not used, and of rows that are missing."""
        return len(self._refused)

    @property
    def tampered(self) -> int:
        """The number of records whose rows somebody else has written or deleted since the process started."""
        return len(self._tampered)

    def unready(self) -> str | None:
        """Return None once every record of a complete replica has been absorbed, else the reason.

        The table may be complete before: `absorb` lets other work run, and another process may write the
        table. Not None either while no stored row is used until the owner has sent its records again.
        """
        return None if self._is_whole and (self._seen or not self._refused) else INCOMPLETE

    def is_compared(self) -> bool:
        """Return whether `check` has compared every row since the last commit, and uses all of them.

        Never true on PostgreSQL, which reports no version. Raises DatabaseUnavailable.
        """
        return not self._refused and self._compared_since == self._database.version()

    def alarm(self) -> str | None:
        """Return the `/readyz` warning: which rows somebody else has written. None if there were none."""
        if not self._tampered:
            return None
        found = sorted(self._tampered, key=repr)
        # Somebody else may have written any text.
        named = ", ".join(ascii(f"{_short(str(type))} {key}"[:100])[1:-1] for type, key in found[:_NAMED])
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        return (
            f"Somebody else has changed the table replica of this service's database: {named}{more}. "
            "These rows are not used. Find out who can write to the database, and run kopuro admin reconcile."
        )

    def refresh(self, now: dt.datetime) -> None:
        """Absorb the changes since the last call. Cheap when there are none."""
        self._follow(now, compare=False)

    def check(self, now: dt.datetime) -> None:
        """Absorb the changes since the last call, and compare the next COMPARED rows with those absorbed."""
        self._follow(now, compare=True)

    def _follow(self, now: dt.datetime, *, compare: bool) -> None:
        with self._refreshing:
            if compare and self._comparison.is_at_start:
                self._comparing_since = self._database.version()
            with self._database.read() as transaction:
                # Before the changes: a row that is replaced in between is among them.
                doubtful = (
                    self._comparison.doubtful(transaction, self._seen) if compare and self._seen else None
                )
                changes = self._replica.newer_than(transaction, self._seen)
                complete = not changes.refused or self._replica.is_marked(transaction)
                is_whole = self._is_whole or self._replica.has_been_complete(transaction)
                newest = changes.records[-1].change if changes.records else self._seen
                changed = {row.id for row in changes.rows}.union(changes.refused)
                known = [id for id in self._refused if id not in changed]
                suspects = dict.fromkeys(islice(known, COMPARED) if compare else ())
                if doubtful is not None:
                    suspects |= dict.fromkeys(doubtful.records - changed)
                judged = self._comparison.refused(transaction, suspects, newest) if self._seen else {}
            wrong = {id for id, is_refused in judged.items() if is_refused}
            new = wrong.union(changes.refused if complete else ()) - self._refused.keys()
            self._warn(new, now)
            if not self._seen:
                self._refused = dict.fromkeys(changes.refused)
                if self._refused:
                    # While the record that suspends an organisation is unusable, it would be in good
                    # standing.
                    return
            else:
                kept = [id for id in known if id not in judged]
                self._refused = dict.fromkeys([*kept, *changes.refused, *sorted(wrong, key=repr)])
            if doubtful is not None:
                self._comparison.go_on(doubtful.next)
            if compare and self._comparison.is_at_start:
                self._compared_since = self._comparing_since
            if changes.records:
                self._absorb(changes.records)
                self._comparison.remember(changes.rows)
                self._seen = newest
            self._is_whole = is_whole

    def _warn(self, new: Collection[RecordId], now: dt.datetime) -> None:
        """Request the owner's records because of rows that somebody else has written or deleted.

        While the codes of the whole table come from an earlier build or key, rows without a valid code are no
        reason: the records have been requested.
        """
        if not new:
            return
        self._tampered.update(new)
        _log.error("somebody else has changed rows of the replica", extra={"rows": len(new)})
        # A request that fails is made again, since the rows are not among the refused yet.
        with self._database.write() as transaction:
            self._replica.request(transaction, self._outbox, now)


def _short(type: str) -> str:
    """Return what a record of the type is about."""
    return type.split(".")[1] if "." in type else type
