"""Queries for one page of a coordinators' queue.

Each queue has an index in its order that holds no closed referral, so that a page's cost depends on the
referrals that are open. Filters are checked row by row.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, literal_column, or_, select, tuple_, type_coerce
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import Text

from runtime.storage.columns import microseconds
from services.routing.adapters.tables import OFFERS, REFERRALS
from services.routing.domain.coordination_queue import QueueFilter, QueueKind, QueuePosition

_PRIORITY = REFERRALS.c.priority


class json_member(GenericFunction[str]):
    """The text of one member of a column of JSON objects: a string's value, otherwise its JSON."""

    type = Text()
    inherit_cache = True


@compiles(json_member, "sqlite")
def _on_sqlite(element: json_member, compiler: SQLCompiler, **options: Any) -> str:
    column, name = element.clauses
    return f"json_extract({compiler.process(column, **options)}, '$.' || {compiler.process(name, **options)})"


@compiles(json_member, "postgresql")
def _on_postgresql(element: json_member, compiler: SQLCompiler, **options: Any) -> str:
    column, name = element.clauses
    return f"({compiler.process(column, **options)}::json ->> {compiler.process(name, **options)})"


def queue_page(
    kind: QueueKind, now: dt.datetime, wanted: QueueFilter, *, after: QueuePosition | None, limit: int
) -> Select[Any]:
    """Select up to `limit` ids of a queue behind the position `after`, in the queue's order."""
    order = (_PRIORITY, REFERRALS.c.turn_at, REFERRALS.c.id)
    found = select(REFERRALS.c.id).where(*in_queue(kind, now), *_wanted(wanted))
    if after is not None:
        found = found.where(tuple_(*order) > (after.priority, after.turn_at, after.referral_id))
    return found.order_by(*order).limit(limit)


def in_queue(kind: QueueKind, now: dt.datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions on REFERRALS of a queue (`coordination_queue.is_in_queue`)."""
    # The literals are those of the partial indexes: SQLite does not recognise them as parameters.
    match kind:
        case QueueKind.unplaced:
            return REFERRALS.c.status == "unplaced", _PRIORITY.is_not(None)
        case QueueKind.silent:
            return REFERRALS.c.status == "offered", _PRIORITY.is_not(None), _has_silent_offer(now)
        case QueueKind.overdue:
            return REFERRALS.c.overdue_since.is_not(None), REFERRALS.c.acceptor.is_not(None)
        case QueueKind.acceptor_suspended:
            return REFERRALS.c.acceptor_suspended_since.is_not(None), REFERRALS.c.acceptor.is_not(None)
        case QueueKind.emergency:
            return (_PRIORITY.op("=")(literal_column("0")),)


def _has_silent_offer(now: dt.datetime) -> ColumnElement[bool]:
    opened, deadline = (type_coerce(column, BigInteger) for column in (OFFERS.c.opened_at, OFFERS.c.deadline))
    # Not `EXISTS`: PostgreSQL may evaluate it by reading every open offer.
    return (
        select(OFFERS.c.id)
        .where(
            OFFERS.c.referral_id == REFERRALS.c.id,
            OFFERS.c.state == "open",
            opened + deadline <= 2 * microseconds(now),
        )
        .limit(1)
        .scalar_subquery()
        .is_not(None)
    )


def _wanted(wanted: QueueFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.region is not None:
        region = json_member(REFERRALS.c.facts, "region")
        in_country = region.startswith(wanted.region + "-", autoescape=True)
        conditions.append(or_(region == wanted.region, in_country))
    if wanted.need is not None:
        needs = json_member(REFERRALS.c.facts, "needs")
        exactly, in_group = f'"{wanted.need}"', f'"{wanted.need}.'
        conditions.append(
            or_(needs.contains(exactly, autoescape=True), needs.contains(in_group, autoescape=True))
        )
    if wanted.organization is not None:
        offer = (
            select(OFFERS.c.id)
            .where(
                OFFERS.c.referral_id == REFERRALS.c.id,
                OFFERS.c.state == "open",
                OFFERS.c.organization == wanted.organization,
            )
            .limit(1)
            .scalar_subquery()
        )
        conditions.append(
            or_(
                REFERRALS.c.sender == wanted.organization,
                REFERRALS.c.acceptor == wanted.organization,
                offer.is_not(None),
            )
        )
    return conditions
