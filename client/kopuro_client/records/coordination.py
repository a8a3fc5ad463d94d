"""Queues, coverage and wishes in a hub's responses to coordinators."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Unplaced(TypedDict):
    """A referral that waits for a coordinator. part_of: missing from older hubs."""

    id: str
    urgency: str
    needs: list[str]
    region: str
    since: str
    reason: str
    part_of: NotRequired[str | None]


class NeedsCovered(TypedDict):
    """Which needs of a referral an organisation's services meet in its region, and which they lack."""

    organization: str
    needs: list[str]
    lacking: list[str]


class QueueItem(TypedDict):
    """A referral in a coordinators' queue.

    since: when the cause of waiting began; reason: a code for it; waits_for: the organisations that could end
    it; deadline: when the next step follows without anybody's action, null if nothing follows. part_of: the
    referral of which it is a part; acceptor: the organisation that has accepted it, or null. covers: of the
    first 20 organisations that it waits for, except the sender, the needs that each meets; empty for a single
    need. These three are missing from older hubs.
    """

    id: str
    status: str
    urgency: str
    needs: list[str]
    region: str
    sender: str
    submitted_at: str
    since: str
    reason: str
    waits_for: list[str]
    deadline: str | None
    part_of: NotRequired[str | None]
    acceptor: NotRequired[str | None]
    covers: NotRequired[list[NeedsCovered]]


class Change(TypedDict):
    """A change that would place a referral. Members that do not matter for the kind are null.

    conditions: what a service would have to lift, as members of its eligibility. service: the one that the
    change concerns. Both are missing from older hubs.
    """

    kind: str
    organization: str | None
    region: str | None
    need: str | None
    language: str | None
    conditions: NotRequired[list[str]]
    service: NotRequired[str | None]


class Wish(TypedDict):
    """Changes that together would place `referrals` unplaced referrals, `emergencies` of these urgent."""

    changes: list[Change]
    referrals: int
    emergencies: int


class CoverageCell(TypedDict):
    """The help for a need in a region and a language, and how many referrals found no organisation."""

    region: str
    need: str
    language: str
    services: int
    fresh: int
    answered: int
    expired: int
    unplaced: int


class Engagements(TypedDict):
    """How many open referrals an organisation is asked about, has accepted or has sent, by urgency.

    sensitive_offers: by service, the open offers for a referral with a sensitive need. Missing from
    older hubs, as is `sent`.
    """

    organization: str
    open_offers: dict[str, int]
    accepted: dict[str, int]
    sent: NotRequired[dict[str, int]]
    sensitive_offers: NotRequired[dict[str, int]]


class FirstAsked(TypedDict):
    """The organisation that a decision asks first.

    why: only_one, best, turn, turn_by_score, turn_by_lot or chance. equals: how many organisations share the
    turn. tied: how many of these were asked least recently, at the same moment or never. last_asked: when it
    was asked last, or null.
    """

    organization: str
    why: str
    equals: int
    tied: NotRequired[int]
    last_asked: str | None


class SimulatedService(TypedDict):
    """A service before and under the simulated policy; each list has the value of both.

    ranks: null if not asked. scores: null if it may not be asked. shares: by criterion, what it adds to the
    score; only those that change. failures: the rules that exclude it now. lifted: those that exclude it no
    longer.
    """

    organization: str
    service: str
    ranks: list[int | None]
    scores: list[float | None]
    shares: dict[str, list[float]]
    failures: list[str]
    lifted: NotRequired[list[str]]


class DecisionEffect(TypedDict):
    """A decision that would ask others. before, after: the organisations asked, in order.

    trigger: what caused it. firsts: who comes first before and after. standings: of the organisations whose
    place changes.
    """

    trigger: str
    before: list[str]
    after: list[str]
    firsts: list[FirstAsked | None]
    standings: list[SimulatedService]


class MovedReferral(TypedDict):
    """A referral that would have gone elsewhere, and the decisions that would change, oldest first."""

    referral_id: str
    urgency: str
    needs: list[str]
    region: str
    effects: list[DecisionEffect]


class PolicySimulation(TypedDict):
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
    items: list[MovedReferral]
    unlisted: int
    directory_changed: int
    left_out: dict[str, int]
