"""Reads stored decisions, and the referrals and policies from which they are made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Text, column, select, table
from sqlalchemy.sql import Select

from contracts.errors import Defect
from contracts.records import Malformed, read
from contracts.referral import ReferralFacts
from services.routing.adapters.policies import applied_policy
from services.routing.adapters.tables import POLICIES
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.recomputation import NotReproducible
from services.routing.domain.stored_decision import StoredDecision

# Without the types of `tables.py`: a damaged value is found one by one, and not by the driver.
STORED_DECISIONS: Final = table(
    "decisions",
    column("id"),
    column("referral_id"),
    column("record", Text),
    column("erased_at"),
    column("asked", Text),
)
STORED_REFERRALS: Final = table("referrals", column("id"), column("sender"), column("facts", Text))


class SqlStoredDecisions:
    """See `ports.StoredDecisions`."""

    def newest_referrals(self, transaction: Connection, limit: int) -> Sequence[str]:
        """See `ports.StoredDecisions`."""
        return transaction.execute(newest_referrals(limit)).scalars().all()

    def ids(self, transaction: Connection, referral_id: str, limit: int) -> Sequence[str]:
        """See `ports.StoredDecisions`."""
        found = select(STORED_DECISIONS.c.id).where(STORED_DECISIONS.c.referral_id == referral_id)
        return transaction.execute(found.order_by(STORED_DECISIONS.c.id).limit(limit)).scalars().all()

    def decision(self, transaction: Connection, id_: str) -> StoredDecision | None:
        """See `ports.StoredDecisions`."""
        row = transaction.execute(select(STORED_DECISIONS).where(STORED_DECISIONS.c.id == id_)).first()
        return None if row is None else stored_decision(row)

    def referral(self, transaction: Connection, referral_id: str) -> tuple[str, ReferralFacts]:
        """See `ports.StoredDecisions`."""
        return stored_referral(transaction, referral_id)

    def policies(self, transaction: Connection) -> Mapping[str, RoutingPolicy]:
        """See `ports.StoredDecisions`."""
        return stored_policies(transaction, {})


def newest_referrals(limit: int) -> Select[Any]:
    """Select the ids of the referrals that were submitted last, the newest first."""
    return select(STORED_REFERRALS.c.id).order_by(STORED_REFERRALS.c.id.desc()).limit(limit)


def stored_decision(row: Any) -> StoredDecision | None:
    """Return the decision of a row of STORED_DECISIONS; None if its record is no JSON object."""
    try:
        values = orjson.loads(row.record)
    except ValueError:
        return None
    if not isinstance(values, dict):
        return None
    return StoredDecision(
        id=row.id,
        referral_id=str(row.referral_id),
        record=row.record.encode(),
        values=values,
        is_erased=row.erased_at is not None,
        opened=_number_of(row.asked),
    )


def stored_referral(connection: Connection, referral_id: str) -> tuple[str, ReferralFacts]:
    """Return a referral's sender and facts. Raises NotReproducible."""
    wanted = select(STORED_REFERRALS).where(STORED_REFERRALS.c.id == referral_id)
    row = connection.execute(wanted).first()
    if row is None:
        raise NotReproducible(f"the database has no referral {referral_id}")
    try:
        return row.sender, read(ReferralFacts, orjson.loads(row.facts))
    except (Malformed, ValueError):
        raise NotReproducible(f"the facts of the referral {referral_id} are damaged") from None


def stored_policies(connection: Connection, faults: dict[str, str]) -> Mapping[str, RoutingPolicy]:
    """Return the policies by version, and add each one that cannot be used to the faults."""
    found: dict[str, RoutingPolicy] = {}
    try:
        rows = connection.execute(select(POLICIES).order_by(POLICIES.c.number)).all()
    except ValueError:
        faults["policies"] = "the content of a policy is not JSON"
        return found
    for row in rows:
        try:
            found[row.version] = applied_policy(row).document.policy
        except Defect as defect:
            faults[f"policy {row.version}"] = defect.detail
    return found


def _number_of(asked: str | None) -> int | None:
    """Return how many organisations a JSON list names; None if it is no such list."""
    try:
        names = None if asked is None else orjson.loads(asked)
    except ValueError:
        return None
    return len(names) if isinstance(names, list) else None
