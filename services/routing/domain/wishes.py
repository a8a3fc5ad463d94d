"""The smallest changes that would place the unplaced referrals, counted over the network.

A candidate that fails exactly one rule needs one change; a candidate that fails several needs them all. Only
changes that the network can make count: a person's consent, exclusions and choices are never a wish. Wishes
hold no facts of a person beyond the need, the region and the language that are missing; a service's condition
that is not met is named without the person's value.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from contracts.codes import Urgency
from contracts.referral import ReferralFacts
from services.routing.domain.candidates import Candidate
from services.routing.domain.capacity_rules import WITHDRAWN_TOO_OFTEN
from services.routing.domain.decision import Decision
from services.routing.domain.failure import Failure
from services.routing.domain.history_rules import NOT_ASKED_BEFORE, UNTIL_THERE_ARE_PLACES


class ChangeKind(StrEnum):
    """The kind of change that would place a referral."""

    agreement = "agreement"  # an agreement of the sender with the organisation
    vetting = "vetting"
    activity = "activity"
    sealing_key = "sealing_key"
    approval = "approval"  # an approval of its service for a sensitive need
    settlement = "settlement"
    eligibility = "eligibility"
    funding = "funding"
    opening_hours = "opening_hours"
    area = "area"
    interpreter = "interpreter"  # of any service in the region
    places = "places"  # of any service in the region
    service = "service"  # nobody offers the need in the region
    another_service = "another_service"  # all that offer it there were asked already, or may not be asked


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One change; the fields that do not matter for its kind are None or empty.

    service: the one that the change concerns. conditions: what it would have to lift, as members of its
    eligibility.
    """

    kind: ChangeKind
    organization: str | None = None
    region: str | None = None
    need: str | None = None
    language: str | None = None
    conditions: tuple[str, ...] = ()
    service: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """Changes that together would place referrals. referrals: how many; emergencies: of these.

    The parts of a referral that was split are one referral: they concern one person.
    """

    changes: tuple[Change, ...]
    referrals: int
    emergencies: int


# The rules that the network can satisfy by a change of one organisation.
OF_ORGANIZATION: Mapping[str, ChangeKind] = {
    "organization_active": ChangeKind.activity,
    "organization_vetted": ChangeKind.vetting,
    "agreement_in_force": ChangeKind.agreement,
    "can_receive": ChangeKind.sealing_key,
    "service_approved": ChangeKind.approval,
    "area_served": ChangeKind.area,
    "settlement_served": ChangeKind.settlement,
    "person_eligible": ChangeKind.eligibility,
    "cost_accepted": ChangeKind.funding,
    "open_now": ChangeKind.opening_hours,
}

# The changes among these that concern one service.
_OF_SERVICE = frozenset(
    {
        ChangeKind.approval,
        ChangeKind.area,
        ChangeKind.settlement,
        ChangeKind.eligibility,
        ChangeKind.funding,
        ChangeKind.opening_hours,
    }
)


def smallest_changes(facts: ReferralFacts, decision: Decision) -> frozenset[tuple[Change, ...]]:
    """Return the alternatives that need the fewest changes; each would place the referral.

    decision: of a search that found no organisation. A referral that no change of a candidate would place
    needs a service where nobody offers the need, and another one where its candidates offer it. One to a
    named organisation has no alternative then: its case is sealed for that organisation. A referral that time
    alone places, because only its sender's withdrawn offers exclude a candidate, has none either.
    """
    found = {changes for one in decision.candidates if (changes := _changes(facts, one)) is not None}
    if () in found:
        return frozenset()
    if not found and facts.to is not None:
        return frozenset()
    if not found:
        kind = ChangeKind.another_service if decision.candidates else ChangeKind.service
        return frozenset({(Change(kind=kind, region=facts.region, need=facts.needs[0]),)})
    fewest = min(map(len, found))
    return frozenset(changes for changes in found if len(changes) == fewest)


def ranked_wishes(unplaced: Iterable[tuple[str, ReferralFacts, Decision]]) -> list[Wish]:
    """Count the smallest changes over these referrals: those that would place most come first.

    unplaced: with the referral's id, or for a part the id of the referral that was split. A referral with
    alternatives counts for each. A referral that could be asked about now counts for none.
    """
    referrals: dict[tuple[Change, ...], set[str]] = defaultdict(set)
    emergencies: dict[tuple[Change, ...], set[str]] = defaultdict(set)
    for whole, facts, decision in unplaced:
        if decision.ranked:
            continue
        for changes in smallest_changes(facts, decision):
            referrals[changes].add(whole)
            if facts.urgency is Urgency.emergency:
                emergencies[changes].add(whole)
    wishes = [
        Wish(changes=changes, referrals=len(ids), emergencies=len(emergencies.get(changes, ())))
        for changes, ids in referrals.items()
    ]
    return sorted(
        wishes, key=lambda one: (-one.referrals, -one.emergencies, len(one.changes), _order(one.changes))
    )


def _changes(facts: ReferralFacts, candidate: Candidate) -> tuple[Change, ...] | None:
    """Return the changes that would make the candidate eligible; None if the network cannot make them.

    There are none if only the sender's withdrawn offers exclude it: time ends that.
    """
    if not candidate.failures:
        return None
    changes: set[Change] = set()
    for failure in candidate.failures:
        if failure.reason == WITHDRAWN_TOO_OFTEN:
            continue
        if failure.rule in OF_ORGANIZATION:
            kind, conditions = OF_ORGANIZATION[failure.rule], tuple(failure.detail.get("unmet", ()))
            # The sensitive needs that lack an approval; other rules of an organisation concern no need.
            needs = failure.detail["needs"] if kind is ChangeKind.approval else (None,)
            changes |= {
                Change(
                    kind=kind,
                    organization=candidate.organization,
                    need=need,
                    conditions=conditions,
                    service=candidate.service if kind in _OF_SERVICE else None,
                )
                for need in needs
            }
        elif failure.rule == "language_shared":
            changes.add(Change(kind=ChangeKind.interpreter, region=facts.region, language=facts.languages[0]))
        elif _lacks_places(failure):
            changes.add(Change(kind=ChangeKind.places, region=facts.region, need=facts.needs[0]))
        else:
            return None
    return tuple(sorted(changes, key=_key))


def _lacks_places(failure: Failure) -> bool:
    """Whether the candidate could be asked if it had places, also again after a decline for lack of them."""
    if failure.rule == NOT_ASKED_BEFORE:
        return failure.reason in UNTIL_THERE_ARE_PLACES
    return failure.rule in ("capacity_left", "capacity_not_declined", "place_left")


def _key(change: Change) -> tuple[str, ...]:
    values = (change.kind, change.organization, change.region, change.need, change.language, change.service)
    return (*(value or "" for value in values), *change.conditions)


def _order(changes: tuple[Change, ...]) -> list[tuple[str, ...]]:
    return [_key(change) for change in changes]
