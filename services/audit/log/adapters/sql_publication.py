"""`ports.PublicationRecord` in SQL: publication progress and witness cosignatures."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import Defect
from services.audit.adapters.tables import PUBLICATION, WITNESSES
from services.audit.log.domain.note import Signature
from services.audit.log.ports import Cosignature

_ROW_NUMBER = 1
_PROCESSED_SIZE = select(PUBLICATION.c.size).where(PUBLICATION.c.number == _ROW_NUMBER)
_ADVANCE = update(PUBLICATION).where(
    PUBLICATION.c.number == _ROW_NUMBER, PUBLICATION.c.size == bindparam("from_size")
)


class SqlPublicationRecord:
    """`ports.PublicationRecord` over the tables of `adapters.tables`."""

    def begin(self, transaction: Connection, size: int) -> None:
        """See `ports.PublicationRecord`."""
        dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
        row = {"number": _ROW_NUMBER, "size": size}
        transaction.execute(dialect.insert(PUBLICATION).values(row).on_conflict_do_nothing())

    def processed_size(self, transaction: Connection) -> int:
        """See `ports.PublicationRecord`."""
        size: int | None = transaction.execute(_PROCESSED_SIZE).scalar()
        if size is None:
            raise Defect("The publication record is missing.")
        return size

    def advance(self, transaction: Connection, size: int, *, from_size: int) -> bool:
        """See `ports.PublicationRecord`."""
        return transaction.execute(_ADVANCE, {"from_size": from_size, "size": size}).rowcount == 1

    def cosignatures(self, transaction: Connection) -> list[Cosignature]:
        """See `ports.PublicationRecord`."""
        return [
            Cosignature(
                witness=row.name,
                size=row.size,
                signature=Signature(name=row.name, key_id=row.key_id, signature=row.signature),
                time=row.time,
            )
            for row in transaction.execute(select(WITNESSES).order_by(WITNESSES.c.name))
        ]

    def keep_cosignatures(self, transaction: Connection, cosignatures: Sequence[Cosignature]) -> None:
        """See `ports.PublicationRecord`."""
        if not cosignatures:
            return
        names = [cosignature.witness for cosignature in cosignatures]
        transaction.execute(delete(WITNESSES).where(WITNESSES.c.name.in_(names)))
        rows = [
            {
                "name": cosignature.witness,
                "size": cosignature.size,
                "key_id": cosignature.signature.key_id,
                "signature": cosignature.signature.signature,
                "time": cosignature.time,
            }
            for cosignature in cosignatures
        ]
        transaction.execute(insert(WITNESSES), rows)
