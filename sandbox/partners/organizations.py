"""The directory records of the sandbox's organisations with fixed behaviour."""

from __future__ import annotations

import datetime as dt
from typing import Final

from contracts.codes import CapacityStatus, Funding, OrganizationKind, Vetting
from contracts.organization import Capacity, Organization, Profile, Service
from sandbox.partners.behaviour import Behaviour

PREFIX: Final = "kg.sandbox-"
# In Kazakhstan no organisation of the sample network meets this need, so nobody else is asked.
NEED: Final = "money.remittance_banking"
COUNTRY: Final = "KZ"

# The region in which an organisation comes first. The one that accepts serves the whole country and comes
# second everywhere: it is asked next when another one declines or stays silent.
REGIONS: Final = {
    Behaviour.silent: "KZ-10",
    Behaviour.late: "KZ-11",
    Behaviour.unreadable: "KZ-15",
    Behaviour.no_report: "KZ-19",
    Behaviour.hands_back: "KZ-23",
    Behaviour.declines_no_capacity: "KZ-27",
    Behaviour.declines_not_eligible: "KZ-31",
    Behaviour.declines_out_of_area: "KZ-33",
    Behaviour.declines_language: "KZ-35",
    Behaviour.declines_conflict_of_interest: "KZ-39",
    Behaviour.declines_needs_reassessment: "KZ-43",
    Behaviour.declines_other: "KZ-47",
    Behaviour.accepts: COUNTRY,
}
_LANGUAGES: Final = ("ky", "ru", "en", "kk", "uz", "tg")
_STATED: Final = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def organization_id(behaviour: Behaviour) -> str:
    """Return the id of the organisation with this behaviour: `kg.sandbox-accepts`."""
    return PREFIX + behaviour.value


def organizations() -> tuple[Organization, ...]:
    """Return all of them. They have no sealing keys yet."""
    return tuple(map(_organization, Behaviour))


def _organization(behaviour: Behaviour) -> Organization:
    service = Service(
        id="sandbox",
        name="Answers in a fixed way",
        needs=(NEED,),
        areas=(REGIONS[behaviour],),
        languages=_LANGUAGES,
        cost=Funding.free,
        capacity=Capacity(status=CapacityStatus.capacity, updated_at=_STATED),
        always_open=True,
    )
    return Organization(
        id=organization_id(behaviour),
        name=f"Sandbox: {behaviour.value.replace('-', ' ')}",
        description="Invented, for developers; see docs/integrating.md.",
        kind=OrganizationKind.ngo,
        country="KG",
        vetting=Vetting.vetted,
        vetted_by="Sandbox",
        vetted_on=_STATED.date(),
        profile=Profile(code_of_conduct=True),
        languages=_LANGUAGES,
        services=(service,),
    )
