"""Differences between the audit log and the services' state of a referral.

The comparison goes both ways: every effect in a service needs its entry in the log (nothing was done
unrecorded), and every entry needs its effect (nothing is recorded that was not done). Only final states are
compared, so that a referral that changes between two reads is not reported.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from admin.reconciliation.offer_differences import RankedServices, offer_differences
from admin.reconciliation.referral_records import LoggedFact, StoredEvidence, StoredOffer, StoredStep
from admin.reconciliation.timeline_differences import timeline_differences
from contracts.codes import ReferralStatus
from contracts.part_id import MOST_PARTS, is_part_of

_WITHDRAWN: Final = "referral.withdrawn"
_SPLIT: Final = "referral.split"
_REJOINED: Final = "referral.rejoined"
_CLOSINGS: Final = {
    "completed": "referral.completed",
    "withdrawn": _WITHDRAWN,
    "entered_in_error": _WITHDRAWN,
    "failed": "referral.failed",
}
# The acceptance has ended, and the referral continues without an acceptor.
_UNHELD: Final = ("acceptance.revoked", "referral.handed_back")
_STATUSES: Final = frozenset(status.value for status in ReferralStatus)
_HELD: Final = frozenset({"accepted", "in_progress", "on_hold"})
# The first entry of a referral, or of a part of one.
_BEGINNINGS: Final = ("referral.submitted", "part.opened")


class _DifferenceFactory(Protocol):
    """Builds a difference. Its index is that of the first entry of `fact`."""

    def __call__(self, where: str, what: str, fact: str | None = None, /) -> Difference: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RoutedReferral:
    """Routing's state of a referral. offered: the organisation of each offer ever opened.

    sender, submitted_at: None if they are not compared. consent_revoked: the person withdrew the consent,
    perhaps after the end. offers, steps: its offers and timeline, None if they are not compared. ranked: see
    `offer_differences`. is_reduced: whether its facts are. outcome: compared with the steps.
    """

    status: str
    acceptor: str | None
    updated_at: dt.datetime
    offered: Sequence[str] = ()
    sender: str | None = None
    submitted_at: dt.datetime | None = None
    consent_revoked: bool = False
    offers: Sequence[StoredOffer] | None = None
    ranked: RankedServices = field(default_factory=dict)
    steps: Sequence[StoredStep] | None = None
    is_reduced: bool = False
    outcome: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldCase:
    """The vault's state of a referral. has_case: whether the sealed case still exists.

    acceptor: the organisation that the case is for, None if there is none. part_of: the referral of which it
    is a part and whose case it releases; has_case is about that one. parts: into how many it was split.
    acceptance_id: the message with the acceptance that the vault acted on; None if there is none.
    has_evidence: whether the vault has kept that message; evidence: what that says. sender: of the case; None
    until it or an acceptance has arrived.
    """

    state: str
    has_case: bool
    changed_at: dt.datetime
    acceptor: str | None = None
    part_of: str | None = None
    parts: int = 0
    acceptance_id: str | None = None
    has_evidence: bool = True
    evidence: StoredEvidence | None = None
    sender: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralState:
    """The state of one referral in the log and in each service. None: the service has no record of it.

    submitted_at, submitted_by: when intake admitted it, and of whom. case_at: the organisation that can fetch
    the released case from delivery. of_linked: the replaced cases in the log of the other referrals of a
    split.
    """

    referral_id: str
    entries: Sequence[LoggedFact] = ()
    submitted_at: dt.datetime | None = None
    submitted_by: str | None = None
    routed: RoutedReferral | None = None
    custody: HeldCase | None = None
    case_at: str | None = None
    of_linked: Sequence[LoggedFact] = ()

    def moved_at(self) -> dt.datetime | None:
        """Return the time of the latest change in any record; None if there are no records."""
        times = [entry.time for entry in self.entries]
        times += [self.submitted_at] if self.submitted_at else []
        times += [self.routed.updated_at] if self.routed else []
        times += [step.time for step in (self.routed.steps or ())] if self.routed else []
        times += [self.custody.changed_at] if self.custody else []
        return max(times, default=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One disagreement between two records. where: the service whose state differs.

    referral_id: None for a difference in the directory or the log. record: the directory's record (subject
    and id), the decision, or the entry.
    index: of the log entry concerned, if any.
    """

    referral_id: str | None
    where: str
    what: str
    index: int | None = None
    record: str | None = None


def differences(state: ReferralState) -> Iterator[Difference]:
    """Yield the differences of one referral; none when all records agree."""
    facts = Counter(entry.fact for entry in state.entries)

    def different(where: str, what: str, fact: str | None = None, /) -> Difference:
        index = next((entry.index for entry in state.entries if entry.fact == fact), None)
        return Difference(referral_id=state.referral_id, where=where, what=what, index=index)

    if facts["referral.submitted"] > 1:
        yield different("log", "the log has more than one referral.submitted", "referral.submitted")
    if state.submitted_at is not None and not facts["referral.submitted"]:
        yield different("intake", "admitted, but the log has no referral.submitted")
    if facts["referral.submitted"] and state.submitted_at is None:
        yield different(
            "intake",
            "the log has referral.submitted, but intake did not admit the referral",
            "referral.submitted",
        )
    yield from _senders(state, different)
    yield from _routing(state, facts, different)
    yield from _routed_details(state)
    yield from _vault(state, facts, different)
    yield from _delivery(state, different)


def _senders(state: ReferralState, different: _DifferenceFactory) -> Iterator[Difference]:
    """Compare whom each service takes for the sender."""
    begun = [entry for entry in state.entries if entry.fact in _BEGINNINGS]
    senders = {entry.organization for entry in begun}
    named = {
        "intake": state.submitted_by,
        "routing": None if state.routed is None else state.routed.sender,
        "vault": None if state.custody is None else state.custody.sender,
    }
    for service, sender in named.items():
        if sender is not None and senders and sender not in senders:
            yield different(service, f"{sender} is not the sender in the log", begun[0].fact)


def _delivery(state: ReferralState, different: _DifferenceFactory) -> Iterator[Difference]:
    """Compare who can fetch the released case."""
    released = [entry.organization for entry in state.entries if entry.fact == "case.released"]
    last = released[-1] if released else None
    if state.case_at is not None and state.case_at != last:
        yield different(
            "delivery",
            f"the case is for {state.case_at}, but the log has it released to {last or 'nobody'}",
            "case.released",
        )
    elif state.case_at is not None:
        ends = [entry.fact for entry in state.entries if entry.fact in _CLOSINGS.values()]
        if ends:
            what = f"{state.case_at} can fetch the case, but the referral has ended in the log"
            yield different("delivery", what, ends[0])
        elif state.case_at not in _standing_acceptors(state.entries):
            what = f"{state.case_at} can fetch the case, but its acceptance has ended in the log"
            yield different("delivery", what, "case.released")
    routed, custody = state.routed, state.custody
    is_held = routed is not None and routed.status in _HELD and routed.acceptor == last
    is_released = is_held and custody is not None and custody.state == "released"
    if state.case_at is None and last is not None and is_released:
        yield different("delivery", f"the case that was released to {last} is missing", "case.released")


def _routing(
    state: ReferralState, facts: Counter[str], different: _DifferenceFactory
) -> Iterator[Difference]:
    routed = state.routed
    if routed is None:
        for begins in _BEGINNINGS:
            if facts[begins]:
                what = f"the log has {begins}, but routing has no such referral"
                yield different("routing", what, begins)
        return
    begun = [entry for entry in state.entries if entry.fact in _BEGINNINGS]
    if not begun:
        yield different("routing", "routed, but the log has no referral.submitted")
    # A part has the time of the whole referral.
    submitted = {entry.time for entry in begun if entry.fact == _BEGINNINGS[0]}
    if routed.submitted_at is not None and submitted and routed.submitted_at not in submitted:
        moment = min(submitted).isoformat()
        what = f"submitted at {routed.submitted_at.isoformat()}, in the log {moment}"
        yield different("routing", what, begun[0].fact)
    if routed.status not in _STATUSES:
        yield different("routing", f"the status {routed.status} is unknown")
    if routed.status == "split" and not facts["referral.split"]:
        yield different("routing", "status split, but the log has no referral.split")
    acceptors = _standing_acceptors(state.entries)
    if routed.acceptor is not None and routed.acceptor not in acceptors:
        yield different("routing", f"accepted by {routed.acceptor}, but the log has no such offer.accepted")
    for acceptor in acceptors:
        if acceptor != routed.acceptor:
            held = routed.acceptor or "none"
            yield different(
                "routing",
                f"the log has offer.accepted by {acceptor}, but in routing the acceptor is {held}",
                "offer.accepted",
            )
    opened = Counter(entry.organization for entry in state.entries if entry.fact == "offer.opened")
    offered = Counter[str | None](routed.offered)
    for organization in sorted({*opened, *offered}, key=str):
        if opened[organization] != offered[organization]:
            yield different(
                "routing",
                f"{organization} has {offered[organization]} offers, but the log has {opened[organization]}",
                "offer.opened",
            )
    expected = _CLOSINGS.get(routed.status)
    if expected is not None and not facts[expected]:
        yield different("routing", f"status {routed.status}, but the log has no {expected}")
    if routed.consent_revoked and not facts[_WITHDRAWN]:
        yield different("routing", f"the consent was withdrawn, but the log has no {_WITHDRAWN}")
    for fact in sorted(set(_CLOSINGS.values())):
        # A consent that is withdrawn after the end leaves the status as it is.
        revoked_later = fact == _WITHDRAWN and routed.consent_revoked and expected is not None
        if facts[fact] and _CLOSINGS.get(routed.status) != fact and not revoked_later:
            yield different("routing", f"the log has {fact}, but the status is {routed.status}", fact)


def _standing_acceptors(entries: Sequence[LoggedFact]) -> list[str | None]:
    """Return the organisations whose acceptances have not ended in the log, one for each acceptance."""
    acceptors = [entry.organization for entry in entries if entry.fact == "offer.accepted"]
    for entry in entries:
        if entry.fact in _UNHELD and entry.organization in acceptors:
            acceptors.remove(entry.organization)
    return acceptors


def _routed_details(state: ReferralState) -> Iterator[Difference]:
    """Compare the offers and the timeline."""
    routed = state.routed
    if routed is None:
        return
    begun = [entry.organization for entry in state.entries if entry.fact in _BEGINNINGS]
    sender = (begun[0] if begun else None) or routed.sender or ""
    found: list[tuple[str, int | None]] = []
    if routed.offers is not None:
        found += offer_differences(routed.offers, state.entries, routed.ranked)
    if routed.steps is not None:
        found += _outcome(routed, state.entries)
        found += timeline_differences(
            routed.steps,
            state.entries,
            sender=sender,
            is_reduced=routed.is_reduced,
            of_linked=state.of_linked,
        )
    for what, index in found:
        yield Difference(referral_id=state.referral_id, where="routing", what=what, index=index)


def _outcome(routed: RoutedReferral, entries: Sequence[LoggedFact]) -> Iterator[tuple[str, int | None]]:
    """Compare the outcome; an entry whose content is erased agrees with any outcome."""
    completed = [entry for entry in entries if entry.fact == _CLOSINGS["completed"]]
    logged = [entry.data.get("outcome") for entry in completed if entry.data is not None]
    if routed.outcome in logged or (completed and not logged) or (routed.outcome is None and not completed):
        return
    index = completed[-1].index if completed else None
    yield f"the outcome is {routed.outcome}, in the log {', '.join(map(str, logged)) or 'none'}", index


def _vault(state: ReferralState, facts: Counter[str], different: _DifferenceFactory) -> Iterator[Difference]:
    custody = state.custody
    held = "none" if custody is None else custody.state
    if held == "released" and not facts["case.released"]:
        yield different("vault", "case released, but the log has no case.released")
    released_to = {entry.organization for entry in state.entries if entry.fact == "case.released"}
    # After the end of an acceptance the vault holds the case again, for the next acceptor. A case that the
    # sender replaced was released again to the same acceptor, or waits for the acceptor's key.
    unheld = sum(facts[fact] for fact in _UNHELD) >= max(1, len(released_to)) or facts["case.paused"]
    if facts["case.released"] and held not in ("released", "erased") and not (unheld and held == "held"):
        yield different(
            "vault", f"the log has case.released, but the custody state is {held}", "case.released"
        )
    if facts["case.erased"] and (held != "erased" or (custody is not None and custody.has_case)):
        state_text = (
            "case still exists" if custody is not None and custody.has_case else f"custody state is {held}"
        )
        yield different("vault", f"the log has case.erased, but the {state_text}", "case.erased")
    acceptor = None if custody is None else custody.acceptor
    if held == "released" and released_to and acceptor is not None and acceptor not in released_to:
        yield different(
            "vault", f"the case is for {acceptor}, to whom the log has no case.released", "case.released"
        )
    if custody is not None and acceptor is None and held in ("awaited", "held"):
        # It is a dead letter, or the vault's evidence says falsely that it has ended.
        for accepted_by in _standing_acceptors(state.entries):
            what = f"the log has offer.accepted by {accepted_by}, but the vault has no acceptor"
            yield different("vault", what, "offer.accepted")
    if custody is not None and custody.acceptance_id is not None and held in ("held", "released"):
        accepted = {
            entry.organization
            for entry in state.entries
            if entry.message_id == custody.acceptance_id and entry.fact == "offer.accepted"
        }
        if acceptor not in accepted:
            what = f"the case is for {acceptor}, but the log does not have the acceptance it was released for"
            yield different("vault", what, "offer.accepted")
        if not custody.has_evidence:
            yield different("vault", "the acceptance that the vault acted on is missing from its evidence")
        elif custody.evidence is not None and any(
            entry.message_id == custody.acceptance_id and not custody.evidence.is_of(entry)
            for entry in state.entries
        ):
            what = "the acceptance in the vault's evidence is not the one in the log: it was rewritten"
            yield different("vault", what, "offer.accepted")
    if custody is not None:
        for what, fact in _parts(state.referral_id, custody, state.entries):
            yield different("vault", what, fact)
    # The log must give a reason for each missing record.
    if held in ("held", "released") and custody is not None and not custody.has_case:
        yield different("vault", f"custody state is {held}, but the sealed case is missing")
    if custody is not None and custody.part_of is not None:
        return  # the case is kept and erased with the whole referral
    if held == "erased" and not facts["case.erased"]:
        yield different("vault", "the case is erased, but the log has no case.erased")
    if held == "erased" and custody is not None and custody.has_case:
        yield different("vault", "custody state is erased, but the sealed case still exists")


def _parts(referral_id: str, custody: HeldCase, entries: Sequence[LoggedFact]) -> Iterator[tuple[str, str]]:
    """Yield what differs in the split of a referral, each with the fact that says otherwise.

    The id of a part follows from that of the whole, so the content of the entries is not needed.
    """
    opened = any(entry.fact == _BEGINNINGS[1] for entry in entries)
    if custody.part_of is None and opened:
        yield "the log has part.opened, but the vault has no part", _BEGINNINGS[1]
    if custody.part_of is not None and not (opened and is_part_of(referral_id, custody.part_of)):
        yield f"it releases the case of {custody.part_of}, of which it is no part in the log", _BEGINNINGS[1]
    split = [entry for entry in entries if entry.fact in (_SPLIT, _REJOINED)]
    expected = {0}
    if split and split[-1].fact == _SPLIT:
        data = split[-1].data
        expected = set(range(2, MOST_PARTS + 1)) if data is None else {len(data["parts"])}
    if custody.parts not in expected:
        yield f"the case is for {custody.parts} parts, which is not the split in the log", _SPLIT
