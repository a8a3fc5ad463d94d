"""The shapes a hub answers with, exactly as in its JSON: typed dictionaries, nothing converted.

A hub may add members to any of them; a client must not mind. Times are RFC 3339 texts in UTC,
identifiers of referrals, offers and messages are UUIDs, those of organisations are `<hub>.<slug>`.
"""

from __future__ import annotations

from typing import Any, Generic, NotRequired, TypedDict, TypeVar

Item = TypeVar("Item")


class Jwk(TypedDict):
    """A sealing key (RFC 7517, RFC 8037): x is public, d private, kid the thumbprint."""

    kty: str
    crv: str
    x: str
    kid: str
    d: NotRequired[str]


class Page(TypedDict, Generic[Item]):
    """One page of a list. next: the cursor to pass as `after`, null on the last page.

    resume: of the mailbox alone: the cursor from which a later poll goes on.
    """

    items: list[Item]
    next: str | None
    resume: NotRequired[str | None]


class Accepted(TypedDict):
    """A 202: it is recorded. id: of the referral for a new one, else of the submission."""

    id: str
    status: str


class BatchResult(TypedDict):
    """What became of one line of a batch.

    line: from 1; id: where it was admitted (202); problem: where it was refused.
    """

    line: int
    status: int
    id: NotRequired[str]
    problem: NotRequired[dict[str, Any]]


class Offer(TypedDict):
    """A referral put to one candidate. state: open, accepted, declined, expired or revoked.

    referral_id, sender: only where an offer is read on its own.
    """

    id: str
    organization: str
    state: str
    opened_at: str
    deadline: str
    rank: int
    reason: str | None
    referral_id: NotRequired[str]
    sender: NotRequired[str]


class TimelineEntry(TypedDict):
    """One fact of a referral's history, oldest first."""

    time: str
    fact: str
    organization: str | None
    detail: dict[str, Any]


class ReferralSummary(TypedDict):
    """A referral as lists show it."""

    id: str
    sender: str
    status: str
    acceptor: str | None
    urgency: str
    region: str
    needs: list[str]
    submitted_at: str
    updated_at: str


class Referral(TypedDict):
    """A referral as its parties see it: facts, offers and what happened; never the person."""

    id: str
    sender: str
    status: str
    acceptor: str | None
    outcome: str | None
    submitted_at: str
    updated_at: str
    facts: dict[str, Any]
    offers: list[Offer]
    timeline: list[TimelineEntry]


class Message(TypedDict):
    """A message of the mailbox: a CloudEvent 1.0 with the network's extensions."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    data: dict[str, Any]
    subject: NotRequired[str]
    partitionkey: NotRequired[str]
    correlationid: NotRequired[str]
    causationid: NotRequired[str]


class Rule(TypedDict):
    """One hard rule applied to one candidate. reason: a code; overridden: by a coordinator."""

    rule: str
    passed: bool
    reason: str | None
    detail: dict[str, Any]
    overridden: NotRequired[bool]


class Contribution(TypedDict):
    """What one criterion gave to a candidate's score. weight: where the hub tells it apart from the value."""

    name: str
    value: float
    weight: NotRequired[float]


class Candidate(TypedDict):
    """An organisation's service that was considered, and why it was or was not eligible.

    capacity: as the directory stated it when the decision fell.
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


class Decision(TypedDict):
    """One decision of routing, with its evidence. overridden: rules that a coordinator set aside."""

    id: str
    decided_at: str
    trigger: str
    policy_version: str
    directory_version: str
    candidates: list[Candidate]
    overridden: NotRequired[list[str]]
    nobody: NotRequired[NobodyConsidered | None]


class Decisions(TypedDict):
    """Every decision taken about a referral, oldest first."""

    referral_id: str
    decisions: list[Decision]


class Capacity(TypedDict):
    status: str
    maximum: int | None
    updated_at: str


class Service(TypedDict):
    """A service. organization: named where services are listed on their own."""

    id: str
    name: str
    needs: list[str]
    areas: list[str]
    settlements: list[str]
    languages: list[str]
    interpretation: list[str]
    eligibility: dict[str, list[str]]
    cost: str
    capacity: Capacity
    always_open: bool
    organization: NotRequired[str]


class Organization(TypedDict):
    """An organisation's record in the directory."""

    id: str
    name: str
    description: str
    kind: str
    country: str
    parent: str | None
    active: bool
    vetting: str
    vetted_by: str | None
    vetted_on: str | None
    profile: dict[str, Any]
    languages: list[str]
    sealing_key: Jwk | None
    services: list[Service]
    revision: int


class Unplaced(TypedDict):
    """A referral that waits for a coordinator."""

    id: str
    urgency: str
    needs: list[str]
    region: str
    since: str
    reason: str


class HistoryEntry(TypedDict):
    """An entry of the audit log. index: its leaf's; commitment: to the event's data, salted."""

    index: int
    time: str
    type: str
    hub: str
    actor: str
    referral_id: str | None
    message_id: str
    organization: str | None
    commitment: str


class TreeHead(TypedDict):
    """The log a page of history was read from. root: base64 of the RFC 6962 root."""

    origin: str
    size: int
    root: str


class HistoryPage(Page[HistoryEntry]):
    checkpoint: TreeHead


class StorySentence(TypedDict):
    """index: of the entry it was read from; time: of that entry (RFC 3339)."""

    index: int
    time: str
    text: str


class StorySituation(TypedDict):
    """stated: names and values; lost: the sentence that stands where nothing is stated, else null."""

    heading: str
    stated: list[tuple[str, str]]
    lost: str | None


class StoryEvents(TypedDict):
    heading: str
    sentences: list[StorySentence]


class StoryDocument(TypedDict):
    """A referral's history in sentences, in one language, for whoever lays it out."""

    language: str
    title: str
    situation: StorySituation
    events: StoryEvents


class ExportedEntry(TypedDict):
    """An entry of an export. leaf: canonical JSON; salt (base64), data: what opens it, None once erased."""

    index: int
    leaf: str
    salt: str | None
    data: dict[str, Any] | None


class ExportPage(TypedDict):
    """size: of the tree they lie in; checkpoint: the newest, which on the first page is of that size."""

    entries: list[ExportedEntry]
    next: str | None
    size: int
    checkpoint: str


class StatisticsFigure(TypedDict):
    """values: by dimension; one that is not named is summed over, and `combined` is every class without a row
    of its own. count: None where it is withheld. Seconds from submission to an answer.
    """

    values: dict[str, str]
    count: int | None
    withheld: bool
    answered_median_seconds: int | None
    answered_p90_seconds: int | None


# `from` is no name that a class body could give a field.
StatisticsTable = TypedDict(
    "StatisticsTable",
    {
        "by": list[str],
        "from": str | None,
        "to": str | None,
        "unit": str,
        "figures": list[StatisticsFigure],
        "combined": dict[str, list[str]],
        "exact": bool,
        "withheld": bool,
        "log_size": int,
    },
)


class CountedReferral(TypedDict):
    """A referral that a figure counts, and the indices of the entries that say so."""

    referral_id: str
    entries: list[int]
