"""Response bodies of routing's resources: decisions, the coordinators' queues and the network's state."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from marshmallow.validate import Length, OneOf

from contracts.codes import ReferralStatus, Urgency
from contracts.identifiers import OrganizationId, ReferralId, Slug
from contracts.responses.form import Shape

_UNPLACED = ("no_candidate", "candidates_exhausted")
_WAITING = (
    *_UNPLACED,
    "half_of_answer_time_passed",
    "answer_awaited",
    "case_awaited",
    "case_overdue",
    "report_awaited",
    "report_overdue",
    "acceptor_suspended",
)
_CHANGES = (
    "agreement",
    "vetting",
    "activity",
    "sealing_key",
    "approval",
    "settlement",
    "eligibility",
    "funding",
    "opening_hours",
    "area",
    "interpreter",
    "places",
    "service",
    "another_service",
)
# An item of a queue says of at most so many organisations which needs they meet.
MOST_COVERING = 20
_WHY_FIRST = ("only_one", "best", "turn", "turn_by_score", "turn_by_lot", "chance")
_SHARES = Shape(
    {
        "type": "object",
        "additionalProperties": {
            "type": "array",
            "items": {"type": "number"},
            "minItems": 2,
            "maxItems": 2,
        },
    }
)
_COUNTS = Shape({"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}})


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """A pause of the case's release to its acceptor, and when it ends."""

    organization: OrganizationId
    until: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Decisions:
    """Every decision about a referral, oldest first, with the result of every rule for every candidate.

    paused: the pause in force, or null. parts: the ids of the parts into which the referral was split; each
    has decisions of its own. part_of: the referral of which it is a part.
    """

    referral_id: ReferralId
    decisions: tuple[Mapping[str, Any], ...]
    paused: Pause | None
    parts: tuple[ReferralId, ...] = ()
    part_of: ReferralId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UnplacedReferral:
    """A referral that awaits placement. since: when its last search found no organisation; reason: why.

    part_of: the referral of which it is a part, null for a whole one.
    """

    id: ReferralId
    urgency: Urgency
    needs: tuple[str, ...]
    region: str
    since: dt.datetime
    reason: Annotated[str, OneOf(_UNPLACED)]
    part_of: ReferralId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NeedsCovered:
    """Which needs of a referral an organisation's services meet in its region, and which they lack.

    A sensitive need is met by an approved service only. It does not say that the organisation may be asked.
    """

    organization: OrganizationId
    needs: tuple[str, ...]
    lacking: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueItem:
    """A referral that needs a coordinator.

    since: when the cause of waiting began. reason: a code for that cause. waits_for: the organisations that
    could end it; for an unplaced referral those that lack only a place. deadline: when the next step follows
    without anybody's action, null if nothing follows. part_of: the referral of which it is a part, null for a
    whole one. acceptor: the organisation that has accepted it, or null. covers: of the first 20 organisations
    that it waits for, except the sender, the needs that each meets; empty for a single need.
    """

    id: ReferralId
    status: ReferralStatus
    urgency: Urgency
    needs: tuple[str, ...]
    region: str
    sender: OrganizationId
    submitted_at: dt.datetime
    since: dt.datetime
    reason: Annotated[str, OneOf(_WAITING)]
    waits_for: tuple[str, ...]
    deadline: dt.datetime | None
    part_of: ReferralId | None = None
    acceptor: OrganizationId | None = None
    covers: tuple[NeedsCovered, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkChange:
    """One change of the network; the members that do not matter for its kind are null.

    conditions: the conditions that a service would have to lift, as members of its eligibility. service: the
    service that the change concerns.
    """

    kind: Annotated[str, OneOf(_CHANGES)]
    organization: OrganizationId | None
    region: str | None
    need: str | None
    language: str | None
    conditions: tuple[str, ...] = ()
    service: Slug | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkWish:
    """Changes that together would place referrals. referrals: how many; emergencies: of these."""

    changes: tuple[NetworkChange, ...]
    referrals: int
    emergencies: int


@dataclass(frozen=True, kw_only=True, slots=True)
class WishList:
    """The changes that would place most. considered: how many unplaced referrals, the parts of one as one.

    next: always null.
    """

    considered: int
    items: tuple[NetworkWish, ...]
    next: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CoverageCell:
    """One region, need and language. services: of organisations in good standing, and approved for a
    sensitive need; fresh: of these, with a fresh capacity.

    answered, expired: offers that these organisations answered in time or not, since their first offer.
    unplaced: referrals that wait for a coordinator now.
    """

    region: str
    need: str
    language: str
    services: int
    fresh: int
    answered: int
    expired: int
    unplaced: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NeedsPart:
    """Needs of a referral that one organisation could take together. organizations: each that could."""

    needs: tuple[str, ...]
    organizations: tuple[OrganizationId, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenOffer:
    """An offer that awaits an answer. deadline: until when."""

    organization: OrganizationId
    deadline: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Considered:
    """The candidates of a search now, with the result of every rule. nobody: why there are none, or null.

    organization: the organisation that was asked about, null for a search. parts: the fewest groups of needs
    that one organisation each could take now; empty for a single need and for one organisation. open_offers:
    the offers of the referral that await an answer now. covers: of each candidate's organisation, the needs
    that it meets; empty for a single need. acceptor: the organisation that has accepted the referral, with
    which it cannot be placed, or null. may_be_placed: whether a coordinator may place the referral now: it
    has not ended, and its acceptor, if it has one, is suspended or has missed a report.
    """

    referral_id: ReferralId
    organization: OrganizationId | None
    checked_at: dt.datetime
    policy_version: str
    directory_version: int
    candidates: tuple[Mapping[str, Any], ...]
    nobody: Mapping[str, Any] | None
    parts: tuple[NeedsPart, ...] = ()
    open_offers: tuple[OpenOffer, ...] = ()
    covers: tuple[NeedsCovered, ...] = ()
    acceptor: OrganizationId | None = None
    may_be_placed: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class EngagementCounts:
    """How many open referrals an organisation is asked about, has accepted or has sent, by urgency.

    sent: a referral that was split counts once. sensitive_offers: by service, the open offers for a referral
    with a sensitive need, which end with the service's approval; services without one are left out.
    """

    organization: OrganizationId
    open_offers: Annotated[Mapping[str, int], _COUNTS]
    accepted: Annotated[Mapping[str, int], _COUNTS]
    sent: Annotated[Mapping[str, int], _COUNTS]
    sensitive_offers: Annotated[Mapping[str, int], _COUNTS]


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstAsked:
    """The organisation that a decision asks first, and why.

    equals: how many organisations share the turn. tied: how many of these were asked least recently, at the
    same moment or never; the score decided between them (`turn_by_score`) or else the referral's id.
    last_asked: when it was asked last, or null.
    """

    organization: OrganizationId
    why: Annotated[str, OneOf(_WHY_FIRST)]
    equals: int
    tied: int
    last_asked: dt.datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedService:
    """A service before and under the simulated policy; each pair has the value of both.

    ranks: in the order of asking, null if not asked. scores: null if it may not be asked. shares: by
    criterion, what it adds to the score; only those that change. failures: the rules that exclude it now.
    lifted: those that exclude it no longer.
    """

    organization: OrganizationId
    service: Slug
    ranks: Annotated[tuple[int | None, ...], Length(equal=2)]
    scores: Annotated[tuple[float | None, ...], Length(equal=2)]
    shares: Annotated[Mapping[str, Any], _SHARES]
    failures: tuple[str, ...]
    lifted: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionEffect:
    """A decision that would ask others under the simulated policy. trigger: what caused it.

    before, after: the organisations asked, in order. firsts: who comes first before and after, null if nobody
    may be asked or the order has no turn. standings: of the organisations whose place changes.
    """

    trigger: str
    before: tuple[OrganizationId, ...]
    after: tuple[OrganizationId, ...]
    firsts: Annotated[tuple[FirstAsked | None, ...], Length(equal=2)]
    standings: tuple[SimulatedService, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MovedReferral:
    """A referral that would have gone elsewhere, and the decisions that would change, oldest first."""

    referral_id: ReferralId
    urgency: Urgency
    needs: tuple[str, ...]
    region: str
    effects: tuple[DecisionEffect, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicySimulation:
    """The effect of a policy on the last referrals, with the present directory.

    version, digest: of the policy. referrals: how many were decided again. elsewhere: how many of them would
    have gone elsewhere. items: these, the newest first, with at most 200 decisions in all; unlisted: how many
    further decisions would have asked others. directory_changed: how many of the referrals
    would go elsewhere even under the policy of their time, because the directory has changed since.
    left_out: by reason, how many referrals have a decision that was not made again.
    """

    version: str
    digest: str
    referrals: int
    elsewhere: int
    items: tuple[MovedReferral, ...]
    unlisted: int
    directory_changed: int
    left_out: Annotated[Mapping[str, int], _COUNTS]
