"""The table `seeking`: the referrals that may get another offer, by what could bring one."""

from __future__ import annotations

from sqlalchemy import Connection, select, union

from contracts.vocabularies import country_of
from services.routing.adapters import statements
from services.routing.adapters.tables import SEEKING
from services.routing.domain.directory import Reach
from services.routing.domain.referral import Referral
from services.routing.ports import Changes


def save(transaction: Connection, changes: Changes) -> None:
    """Add the referrals that began to seek, and delete those that no longer do."""
    begun: list[Referral] = []
    ended: list[str] = []
    for referral in changes.after:
        before = changes.before.get(referral.id)
        sought = before is not None and before.is_seeking
        if referral.is_seeking and not sought:
            begun.append(referral)
        elif sought and not referral.is_seeking:
            ended.append(referral.id)
    if ended:
        statements.SEEKS_NO_MORE.run(transaction, ended)
    statements.NEW_SEEKING.run_for_each(
        transaction,
        [
            (
                one.id,
                one.facts.needs[0],
                one.facts.region,
                country_of(one.facts.region),
                one.sender,
                one.facts.to,
            )
            for one in begun
        ],
    )


def page(transaction: Connection, after: str | None, limit: int) -> list[str]:
    """Return the ids of seeking referrals above `after`, in order."""
    wanted = select(SEEKING.c.referral_id).where(SEEKING.c.referral_id > (after or ""))
    return list(transaction.execute(wanted.order_by(SEEKING.c.referral_id).limit(limit)).scalars())


def concerned(
    transaction: Connection, organization: str, reach: Reach, after: str | None, limit: int
) -> list[str]:
    """Return the ids above `after` of seeking referrals that a change of the organisation may concern.

    They are within its reach, name it, or are its own.
    """
    column = SEEKING.c.referral_id
    reasons = [SEEKING.c.receiver == organization, SEEKING.c.sender == organization]
    if reach.needs and reach.areas:
        within = SEEKING.c.need.in_(sorted(reach.needs))
        reasons += [
            within & SEEKING.c.region.in_(sorted(reach.areas)),
            within & SEEKING.c.country.in_(sorted(reach.areas)),
        ]
    # One select for each index. Each is limited by itself, so that a wide reach does not read every row.
    firsts = [
        select(column).where(reason, column > (after or "")).order_by(column).limit(limit).subquery()
        for reason in reasons
    ]
    both = union(*(select(first.c.referral_id) for first in firsts)).subquery()
    return list(
        transaction.execute(select(both.c.referral_id).order_by(both.c.referral_id).limit(limit)).scalars()
    )
