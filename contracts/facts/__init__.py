"""The catalogue of facts: every event that the network's exchanges carry, named in the past tense.

`….submitted` is a request that an API accepted; every other fact about a referral is a decision of the
service that owns it. A published (type, version) never changes; a new version is added beside it.
"""

# The catalogue follows the order of a referral's life.
# isort: off
from contracts.facts.fact import CATALOGUE, TYPE_PREFIX, Fact, OpenNote
from contracts.facts.submitted import (
    AnswerSubmitted,
    NoteSubmitted,
    OutcomeSubmitted,
    PlacementSubmitted,
    ProgressSubmitted,
    ReferralSubmitted,
    ReplacementSubmitted,
    RevocationSubmitted,
    UnreadableSubmitted,
    WithdrawalSubmitted,
)
from contracts.facts.decided import (
    AcceptanceRevoked,
    AnswerRefused,
    CaseUnreadable,
    CommittedDecision,
    DecisionsRecorded,
    NoteUnreadable,
    OfferAccepted,
    OfferDeclined,
    OfferExpired,
    OfferOpened,
    OfferRevoked,
    PlacementAnswered,
    PlacementRefused,
    ReferralAcceptorSuspended,
    ReferralCompleted,
    ReferralFailed,
    ReferralOverdue,
    ReferralProgressed,
    ReferralUnplaced,
    ReferralWithdrawn,
    SubmissionRefused,
)
from contracts.facts.custody import CaseErased, CaseRefused, CaseReleased
from contracts.facts.delivered import DeliveryAcknowledged, DeliveryDelivered, NoteDelivered
from contracts.facts.recorded import (
    HistoryExported,
    HistoryRead,
    LogExported,
    Receipt,
    ReceiptIssued,
    ReceiptsIssued,
)
from contracts.facts.directory import (
    AgreementChanged,
    OrganizationChanged,
    ReplicaCompleted,
    ReplicaRequested,
    TokenKeyChanged,
)
from contracts.facts.sealed import (
    SealedCaseReleased,
    SealedCaseReplaced,
    SealedCaseSubmitted,
    SealedNoteReleased,
    SealedNoteSubmitted,
)
# isort: on

__all__ = [
    "CATALOGUE",
    "TYPE_PREFIX",
    "AcceptanceRevoked",
    "AgreementChanged",
    "AnswerRefused",
    "AnswerSubmitted",
    "CaseErased",
    "CaseRefused",
    "CaseReleased",
    "CaseUnreadable",
    "CommittedDecision",
    "DecisionsRecorded",
    "DeliveryAcknowledged",
    "DeliveryDelivered",
    "Fact",
    "HistoryExported",
    "HistoryRead",
    "LogExported",
    "NoteDelivered",
    "NoteSubmitted",
    "NoteUnreadable",
    "OfferAccepted",
    "OfferDeclined",
    "OfferExpired",
    "OfferOpened",
    "OfferRevoked",
    "OpenNote",
    "OrganizationChanged",
    "OutcomeSubmitted",
    "PlacementAnswered",
    "PlacementRefused",
    "PlacementSubmitted",
    "ProgressSubmitted",
    "Receipt",
    "ReceiptIssued",
    "ReceiptsIssued",
    "ReferralAcceptorSuspended",
    "ReferralCompleted",
    "ReferralFailed",
    "ReferralOverdue",
    "ReferralProgressed",
    "ReferralSubmitted",
    "ReferralUnplaced",
    "ReferralWithdrawn",
    "ReplacementSubmitted",
    "ReplicaCompleted",
    "ReplicaRequested",
    "RevocationSubmitted",
    "SealedCaseReleased",
    "SealedCaseReplaced",
    "SealedCaseSubmitted",
    "SealedNoteReleased",
    "SealedNoteSubmitted",
    "SubmissionRefused",
    "TokenKeyChanged",
    "UnreadableSubmitted",
    "WithdrawalSubmitted",
]
