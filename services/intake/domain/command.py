"""Partners' commands about existing offers and referrals: one record a command.

A command's name is the last segment of its path (`POST /v1/referrals/{id}/progress`) and the value of
`submit` in a batch line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import ValidationError

from contracts.codes import (
    Answer,
    DeclineReason,
    HandBackReason,
    Outcome,
    ProgressStatus,
    SealedContent,
    UnreadableReason,
    WithdrawalReason,
)
from contracts.facts import (
    AnswerSubmitted,
    Fact,
    HandBackSubmitted,
    NoteSubmitted,
    OutcomeSubmitted,
    ProgressSubmitted,
    ReplacementSubmitted,
    RevocationSubmitted,
    SealedCaseReplaced,
    SealedNoteSubmitted,
    UnreadableSubmitted,
    WithdrawalSubmitted,
)
from contracts.identifiers import OrganizationId
from contracts.referral import SealedText


class CommandBody:
    """The body of a command.

    about_offer: whether its subject is an offer, not a referral. by_acceptor: whether only the organisation
    that has accepted the referral may submit it.
    """

    __slots__ = ()
    about_offer: ClassVar[bool] = False
    by_acceptor: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptOffer(CommandBody):
    """The body of `POST /v1/offers/{id}/accept`: `{}` or empty."""

    about_offer = True


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclineOffer(CommandBody):
    """The body of `POST /v1/offers/{id}/decline`.

    note: sealed to the sender's key; required with the reason `other`.
    """

    about_offer = True

    reason: DeclineReason
    note: SealedText | None = None

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """Require a note with the reason `other`. The hub cannot read it, so only presence is checked."""
        if data["reason"] is DeclineReason.other and data.get("note") is None:
            raise ValidationError({"note": ["The reason 'other' requires a note sealed to the sender."]})


@dataclass(frozen=True, kw_only=True, slots=True)
class HandBack(CommandBody):
    """The body of `POST /v1/referrals/{id}/hand-back`.

    note: sealed to the sender's key; required with the reason `other`.
    """

    by_acceptor = True

    reason: HandBackReason
    note: SealedText | None = None

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """Require a note with the reason `other`, as a decline does."""
        if data["reason"] is HandBackReason.other and data.get("note") is None:
            raise ValidationError({"note": ["The reason 'other' requires a note sealed to the sender."]})


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawReferral(CommandBody):
    """The body of `POST /v1/referrals/{id}/withdraw`."""

    reason: WithdrawalReason


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportProgress(CommandBody):
    """The body of `POST /v1/referrals/{id}/progress`."""

    by_acceptor = True

    status: ProgressStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class CompleteReferral(CommandBody):
    """The body of `POST /v1/referrals/{id}/complete`."""

    by_acceptor = True

    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class AddNote(CommandBody):
    """The body of `POST /v1/referrals/{id}/notes`: sealed to the other party's key."""

    note: SealedText


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable(CommandBody):
    """The body of `POST /v1/referrals/{id}/unreadable`. author: of the note; None for a case."""

    reason: UnreadableReason
    content: SealedContent = SealedContent.case
    author: OrganizationId | None = None

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """Require an author for a note, who is notified; refuse one for a case."""
        is_note = data.get("content") is SealedContent.note
        if is_note != (data.get("author") is not None):
            detail = (
                "A report about a note must name its author."
                if is_note
                else "Only a report about a note may name an author."
            )
            raise ValidationError({"author": [detail]})


@dataclass(frozen=True, kw_only=True, slots=True)
class Replacement(CommandBody):
    """The body of `POST /v1/referrals/{id}/case`: the case again.

    to: the acceptor that it is sealed to; None: the hub's custody key.
    """

    case: SealedText
    to: OrganizationId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RevokeConsent(CommandBody):
    """The body of `POST /v1/referrals/{id}/consent/revoke`: `{}` or empty."""


COMMANDS: Mapping[str, type[CommandBody]] = {
    "accept": AcceptOffer,
    "decline": DeclineOffer,
    "hand_back": HandBack,
    "withdraw": WithdrawReferral,
    "progress": ReportProgress,
    "complete": CompleteReferral,
    "note": AddNote,
    "unreadable": Unreadable,
    "replace_case": Replacement,
    "revoke_consent": RevokeConsent,
}
_NAMES = {kind: name for name, kind in COMMANDS.items()}


def name_of(body: CommandBody) -> str:
    """Return the command's name, a key of COMMANDS."""
    return _NAMES[type(body)]


def facts_of_command(
    body: CommandBody, *, organization: str, referral_id: str, offer_id: str | None
) -> tuple[Fact, ...]:
    """Return the facts of an admitted command. offer_id: None for a command about a referral."""
    match body:
        case AcceptOffer() | DeclineOffer():
            assert offer_id is not None
            declined = body if isinstance(body, DeclineOffer) else None
            answer = AnswerSubmitted(
                referral_id=referral_id,
                offer_id=offer_id,
                organization=organization,
                answer=Answer.decline if declined else Answer.accept,
                reason=declined.reason if declined else None,
            )
            if declined is None or declined.note is None:
                return (answer,)
            sealed_note = SealedNoteSubmitted(
                referral_id=referral_id, author=organization, note=declined.note, offer_id=offer_id
            )
            return (answer, sealed_note)
        case HandBack(reason=reason, note=note):
            handed_back = HandBackSubmitted(referral_id=referral_id, organization=organization, reason=reason)
            if note is None:
                return (handed_back,)
            explanation = SealedNoteSubmitted(
                referral_id=referral_id, author=organization, note=note, hand_back=True
            )
            return (handed_back, explanation)
        case WithdrawReferral(reason=reason):
            return (WithdrawalSubmitted(referral_id=referral_id, organization=organization, reason=reason),)
        case ReportProgress(status=status):
            return (ProgressSubmitted(referral_id=referral_id, organization=organization, status=status),)
        case CompleteReferral(outcome=outcome):
            return (OutcomeSubmitted(referral_id=referral_id, organization=organization, outcome=outcome),)
        case RevokeConsent():
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
                SealedCaseReplaced(referral_id=referral_id, sender=organization, to=to, case=case),
            )
        case AddNote(note=note):
            # One fact records that a note exists; the other carries the sealed note.
            return (
                NoteSubmitted(referral_id=referral_id, organization=organization),
                SealedNoteSubmitted(referral_id=referral_id, author=organization, note=note),
            )
    raise TypeError(type(body).__name__)
