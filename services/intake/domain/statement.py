"""What partners say about an offer or a referral that there already is: one record for each thing said.

The name of a statement is the last word of its address (`POST /v1/referrals/{id}/progress`) and the value
of `submit` in a line of a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import ValidationError

from contracts.codes import (
    Answer,
    DeclineReason,
    Outcome,
    ProgressStatus,
    SealedContent,
    UnreadableReason,
    WithdrawalReason,
)
from contracts.facts import (
    AnswerSubmitted,
    CaseResealed,
    Fact,
    NoteSealed,
    NoteSubmitted,
    OutcomeSubmitted,
    ProgressSubmitted,
    ReplacementSubmitted,
    RevocationSubmitted,
    UnreadableSubmitted,
    WithdrawalSubmitted,
)
from contracts.identifiers import OrganizationId
from contracts.referral import SealedText


class Statement:
    """Something said by an organisation. about_offer: whether its subject is an offer, or a referral."""

    __slots__ = ()
    about_offer: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance(Statement):
    """The body of `POST /v1/offers/{id}/accept`: `{}`, or none at all."""

    about_offer = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Decline(Statement):
    """The body of `POST /v1/offers/{id}/decline`. note: sealed to the sender's key."""

    about_offer = True

    reason: DeclineReason
    note: SealedText | None = None

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """The reason `other` needs a note. The hub cannot read it, so only its presence is required."""
        if data["reason"] is DeclineReason.other and data.get("note") is None:
            raise ValidationError({"note": ["The reason 'other' needs a note, sealed to the sender."]})


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawal(Statement):
    """The body of `POST /v1/referrals/{id}/withdraw`."""

    reason: WithdrawalReason


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress(Statement):
    """The body of `POST /v1/referrals/{id}/progress`."""

    status: ProgressStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion(Statement):
    """The body of `POST /v1/referrals/{id}/complete`."""

    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Note(Statement):
    """The body of `POST /v1/referrals/{id}/notes`: sealed to the other party's key."""

    note: SealedText


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable(Statement):
    """The body of `POST /v1/referrals/{id}/unreadable`. author: who wrote the note; none for a case."""

    reason: UnreadableReason
    content: SealedContent = SealedContent.case
    author: OrganizationId | None = None

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """A note has an author who is told; a case comes from the referral's sender."""
        is_note = data.get("content") is SealedContent.note
        if is_note != (data.get("author") is not None):
            detail = "Name the note's author." if is_note else "Only a note has an author."
            raise ValidationError({"author": [detail]})


@dataclass(frozen=True, kw_only=True, slots=True)
class Replacement(Statement):
    """The body of `POST /v1/referrals/{id}/case`: the case again, sealed to its acceptor `to`."""

    to: OrganizationId
    case: SealedText


@dataclass(frozen=True, kw_only=True, slots=True)
class Revocation(Statement):
    """The body of `POST /v1/referrals/{id}/consent/revoke`: `{}`, or none at all."""


STATEMENTS: Mapping[str, type[Statement]] = {
    "accept": Acceptance,
    "decline": Decline,
    "withdraw": Withdrawal,
    "progress": Progress,
    "complete": Completion,
    "note": Note,
    "unreadable": Unreadable,
    "replace_case": Replacement,
    "revoke_consent": Revocation,
}
_NAMES = {kind: name for name, kind in STATEMENTS.items()}


def name_of(said: Statement) -> str:
    """The statement's name, as in STATEMENTS."""
    return _NAMES[type(said)]


def facts_said(
    said: Statement, *, organization: str, referral_id: str, offer_id: str | None
) -> tuple[Fact, ...]:
    """What the network is told of an admitted statement. offer_id: for one about an offer."""
    match said:
        case Acceptance() | Decline():
            assert offer_id is not None
            declined = said if isinstance(said, Decline) else None
            answer = AnswerSubmitted(
                referral_id=referral_id,
                offer_id=offer_id,
                organization=organization,
                answer=Answer.decline if declined else Answer.accept,
                reason=declined.reason if declined else None,
            )
            if declined is None or declined.note is None:
                return (answer,)
            letter = NoteSealed(
                referral_id=referral_id, author=organization, note=declined.note, offer_id=offer_id
            )
            return (answer, letter)
        case Withdrawal(reason=reason):
            return (WithdrawalSubmitted(referral_id=referral_id, organization=organization, reason=reason),)
        case Progress(status=status):
            return (ProgressSubmitted(referral_id=referral_id, organization=organization, status=status),)
        case Completion(outcome=outcome):
            return (OutcomeSubmitted(referral_id=referral_id, organization=organization, outcome=outcome),)
        case Revocation():
            return (RevocationSubmitted(referral_id=referral_id, organization=organization),)
        case Unreadable(content=content, reason=reason, author=author):
            return (
                UnreadableSubmitted(
                    referral_id=referral_id,
                    organization=organization,
                    content=content,
                    reason=reason,
                    author=author,
                ),
            )
        case Replacement(to=to, case=case):
            return (
                ReplacementSubmitted(referral_id=referral_id, organization=organization, to=to),
                CaseResealed(referral_id=referral_id, sender=organization, to=to, case=case),
            )
        case Note(note=note):
            # That something was written is a fact; what was written stays sealed.
            return (
                NoteSubmitted(referral_id=referral_id, organization=organization),
                NoteSealed(referral_id=referral_id, author=organization, note=note),
            )
    raise TypeError(type(said).__name__)
