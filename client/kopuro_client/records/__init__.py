"""The JSON objects in a hub's responses as typed dictionaries, with all values as sent.

A hub may add members to any of them; clients must ignore unknown members. Times are RFC 3339 strings in UTC.
Ids of referrals, offers and messages are UUIDs; ids of organisations are `<hub>.<slug>`.
"""

from kopuro_client.records.access import Approval, RegisteredClient
from kopuro_client.records.applications import (
    ApplicationContact,
    ApplicationContent,
    ApplicationList,
    ApplicationReceipt,
    ApplicationRecord,
    ApplicationRoom,
    ApplicationStatus,
)
from kopuro_client.records.coordination import Change, CoverageCell, Engagements, QueueItem, Unplaced, Wish
from kopuro_client.records.decisions import (
    Candidate,
    CandidatesNow,
    Contender,
    Contribution,
    Decision,
    Decisions,
    NeedsPart,
    NobodyConsidered,
    OpenOffer,
    Pause,
    Rule,
    Turn,
)
from kopuro_client.records.directory import (
    Agreement,
    ApprovedService,
    Capacity,
    Organization,
    SealingKeyChange,
    Service,
)
from kopuro_client.records.history import (
    ExportedEntry,
    ExportedHead,
    ExportPage,
    HistoryEntry,
    HistoryPage,
    ReadersPage,
    RecordedRead,
    TreeHead,
)
from kopuro_client.records.keys import Jwk, KeptKey
from kopuro_client.records.mailbox import MailboxConsumer, Message
from kopuro_client.records.pages import Item, Page
from kopuro_client.records.referrals import (
    Offer,
    Preview,
    ProspectivePart,
    Referral,
    ReferralPart,
    ReferralSummary,
    TimelineEntry,
)
from kopuro_client.records.reports import (
    CountedReferral,
    StatisticsFigure,
    StatisticsTable,
    StoryDocument,
    StoryEvents,
    StorySentence,
    StorySituation,
)
from kopuro_client.records.submissions import Accepted, BatchResult
from kopuro_client.records.tracing import AdmittedSubmission, MessageState, ToldEndpoint
from kopuro_client.records.watch import WatchedEmployer, WatchOptIn, WatchRecipient, WatchReport
from kopuro_client.records.webhooks import WebhookAttempt, WebhookEndpoint, WebhookNotice, WebhookSecret

__all__ = [
    "Accepted",
    "AdmittedSubmission",
    "Agreement",
    "ApplicationContact",
    "ApplicationContent",
    "ApplicationList",
    "ApplicationReceipt",
    "ApplicationRecord",
    "ApplicationRoom",
    "ApplicationStatus",
    "Approval",
    "ApprovedService",
    "BatchResult",
    "Candidate",
    "CandidatesNow",
    "Capacity",
    "Change",
    "Contender",
    "Contribution",
    "CountedReferral",
    "CoverageCell",
    "Decision",
    "Decisions",
    "Engagements",
    "ExportPage",
    "ExportedEntry",
    "ExportedHead",
    "HistoryEntry",
    "HistoryPage",
    "Item",
    "Jwk",
    "KeptKey",
    "MailboxConsumer",
    "Message",
    "MessageState",
    "NeedsPart",
    "NobodyConsidered",
    "Offer",
    "OpenOffer",
    "Organization",
    "Page",
    "Pause",
    "Preview",
    "ProspectivePart",
    "QueueItem",
    "ReadersPage",
    "RecordedRead",
    "Referral",
    "ReferralPart",
    "ReferralSummary",
    "RegisteredClient",
    "Rule",
    "SealingKeyChange",
    "Service",
    "StatisticsFigure",
    "StatisticsTable",
    "StoryDocument",
    "StoryEvents",
    "StorySentence",
    "StorySituation",
    "TimelineEntry",
    "ToldEndpoint",
    "TreeHead",
    "Turn",
    "Unplaced",
    "WatchOptIn",
    "WatchRecipient",
    "WatchReport",
    "WatchedEmployer",
    "WebhookAttempt",
    "WebhookEndpoint",
    "WebhookNotice",
    "WebhookSecret",
    "Wish",
]
