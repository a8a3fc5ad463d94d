"""Whether the log and what the services hold tell the same story of a referral, and where they differ.

Two directions: what a service holds has its entry in the log (nothing was done unrecorded), and an entry has
its effect (nothing is recorded that was not done). Only what is final is compared, so that a referral that
moves on between two looks is not reported.

The directory's revisions are compared in both directions too: an organisation could be vetted unrecorded.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
class LoggedFact:
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
class HeldCase:
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
    entries: Sequence[LoggedFact] = ()
    submitted_at: dt.datetime | None = None
    routed: RoutedReferral | None = None
    custody: HeldCase | None = None

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

    referral_id: None where it is about no referral; record: then the directory's record, its subject and id.
    index: of the entry in question, where there is one.
    """

    referral_id: str | None
    where: str
    what: str
    index: int | None = None
    record: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """One change of a record of the directory. subject: its kind, as in `<subject>.changed`."""

    subject: str
    id: str
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedRevision:
    """The entry of a revision."""

    index: int
    time: dt.datetime


def directory_differences(
    made: Mapping[Revision, dt.datetime], logged: Mapping[Revision, LoggedRevision], settled: dt.datetime
) -> Iterator[Difference]:
    """Revisions without an entry, and entries without a revision. made: with the time of each change.

    settled: what is later is not compared.
    """

    def different(revision: Revision, what: str, index: int | None = None) -> Difference:
        record = f"{revision.subject} {revision.id}"
        return Difference(referral_id=None, record=record, where="directory", what=what, index=index)

    for revision in sorted(made.keys() - logged.keys(), key=_in_order):
        if made[revision] <= settled:
            yield different(
                revision,
                f"revision {revision.number} was made, and the log has no {revision.subject}.changed of it",
            )
    for revision in sorted(logged.keys() - made.keys(), key=_in_order):
        entry = logged[revision]
        if entry.time <= settled:
            what = f"the log has revision {revision.number}, and the directory never made it"
            yield different(revision, what, entry.index)


def _in_order(revision: Revision) -> tuple[str, str, int]:
    return revision.subject, revision.id, revision.number


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
