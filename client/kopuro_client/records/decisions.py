"""Routing decisions in a hub's responses."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from kopuro_client.records.coordination import NeedsCovered


class Rule(TypedDict):
    """One hard rule applied to one candidate. reason: a code; overridden: by a coordinator.

    conditions: whom the service is for, by the name of each condition that the person does not meet; missing
    if the directory no longer has the record that the decision read.
    """

    rule: str
    passed: bool
    reason: str | None
    detail: dict[str, Any]
    overridden: NotRequired[bool]
    conditions: NotRequired[dict[str, list[str]]]


class Contribution(TypedDict):
    """One criterion's share of a candidate's score. weight: if the hub states it separately.

    value: for the referral's sender a class of the load (0.25 or 0.75) and of the responsiveness (by halves).
    """

    name: str
    value: float
    weight: NotRequired[float]


class Candidate(TypedDict):
    """An organisation's service that was considered, and why it was or was not eligible.

    capacity: the directory's value at the time of the decision. Missing in decisions of earlier builds.
    score: for the referral's sender that of the shown contributions; rank follows the exact ones.
    """

    organization: str
    service: str
    eligible: bool
    capacity: NotRequired[str | None]
    score: float | None
    rank: int | None
    rules: list[Rule]
    contributions: list[Contribution]


class NobodyConsidered(TypedDict):
    """Why a decision has no candidates.

    reason: unknown_organization, organization_without_services, need_not_offered or
    need_not_offered_in_region. elsewhere: how many organisations offer the need in other regions.
    """

    reason: str
    need: str
    region: str
    organization: str | None
    elsewhere: int


class Contender(TypedDict):
    """An organisation that might be asked, at the time of the decision.

    last_asked: when it had got its latest offer; the sender of the referral sees the day only. judged: how
    many offers it had answered or let expire; the sender sees `few` for as many or more, else 0. unknown:
    whether it had neither a judged nor an open offer; absent for the sender and in decisions of earlier
    hubs. equal: whether its score was among the best (see `Turn`).
    """

    last_asked: str | None
    judged: int
    unknown: NotRequired[bool]
    equal: bool


class Turn(TypedDict):
    """Why the first-ranked organisation comes first.

    band: how far a score may lie below the best to count as equal. explore: the share of the attempts that
    give an organisation a chance out of turn. few: an organisation that was judged by fewer offers is hardly
    known. benefit: what is added to the score of an unknown organisation when the equals are found; absent in
    decisions of earlier hubs. attempt: how many organisations had been asked. draw: below `explore` if the
    attempt explored; None for an emergency. equals: how many organisations are equal. explored: the one that
    got a chance. organizations: by id.
    """

    band: float
    explore: float
    few: int
    benefit: NotRequired[float]
    attempt: int
    draw: float | None
    equals: int
    explored: str | None
    organizations: dict[str, Contender]


class Decision(TypedDict):
    """One routing decision with its evidence. overridden: rules that a coordinator overrode."""

    id: str
    decided_at: str
    trigger: str
    policy_version: str
    directory_version: str
    candidates: list[Candidate]
    overridden: NotRequired[list[str]]
    nobody: NotRequired[NobodyConsidered | None]
    turn: NotRequired[Turn | None]


class Pause(TypedDict):
    """A pause of a case's release to its acceptor, whose sealing key was replaced without proof."""

    organization: str
    until: str


class Decisions(TypedDict):
    """All routing decisions about a referral, oldest first.

    paused: a pause in force, else None. parts: the ids of the parts into which the referral was split, with
    decisions of their own. part_of: the referral of which it is a part. All are missing in responses of
    earlier builds.
    """

    referral_id: str
    decisions: list[Decision]
    paused: NotRequired[Pause | None]
    parts: NotRequired[list[str]]
    part_of: NotRequired[str | None]


class NeedsPart(TypedDict):
    """Needs that one organisation could take together, and each organisation that could."""

    needs: list[str]
    organizations: list[str]


class OpenOffer(TypedDict):
    """An offer that awaits an answer until the deadline."""

    organization: str
    deadline: str


class CandidatesNow(TypedDict):
    """The candidates of a search at `checked_at`, or those of one organisation, with every rule.

    parts: the fewest groups of needs that one organisation each could take; empty for a single need.
    open_offers: those of the referral now. covers: of each candidate's organisation, the needs that it meets;
    empty for a single need. acceptor: who has accepted it, or null. may_be_placed: whether a coordinator may
    place it now, with any other organisation. These five are missing from older hubs.
    """

    referral_id: str
    organization: str | None
    checked_at: str
    policy_version: str
    directory_version: int
    candidates: list[Candidate]
    nobody: NobodyConsidered | None
    parts: NotRequired[list[NeedsPart]]
    open_offers: NotRequired[list[OpenOffer]]
    covers: NotRequired[list[NeedsCovered]]
    acceptor: NotRequired[str | None]
    may_be_placed: NotRequired[bool]
