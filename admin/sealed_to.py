"""Finds the places that may still hold cases sealed to an earlier custody key."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final, TypeVar

from sqlalchemy import Connection, func, select

from admin.broker_queues import queue_counts
from admin.hub_databases import service_database_in
from contracts.topology import CASES, dead_letter_queue_name
from kopuro_client.commands.counts import count
from kopuro_client.errors import InvalidArgumentError
from runtime.storage.database import Database, DatabaseUnavailable
from runtime.storage.database_url import UnusableDatabaseUrl
from services.intake.adapters.tables import MESSAGING as INTAKE
from services.vault.adapters.tables import CUSTODIES, SEALED_CASES
from services.vault.adapters.tables import MESSAGING as VAULT

T = TypeVar("T")

_SEALED: Final = "vault.sealed"
_DEAD_LETTERS: Final = dead_letter_queue_name(_SEALED)
# A busy hub's outbox is empty from time to time. Each place is looked at until it was empty once.
_LOOKS: Final = 20
_PAUSE: Final = 0.5
# An operator ends these referrals with their parties, or warns the persons if the key was stolen.
_NAMED: Final = 10


def sealed_to_earlier_keys(environments: Mapping[str, Mapping[str, str]], kids: Collection[str]) -> str:
    """Return where cases sealed to these keys may be; empty if there are none.

    No more are admitted. Therefore a place that was empty once stays free of them if what leads to it was
    empty before: outbox, then queue, then retries, then custody. Raises InvalidArgumentError.
    """
    intake, vault = environments["intake"], environments["vault"]

    def in_outbox(transaction: Connection) -> int:
        waiting = INTAKE.outbox.c.exchange == CASES
        return transaction.execute(
            select(func.count()).select_from(INTAKE.outbox).where(waiting)
        ).scalar_one()

    def in_retries(transaction: Connection) -> int:
        waiting = select(func.count()).select_from(VAULT.retries).where(VAULT.retries.c.consumer == _SEALED)
        return transaction.execute(waiting).scalar_one()

    earlier = CUSTODIES.c.receiver.is_(None) & CUSTODIES.c.kid.in_(list(kids))
    held = SEALED_CASES.join(CUSTODIES, SEALED_CASES.c.referral_id == CUSTODIES.c.referral_id)

    def in_custody(transaction: Connection) -> int:
        return transaction.execute(select(func.count()).select_from(held).where(earlier)).scalar_one()

    def oldest_in_custody(transaction: Connection) -> list[str]:
        ids = select(CUSTODIES.c.referral_id).select_from(held).where(earlier)
        return list(transaction.execute(ids.order_by(CUSTODIES.c.referral_id).limit(_NAMED)).scalars())

    places: list[tuple[str, Callable[[], int]]] = [
        ("intake's outbox", lambda: _read("intake", intake, in_outbox)),
        (_SEALED, lambda: queue_counts(vault, [_SEALED])[_SEALED]),
        (_DEAD_LETTERS, lambda: queue_counts(vault, [_DEAD_LETTERS])[_DEAD_LETTERS]),
        ("the vault's retries", lambda: _read("vault", vault, in_retries)),
        ("custody", lambda: _read("vault", vault, in_custody)),
    ]
    for name, counted in places:
        number = counted()
        for _ in range(_LOOKS):
            if number == 0 or name == "custody":
                break
            time.sleep(_PAUSE)
            number = counted()
        # Empty if the last of them has ended meanwhile.
        if number and name == "custody" and (named := _read("vault", vault, oldest_in_custody)):
            others = f" and {count(further, 'other')}" if (further := number - len(named)) > 0 else ""
            noun = "referral" if number == 1 else "referrals"
            return f"{number} in {name}, of the {noun} {', '.join(named)}{others}"
        if number:
            return f"{number} in {name}"
    return ""


def _read(service: str, variables: Mapping[str, str], question: Callable[[Connection], T]) -> T:
    place = service_database_in(service, variables)
    try:
        database = Database.open(place.url, tls=place.tls)
    except UnusableDatabaseUrl as error:
        raise InvalidArgumentError(f"the database URL of {service} {error}") from None
    try:
        with database.read() as transaction:
            return question(transaction)
    except DatabaseUnavailable as error:
        raise InvalidArgumentError(f"the database of {service} cannot be used: {error.reason()}") from None
    finally:
        database.close()
