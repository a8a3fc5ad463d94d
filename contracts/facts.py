"""The catalogue of facts: everything that can be said on the network's exchanges, in the past tense.

`….submitted` is what somebody said and a door admitted; every other fact about a referral is a decision
of the service that owns it. A published (type, version) never changes; a new version stands beside it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, TypeVar

from marshmallow.validate import Length, OneOf

from contracts.codes import (
    Answer,
    DeclineReason,
    Outcome,
    ProgressStatus,
    Urgency,
    WithdrawalReason,
)
from contracts.identifiers import (
    MessageId,
    NeedCode,
    OfferId,
    OrganizationId,
    ReferralId,
    Region,
)
from contracts.organization import Agreement, Organization
from contracts.referral import ReferralFacts, SealedText, Situation
from contracts.topology import CASES, EVENTS

TYPE_PREFIX = "kopuro."
F = TypeVar("F", bound="type[Fact]")

# A partner's free words about a decline. The person must not be named in it: it travels in the open.
OpenNote = Annotated[str, Length(max=500)]


class Fact:
    """What an event says. `subject_fact` is its routing key, `type` its CloudEvents type."""

    __slots__ = ()
    routing_key: ClassVar[str]
    type: ClassVar[str]
    exchange: ClassVar[str]
    classification: ClassVar[str]


_catalogue: dict[str, type[Fact]] = {}
CATALOGUE: Mapping[str, type[Fact]] = MappingProxyType(_catalogue)


def _fact(
    routing_key: str,
    *,
    version: int = 1,
    exchange: str = EVENTS,
    classification: str = "routing-facts",
) -> Callable[[F], F]:
    """Enters the class into the catalogue as `kopuro.<routing key>.v<version>`.

    classification: `public` (about organisations), `routing-facts` (no person), `sealed` (ciphertext).
    """

    def enter(cls: F) -> F:
        cls.routing_key = routing_key
        cls.type = f"{TYPE_PREFIX}{routing_key}.v{version}"
        cls.exchange = exchange
        cls.classification = classification
        _catalogue[cls.type] = cls
        return cls

    return enter


# --- What partners said, and intake admitted -----------------------------------------------------


@_fact("referral.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralSubmitted(Fact):
    referral_id: ReferralId
    sender: OrganizationId
    facts: ReferralFacts


@_fact("answer.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerSubmitted(Fact):
    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    answer: Answer
    reason: DeclineReason | None = None
    note: OpenNote | None = None


@_fact("progress.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class ProgressSubmitted(Fact):
    referral_id: ReferralId
    organization: OrganizationId
    status: ProgressStatus


@_fact("outcome.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeSubmitted(Fact):
    referral_id: ReferralId
    organization: OrganizationId
    outcome: Outcome


@_fact("withdrawal.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawalSubmitted(Fact):
    referral_id: ReferralId
    organization: OrganizationId
    reason: WithdrawalReason


@_fact("revocation.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class RevocationSubmitted(Fact):
    """The person took the consent back."""

    referral_id: ReferralId
    organization: OrganizationId


@_fact("note.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class NoteSubmitted(Fact):
    """That a note was passed on; its words travel sealed."""

    referral_id: ReferralId
    organization: OrganizationId


@_fact("placement.submitted")
@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementSubmitted(Fact):
    """A coordinator asks for an unplaced referral to be offered to an organisation."""

    referral_id: ReferralId
    organization: OrganizationId
    coordinator: str


# --- What routing decided ------------------------------------------------------------------------


@_fact("offer.opened")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferOpened(Fact):
    """rank: 1 for the best candidate. deadline: when silence becomes `offer.expired`."""

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId
    rank: int
    opened_at: dt.datetime
    deadline: dt.datetime
    facts: Situation


@_fact("offer.accepted")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferAccepted(Fact):
    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId


@_fact("offer.declined")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferDeclined(Fact):
    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId
    reason: DeclineReason
    note: OpenNote | None = None


@_fact("offer.expired")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferExpired(Fact):
    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId


@_fact("offer.revoked")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferRevoked(Fact):
    """reason: why the network took the offer back."""

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId
    reason: Annotated[str, OneOf(["accepted_elsewhere", "withdrawn", "consent_revoked", "failed"])]


@_fact("answer.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerRefused(Fact):
    """An answer that cannot take effect (too late, not theirs), told to whoever gave it."""

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    submission_id: MessageId
    problem: Mapping[str, Any]


@_fact("submission.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionRefused(Fact):
    """Any other submission that was admitted and cannot take effect, told to whoever made it."""

    referral_id: ReferralId
    organization: OrganizationId
    submission_id: MessageId
    problem: Mapping[str, Any]


@_fact("referral.unplaced")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralUnplaced(Fact):
    """No candidate is left; a coordinator places it by hand."""

    referral_id: ReferralId
    sender: OrganizationId
    decision_id: MessageId
    urgency: Urgency
    region: Region
    needs: tuple[NeedCode, ...]
    reason: Annotated[str, OneOf(["no_candidate", "candidates_exhausted"])]


@_fact("referral.progressed")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralProgressed(Fact):
    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId
    status: ProgressStatus


@_fact("referral.completed")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralCompleted(Fact):
    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId
    outcome: Outcome


@_fact("referral.withdrawn")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralWithdrawn(Fact):
    """organization: the acceptor, when there is one. reason: a withdrawal code, or `consent_revoked`."""

    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId | None
    reason: str


@_fact("referral.failed")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralFailed(Fact):
    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId | None
    reason: Annotated[str, OneOf(["case_unreadable"])]


@_fact("referral.overdue")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralOverdue(Fact):
    """The acceptor has been silent past the deadline for progress or an outcome."""

    referral_id: ReferralId
    sender: OrganizationId
    organization: OrganizationId
    due_at: dt.datetime


# --- What the vault did --------------------------------------------------------------------------


@_fact("case.released")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseReleased(Fact):
    """The case is on its way to the acceptor. kid: the key it is sealed to."""

    referral_id: ReferralId
    organization: OrganizationId
    kid: str


@_fact("case.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseRefused(Fact):
    """The sealed case cannot be opened or understood; its sender is told why."""

    referral_id: ReferralId
    organization: OrganizationId
    problem: Mapping[str, Any]


@_fact("case.erased")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseErased(Fact):
    referral_id: ReferralId
    reason: Annotated[str, OneOf(["withdrawn", "consent_revoked", "completed", "failed"])]


# --- What delivery did ---------------------------------------------------------------------------


@_fact("delivery.delivered")
@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryDelivered(Fact):
    """The organisation's system was given the message for the first time."""

    referral_id: ReferralId
    organization: OrganizationId
    message_id: MessageId
    message_type: str


@_fact("delivery.acknowledged")
@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryAcknowledged(Fact):
    referral_id: ReferralId
    organization: OrganizationId
    message_id: MessageId
    message_type: str


# --- What audit was asked ------------------------------------------------------------------------


@_fact("history.read", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryRead(Fact):
    """Somebody looked into the history. filter: what was asked for; entries: how many were shown."""

    reader: str
    filter: Mapping[str, Any]
    entries: int


@_fact("history.exported", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryExported(Fact):
    """Somebody took a referral's history away, with its proofs. size: of the tree they stand against."""

    reader: str
    referral_id: ReferralId
    entries: int
    size: int


@_fact("receipt.issued")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiptIssued(Fact):
    """To a party: the message is in the log. Sent to delivery alone, and no entry of the log itself.

    leaf: the entry, byte for byte (RFC 8785). proof: a C2SP `tlog-proof`, its checkpoint included.
    """

    referral_id: ReferralId
    organization: OrganizationId
    message_id: MessageId
    message_type: str
    leaf: str
    proof: str


# --- The directory's full-state events -----------------------------------------------------------


@_fact("organization.changed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class OrganizationChanged(Fact):
    """The whole record as it now stands; a lower revision never overwrites a higher one."""

    revision: int
    organization: Organization


@_fact("agreement.changed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class AgreementChanged(Fact):
    revision: int
    agreement: Agreement


@_fact("token_key.changed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class TokenKeyChanged(Fact):
    """A public Ed25519 key (JWK) that bearer tokens are signed with. Source: RFC 8037.

    withdrawn: tokens signed with it are believed no more.
    """

    revision: int
    key: Mapping[str, Any]
    withdrawn: bool = False


@_fact("replica.requested", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaRequested(Fact):
    """A service without a copy yet asks the owner to send every record to its queue."""

    queue: str


@_fact("replica.completed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaCompleted(Fact):
    """Every record of the answer to `replica.requested` has been sent. records: how many."""

    queue: str
    records: int


# --- Letters: ciphertext, on `kopuro.cases` only -------------------------------------------------


@_fact("letter.case_sealed", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseSealed(Fact):
    """intake -> vault. to: the receiver whose key the sender sealed it to, None: the custody key."""

    referral_id: ReferralId
    sender: OrganizationId
    to: OrganizationId | None
    case: SealedText


@_fact("letter.case_released", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseLetter(Fact):
    """vault -> delivery: the case, sealed to the acceptor."""

    referral_id: ReferralId
    organization: OrganizationId
    kid: str
    case: SealedText


@_fact("letter.note_sealed", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class NoteSealed(Fact):
    """intake -> vault: a note that its author sealed to the other party."""

    referral_id: ReferralId
    author: OrganizationId
    note: SealedText


@_fact("letter.note_released", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class NoteLetter(Fact):
    """vault -> delivery -> the other party's mailbox."""

    referral_id: ReferralId
    organization: OrganizationId
    author: OrganizationId
    note: SealedText


# --- What delivery puts into mailboxes itself -----------------------------------------------------


@_fact("note.delivered", exchange=CASES, classification="sealed")
@dataclass(frozen=True, kw_only=True, slots=True)
class NoteDelivered(Fact):
    """A note in the mailbox of the party it is sealed to. It is pulled from there, never published."""

    referral_id: ReferralId
    organization: OrganizationId
    author: OrganizationId
    note: SealedText
