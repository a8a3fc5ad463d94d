"""What the database knows of the publication: see `ports.PublicationRecord`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from contracts.errors import Defect
from services.audit.adapters.tables import PUBLICATION, WITNESSES
from services.audit.log.domain.note import Signature
from services.audit.log.ports import Cosignature

_THE_NOTE = 1
_NOTED = select(PUBLICATION.c.size).where(PUBLICATION.c.number == _THE_NOTE)
_NOTE = update(PUBLICATION).where(
    PUBLICATION.c.number == _THE_NOTE, PUBLICATION.c.size == bindparam("from_size")
)


class SqlPublicationRecord:
    """`ports.PublicationRecord` over the tables of `adapters.tables`."""

    def begin(self, transaction: Connection, size: int) -> None:
        """See `ports.PublicationRecord`."""
        dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
        row = {"number": _THE_NOTE, "size": size}
        transaction.execute(dialect.insert(PUBLICATION).values(row).on_conflict_do_nothing())

    def noted(self, transaction: Connection) -> int:
        """See `ports.PublicationRecord`."""
        size: int | None = transaction.execute(_NOTED).scalar()
        if size is None:
            raise Defect("The publication has not begun.")
        return size

    def note(self, transaction: Connection, size: int, *, from_size: int) -> bool:
        """See `ports.PublicationRecord`."""
        return transaction.execute(_NOTE, {"from_size": from_size, "size": size}).rowcount == 1

    def words(self, transaction: Connection) -> list[Cosignature]:
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

    def keep(self, transaction: Connection, words: Sequence[Cosignature]) -> None:
        """See `ports.PublicationRecord`."""
        if not words:
            return
        names = [word.witness for word in words]
        transaction.execute(delete(WITNESSES).where(WITNESSES.c.name.in_(names)))
        rows = [
            {
                "name": word.witness,
                "size": word.size,
                "key_id": word.signature.key_id,
                "signature": word.signature.signature,
                "time": word.time,
            }
            for word in words
        ]
        transaction.execute(insert(WITNESSES), rows)
