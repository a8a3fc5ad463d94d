"""A page of a search in SQL: sought by the index of its rarest condition, from where the page begins.

Each condition has an index that ends in the entry's own, so a page costs the same at any depth. Of several,
the rest are looked up for each entry of the one that leads; therefore the one with the fewest entries does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, func, literal, select

from services.audit.adapters.tables import ENTRIES, FACETS, ORGANIZATIONS
from services.audit.domain.search import Search

# Beyond so many entries a condition is common, and which of two common ones leads matters less.
_COUNTED = 5_000

_Condition = tuple[FromClause, ColumnElement[bool]]


def page_of(transaction: Connection, search: Search, *, start: int, stop: int, limit: int) -> Select[Any]:
    """Selects rows of `entries` in `[start, stop)`, by index; the span of time is the caller's matter."""
    conditions = _conditions(search)
    if len(conditions) > 1:
        conditions.sort(key=lambda condition: _count(transaction, condition, start, stop))
    index: ColumnElement[int] = conditions[0][0].c.leaf_index if conditions else ENTRIES.c.leaf_index
    page = select(ENTRIES)
    for source, condition in conditions:
        if source is not ENTRIES:
            page = page.join(source, source.c.leaf_index == ENTRIES.c.leaf_index)
        page = page.where(condition)
    return page.where(index >= start, index < stop).order_by(index).limit(limit)


def _conditions(search: Search) -> list[_Condition]:
    conditions: list[_Condition] = []
    if search.referral_id is not None:
        conditions.append((ENTRIES, ENTRIES.c.referral_id == search.referral_id))
    if search.type is not None:
        conditions.append((ENTRIES, ENTRIES.c.type == search.type))
    if search.organization is not None:
        conditions.append((ORGANIZATIONS, ORGANIZATIONS.c.organization == search.organization))
    for number, (facet, value) in enumerate(search.facets):
        side = FACETS.alias(f"facet_{number}")
        conditions.append((side, and_(side.c.facet == facet, side.c.value == value)))
    return conditions


def _count(transaction: Connection, condition: _Condition, start: int, stop: int) -> int:
    source, holds = condition
    index = source.c.leaf_index
    some: Sequence[Any] = [literal(1).label("one")]
    seen = select(*some).select_from(source).where(holds, index >= start, index < stop).limit(_COUNTED)
    return transaction.execute(select(func.count()).select_from(seen.subquery())).scalar_one()
