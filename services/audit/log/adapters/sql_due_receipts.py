"""`ports.DueReceipts` in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from runtime.messaging.signatures.statement import DIGEST_BYTES
from runtime.storage.sql_statement import SqlStatement
from services.audit.log.ports import DueReceipt

_NOTE = SqlStatement("INSERT INTO due_receipts (size, author, digests) VALUES (?, ?, ?)")
_ARE_DUE = SqlStatement("SELECT 1 FROM due_receipts WHERE size <= ? LIMIT 1")
_OLDEST = SqlStatement(
    "SELECT number, size, author, digests FROM due_receipts WHERE size <= ? ORDER BY number LIMIT ?",
    postgresql="FOR UPDATE SKIP LOCKED",
)
_DELETE = SqlStatement("DELETE FROM due_receipts WHERE number = ANY (?)")


class SqlDueReceipts:
    """`ports.DueReceipts` over the table `due_receipts`."""

    def note(self, transaction: Connection, due: Sequence[DueReceipt]) -> None:
        """See `ports.DueReceipts`."""
        _NOTE.run_for_each(transaction, [(one.size, one.author, b"".join(one.digests)) for one in due])

    def are_due(self, transaction: Connection, size: int) -> bool:
        """See `ports.DueReceipts`."""
        return _ARE_DUE.run(transaction, size).first() is not None

    def take(self, transaction: Connection, size: int, limit: int) -> list[DueReceipt]:
        """See `ports.DueReceipts`."""
        rows = _OLDEST.run(transaction, size, limit).all()
        if rows:
            _DELETE.run(transaction, [row[0] for row in rows])
        return [
            DueReceipt(size=covered, author=author, digests=_digests(bytes(joined)))
            for _, covered, author, joined in rows
        ]


def _digests(joined: bytes) -> list[bytes]:
    return [joined[n : n + DIGEST_BYTES] for n in range(0, len(joined), DIGEST_BYTES)]
