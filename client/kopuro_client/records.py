"""The JSON objects in a hub's responses as typed dictionaries, with all values as sent.

A hub may add members to any of them; clients must ignore unknown members. Times are RFC 3339 strings in UTC.
Ids of referrals, offers and messages are UUIDs; ids of organisations are `<hub>.<slug>`.
"""

from __future__ import annotations

from typing import Any, Generic, NotRequired, TypedDict, TypeVar

Item = TypeVar("Item")


class Jwk(TypedDict):
    """A sealing key (RFC 7517, RFC 8037). x: the public key; d: the private key; kid: the thumbprint."""

    kty: str
    crv: str
    x: str
    kid: str
    d: NotRequired[str]


class Approval(TypedDict):
    """A request that a second person confirms. change: exactly what takes effect.

    kind: credential, role, sealing_key, vetting, service or agreement; state: requested, granted, refused,
    expired or stale; digest: the SHA-256 of the request, which every fact about it repeats.
    """

    id: str
    kind: str
    subject: str
    organization: str | None
    state: str
    requested_by: str
    requested_at: str
    expires_at: str
    endorsed_by: str | None  # the first of two members of the staff, for a partner's own request
    endorsed_at: str | None
    decided_by: str | None
    decided_at: str | None
    basis: str
    digest: str
    change: dict[str, Any]


class RegisteredClient(TypedDict):
    """An OAuth client. live: it may get tokens; client_secret: only when the hub has just made it.

    keys: its public keys, JWKs with `alg` and `expires_at`. previous_secret_until: until when the secret
    before the present one is accepted too.
    """

    client_id: str
    principal: str
    roles: list[str]
    live: bool
    keys: list[dict[str, Any]]
    has_secret: bool
    secret_expires_at: str | None
    previous_secret_until: str | None
    revision: int
    client_secret: NotRequired[str]


# `from` is a keyword, so the class syntax cannot name it.
KeptKey = TypedDict(
    "KeptKey",
    {
        "key": Jwk,
        "from": str,
        "until": str | None,
        "manner": str,
        "by": str,
        "approved_by": str | None,
    },
)


class AdmittedSubmission(TypedDict):
    """A submission that intake admitted.

    id: the referral's for a new referral, else the submission's. fact: what it became, such as
    `answer.submitted`. published: whether the hub's broker has it. own: whether the caller submitted it.
    """

    id: str
    referral_id: str
    organization: str
    fact: str
    admitted_at: str
    published: bool
    own: bool


class ToldEndpoint(TypedDict):
    """A webhook's notice of a message. state: waiting, sent, read, cancelled, expired or failed."""

    endpoint_id: str
    state: str
    attempts: int
    next_attempt_at: str | None
    until: str


class MessageState(TypedDict):
    """Where a message is. organization: the mailbox's owner, None for the coordinators' mailbox.

    state: queued, delivered or acknowledged. offer_id: of an `offer.opened`. closed_at: when its content was
    erased. own: whether it is in the caller's mailbox.
    """

    message_id: str
    type: str
    referral_id: str | None
    organization: str | None
    offer_id: str | None
    state: str
    queued_at: str
    delivered_at: str | None
    acknowledged_at: str | None
    closed_at: str | None
    own: bool
    webhooks: list[ToldEndpoint]


class Page(TypedDict, Generic[Item]):
    """One page of a list. next: the cursor to pass as `after`, null on the last page.

    resume: the cursor from which a later poll continues; only in pages of the mailbox.
    """

    items: list[Item]
    next: str | None
    resume: NotRequired[str | None]


class Accepted(TypedDict):
    """A 202 response: the submission is recorded. id: the new referral's, otherwise the submission's."""

    id: str
    status: str


class BatchResult(TypedDict):
    """The result of one line of a batch.

    line: from 1; id: if the line was accepted (202); problem: if it was refused.
    """

    line: int
    status: int
    id: NotRequired[str]
    problem: NotRequired[dict[str, Any]]


class Offer(TypedDict):
    """An offer of a referral to one candidate. state: open, accepted, declined, expired, revoked or
    returned.

    referral_id, sender: only if the offer is not part of a referral.
    """

    id: str
    organization: str
    state: str
    opened_at: str
    deadline: str
    closed_at: NotRequired[str | None]
    rank: int
    reason: str | None
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
    referral.
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


class Referral(TypedDict):
    """A referral as its parties see it: facts, offers and timeline, without data about the person.

    facts: None for a candidate whose offer has ended, for the acceptor of a referral that has ended, and for
    everybody once the hub has reduced them. due_at: when the acceptor's next report is due; overdue_since:
    when it became overdue; only for those who know the acceptor. Both are missing from older hubs.
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
    due_at: NotRequired[str | None]
    overdue_since: NotRequired[str | None]


class MailboxConsumer(TypedDict):
    """A named consumer of an organisation's mailbox.

    position: the cursor up to which it has acknowledged everything; waiting_since: when the oldest message
    that it needs arrived, None if it needs none.
    """

    name: str
    types: list[str]
    contract: str
    position: str
    created_at: str
    waiting_since: str | None


class Message(TypedDict):
    """A mailbox's message, a CloudEvent 1.0 with the network's extensions."""

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
    """One criterion's share of a candidate's score. weight: if the hub states it separately."""

    name: str
    value: float
    weight: NotRequired[float]


class Candidate(TypedDict):
    """An organisation's service that was considered, and why it was or was not eligible.

    capacity: the directory's value at the time of the decision. Missing in decisions of earlier builds.
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
    many offers it had answered or let expire; the sender sees at most `few`. equal: whether its score was
    among the best (see `Turn`).
    """

    last_asked: str | None
    judged: int
    equal: bool


class Turn(TypedDict):
    """Why the first-ranked organisation comes first.

    band: how far a score may lie below the best to count as equal. explore: the share of the attempts that
    give an organisation a chance out of turn. few: an organisation that was judged by fewer offers is hardly
    known. attempt: how many organisations had been asked. draw: below `explore` if the attempt explored; None
    for an emergency. equals: how many organisations are equal. explored: the one that got a chance.
    organizations: by id.
    """

    band: float
    explore: float
    few: int
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


class Preview(TypedDict):
    """The prospects of a referral now. Organisations are counted in bands: 0, 1-4, 5-19 or 20+.

    half_answered_seconds, found_nobody: of earlier referrals of the same group of needs and country, None if
    too few are known (for the former also if less than half were answered). more_by_language, more_by_region:
    how many more could be asked with that language, or in that region of the same country. only_by_kind: by
    each kind that the consent opts in to, how many could be asked only because of it.
    """

    candidates: str
    half_answered_seconds: int | None
    found_nobody: float | None
    more_by_language: dict[str, str]
    more_by_region: dict[str, str]
    only_by_kind: dict[str, str]


class Decisions(TypedDict):
    """All routing decisions about a referral, oldest first.

    paused: a pause in force, else None; missing in responses of earlier builds.
    """

    referral_id: str
    decisions: list[Decision]
    paused: NotRequired[Pause | None]


class Capacity(TypedDict):
    """maximum: units held at once. unit: missing in records of earlier builds, which counted referrals."""

    status: str
    maximum: int | None
    updated_at: str
    unit: NotRequired[str]


class Service(TypedDict):
    """A service. organization: only if the service is not part of an organisation's record.

    further_capacities: in other units; a referral takes one of each unit.
    """

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
    further_capacities: NotRequired[list[Capacity]]
    organization: NotRequired[str]


class SealingKeyChange(TypedDict):
    """The replacement that gave a record its present key. manner: first, proved or approved."""

    at: str
    manner: str


class ApprovedService(TypedDict):
    """The network's approval of one service for exactly these sensitive needs."""

    service: str
    needs: list[str]
    by: str
    at: str


class Organization(TypedDict):
    """An organisation's record in the directory. Only the directory writes the last two members."""

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
    sealing_key_change: SealingKeyChange | None
    approved_services: list[ApprovedService]


class Unplaced(TypedDict):
    """A referral that waits for a coordinator."""

    id: str
    urgency: str
    needs: list[str]
    region: str
    since: str
    reason: str


class QueueItem(TypedDict):
    """A referral in a coordinators' queue.

    since: when the cause of waiting began; reason: a code for it; waits_for: the organisations that could end
    it; deadline: when the next step follows without anybody's action, null if nothing follows.
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


class Change(TypedDict):
    """A change that would place a referral. Members that do not matter for the kind are null."""

    kind: str
    organization: str | None
    region: str | None
    need: str | None
    language: str | None


class Wish(TypedDict):
    """Changes that together would place `referrals` unplaced referrals, `emergencies` of these urgent."""

    changes: list[Change]
    referrals: int
    emergencies: int


class CoverageCell(TypedDict):
    """The help for a need in a region and a language, and how many referrals found nobody."""

    region: str
    need: str
    language: str
    services: int
    fresh: int
    answered: int
    expired: int
    unplaced: int


class Engagements(TypedDict):
    """How many referrals an organisation is asked about or has accepted and not ended, by urgency."""

    organization: str
    open_offers: dict[str, int]
    accepted: dict[str, int]


class CandidatesNow(TypedDict):
    """The candidates of a search at `checked_at`, or those of one organisation, with every rule."""

    referral_id: str
    organization: str | None
    checked_at: str
    policy_version: str
    directory_version: int
    candidates: list[Candidate]
    nobody: NobodyConsidered | None


class HistoryEntry(TypedDict):
    """An entry of the audit log. index: its leaf index; commitment: salted hash of the event's data."""

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
    """The tree head from which a page of history was read. root: the RFC 6962 root hash in base64."""

    origin: str
    size: int
    root: str


class HistoryPage(Page[HistoryEntry]):
    checkpoint: TreeHead


class RecordedRead(TypedDict):
    """A read of a referral's facts. index, time (RFC 3339), type: those of its log entry.

    client_id: the reader's OAuth client, null if unknown. resource: method and route template, null for reads
    of the log. filter: the query's codes; a value is null where you may not see it. entries: items in the
    answer, null for a fetched case.
    """

    index: int
    time: str
    type: str
    reader: str
    client_id: str | None
    roles: list[str]
    resource: str | None
    filter: dict[str, str | int | None]
    entries: int | None


class ReadersPage(Page[RecordedRead]):
    referral_id: str


class StorySentence(TypedDict):
    """A sentence of a story. index, time (RFC 3339), type: those of the log entry that it describes.

    type: missing in stories of older hubs.
    """

    index: int
    time: str
    type: NotRequired[str]
    text: str


class StorySituation(TypedDict):
    """A story's situation. stated: names and values; lost: a sentence if there are none, else null."""

    heading: str
    stated: list[tuple[str, str]]
    lost: str | None


class StoryEvents(TypedDict):
    heading: str
    sentences: list[StorySentence]


class StoryDocument(TypedDict):
    """A referral's history in sentences, in one language, for layout by a program."""

    language: str
    title: str
    situation: StorySituation
    events: StoryEvents


class ExportedHead(TypedDict):
    """The head of an exported entry. salt: base64; value: its members."""

    salt: str
    value: dict[str, Any]


class ExportedEntry(TypedDict):
    """An entry of an export.

    leaf: canonical JSON; head: what the entry says, and the salt that opens it, None for leaves of formats 1
    and 2; salt (base64) and data: they open the leaf's commitment to the data; None once erased.
    """

    index: int
    leaf: str
    head: ExportedHead | None
    salt: str | None
    data: dict[str, Any] | None


class ExportPage(TypedDict):
    """A page of an export.

    size: that of the exported tree; checkpoint: the newest, which on the first page has that size.
    """

    entries: list[ExportedEntry]
    next: str | None
    size: int
    checkpoint: str


class StatisticsFigure(TypedDict):
    """A figure of a statistics table.

    values: class by dimension; the figure sums over dimensions that are missing, and the class `combined` is
    all classes without a row of their own. count: None if withheld. Times: seconds from submission to answer.
    """

    values: dict[str, str]
    count: int | None
    withheld: bool
    times_withheld: bool
    answered_median_seconds: int | None
    answered_p90_seconds: int | None


# In functional syntax, because `from` is a keyword and cannot be a field in a class body.
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
    """A referral that a figure counts, with the indices of its log entries."""

    referral_id: str
    entries: list[int]


class WebhookEndpoint(TypedDict):
    """An endpoint. state: unverified, active or disabled; reason: why it is disabled.

    types: of the messages that it is told about; empty: all. disabled_at: when it will be disabled if it goes
    on failing.
    """

    id: str
    url: str
    types: list[str]
    state: str
    reason: str | None
    created_at: str
    failing_since: str | None
    disabled_at: str | None


class WebhookSecret(TypedDict):
    """A new secret of an endpoint. secret: `whsec_...`; public_key: `whpk_...`, verifies `v1a`.

    previous_until: when the previous secret stops signing; None for the first one.
    """

    endpoint: WebhookEndpoint
    secret: str
    public_key: str
    previous_until: str | None


class WebhookNotice(TypedDict):
    """A message told to an endpoint. state: waiting, sent, read, cancelled, expired or failed."""

    message_id: str
    type: str
    referral_id: str | None
    state: str
    attempts: int
    next_attempt_at: str | None
    until: str


class WebhookAttempt(TypedDict):
    """A request to an endpoint. response: its status, media type and size; None without an answer.

    fault: why there was no answer, or what the answer lacks.
    """

    message_id: str
    type: str
    attempt: int
    started_at: str
    milliseconds: int
    request: dict[str, str]
    response: dict[str, Any] | None
    fault: str | None
    next_attempt_at: str | None
