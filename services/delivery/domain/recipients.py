"""Recipients of facts: the fields that name organisations, by fact type, and the coordinators' facts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from contracts import facts
from contracts.errors import Defect

_CANDIDATE = ("organization",)
_SENDER = ("sender",)
_BOTH = ("sender", "organization")
_RECIPIENTS = ("recipients",)

RECIPIENTS: Mapping[str, tuple[str, ...]] = {
    facts.OfferOpened.type: _CANDIDATE,
    facts.OfferReminded.type: _CANDIDATE,
    facts.OfferAccepted.type: _BOTH,  # also to the acceptor: confirms that its answer was in time
    facts.OfferDeclined.type: _SENDER,
    facts.OfferExpired.type: _BOTH,
    facts.OfferRevoked.type: _CANDIDATE,
    facts.AnswerRefused.type: _CANDIDATE,
    facts.SubmissionRefused.type: _CANDIDATE,
    facts.CaseRefused.type: _CANDIDATE,  # `organization` sealed the case
    facts.CasePaused.type: _BOTH,  # so that an acceptor learns that an attacker replaced its key
    facts.CaseRequested.type: _BOTH,  # so that the acceptor knows that what it has may be out of date
    facts.PlacementRefused.type: (),
    facts.PlacementAnswered.type: (),
    facts.InterventionRefused.type: (),
    facts.InterventionApplied.type: _BOTH,
    facts.CoordinatorWithdrawalRefused.type: (),
    facts.CaseUnreadable.type: _SENDER,
    facts.NoteUnreadable.type: _CANDIDATE,  # `organization` is the note's author
    facts.ReferralUnplaced.type: _SENDER,
    facts.ReferralProgressed.type: _BOTH,
    facts.ReferralCompleted.type: _BOTH,
    facts.ReferralWithdrawn.type: _BOTH,
    facts.ReferralFailed.type: _BOTH,
    facts.ReferralReferredOnward.type: _BOTH,  # also to the acceptor: confirms the link
    facts.ReferralSplit.type: _SENDER,
    facts.ReferralRejoined.type: _SENDER,
    facts.PartOpened.type: _SENDER,
    facts.ReferralOverdue.type: _BOTH,
    facts.ReferralUnanswered.type: (),
    facts.AlertClosed.type: (),  # closes a message
    facts.CoordinationDigest.type: (),
    facts.StatementIssued.type: _CANDIDATE,
    facts.ReferralAcceptorSuspended.type: _SENDER,
    facts.ReferralAcceptorDeclinedPart.type: _SENDER,
    facts.AcceptanceRevoked.type: _BOTH,
    facts.ReferralHandedBack.type: _BOTH,  # also to the former acceptor: confirms the end of its access
    facts.HandBackRefused.type: _CANDIDATE,
    facts.DirectoryCorrectionSuggested.type: _CANDIDATE,
    # A member of the hub's staff gets none of these: `organization` is None.
    facts.CredentialIssued.type: _CANDIDATE,
    facts.CredentialRevoked.type: _CANDIDATE,
    facts.CredentialTokensRevoked.type: _CANDIDATE,
    facts.CredentialExpiring.type: _CANDIDATE,
    facts.ApprovalRequested.type: _CANDIDATE,
    facts.ApprovalEndorsed.type: _CANDIDATE,
    facts.ApprovalGranted.type: _CANDIDATE,
    facts.ApprovalRefused.type: _CANDIDATE,
    facts.SealingKeyReplaced.type: _CANDIDATE,
    facts.ServiceApprovalEnded.type: _CANDIDATE,
    facts.ApplicationSubmitted.type: (),
    facts.ApplicationDecided.type: (),  # closes a message
    facts.WebhookChanged.type: _CANDIDATE,  # so that an owner learns of an attacker's endpoint
    facts.WebhookFailing.type: _CANDIDATE,
    # The field holds several organisations.
    facts.EmployerReportRetracted.type: _RECIPIENTS,
    facts.EmployerReplied.type: _RECIPIENTS,
    facts.WatchReportsChosen.type: (),  # closes messages
    facts.ReceiptsIssued.type: _CANDIDATE,  # one message for each party
    facts.ReceiptIssued.type: _CANDIDATE,  # published by an earlier version
}

# The shared mailbox of all principals with the role `coordinator`. No organisation can have this id.
COORDINATORS: Final = "coordinators"
# Facts that also go to the coordinators: the type, and the reasons of which it must have one; None: any.
COORDINATED: Mapping[str, frozenset[str] | None] = {
    facts.PlacementRefused.type: None,
    facts.PlacementAnswered.type: None,
    facts.InterventionRefused.type: None,
    facts.InterventionApplied.type: None,
    facts.CoordinatorWithdrawalRefused.type: None,
    facts.ReferralUnplaced.type: None,
    facts.ReferralOverdue.type: None,
    facts.ReferralUnanswered.type: None,
    facts.CoordinationDigest.type: None,
    facts.OfferRevoked.type: frozenset({"organization_suspended", "approval_ended"}),
    facts.ReferralAcceptorSuspended.type: None,
    facts.ReferralAcceptorDeclinedPart.type: None,
    facts.AcceptanceRevoked.type: None,
    facts.DirectoryCorrectionSuggested.type: None,
    facts.SealingKeyReplaced.type: None,
    facts.ServiceApprovalEnded.type: None,
    facts.ApplicationSubmitted.type: None,
}

# The facts that end an acceptance while the referral continues; its case is deleted then.
ENDED = frozenset({facts.AcceptanceRevoked.type, facts.ReferralHandedBack.type})


def recipients_of(fact_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the mailboxes that receive the message, each once: organisation ids or `COORDINATORS`.

    data: of the CloudEvent. Raises Defect for a type that is not in the table, so that no message is lost
    silently.
    """
    fields = RECIPIENTS.get(fact_type)
    if fields is None:
        raise Defect(f"No recipients are defined for {fact_type}.")
    mailboxes = dict.fromkeys(named for field in fields for named in _named_in(data[field]))
    if fact_type in COORDINATED and (
        (reasons := COORDINATED[fact_type]) is None or data.get("reason") in reasons
    ):
        mailboxes[COORDINATORS] = None
    return tuple(mailboxes)


def recipients_of_any(fact_type: str) -> frozenset[str] | None:
    """Return the mailboxes that receive every message of the type; None if the content names them."""
    if RECIPIENTS.get(fact_type) != ():
        return None
    if fact_type not in COORDINATED:
        return frozenset()
    return frozenset({COORDINATORS}) if COORDINATED[fact_type] is None else None


def _named_in(value: str | Iterable[str] | None) -> Iterable[str]:
    # A field is None when the referral ended before it was accepted.
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def shared_mailboxes(roles: Collection[str]) -> tuple[str, ...]:
    """Return the mailboxes that a principal with these roles reads and acknowledges besides its own."""
    return (COORDINATORS,) if "coordinator" in roles else ()
