"""The views of a referral: each party sees its own part, others see nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from contracts.codes import FHIR_TASK_STATUS, ReferralStatus
from contracts.records import plain
from contracts.responses.form import extended
from contracts.responses.referrals import OfferView, PartView, ReferralSummary, ReferralView, Step
from services.routing.domain.conditions import conditions_of
from services.routing.domain.decision import Trigger
from services.routing.domain.directory import Directory
from services.routing.domain.fact_readers import end_of_part, may_read_facts
from services.routing.domain.history_rules import NOT_IN_CHAIN
from services.routing.domain.in_turns import InTurns, at_once
from services.routing.domain.referral import Referral
from services.routing.domain.sender_view import coarse_candidate, coarse_turn
from services.routing.domain.timeline import TimelineEntry

# Network staff see all facts of a referral; the sealed case stays closed to them too.
OVERSIGHT_ROLES = frozenset({"coordinator", "auditor", "operator"})


# The newest steps of a referral that its view shows: far more than an ordinary one has, and a view of some
# hundred kilobytes at most.
MOST_STEPS: Final = 200


def is_party(referral: Referral, organization: str) -> bool:
    """Return whether the organisation is the sender or has received an offer."""
    return organization == referral.sender or any(o.organization == organization for o in referral.offers)


def referral_view(
    referral: Referral,
    timeline: Sequence[TimelineEntry],
    onward: Iterable[tuple[str, str]] = (),
    parts: Iterable[Referral] = (),
    *,
    viewer: str,
    oversight: bool,
) -> ReferralView:
    """Return the body of `GET /v1/referrals/{id}`.

    An organisation that received an offer sees only its own offers and steps, and the facts only while it may
    still act on them (`domain/fact_readers.py`), else null. Facts that have been reduced are null too. Only
    the sender, oversight and the acceptor see the outcome, the acceptor and when its report is due.

    timeline: the newest steps, oldest first. The view shows the newest MOST_STEPS and whether there are more.

    onward: (id, sender) of the referrals by which this one was referred onward. Each end of a link is shown
    to those who may know it. The sender sees the referral that this one continues, because it accepted that
    one; the candidates do not see it. The onward referrals are shown to the sender and to the organisation
    that submitted them. An id opens nothing: each referral is readable for its own parties only.

    parts: the referral's parts, in their order. Only the sender and oversight see them, and of a part the
    referral that it belongs to: an acceptor of a part learns of no other one.
    """
    whole = oversight or viewer == referral.sender
    shown = summary(referral, viewer=viewer, whole=whole)
    facts = referral.facts if whole else referral.facts.situation()
    shows_report = referral.acceptor is not None and (whole or viewer == referral.acceptor)
    shows_facts = referral.has_facts and may_read_facts(referral, viewer, oversight=whole)
    return extended(
        ReferralView,
        shown,
        status_fhir=FHIR_TASK_STATUS[shown.status],
        outcome=referral.outcome if whole or viewer == referral.acceptor else None,
        facts=plain(facts) if shows_facts else None,
        due_at=referral.due_at if shows_report else None,
        overdue_since=referral.overdue_since if shows_report else None,
        onward_from=referral.chain.onward_from if whole and referral.chain is not None else None,
        onward=tuple(id_ for id_, sender in onward if whole or sender == viewer),
        parts=tuple(
            PartView(
                id=part.id,
                needs=part.facts.needs,
                status=part.status,
                acceptor=part.acceptor,
                waits_for=_waits_for(part),
            )
            for part in parts
            if whole
        ),
        offers=tuple(
            OfferView(
                id=offer.id,
                organization=offer.organization,
                service=offer.service,
                state=offer.state,
                rank=offer.rank,
                opened_at=offer.opened_at,
                deadline=offer.deadline,
                closed_at=offer.closed_at,
                reason=offer.shown_reason,
                late_answer=offer.late_answer,
                late_at=offer.late_at,
            )
            for offer in referral.offers
            if whole or offer.organization == viewer
        ),
        timeline=tuple(
            Step(time=entry.time, fact=entry.fact, organization=entry.organization, detail=entry.detail)
            for entry in timeline[-MOST_STEPS:]
            if whole or entry.organization == viewer
        ),
        timeline_truncated=len(timeline) > MOST_STEPS,
    )


def _waits_for(part: Referral) -> tuple[str, ...]:
    if part.is_closed:
        return ()
    if part.acceptor is not None:
        return (part.acceptor,)
    return tuple(offer.organization for offer in part.open_offers)


def summary(referral: Referral, *, viewer: str, whole: bool) -> ReferralSummary:
    """Return one item of `GET /v1/referrals`.

    Only the sender, oversight and the acceptor itself see the acceptor. Urgency, region and needs are null
    for a viewer that may no longer read the facts. Once a candidate's part has ended, the referral stays
    `offered` for it, last updated then.
    """
    shows_facts = may_read_facts(referral, viewer, oversight=whole)
    ended = None if whole else end_of_part(referral, viewer)
    return ReferralSummary(
        id=referral.id,
        sender=referral.sender,
        status=referral.status if ended is None else ReferralStatus.offered,
        acceptor=referral.acceptor if whole or viewer == referral.acceptor else None,
        urgency=referral.facts.urgency if shows_facts else None,
        region=referral.facts.region if shows_facts else None,
        needs=referral.facts.needs if shows_facts else None,
        submitted_at=referral.submitted_at,
        updated_at=ended or referral.updated_at,
        part_of=referral.part.referral_id if whole and referral.part is not None else None,
    )


def decision_view(
    stored: Mapping[str, Any],
    directory: Directory,
    *,
    oversight: bool = True,
    in_turns: InTurns = at_once,
) -> dict[str, Any]:
    """Return a stored decision with the result of every rule for every candidate.

    The store keeps failed rules only; the other evaluated rules held. nobody: why there are no candidates,
    else null. The inputs are left out: they count other senders' offers. oversight: False for the sender, for
    whom other values are coarse for the same reason (`sender_view.py`). The sender does not see the
    organisations that have held the case earlier in the chain either, except the one from which it received
    the person. It sees an organisation with which a coordinator placed the referral, but not whether
    that one has held the case.

    directory: names the conditions of a service that the person does not meet (`conditions` of the rule), if
    it still holds the record that the decision read. in_turns: iterates over the candidates; it may let other
    work run between two of them.
    """
    if not oversight and stored.get("trigger") == Trigger.placed_by_coordinator:
        stored = _without_earlier_holders(stored)
    evaluated = stored["rules"]
    turn = stored.get("turn")  # missing in decisions of earlier builds
    shown = (
        stored["candidates"]
        if oversight
        else [
            coarse_candidate(candidate, stored["weights"])
            for candidate in in_turns(stored["candidates"])
            if not any(map(_is_held_earlier, candidate["failures"]))
        ]
    )
    return {
        "nobody": None,  # also missing there
        **{name: value for name, value in stored.items() if name not in ("rules", "weights", "inputs")},
        "turn": turn if oversight or turn is None else coarse_turn(turn),
        "candidates": [
            {
                "organization": candidate["organization"],
                "service": candidate["service"],
                "eligible": candidate["score"] is not None,
                "score": candidate["score"],
                "rank": candidate["rank"],
                # Missing in decisions of earlier builds.
                "capacity": candidate.get("capacity"),
                "rules": _rules(evaluated, candidate, directory),
                "contributions": [
                    {"name": name, "weight": stored["weights"][name], "value": value}
                    for name, value in candidate["contributions"].items()
                ],
            }
            for candidate in in_turns(shown)
        ],
    }


def _without_earlier_holders(placed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the placement's decision without the rule about the chain, unless it names the previous sender.

    Its organisation is known from the offer. Without the candidate, or with the rule in some decisions only,
    the sender would know that the organisation has held the case.
    """
    failures = [failure for candidate in placed["candidates"] for failure in candidate["failures"]]
    if any(failure["rule"] == NOT_IN_CHAIN and not _is_earlier(failure) for failure in failures):
        return placed
    return {
        **placed,
        "rules": [rule for rule in placed["rules"] if rule != NOT_IN_CHAIN],
        "overridden": [rule for rule in placed["overridden"] if rule != NOT_IN_CHAIN],
        "candidates": [
            {**one, "failures": [failure for failure in one["failures"] if failure["rule"] != NOT_IN_CHAIN]}
            for one in placed["candidates"]
        ],
    }


def _is_held_earlier(failure: Mapping[str, Any]) -> bool:
    return bool(failure["rule"] == NOT_IN_CHAIN and _is_earlier(failure))


def _is_earlier(failure: Mapping[str, Any]) -> bool:
    return bool(failure["detail"]["held"] != "previous")


def _rules(
    evaluated: Iterable[str], candidate: Mapping[str, Any], directory: Directory
) -> list[dict[str, Any]]:
    # An eligible candidate with a failed rule: a coordinator overrode the rule.
    eligible = candidate["score"] is not None
    failed = {failure["rule"]: failure for failure in candidate["failures"]}
    results = [
        {
            "rule": rule,
            "passed": rule not in failed,
            "overridden": rule in failed and eligible,
            "reason": failed[rule]["reason"] if rule in failed else None,
            "detail": failed[rule]["detail"] if rule in failed else {},
        }
        for rule in evaluated
    ]
    for result in results:
        if unmet := result["detail"].get("unmet"):
            conditions = conditions_of(candidate, unmet, directory)
            if conditions is not None:
                result["conditions"] = conditions
    return results
