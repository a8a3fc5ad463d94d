"""`POST /v1/coordination/policies:simulate`: the effect of a policy before an operator applies it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from typing import Annotated

from marshmallow.validate import Range

from contracts.records import load
from contracts.responses.coordination import (
    DecisionEffect,
    FirstAsked,
    MovedReferral,
    PolicySimulation,
    SimulatedService,
)
from runtime.access.reads import Read
from runtime.web.request import Request
from runtime.web.response import Response
from services.routing.domain.policy import RoutingPolicy
from services.routing.domain.policy_document import PolicyDocument, checked_policy
from services.routing.domain.policy_effect import First, PolicyEffect
from services.routing.domain.policy_simulation import Simulation
from services.routing.handlers.policy_simulations import MOST_REFERRALS, PolicySimulations


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulationRequest:
    """The body of `POST /v1/coordination/policies:simulate`. referrals: how many of the last ones."""

    policy: RoutingPolicy
    referrals: Annotated[int, Range(min=1, max=MOST_REFERRALS)] = MOST_REFERRALS


def simulate(simulations: PolicySimulations, request: Request) -> Response:
    """`POST /v1/coordination/policies:simulate`. Stores nothing but the entry about the read."""
    body = request.json()
    wanted = load(SimulationRequest, body)
    document = checked_policy(wanted.policy, names_version="version" in body["policy"], within="/policy")
    result = simulations.simulate(document, wanted.referrals)
    # Not the version: it is free text.
    read = Read.of_list(list(result.moved), {"policy": document.digest, "referrals": str(wanted.referrals)})
    return Response.of(_shown(document, result)).reading(read)


def _shown(document: PolicyDocument, result: Simulation) -> PolicySimulation:
    left_out: Counter[str] = Counter()
    for one in result.left_out.values():
        left_out[one.code] += len(one.referrals)
    return PolicySimulation(
        version=document.version,
        digest=document.digest,
        referrals=len(result.referrals),
        elsewhere=len(result.elsewhere),
        items=tuple(
            MovedReferral(
                referral_id=referral_id,
                urgency=moved.urgency,
                needs=moved.needs,
                region=moved.region,
                effects=tuple(map(_effect, moved.effects)),
            )
            for referral_id, moved in result.moved.items()
        ),
        unlisted=result.unlisted,
        directory_changed=len(result.directory_changed),
        left_out=dict(left_out),
    )


def _effect(effect: PolicyEffect) -> DecisionEffect:
    return DecisionEffect(
        trigger=effect.trigger,
        before=tuple(effect.before),
        after=tuple(effect.after),
        firsts=tuple(map(_first, effect.firsts)),
        standings=tuple(
            SimulatedService(
                organization=one.organization,
                service=one.service,
                ranks=one.ranks,
                scores=one.scores,
                shares=one.shares,
                failures=one.failures,
                lifted=one.lifted,
            )
            for one in effect.standings
        ),
    )


def _first(first: First | None) -> FirstAsked | None:
    if first is None:
        return None
    return FirstAsked(
        organization=first.organization,
        why=first.why,
        equals=first.equals,
        tied=first.tied,
        last_asked=None if first.last_asked is None else dt.datetime.fromisoformat(first.last_asked),
    )
