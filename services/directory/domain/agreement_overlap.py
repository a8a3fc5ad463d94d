"""Agreements that permit the same disclosure twice: ending one would not end the disclosure."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.errors import PointerError, Refused
from contracts.organization import Agreement
from contracts.vocabularies import need_group
from services.directory.domain.agreement_change import narrows


def overlapping(wanted: Agreement, others: Iterable[Agreement]) -> Agreement | None:
    """Return another agreement of the same parties and class with a common need on a common day, or None.

    The parties would end one of them and still disclose to each other under the other.
    """
    return next((one for one in others if one.id != wanted.id and _overlap(wanted, one)), None)


def overlap_fault(present: Agreement | None, wanted: Agreement, others: Iterable[Agreement]) -> str | None:
    """Return the sentence that names the agreement that the wanted one overlaps; None if it may be written.

    present: the agreement before the change. An overlap of an earlier build stays, and may be narrowed.
    """
    if wanted == present or narrows(present, wanted):
        return None
    other = overlapping(wanted, others)
    if other is None:
        return None
    return (
        f"The agreement {other.id} has the same parties and class, and overlaps in needs and "
        "days: change or end that agreement first."
    )


def check_overlap(present: Agreement | None, wanted: Agreement, others: Iterable[Agreement]) -> None:
    """Raise Refused `conflict` for an agreement that overlaps another (`overlap_fault`)."""
    if (detail := overlap_fault(present, wanted, others)) is not None:
        where = PointerError(pointer="/parties", detail=detail)
        raise Refused("conflict", "The agreement overlaps another one.", errors=[where])


def _overlap(one: Agreement, other: Agreement) -> bool:
    return (
        one.disclosure is other.disclosure
        and set(one.parties) == set(other.parties)
        and _has_common_day(one, other)
        and _has_common_need(one, other)
    )


def _has_common_day(one: Agreement, other: Agreement) -> bool:
    first, last = sorted((one, other), key=lambda agreement: agreement.effective_from)
    return first.effective_until is None or last.effective_from <= first.effective_until


def _has_common_need(one: Agreement, other: Agreement) -> bool:
    if not one.needs or not other.needs:
        return True
    return any(
        need == known or need_group(need) == known or need == need_group(known)
        for need in one.needs
        for known in other.needs
    )
