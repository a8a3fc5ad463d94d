"""The SQL implementation of `ports.SealingKeyStore`."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from contracts.codes import KeyManner
from contracts.organization import SealingKey
from contracts.records import read
from services.directory.adapters.tables import KEY_CHALLENGES, REVISIONS, SEALING_KEYS
from services.directory.domain.sealing_key_history import Challenge, KeptKey


class SqlSealingKeyStore:
    """See `ports.SealingKeyStore`."""

    def keep(self, transaction: Connection, number: int, key: KeptKey) -> None:
        """See `ports.SealingKeyStore`."""
        transaction.execute(
            update(SEALING_KEYS)
            .where(SEALING_KEYS.c.organization == key.organization, SEALING_KEYS.c.until.is_(None))
            .values(until=key.since)
        )
        transaction.execute(
            insert(SEALING_KEYS),
            [
                {
                    "organization": key.organization,
                    "number": number,
                    "key": key.key,
                    "since": key.since,
                    "manner": key.manner.value,
                    "by": key.by,
                    "approved_by": key.approved_by,
                }
            ],
        )

    def history(self, transaction: Connection, organization: str) -> list[KeptKey]:
        """See `ports.SealingKeyStore`."""
        # `since` of a key may be that of an earlier approval, from which the pause counts: not when it came.
        revision = and_(
            REVISIONS.c.subject == "organization",
            REVISIONS.c.id == SEALING_KEYS.c.organization,
            REVISIONS.c.number == SEALING_KEYS.c.number,
        )
        query = (
            select(SEALING_KEYS, func.coalesce(REVISIONS.c.changed_at, SEALING_KEYS.c.since).label("came_at"))
            .outerjoin(REVISIONS, revision)
            .where(SEALING_KEYS.c.organization == organization)
            .order_by(SEALING_KEYS.c.number.desc())
        )
        kept: list[KeptKey] = []
        for row in transaction.execute(query):
            kept.append(_kept(row, until=kept[-1].since if kept else row.until))
        return kept

    def challenge(self, transaction: Connection, challenge: Challenge) -> None:
        """See `ports.SealingKeyStore`."""
        transaction.execute(
            delete(KEY_CHALLENGES).where(
                KEY_CHALLENGES.c.organization == challenge.organization,
                KEY_CHALLENGES.c.kid == challenge.key.kid,
            )
        )
        transaction.execute(
            insert(KEY_CHALLENGES),
            [
                {
                    "organization": challenge.organization,
                    "kid": challenge.key.kid,
                    "id": challenge.id,
                    "key": challenge.key,
                    "previous": challenge.previous,
                    "answer_sha256": challenge.answer_sha256,
                    "expires_at": challenge.expires_at,
                }
            ],
        )

    def open_challenges(
        self, transaction: Connection, organization: str, *, other_than: str, now: dt.datetime
    ) -> int:
        """See `ports.SealingKeyStore`."""
        own = KEY_CHALLENGES.c.organization == organization
        transaction.execute(delete(KEY_CHALLENGES).where(own, KEY_CHALLENGES.c.expires_at <= now))
        count = (
            select(func.count()).select_from(KEY_CHALLENGES).where(own, KEY_CHALLENGES.c.kid != other_than)
        )
        return int(transaction.execute(count).scalar_one())

    def open_challenge(
        self, transaction: Connection, organization: str, challenge_id: str
    ) -> Challenge | None:
        """See `ports.SealingKeyStore`."""
        query = select(KEY_CHALLENGES).where(
            KEY_CHALLENGES.c.organization == organization, KEY_CHALLENGES.c.id == challenge_id
        )
        row = transaction.execute(query).one_or_none()
        if row is None:
            return None
        return Challenge(
            id=row.id,
            organization=row.organization,
            key=read(SealingKey, row.key),
            previous=row.previous,
            answer_sha256=row.answer_sha256,
            expires_at=row.expires_at,
        )

    def close_challenges(self, transaction: Connection, organization: str) -> None:
        """See `ports.SealingKeyStore`."""
        transaction.execute(delete(KEY_CHALLENGES).where(KEY_CHALLENGES.c.organization == organization))


def _kept(row: Any, *, until: dt.datetime | None) -> KeptKey:
    return KeptKey(
        organization=row.organization,
        key=read(SealingKey, row.key),
        since=row.came_at,
        until=until,
        manner=KeyManner(row.manner),
        by=row.by,
        approved_by=row.approved_by,
    )
