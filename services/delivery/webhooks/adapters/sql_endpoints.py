"""Endpoints and their sealed secrets in delivery's database."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, or_, select, update

from runtime.storage.sql_statement import SqlStatement
from services.delivery.adapters.tables import (
    MESSAGES,
    WEBHOOK_ATTEMPTS,
    WEBHOOK_ENDPOINTS,
    WEBHOOK_NOTICES,
    WEBHOOK_SECRETS,
)
from services.delivery.webhooks.domain.endpoint import Endpoint, EndpointState, Health
from services.delivery.webhooks.domain.endpoint_url import EndpointUrl

# The key of an advisory lock; nothing else in this database uses it.
_REGISTERING: Final = 7_203_116
_SERIALISE = SqlStatement("SELECT pg_advisory_xact_lock(?)")
_ENDPOINTS = WEBHOOK_ENDPOINTS.c
_SECRETS = WEBHOOK_SECRETS.c
# Built once: every request takes its endpoint, and needs its secrets.
_TAKE = select(WEBHOOK_ENDPOINTS).where(_ENDPOINTS.id == bindparam("endpoint")).with_for_update()
_LIVE_SECRETS = (
    select(_SECRETS.sealed)
    .where(
        _SECRETS.endpoint_id == bindparam("endpoint"),
        or_(_SECRETS.expires_at.is_(None), _SECRETS.expires_at > bindparam("now")),
    )
    .order_by(_SECRETS.number.desc())
)


class SqlEndpoints:
    """See `ports.Endpoints`."""

    def serialise(self, transaction: Connection) -> None:
        """See `ports.Endpoints`. SQLite has only one writer at a time."""
        if transaction.dialect.name == "postgresql":
            _SERIALISE.run(transaction, _REGISTERING)

    def add(self, transaction: Connection, endpoint: Endpoint) -> None:
        """See `ports.Endpoints`. Sequences become visible in their order: none below the last is missing."""
        last = transaction.execute(select(func.coalesce(func.max(MESSAGES.c.sequence), 0))).scalar_one()
        transaction.execute(
            insert(WEBHOOK_ENDPOINTS).values(
                id=endpoint.id,
                organization=endpoint.organization,
                created_at=endpoint.created_at,
                position=last,
                **_changeable(endpoint),
            )
        )

    def of(self, transaction: Connection, organization: str) -> list[Endpoint]:
        """See `ports.Endpoints`."""
        rows = transaction.execute(
            select(WEBHOOK_ENDPOINTS)
            .where(_ENDPOINTS.organization == organization)
            .order_by(_ENDPOINTS.created_at, _ENDPOINTS.id)
        )
        return [endpoint_of(row) for row in rows]

    def take(self, transaction: Connection, endpoint_id: str) -> Endpoint | None:
        """See `ports.Endpoints`."""
        row = transaction.execute(_TAKE, {"endpoint": endpoint_id}).one_or_none()
        return None if row is None else endpoint_of(row)

    def put(self, transaction: Connection, endpoint: Endpoint) -> None:
        """See `ports.Endpoints`."""
        transaction.execute(
            update(WEBHOOK_ENDPOINTS).where(_ENDPOINTS.id == endpoint.id).values(**_changeable(endpoint))
        )

    def delete(self, transaction: Connection, endpoint_id: str) -> None:
        """See `ports.Endpoints`. SQLite overwrites the secrets (`secure_delete`)."""
        for table in (WEBHOOK_ATTEMPTS, WEBHOOK_NOTICES, WEBHOOK_SECRETS):
            transaction.execute(delete(table).where(table.c.endpoint_id == endpoint_id))
        transaction.execute(delete(WEBHOOK_ENDPOINTS).where(_ENDPOINTS.id == endpoint_id))

    def add_secret(self, transaction: Connection, endpoint_id: str, sealed: bytes, now: dt.datetime) -> None:
        """See `ports.Endpoints`."""
        transaction.execute(
            insert(WEBHOOK_SECRETS).values(endpoint_id=endpoint_id, sealed=sealed, created_at=now)
        )

    def end_secrets(
        self, transaction: Connection, endpoint_id: str, at: dt.datetime, now: dt.datetime
    ) -> None:
        """See `ports.Endpoints`."""
        transaction.execute(
            delete(WEBHOOK_SECRETS).where(
                _SECRETS.endpoint_id == endpoint_id, _SECRETS.expires_at.is_not(None)
            )
        )
        transaction.execute(
            update(WEBHOOK_SECRETS).where(_SECRETS.endpoint_id == endpoint_id).values(expires_at=at)
        )

    def secrets(self, transaction: Connection, endpoint_id: str, now: dt.datetime) -> list[bytes]:
        """See `ports.Endpoints`."""
        rows = transaction.execute(_LIVE_SECRETS, {"endpoint": endpoint_id, "now": now})
        return [bytes(sealed) for (sealed,) in rows]


def endpoint_of(row: Row[Any]) -> Endpoint:
    """Return the endpoint in a row of `webhook_endpoints`."""
    return Endpoint(
        id=row.id,
        organization=row.organization,
        url=EndpointUrl.of(row.url, is_local=True),  # checked when it was stored
        types=frozenset(row.types),
        created_at=row.created_at,
        state=EndpointState(row.state),
        reason=row.reason,
        since=row.disabled_at,
        position=row.position,
        challenge=row.challenge,
        health=Health(failing_since=row.failing_since, last_failure=row.last_failure, noticed=row.noticed),
        salt=None if row.salt is None else bytes(row.salt),
    )


def _changeable(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "url": endpoint.url.text,
        "types": sorted(endpoint.types),
        "state": endpoint.state.value,
        "reason": endpoint.reason,
        "disabled_at": endpoint.since,
        "challenge": endpoint.challenge,
        "failing_since": endpoint.health.failing_since,
        "last_failure": endpoint.health.last_failure,
        "noticed": endpoint.health.noticed,
        "salt": endpoint.salt,
    }
