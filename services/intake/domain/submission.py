"""What partners submit, and what the network is told when it is admitted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError

from contracts.codes import DeclineReason, Outcome, ProgressStatus, WithdrawalReason
from contracts.facts import CaseSealed, Fact, OpenNote, ReferralSubmitted
from contracts.referral import ReferralSubmission, SealedText, facts_of
from services.intake.domain.members import Members, receiver_key
from services.intake.domain.sealing import require_sealed_to

# A number long enough to call somebody, or an address to write to: it would lead to the person.
_CONTACT = re.compile(r"\d(?:[\s()./\u2010-\u2015-]*\d){6,}|\S@\S")
# A date is not a number to call: "room again from 01.04.2026".
_DATE = re.compile(r"\b(?:20\d\d-[01]\d-[0-3]\d|[0-3]?\d([./-])[01]?\d\1(?:20)?\d\d)\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Nothing:
    """A body without fields: `{}`, or none at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decline:
    """The body of `POST /v1/offers/{id}/decline`."""

    reason: DeclineReason
    note: OpenNote | None = None

    @staticmethod
    def rules(data: Mapping[str, Any]) -> None:
        """`other` is explained; and the note, which travels in the open, leads to nobody."""
        note = data.get("note")
        if data["reason"] is DeclineReason.other and not note:
            raise ValidationError({"note": ["Say why, in a few words, when the reason is 'other'."]})
        if note and _CONTACT.search(_DATE.sub("(date)", note)):
            raise ValidationError({"note": ["No telephone number or e-mail address: this note is open."]})


@dataclass(frozen=True, kw_only=True, slots=True)
class Withdrawal:
    """The body of `POST /v1/referrals/{id}/withdraw`."""

    reason: WithdrawalReason


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """The body of `POST /v1/referrals/{id}/progress`."""

    status: ProgressStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """The body of `POST /v1/referrals/{id}/complete`."""

    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """The body of `POST /v1/referrals/{id}/notes`: sealed to the other party's key."""

    note: SealedText


def referral_facts(
    submission: ReferralSubmission, *, referral_id: str, sender: str, custody_kid: str, members: Members
) -> tuple[Fact, Fact]:
    """What an admitted referral says: the facts in the open, and the letter with its sealed case.

    The case of a referral to a named organisation is sealed to that organisation, any other to the hub's
    custody key. Raises Refused, with pointers.
    """
    kid = custody_kid if submission.to is None else receiver_key(members, submission.to)
    require_sealed_to(submission.case, kid, "/case")
    return (
        ReferralSubmitted(referral_id=referral_id, sender=sender, facts=facts_of(submission)),
        CaseSealed(referral_id=referral_id, sender=sender, to=submission.to, case=submission.case),
    )
