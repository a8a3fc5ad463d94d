"""Whether the log and what the services hold tell the same story of a referral, and where they differ.

Two directions: what a service holds has its entry in the log (nothing was done unrecorded), and an entry has
its effect (nothing is recorded that was not done). Only what is final is compared, so that a referral that
moves on between two looks is not reported.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

_CLOSINGS: Final = {
    "completed": "referral.completed",
    "withdrawn": "referral.withdrawn",
    "entered_in_error": "referral.withdrawn",
    "failed": "referral.failed",
}


class _Naming(Protocol):
    """Names a difference; its index is that of the first entry of `fact`."""

    def __call__(self, where: str, what: str, fact: str | None = None, /) -> Difference: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LogEntry:
    """An entry of the log. fact: its type without `kopuro.` and the version."""

    index: int
    fact: str
    message_id: str
    organization: str | None
    time: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutedReferral:
    """What routing holds of a referral. offered: the organisation of each offer that was ever opened."""

    status: str
    acceptor: str | None
    updated_at: dt.datetime
    offered: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Custody:
    """What the vault holds. has_case: whether the sealed case is still there."""

    state: str
    has_case: bool
    changed_at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralState:
    """Everything that is known of one referral, wherever. None: that service has never heard of it.

    submitted_at: when intake admitted it.
    """

    referral_id: str
    entries: Sequence[LogEntry] = ()
    submitted_at: dt.datetime | None = None
    routed: RoutedReferral | None = None
    custody: Custody | None = None

    def moved_at(self) -> dt.datetime | None:
        """When anything last happened to it."""
        times = [entry.time for entry in self.entries]
        times += [self.submitted_at] if self.submitted_at else []
        times += [self.routed.updated_at] if self.routed else []
        times += [self.custody.changed_at] if self.custody else []
        return max(times, default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One thing that two records disagree about. where: the service whose state it is.

    index: of the entry in question, where there is one.
    """

    referral_id: str
    where: str
    what: str
    index: int | None = None


def differences(state: ReferralState) -> Iterator[Difference]:
    """What is wrong with one referral; nothing when all agree."""
    facts = Counter(entry.fact for entry in state.entries)

    def different(where: str, what: str, fact: str | None = None, /) -> Difference:
        index = next((entry.index for entry in state.entries if entry.fact == fact), None)
        return Difference(referral_id=state.referral_id, where=where, what=what, index=index)

    if facts["referral.submitted"] > 1:
        yield different("log", "was submitted more than once", "referral.submitted")
    if state.submitted_at is not None and not facts["referral.submitted"]:
        yield different("intake", "was admitted, and the log has no referral.submitted")
    if facts["referral.submitted"] and state.submitted_at is None:
        yield different("intake", "is in the log, and was never admitted", "referral.submitted")
    yield from _routing(state, facts, different)
    yield from _vault(state, facts, different)


def _routing(state: ReferralState, facts: Counter[str], different: _Naming) -> Iterator[Difference]:
    routed = state.routed
    if routed is None:
        if facts["referral.submitted"]:
            yield different("routing", "is in the log, and routing does not know it", "referral.submitted")
        return
    if not facts["referral.submitted"]:
        yield different("routing", "is routed, and the log has no referral.submitted")
    acceptors = [entry.organization for entry in state.entries if entry.fact == "offer.accepted"]
    if routed.acceptor is not None and routed.acceptor not in acceptors:
        yield different(
            "routing", f"was accepted by {routed.acceptor}, and the log has no such offer.accepted"
        )
    for acceptor in acceptors:
        if acceptor != routed.acceptor:
            held = routed.acceptor or "nobody"
            yield different(
                "routing",
                f"was accepted by {acceptor} according to the log, and routing says {held}",
                "offer.accepted",
            )
    opened = Counter(entry.organization for entry in state.entries if entry.fact == "offer.opened")
    offered = Counter[str | None](routed.offered)
    for organization in sorted({*opened, *offered}, key=str):
        if opened[organization] != offered[organization]:
            yield different(
                "routing",
                f"{organization} got {offered[organization]} offers, and the log has {opened[organization]}",
                "offer.opened",
            )
    expected = _CLOSINGS.get(routed.status)
    if expected is not None and not facts[expected]:
        yield different("routing", f"is {routed.status}, and the log has no {expected}")
    for fact in sorted(set(_CLOSINGS.values())):
        if facts[fact] and _CLOSINGS.get(routed.status) != fact:
            yield different("routing", f"the log has {fact}, and routing says {routed.status}", fact)


def _vault(state: ReferralState, facts: Counter[str], different: _Naming) -> Iterator[Difference]:
    custody = state.custody
    held = "nothing" if custody is None else custody.state
    if held == "released" and not facts["case.released"]:
        yield different("vault", "the case was released, and the log has no case.released")
    if facts["case.released"] and held not in ("released", "erased"):
        yield different("vault", f"the log has case.released, and the vault says {held}", "case.released")
    if facts["case.erased"] and (held != "erased" or (custody is not None and custody.has_case)):
        left = "still has the case" if custody is not None and custody.has_case else f"says {held}"
        yield different("vault", f"the log has case.erased, and the vault {left}", "case.erased")
    if held == "erased" and custody is not None and custody.has_case:
        yield different("vault", "is erased, and the sealed case is still there")
