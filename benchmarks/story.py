"""The sample referral that every contender processes repeatedly."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from admin.keys import public_half, sealing_key
from contracts.organization import Agreement, Organization, SealingKey
from contracts.records import plain, read
from contracts.referral import ReferralFacts
from kopuro_client import seal
from sandbox import network
from services.routing.domain.circumstances import Circumstances
from services.routing.domain.decision import Decision, Trigger, decide
from services.routing.domain.directory import Directory
from services.routing.domain.observation import NOTHING_OBSERVED
from services.routing.domain.policy import RoutingPolicy

# A transaction asks for the policy once, for all its decisions.
_POLICY = RoutingPolicy()

# A wage claim in Moscow, which three organisations can accept.
KEY = "second-candidate"


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleReferral:
    """sender and acceptors: organisation ids. body: what `POST /v1/referrals` gets, the case sealed."""

    sender: str
    acceptors: tuple[str, ...]
    body: bytes


def sample_network() -> tuple[list[Organization], list[Agreement]]:
    """Return the sample network's organisations, each with a sealing key, and its agreements."""
    sample = network.load()
    # Organisations without a sealing key get no offers; a hub gives each its own key.
    key = read(SealingKey, public_half(sealing_key()))
    return [replace(one, sealing_key=key) for one in sample.organizations], list(sample.agreements)


def sample_directory() -> Directory:
    """Return the directory of the sample network's organisations and agreements."""
    directory = Directory()
    organizations, agreements = sample_network()
    for organization in organizations:
        directory.put_organization(organization)
    for agreement in agreements:
        directory.put_agreement(agreement)
    return directory


def rank(
    directory: Directory,
    decision_id: str,
    referral_id: str,
    sender: str,
    facts: ReferralFacts,
    now: dt.datetime,
) -> Decision:
    """Rank candidates with Kopuro's matching, so that the peers differ only in their frameworks."""
    given = Circumstances(
        referral_id=referral_id,
        sender=sender,
        facts=facts,
        asked=frozenset(),
        directory=directory,
        observed=lambda organization: NOTHING_OBSERVED,
        now=now,
    )
    return decide(decision_id, given, _POLICY, Trigger.submitted)


def story(custody_key: Mapping[str, str], now: dt.datetime) -> SampleReferral:
    """Return the sample referral with its case sealed to a hub's custody key."""
    referral = network.load().referral(KEY)
    decision = rank(sample_directory(), "", "", referral.sender, referral.facts, now)
    acceptors = tuple(candidate.organization for candidate in decision.ranked)
    assert acceptors, "no candidate may get an offer"
    case = seal(plain(referral.case), custody_key)
    return SampleReferral(
        sender=referral.sender,
        acceptors=acceptors,
        body=orjson.dumps({**plain(referral.facts), "case": case}),
    )
