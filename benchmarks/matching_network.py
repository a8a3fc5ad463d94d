"""A generated network for the benchmark of matching: directory, history and referrals.

Needs and regions are drawn from the whole vocabularies, and everything else from the sample network. Most of
its organisations have been asked before. Services hold cases, have open offers of several senders and state
maxima; some lately declined for lack of capacity. Referrals have up to three needs. A quarter of them are
decided again after offers that were declined or expired.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.story import sample_network
from contracts.codes import AgreementKind, CapacityStatus, DisclosureClass, Urgency
from contracts.organization import Agreement, ApprovedService, Capacity, Organization, Service
from contracts.referral import ReferralFacts
from contracts.vocabularies import codes
from sandbox import network
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.directory import Directory, every_search
from services.routing.domain.observation import Observation, ServiceLoad
from services.routing.domain.observations import Observations
from services.routing.domain.observed_record import prepare_record
from services.routing.domain.places import Demand
from services.routing.domain.policy import RoutingPolicy

POLICY = RoutingPolicy()
SENDERS = ("kg.osh-legal-aid", "kg.suusar-hotline", "tj.dushanbe-justice-house")
# Other organisations whose open offers take places.
_OTHER_SENDERS = ("kz.apple-orchard-legal", "uz.fergana-return", "ru.moscow-common-table")
_APPROVED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_HOUR, _DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedReferral:
    """A referral that needs a decision. asked, declined: as in `Circumstances`, by earlier offers."""

    id: str
    sender: str
    facts: ReferralFacts
    asked: frozenset[str] = frozenset()
    declined: Mapping[str, dt.datetime] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class GeneratedNetwork:
    """observed: by organisation; those that were never asked are missing.

    observations: the same as routing has them.
    """

    organizations: Sequence[Organization]
    agreements: Sequence[Agreement]
    observed: Mapping[str, Observation]
    now: dt.datetime
    observations: Observations = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "observations", Observations(self.observed))

    @property
    def services(self) -> int:
        """The number of services."""
        return sum(len(organization.services) for organization in self.organizations)

    def directory(self) -> Directory:
        """Return the directory of all records, with their revisions, as a service that has started."""
        directory = Directory()
        for revision, organization in enumerate(self.organizations, 1):
            directory.put_organization(organization, revision)
        for agreement in self.agreements:
            directory.put_agreement(agreement)
        # The service fills these lists when it starts: the first decision must not pay for them.
        for need, region in every_search():
            directory.shortlist_for(need, region)
        for seen in self.observed.values():
            prepare_record(seen)
        return directory

    def circumstances(self, referral: AskedReferral, directory: Directory) -> Circumstances:
        """Return what a decision about the referral reads."""
        return Circumstances(
            referral_id=referral.id,
            sender=referral.sender,
            facts=referral.facts,
            asked=referral.asked,
            directory=directory,
            observed=self.observations.then(),
            now=self.now,
            offers_per_sender=POLICY.offers_per_sender,
            declined_as_full=referral.declined,
            full_for=POLICY.counts_as_full(referral.facts.urgency),
        )


def generated_network(services: int, drawn: random.Random, now: dt.datetime) -> GeneratedNetwork:
    """Return the sample network with this many more services."""
    organizations, agreements = sample_network()
    generated = list(_organizations(services, drawn, now))
    return GeneratedNetwork(
        organizations=[*organizations, *generated],
        agreements=[*agreements, *_agreements(generated, drawn)],
        observed={one.id: _observation(one, drawn, now) for one in generated if drawn.random() < 0.8},
        now=now,
    )


def referrals(
    count: int, directory: Directory, drawn: random.Random, now: dt.datetime
) -> Iterator[AskedReferral]:
    """Yield referrals that search the network, as `_asked_again` or for the first time."""
    sample = [one.facts for one in network.load().referrals]
    needs, regions = sorted(codes("needs")), sorted(codes("regions"))
    for number in range(count):
        facts = replace(
            drawn.choice(sample),
            to=None,
            needs=tuple(drawn.sample(needs, drawn.choice((1, 1, 2, 3)))),
            region=drawn.choice(regions),
        )
        # As long as the ids of real referrals, because hashes and comparisons of ids are measured too.
        made = AskedReferral(id=f"{number:032}", sender=drawn.choice(SENDERS), facts=facts)
        yield _asked_again(made, directory, drawn, now) if drawn.random() < 0.25 else made


def _asked_again(
    referral: AskedReferral, directory: Directory, drawn: random.Random, now: dt.datetime
) -> AskedReferral:
    found = directory.offered_services_for(referral.facts.needs[0], referral.facts.region)
    names = sorted({offered.organization_id for offered in found})
    asked = drawn.sample(names, min(len(names), drawn.randint(1, 4)))
    declined = {name: now - drawn.randint(1, 72) * _HOUR for name in asked if drawn.random() < 0.5}
    return replace(referral, asked=frozenset(asked), declined=declined)


def _organizations(services: int, drawn: random.Random, now: dt.datetime) -> Iterator[Organization]:
    # With sealing keys, without which nobody would be eligible.
    sample = [one for one in sample_network()[0] if one.services]
    left, number = services, 0
    while left > 0:
        template = drawn.choice(sample)
        count = min(left, drawn.randint(1, 5))
        offered = tuple(_service(template, n, drawn, now) for n in range(count))
        yield replace(
            template,
            id=f"{template.country.lower()}.generated-{number}",
            parent=None,
            services=offered,
            approved_services=tuple(
                ApprovedService(service=one.id, needs=one.needs, by="benchmark", at=_APPROVED)
                for one in offered
            ),
        )
        left, number = left - count, number + 1


def _service(template: Organization, number: int, drawn: random.Random, now: dt.datetime) -> Service:
    needs, regions = sorted(codes("needs")), sorted(codes("regions"))
    like = drawn.choice(template.services)
    capacity = replace(
        like.capacity,
        updated_at=now - drawn.randint(0, 200) * _DAY - drawn.randint(0, 86_400) * dt.timedelta(seconds=1),
        maximum=drawn.choice((None, None, drawn.randint(0, 8), drawn.randint(5, 60))),
    )
    further = (Capacity(status=CapacityStatus.capacity, updated_at=now - 5 * _DAY, maximum=30, unit="bed"),)
    return replace(
        like,
        id=f"service-{number}",
        needs=tuple(drawn.sample(needs, drawn.randint(1, 3))),
        areas=tuple(drawn.sample(regions, drawn.randint(1, 3))),
        capacity=capacity,
        further_capacities=further if drawn.random() < 0.05 else (),
    )


def _agreements(organizations: Sequence[Organization], drawn: random.Random) -> Iterator[Agreement]:
    """Yield an agreement of each sender with every fiftieth organisation: most have none of their own."""
    for number, sender in enumerate(SENDERS):
        parties = drawn.sample([one.id for one in organizations], len(organizations) // 50)
        # The contract allows at most this many parties in an agreement.
        for start in range(0, len(parties), 999):
            yield Agreement(
                id=f"generated-{number}-{start}",
                title="Generated agreement",
                kind=AgreementKind.bilateral,
                parties=(sender, *parties[start : start + 999]),
                disclosure=DisclosureClass.sensitive,
                effective_from=_APPROVED.date(),
            )


def _observation(organization: Organization, drawn: random.Random, now: dt.datetime) -> Observation:
    answered, expired = drawn.randint(0, 40), drawn.randint(0, 6)
    return Observation(
        answered=answered,
        # Whoever was asked is judged: the question leaves out the open offers at an organisation's other
        # services, which decide whether it is unknown.
        expired=expired or (0 if answered else 1),
        returned=drawn.randint(0, answered // 10),
        answer_seconds=answered * drawn.randint(300, 90_000),
        last_asked=now - drawn.randint(1, 2_000) * _HOUR,
        services={one.id: _load(drawn) for one in organization.services if drawn.random() < 0.6},
        full_since={
            one.id: now - drawn.randint(1, 240) * _HOUR
            for one in organization.services
            if drawn.random() < 0.03
        },
    )


def _load(drawn: random.Random) -> ServiceLoad:
    """Return a load with open offers of up to three senders. Few referrals wait for a place."""
    keys = {
        (drawn.choice((*SENDERS, *_OTHER_SENDERS)), drawn.choice(tuple(Urgency)))
        for _ in range(drawn.choice((0, 0, 1, 1, 2, 3)))
    }
    demand = {
        key: Demand(offers=drawn.randint(1, 3), waiting=drawn.choice((0, 0, 0, 0, 0, 1)))
        for key in sorted(keys)
    }
    # A service that only holds cases has no demand.
    return ServiceLoad(accepted=drawn.randint(0 if demand else 1, 8), demand=demand)
