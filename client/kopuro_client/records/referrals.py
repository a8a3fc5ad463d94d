"""Referrals and their offers in a hub's responses."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Offer(TypedDict):
    """An offer of a referral to one candidate. state: open, accepted, declined, expired, revoked or
    returned.

    referral_id, sender: only if the offer is not part of a referral. late_answer: the organisation's first
    answer that came too late, or null; late_at: when it arrived. Both are missing from older hubs.
    """

    id: str
    organization: str
    state: str
    opened_at: str
    deadline: str
    closed_at: NotRequired[str | None]
    rank: int
    reason: str | None
    late_answer: NotRequired[str | None]
    late_at: NotRequired[str | None]
    referral_id: NotRequired[str]
    sender: NotRequired[str]


class TimelineEntry(TypedDict):
    """One fact of a referral's history."""

    time: str
    fact: str
    organization: str | None
    detail: dict[str, Any]


class ReferralSummary(TypedDict):
    """A referral in a list.

    urgency, region, needs: None for a candidate whose offer has ended, and for the acceptor of an ended
    referral. part_of: the referral of which it is a part; missing from older hubs.
    """

    id: str
    sender: str
    status: str
    acceptor: str | None
    urgency: str | None
    region: str | None
    needs: list[str] | None
    submitted_at: str
    updated_at: str
    part_of: NotRequired[str | None]


class ReferralPart(TypedDict):
    """A part of a referral that was split. waits_for: the acceptor, or the holders of its open offers."""

    id: str
    needs: list[str]
    status: str
    acceptor: str | None
    waits_for: list[str]


class Referral(TypedDict):
    """A referral as its parties see it: facts, offers and timeline, without data about the person.

    facts: None for a candidate whose offer has ended, for the acceptor of a referral that has ended, and for
    everybody once the hub has reduced them. due_at: when the acceptor's next report is due; overdue_since:
    when it became overdue; only for those who know the acceptor. onward_from: the referral that the sender
    refers onward with this one; onward: those by which this one was referred onward. part_of: the referral of
    which this one is a part; parts: those into which it was split. All six are missing from older hubs.
    """

    id: str
    sender: str
    status: str
    acceptor: str | None
    outcome: str | None
    submitted_at: str
    updated_at: str
    facts: dict[str, Any] | None
    offers: list[Offer]
    timeline: list[TimelineEntry]
    timeline_truncated: NotRequired[bool]
    due_at: NotRequired[str | None]
    overdue_since: NotRequired[str | None]
    onward_from: NotRequired[str | None]
    onward: NotRequired[list[str]]
    part_of: NotRequired[str | None]
    parts: NotRequired[list[ReferralPart]]


class ProspectivePart(TypedDict):
    """Needs that one organisation could take together, and how many could: 0, 1-4, 5-19 or 20+."""

    needs: list[str]
    candidates: str


class Preview(TypedDict):
    """The prospects of a referral now. Organisations are counted in bands: 0, 1-4, 5-19 or 20+.

    half_answered_seconds, found_nobody: of earlier referrals of the same group of needs and country, None if
    too few are known (for the former even if less than half were answered). more_by_language, more_by_region:
    how many more could be asked about the first need with that language, or in that region of the same
    country. only_by_kind: by each kind that the consent opts in to, how many could be asked only because of
    it, about the first need or a part. parts: the fewest groups of needs that one organisation each could
    take; empty for a single need. would_split: whether the hub would split the referral into them.
    """

    candidates: str
    half_answered_seconds: int | None
    found_nobody: float | None
    more_by_language: dict[str, str]
    more_by_region: dict[str, str]
    only_by_kind: dict[str, str]
    parts: NotRequired[list[ProspectivePart]]
    would_split: NotRequired[bool]
