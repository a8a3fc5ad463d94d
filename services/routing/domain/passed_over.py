"""The reasons for which considered organisations were not asked, as their statements count them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from services.routing.domain.capacity_rules import PLACE_LEFT, WITHDRAWN_TOO_OFTEN
from services.routing.domain.history_rules import (
    NOT_ASKED_BEFORE,
    NOT_DECLINED_FOR_PERSON,
    NOT_IN_CHAIN,
)

# The rules held, and other organisations came first.
OTHERS_FIRST: Final = "others_first"
# One class for every rule about the person's consent, so that a statement never tells them apart.
PERSONS_CHOICE: Final = "persons_choice"
# A rule that this build does not know.
OTHER_RULE: Final = "other_rule"

_IS_THE_SENDER: Final = "not_the_sender"

# The class of each failed rule. These reasons do not count as being passed over: the organisation's own
# referrals, a referral that it was already asked about, a person whom it referred onward, and a sender that
# withdrew too often.
CLASS_OF_RULE: Final[Mapping[str, str]] = {
    "consent_given": PERSONS_CHOICE,
    "not_excluded": PERSONS_CHOICE,
    "kind_consented": PERSONS_CHOICE,
    "storage_allowed": PERSONS_CHOICE,
    "organization_active": "standing",
    "organization_vetted": "standing",
    "agreement_in_force": "agreement",
    "can_receive": "sealing",
    "case_sealed_for": "sealing",
    "need_met": "service",
    "service_approved": "service",
    "area_served": "area",
    "settlement_served": "area",
    "person_eligible": "conditions",
    "language_shared": "language",
    "cost_accepted": "cost",
    "capacity_left": "capacity",
    "capacity_not_declined": "capacity",
    PLACE_LEFT: "capacity",
    "open_now": "hours",
}
UNCOUNTED_RULES: Final = frozenset({_IS_THE_SENDER, NOT_ASKED_BEFORE, NOT_DECLINED_FOR_PERSON, NOT_IN_CHAIN})
REASONS: Final = (OTHERS_FIRST, *dict.fromkeys(CLASS_OF_RULE.values()), OTHER_RULE)
_ORDER: Final = {reason: number for number, reason in enumerate(REASONS)}


def passed_over(records: Iterable[Mapping[str, Any]], asked: Collection[str]) -> dict[str, str]:
    """Return the one reason of each organisation that was a candidate for a referral and was not asked.

    records: the referral's decisions as stored, oldest first; erased ones are empty. An organisation counts
    as in the latest that considered it. asked: the organisations that received an offer.
    """
    latest: dict[str, list[Mapping[str, Any]]] = {}
    done = set(asked)
    for record in records:
        # Decisions of earlier builds have no inputs.
        done.update(record.get("inputs", {}).get("asked", ()))
        services: dict[str, list[Mapping[str, Any]]] = {}
        for candidate in record.get("candidates", ()):
            services.setdefault(candidate["organization"], []).append(candidate)
        latest.update(services)
    found = {
        organization: _reason(services)
        for organization, services in latest.items()
        if organization not in done
    }
    return {organization: reason for organization, reason in found.items() if reason is not None}


def first_reasons(of_family: Iterable[Mapping[str, str]], asked: Collection[str]) -> dict[str, str]:
    """Return the one reason of each organisation for a referral and its parts: the first in REASONS.

    of_family: as `passed_over` returns them. asked: the organisations that were asked about one of them.
    """
    found: dict[str, str] = {}
    for reasons in of_family:
        for organization, reason in reasons.items():
            if organization not in asked:
                found[organization] = min(found.get(organization, reason), reason, key=_ORDER.__getitem__)
    return found


def _reason(services: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the reason of the service that came closest; None if the referral counts for none of them.

    A service that fails a rule about the person's choice counts under that class, whatever else it fails, so
    that the other classes say nothing about a person's choice.
    """
    reasons: list[tuple[int, int]] = []
    for candidate in services:
        failed = [failure["rule"] for failure in candidate["failures"]]
        if not UNCOUNTED_RULES.isdisjoint(failed):
            return None
        if any(failure.get("reason") == WITHDRAWN_TOO_OFTEN for failure in candidate["failures"]):
            return None
        if candidate["score"] is not None:
            return OTHERS_FIRST  # eligible; a failed rule was overridden
        classes = [CLASS_OF_RULE.get(rule, OTHER_RULE) for rule in failed]
        if PERSONS_CHOICE in classes:
            reason = PERSONS_CHOICE
        else:
            reason = min(classes, key=_ORDER.__getitem__, default=OTHER_RULE)
        reasons.append((len(failed), _ORDER[reason]))
    return REASONS[min(reasons)[1]] if reasons else None
