"""The expiry notices that were sent."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from services.directory.adapters.tables import EXPIRY_NOTICES
from services.directory.domain.credential_expiry import Expiry


class SqlExpiryNoticeStore:
    """See `ports.ExpiryNoticeStore`."""

    def is_known(self, transaction: Connection, expiry: Expiry, days: int) -> bool:
        """See `ports.ExpiryNoticeStore`."""
        query = select(EXPIRY_NOTICES.c.days).where(
            EXPIRY_NOTICES.c.client_id == expiry.client.id,
            EXPIRY_NOTICES.c.credential == expiry.credential,
            EXPIRY_NOTICES.c.expires_at == expiry.expires_at,
            EXPIRY_NOTICES.c.days <= days,
        )
        return transaction.execute(query).first() is not None

    def add(self, transaction: Connection, expiry: Expiry, days: int, *, now: dt.datetime) -> bool:
        """See `ports.ExpiryNoticeStore`."""
        transaction.execute(delete(EXPIRY_NOTICES).where(EXPIRY_NOTICES.c.expires_at <= now))
        dialect = postgresql if transaction.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(EXPIRY_NOTICES).values(
            client_id=expiry.client.id,
            credential=expiry.credential,
            expires_at=expiry.expires_at,
            days=days,
        )
        return transaction.execute(statement.on_conflict_do_nothing()).rowcount == 1
