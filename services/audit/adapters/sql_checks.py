"""What is remembered of earlier checks of the log, in SQL: see `ports.CheckRecord`."""

from __future__ import annotations

import datetime as dt
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select

from services.audit.adapters.tables import CHECKS
from services.audit.domain.chronology import Chronology
from services.audit.domain.merkle import Frontier
from services.audit.domain.prefix import Prefix
from services.audit.ports import Remembered

_CHECKED: Final = "checked"
_ROUND: Final = "round"
_MICROSECOND = dt.timedelta(microseconds=1)

_READ = select(CHECKS).where(CHECKS.c.name == bindparam("name"))
_FORGET = delete(CHECKS).where(CHECKS.c.name == bindparam("which"))


class SqlCheckRecord:
    """`ports.CheckRecord` over the tables of `adapters.tables`."""

    def checked(self, transaction: Connection) -> Remembered | None:
        """See `ports.CheckRecord`."""
        return _read(transaction, _CHECKED)

    def keep_checked(self, transaction: Connection, remembered: Remembered) -> None:
        """See `ports.CheckRecord`."""
        _keep(transaction, _CHECKED, remembered)

    def forget_checked(self, transaction: Connection) -> None:
        """See `ports.CheckRecord`."""
        transaction.execute(_FORGET, {"which": _CHECKED})

    def round(self, transaction: Connection) -> Remembered | None:
        """See `ports.CheckRecord`."""
        return _read(transaction, _ROUND)

    def keep_round(self, transaction: Connection, remembered: Remembered) -> None:
        """See `ports.CheckRecord`."""
        _keep(transaction, _ROUND, remembered)

    def forget_round(self, transaction: Connection) -> None:
        """See `ports.CheckRecord`."""
        transaction.execute(_FORGET, {"which": _ROUND})


def _read(transaction: Connection, name: str) -> Remembered | None:
    row = transaction.execute(_READ, {"name": name}).one_or_none()
    if row is None:
        return None
    chronology = Chronology(latest=row.latest, lateness=row.lateness * _MICROSECOND)
    return Remembered(
        prefix=Prefix(frontier=Frontier.from_bytes(row.frontier), chronology=chronology), time=row.time
    )


def _keep(transaction: Connection, name: str, remembered: Remembered) -> None:
    transaction.execute(_FORGET, {"which": name})
    prefix = remembered.prefix
    row = {
        "name": name,
        "frontier": prefix.frontier.to_bytes(),
        "latest": prefix.chronology.latest,
        "lateness": prefix.chronology.lateness // _MICROSECOND,
        "time": remembered.time,
    }
    transaction.execute(insert(CHECKS), row)
