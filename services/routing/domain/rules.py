"""The hard rules: conditions that a candidate must meet before it may be asked.

Every rule is evaluated for every candidate, so that an explanation can list them all. A failed rule gives a
typed reason. Nobody can override a rule about the person's consent, safety or money.

The rules stand by what they read: `consent_rules.py`, `organization_rules.py`, `service_rules.py`,
`capacity_rules.py` and `history_rules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.routing.domain import (
    capacity_rules,
    consent_rules,
    history_rules,
    organization_rules,
    service_rules,
)
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.failure import Failure, Rule
from services.routing.domain.offered_service import OfferedService

RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        organization_rules.organization_active,
        organization_rules.organization_vetted,
        organization_rules.not_the_sender,
        consent_rules.consent_given,
        consent_rules.not_excluded,
        consent_rules.kind_consented,
        organization_rules.agreement_in_force,
        organization_rules.can_receive,
        organization_rules.case_sealed_for,
        service_rules.need_met,
        service_rules.service_approved,
        service_rules.area_served,
        service_rules.settlement_served,
        service_rules.person_eligible,
        service_rules.language_shared,
        service_rules.cost_accepted,
        capacity_rules.capacity_left,
        capacity_rules.capacity_not_declined,
        capacity_rules.place_left,
        service_rules.open_now,
        consent_rules.storage_allowed,
        history_rules.not_asked_before,
        history_rules.not_declined_for_person,
        history_rules.not_in_chain,
    )
}

_RULES = tuple(RULES.values())

# Rules about which a coordinator may know better than the directory. Rules about consent, conflicts of
# interest, trust, agreements, approvals, keys and money are excluded.
COORDINATOR_MAY_OVERRIDE = frozenset(
    {
        "need_met",
        "area_served",
        "settlement_served",
        "person_eligible",
        "language_shared",
        "capacity_left",
        "capacity_not_declined",
        capacity_rules.PLACE_LEFT,
        "open_now",
        history_rules.NOT_ASKED_BEFORE,
        history_rules.NOT_IN_CHAIN,
    }
)


def failures(offered: OfferedService, given: Circumstances) -> tuple[Failure, ...]:
    """Return the failed rules, in the order of `RULES`."""
    return tuple([failure for rule in _RULES if (failure := rule(offered, given)) is not None])
