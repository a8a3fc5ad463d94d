"""`ports.CheckRecord` in SQL: results of earlier log checks."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from services.audit.adapters.tables import CHECKS
from services.audit.log.domain.chronology import Chronology
from services.audit.log.domain.merkle import Frontier
from services.audit.log.domain.prefix import Prefix
from services.audit.log.ports import VerifiedPrefix

_CHECKED: Final = "checked"
_ROUND: Final = "round"
_MICROSECOND = dt.timedelta(microseconds=1)

_READ = select(CHECKS).where(CHECKS.c.name == bindparam("name"))
_FORGET = delete(CHECKS).where(CHECKS.c.name == bindparam("which"))
_EXTEND = update(CHECKS).where(CHECKS.c.name == _CHECKED)


class SqlCheckRecord:
    """`ports.CheckRecord` over the tables of `adapters.tables`."""

    def checked(self, transaction: Connection) -> VerifiedPrefix | None:
        """See `ports.CheckRecord`."""
        return _read(transaction, _CHECKED)

    def keep_checked(self, transaction: Connection, remembered: VerifiedPrefix) -> None:
        """See `ports.CheckRecord`."""
        _keep(transaction, _CHECKED, remembered)

    def extend_checked(self, transaction: Connection, remembered: VerifiedPrefix) -> None:
        """See `ports.CheckRecord`."""
        transaction.execute(_EXTEND, _columns(remembered))

    def forget_checked(self, transaction: Connection) -> None:
        """See `ports.CheckRecord`."""
        transaction.execute(_FORGET, {"which": _CHECKED})

    def round(self, transaction: Connection) -> VerifiedPrefix | None:
        """See `ports.CheckRecord`."""
        return _read(transaction, _ROUND)

    def keep_round(self, transaction: Connection, remembered: VerifiedPrefix) -> None:
        """See `ports.CheckRecord`."""
        _keep(transaction, _ROUND, remembered)

    def forget_round(self, transaction: Connection) -> None:
        """See `ports.CheckRecord`."""
        transaction.execute(_FORGET, {"which": _ROUND})


def _read(transaction: Connection, name: str) -> VerifiedPrefix | None:
    try:
        row = transaction.execute(_READ, {"name": name}).one_or_none()
        if row is None:
            return None
        chronology = Chronology(latest=row.latest, lateness=row.lateness * _MICROSECOND)
        prefix = Prefix(frontier=Frontier.from_bytes(row.frontier), chronology=chronology)
    except (TypeError, OverflowError) as error:
        raise ValueError("malformed check record") from error
    return VerifiedPrefix(prefix=prefix, time=row.time)


def _keep(transaction: Connection, name: str, remembered: VerifiedPrefix) -> None:
    dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
    columns = _columns(remembered)
    # Another process may write the same row at the same time.
    kept = dialect.insert(CHECKS).values(name=name, **columns)
    transaction.execute(kept.on_conflict_do_update(index_elements=[CHECKS.c.name], set_=columns))


def _columns(remembered: VerifiedPrefix) -> dict[str, Any]:
    prefix = remembered.prefix
    return {
        "frontier": prefix.frontier.to_bytes(),
        "latest": prefix.chronology.latest,
        "lateness": prefix.chronology.lateness // _MICROSECOND,
        "time": remembered.time,
    }
