"""Sample organisations and referrals for routing's tests. By default every rule holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import Any

from contracts.codes import (
    AgeBand,
    AgreementKind,
    CapacityStatus,
    ConsentMethod,
    DisclosureClass,
    Funding,
    OrganizationKind,
    Settlement,
    Sex,
    Stage,
    Urgency,
    Vetting,
)
from contracts.facts import Fact, ReferralSubmitted
from contracts.organization import Agreement, Capacity, Organization, SealingKey, Service
from contracts.referral import Consent, ReferralFacts
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.directory import Directory
from services.routing.domain.lifecycle import apply
from services.routing.domain.observation import NOTHING_OBSERVED, Observation, ServiceLoad, load_between
from services.routing.domain.offered_service import OfferedService
from services.routing.domain.open_agreement import has_agreement
from services.routing.domain.open_approval import is_approved
from services.routing.domain.open_consent import has_consent
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.referral import Referral
from services.routing.domain.referral_circumstances import circumstances_of
from services.routing.domain.tally import Tally
from services.routing.domain.transition import Transition, TransitionContext
from tests.support.events import message_of

NOW = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
SENDER = "kg.sender"
REFERRAL = "018f0000-0000-7000-8000-000000000001"
KEY = SealingKey(kty="OKP", crv="X25519", x="a" * 43, kid="b" * 43)


def service(**changes: Any) -> Service:
    """A free legal service in Moscow, always open and without eligibility conditions."""
    return replace(
        Service(
            id="legal",
            name="Legal help",
            needs=("legal.wage_claim",),
            areas=("RU-MOW",),
            languages=("ru", "ky"),
            cost=Funding.free,
            capacity=Capacity(status=CapacityStatus.capacity, updated_at=NOW),
            always_open=True,
        ),
        **changes,
    )


def organization(name: str, *services: Service, **changes: Any) -> Organization:
    """A vetted NGO with a sealing key; by default with the sample legal service."""
    return replace(
        Organization(
            id=name,
            name=name,
            kind=OrganizationKind.ngo,
            country="RU",
            vetting=Vetting.vetted,
            sealing_key=KEY,
            services=services or (service(),),
        ),
        **changes,
    )


def agreement(**changes: Any) -> Agreement:
    """An agreement of all vetted organisations."""
    return replace(
        Agreement(
            id="network",
            title="Memorandum",
            kind=AgreementKind.network_memorandum,
            parties=("*",),
            disclosure=DisclosureClass.standard,
            effective_from=dt.date(2021, 1, 1),
        ),
        **changes,
    )


def network(*receivers: Organization | str, agreements: Iterable[Agreement] = (agreement(),)) -> Directory:
    """A directory with the sender and the receivers."""
    directory = Directory()
    directory.version = 7
    directory.put_organization(replace(organization(SENDER), services=()))
    for receiver in receivers:
        known = organization(receiver) if isinstance(receiver, str) else receiver
        directory.put_organization(known)
    for one in agreements:
        directory.put_agreement(one)
    return directory


def consent(**changes: Any) -> Consent:
    return replace(Consent(given=True, given_at=NOW, method=ConsentMethod.signed), **changes)


def facts(**changes: Any) -> ReferralFacts:
    """A wage claim in Moscow."""
    return replace(
        ReferralFacts(
            needs=("legal.wage_claim",),
            urgency=Urgency.routine,
            region="RU-MOW",
            settlement=Settlement.urban,
            languages=("ky",),
            stage=Stage.in_destination,
            origin_country="KG",
            age_band=AgeBand.years_25_59,
            sex=Sex.male,
            consent=consent(),
        ),
        **changes,
    )


def circumstances(
    directory: Directory, referral_facts: ReferralFacts | None = None, **changes: Any
) -> Circumstances:
    referral_facts = referral_facts or facts()
    return replace(
        Circumstances(
            referral_id=REFERRAL,
            sender=SENDER,
            facts=referral_facts,
            asked=frozenset(),
            directory=directory,
            observed=lambda _: NOTHING_OBSERVED,
            now=NOW,
        ),
        **changes,
    )


def load(name: str = "legal", **counts: Any) -> Observation:
    """The observation of an organisation with these counts at one service."""
    return Observation(services={name: ServiceLoad(**counts)})


def offered_service(directory: Directory, name: str) -> OfferedService:
    """The one service of an organisation."""
    (found,) = directory.offered_services_of(name)
    return found


class ReferralDriver:
    """Drives one referral fact by fact, with real matching."""

    def __init__(
        self,
        directory: Directory,
        *,
        policy: RoutingPolicy | None = None,
        observed: Callable[[str], Observation] = lambda _: NOTHING_OBSERVED,
    ) -> None:
        self.directory = directory
        self.policy = policy or RoutingPolicy()
        self.observed = observed
        self.now = NOW
        self.referral: Referral | None = None
        # Organisations without a live client.
        self.without_client: set[str] = set()
        self.facts: list[Fact] = []
        self.decisions: list[Decision] = []
        # The sum of the load's changes so far.
        self.loads: dict[str, Observation] = {}
        self.tally = Tally()
        self._ids = count(1)

    def new_id(self) -> str:
        return f"018f0000-0000-7000-9000-{next(self._ids):012d}"

    def context(self) -> TransitionContext:
        return TransitionContext(
            now=self.now,
            new_id=self.new_id,
            policy=self.policy,
            decide=self._decide,
            in_good_standing=self.directory.in_good_standing,
            can_submit=self.can_submit,
            is_approved=lambda referral, offer: is_approved(offer, self.given(referral)),
            has_agreement=lambda referral, offer: has_agreement(
                referral, offer, self.directory, self.now.date()
            ),
            has_consent=lambda referral, offer: has_consent(referral, offer, self.directory),
        )

    def can_submit(self, organization: str) -> bool:
        return self.directory.in_good_standing(organization) and organization not in self.without_client

    def apply(self, fact: Fact, *, admitted_at: dt.datetime | None = None) -> tuple[Fact, ...]:
        """Apply a fact from outside; return the published facts."""
        event = message_of(fact, REFERRAL, time=admitted_at or self.now, id_=self.new_id())
        return self.take(apply(self.referral, event, self.context()))

    def take(self, step: Transition) -> tuple[Fact, ...]:
        if step.referral is not None:
            for name, change in load_between(self.referral, step.referral).items():
                self.loads[name] = self.loads.get(name, NOTHING_OBSERVED).plus(change)
        self.tally.add(self.referral, step, self.now)
        self.referral = step.referral
        self.facts += step.facts
        self.decisions += step.decisions
        return step.facts

    def submit(self, **changes: Any) -> tuple[Fact, ...]:
        return self.apply(ReferralSubmitted(referral_id=REFERRAL, sender=SENDER, facts=facts(**changes)))

    @property
    def known(self) -> Referral:
        assert self.referral is not None
        return self.referral

    def _decide(self, referral: Referral, trigger: Trigger, placed_with: str | None = None, /) -> Decision:
        given = self.given(referral)
        return decide(self.new_id(), given, self.policy, trigger, placed_with=placed_with)

    def given(self, referral: Referral) -> Circumstances:
        """The inputs of the rules for a decision about the referral now."""
        return circumstances_of(
            referral,
            directory=self.directory,
            observed=self.observed,
            now=self.now,
            policy=self.policy,
        )
