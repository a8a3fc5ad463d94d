"""The append-only table of policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, text

from contracts.errors import Defect
from contracts.records import Malformed, read
from runtime.storage.sql_statement import SqlStatement
from services.routing.adapters.tables import POLICIES
from services.routing.domain.applied_policy import AppliedPolicy, StoredVersion
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.policy_document import PolicyDocument, digest_of

# Asked four times a second by every process: SQLAlchemy's statement takes thirty times as long.
_IS_NEWER = SqlStatement("SELECT 1 FROM policies WHERE number > ? LIMIT 1")


class SqlPolicyStore:
    """See `ports.PolicyStore`."""

    def hold(self, transaction: Connection) -> None:
        """See `ports.PolicyStore`."""
        if transaction.dialect.name == "postgresql":
            transaction.execute(text("LOCK TABLE policies IN EXCLUSIVE MODE"))

    def newest(self, transaction: Connection, after: int = 0) -> AppliedPolicy | None:
        """See `ports.PolicyStore`."""
        if _IS_NEWER.run(transaction, after).first() is None:
            return None
        table = POLICIES.c
        wanted = select(POLICIES).where(table.number > after).order_by(table.number.desc()).limit(1)
        found = _policies(transaction, wanted)
        return found[0] if found else None

    def every(self, transaction: Connection) -> Sequence[AppliedPolicy]:
        """See `ports.PolicyStore`."""
        return _policies(transaction, select(POLICIES).order_by(POLICIES.c.number))

    def versions(self, transaction: Connection) -> Sequence[StoredVersion]:
        """See `ports.PolicyStore`."""
        table = POLICIES.c
        rows = transaction.execute(select(table.number, table.version, table.digest).order_by(table.number))
        return [StoredVersion(number=row[0], version=row[1], digest=row[2]) for row in rows]

    def add(self, transaction: Connection, applied: AppliedPolicy) -> None:
        """See `ports.PolicyStore`."""
        document = applied.document
        transaction.execute(
            insert(POLICIES).values(
                number=applied.number,
                version=document.version,
                digest=document.digest,
                content=document.content,
                applied_by=applied.by,
                applied_at=applied.at,
            )
        )


def _policies(transaction: Connection, wanted: Select[Any]) -> list[AppliedPolicy]:
    try:
        rows = transaction.execute(wanted).all()
    except ValueError:
        raise Defect("The content of a policy is not JSON: the table was changed.") from None
    return [applied_policy(row) for row in rows]


def applied_policy(row: Row[Any]) -> AppliedPolicy:
    """Return the policy of a row of the table. Raises Defect if its content does not match its digest."""
    if digest_of(row.content) != row.digest:
        raise Defect(f"The content of policy {row.number} does not match its digest: the table was changed.")
    try:
        policy = read(RoutingPolicy, row.content)
    except Malformed as error:
        raise Defect(f"Policy {row.number} cannot be read: {error}") from None
    document = PolicyDocument(policy=policy, content=row.content, digest=row.digest)
    return AppliedPolicy(number=row.number, document=document, by=row.applied_by, at=row.applied_at)
