"""Differences between routing's stored decisions and the log's commitments to them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from admin.reconciliation.differences import Difference


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionRow:
    """A decision in routing's database.

    commitment: that its record and salt open, or what an erased decision keeps; None if there is no salt.
    candidates: the root over its candidates; None once erased, and in decisions of earlier builds.
    recorded_at: the time in its record; None once erased. is_erased_early: whether its record was erased
    although its referral has not ended.
    """

    id: str
    referral_id: str
    decided_at: dt.datetime
    commitment: str | None
    candidates: str | None = None
    recorded_at: dt.datetime | None = None
    is_erased: bool = False
    is_erased_early: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedDecision:
    """The commitments to a decision and to its candidates. index, time: of its log entry."""

    index: int
    time: dt.datetime
    id: str
    commitment: str
    candidates: str | None = None


def rewritten_decisions(
    logged: Sequence[LoggedDecision], stored: Mapping[str, DecisionRow], settled: dt.datetime
) -> Iterator[Difference]:
    """Yield logged decisions that routing no longer has, or has with another record or salt."""
    for one in logged:
        found = stored.get(one.id)
        if one.time > settled:
            continue
        if found is not None and found.is_erased_early:
            what = "was erased although its referral has not ended"
            yield _of_decision(one.id, found.referral_id, what, one.index)
            continue
        if found is not None and found.commitment == one.commitment:
            if not found.is_erased and found.candidates != one.candidates:
                what = "asked other organisations than those in the log: the record was rewritten"
                yield _of_decision(one.id, found.referral_id, what, one.index)
            if found.recorded_at not in (None, found.decided_at):
                what = f"has the time {found.decided_at.isoformat()}, but its record has another"
                yield _of_decision(one.id, found.referral_id, what, one.index)
            continue
        what = "is missing" if found is None else "differs from the logged commitment: it was rewritten"
        yield _of_decision(one.id, None if found is None else found.referral_id, what, one.index)


def unlogged_decisions(
    stored: Sequence[DecisionRow],
    logged: Collection[str],
    *,
    since: dt.datetime | None,
    settled: dt.datetime,
) -> Iterator[Difference]:
    """Yield stored decisions without a commitment in the log.

    since: the time of the first commitment. Earlier builds logged none, so that earlier decisions without a
    salt are not compared.
    """
    for one in stored:
        is_of_earlier_build = one.commitment is None and (since is None or one.decided_at < since)
        if one.id not in logged and one.decided_at <= settled and not is_of_earlier_build:
            yield _of_decision(one.id, one.referral_id, "has no commitment in the log")


def _of_decision(id: str, referral_id: str | None, what: str, index: int | None = None) -> Difference:
    return Difference(
        referral_id=referral_id,
        record=f"decision {id}",
        where="routing",
        what=f"the decision {id} {what}",
        index=index,
    )
