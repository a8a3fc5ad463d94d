"""Benchmark of `decide()` over a directory of generated services."""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks.figures import percentile
from benchmarks.story import rank, sample_directory
from contracts.organization import ApprovedService, Organization
from contracts.referral import ReferralFacts
from contracts.vocabularies import codes
from runtime.identifiers import new_id
from sandbox import network


@dataclass(frozen=True, kw_only=True, slots=True)
class Matching:
    """services: in the directory; candidates: considered per decision (median); milliseconds: each."""

    services: int
    decisions: int
    candidates: float
    p50: float
    p99: float


def measure_matching(services: int = 50_000, decisions: int = 500, seed: int = 7) -> Matching:
    """Generate a directory: needs and regions are random, the rest is from the sample network."""
    drawn = random.Random(seed)  # noqa: S311 - reproducible benchmark data
    directory, made = sample_directory(), 0
    for organization in _organizations(services, drawn):
        directory.put_organization(organization)
        made += len(organization.services)
    now = dt.datetime.now(dt.UTC)
    milliseconds, considered = [], []
    for facts in _referrals(decisions, drawn):
        sender, referral_id = drawn.choice(_SENDERS), new_id()
        begun = time.perf_counter()
        decision = rank(directory, referral_id, referral_id, sender, facts, now)
        milliseconds.append(1000 * (time.perf_counter() - begun))
        considered.append(float(len(decision.candidates)))
    return Matching(
        services=made,
        decisions=decisions,
        candidates=percentile(considered, 0.5),
        p50=percentile(milliseconds, 0.5),
        p99=percentile(milliseconds, 0.99),
    )


_APPROVED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_SENDERS = ("kg.osh-legal-aid", "kg.suusar-hotline", "tj.dushanbe-justice-house")


def _organizations(services: int, drawn: random.Random) -> Iterator[Organization]:
    sample = [o for o in network.load().organizations if o.services]
    needs, regions = sorted(codes("needs")), sorted(codes("regions"))
    left, number = services, 0
    while left > 0:
        template = drawn.choice(sample)
        count = min(left, drawn.randint(1, 5))
        offered = tuple(
            replace(
                drawn.choice(template.services),
                id=f"service-{n}",
                needs=tuple(drawn.sample(needs, drawn.randint(1, 3))),
                areas=tuple(drawn.sample(regions, drawn.randint(1, 3))),
            )
            for n in range(count)
        )
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


def _referrals(count: int, drawn: random.Random) -> Iterator[ReferralFacts]:
    sample = network.load().referrals
    needs, regions = sorted(codes("needs")), sorted(codes("regions"))
    for _ in range(count):
        template = drawn.choice(sample).facts
        yield replace(template, to=None, needs=(drawn.choice(needs),), region=drawn.choice(regions))
