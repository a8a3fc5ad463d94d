"""`seeking` and `further_needs`: the referrals that may get another offer, by what may bring one."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, Select, Table, select, union

from contracts.vocabularies import country_of
from services.routing.adapters import statements
from services.routing.adapters.tables import FURTHER_NEEDS, SEEKING
from services.routing.domain.directory import Reach
from services.routing.domain.referral import Referral
from services.routing.domain.splitting import further_needs
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
    _save_further_needs(transaction, changes)


def _save_further_needs(transaction: Connection, changes: Changes) -> None:
    ended: list[str] = []
    rows: list[tuple[str, str, str, str]] = []
    for referral in changes.after:
        before = changes.before.get(referral.id)
        had = before is not None and further_needs(before)
        needs = further_needs(referral)
        if bool(had) == bool(needs):
            continue  # the facts of a referral stay the same
        if had:
            ended.append(referral.id)
        region = referral.facts.region
        rows += [(referral.id, need, region, country_of(region)) for need in needs]
    if ended:
        statements.NO_FURTHER_NEEDS.run(transaction, ended)
    statements.NEW_FURTHER_NEED.run_for_each(transaction, rows)


def page(transaction: Connection, after: str | None, limit: int) -> list[str]:
    """Return the ids of seeking referrals above `after`, in order."""
    wanted = select(SEEKING.c.referral_id).where(SEEKING.c.referral_id > (after or ""))
    return list(transaction.execute(wanted.order_by(SEEKING.c.referral_id).limit(limit)).scalars())


def concerned(
    transaction: Connection, organization: str, reach: Reach, after: str | None, limit: int
) -> list[str]:
    """Return the ids above `after` of seeking referrals that a change of the organisation may concern.

    The first need, or a further one, is within its reach, or they name it, or are its own.
    """
    return list(transaction.execute(concerned_page(organization, reach, after, limit)).scalars())


def concerned_page(organization: str, reach: Reach, after: str | None, limit: int) -> Select[str]:
    """Return the query of `concerned`."""
    reasons: list[tuple[Table, ColumnElement[bool]]] = [
        (SEEKING, SEEKING.c.receiver == organization),
        (SEEKING, SEEKING.c.sender == organization),
    ]
    if reach.needs and reach.areas:
        for table in (SEEKING, FURTHER_NEEDS):
            within = table.c.need.in_(sorted(reach.needs))
            reasons += [
                (table, within & table.c.region.in_(sorted(reach.areas))),
                (table, within & table.c.country.in_(sorted(reach.areas))),
            ]
    # One select for each index. Each is limited by itself, so that a wide reach does not read every row. A
    # referral has several further needs, and the limit counts referrals.
    firsts = [
        select(table.c.referral_id)
        .distinct()
        .where(reason, table.c.referral_id > (after or ""))
        .order_by(table.c.referral_id)
        .limit(limit)
        .subquery()
        for table, reason in reasons
    ]
    each = union(*(select(first.c.referral_id) for first in firsts)).subquery()
    return select(each.c.referral_id).order_by(each.c.referral_id).limit(limit)
