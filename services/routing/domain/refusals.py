"""The facts by which routing refuses submissions."""

from __future__ import annotations

from contracts.errors import Defect, Refused
from contracts.facts import (
    AnswerRefused,
    AnswerSubmitted,
    CoordinatorWithdrawalRefused,
    CoordinatorWithdrawalSubmitted,
    Fact,
    HandBackRefused,
    HandBackSubmitted,
    InterventionRefused,
    InterventionSubmitted,
    OutcomeSubmitted,
    PlacementRefused,
    PlacementSubmitted,
    ProgressSubmitted,
    RevocationSubmitted,
    SubmissionRefused,
    UnreadableSubmitted,
    WithdrawalSubmitted,
)


def refusal_of(submission: Fact, submission_id: str, refused: Refused) -> Fact:
    """Return the fact that tells the author of a submission why it has no effect.

    Raises Defect for a fact that is no submission.
    """
    match submission:
        case AnswerSubmitted():
            return AnswerRefused(
                referral_id=submission.referral_id,
                offer_id=submission.offer_id,
                organization=submission.organization,
                submission_id=submission_id,
                problem=refused.problem(),
            )
        case PlacementSubmitted():
            return PlacementRefused(
                referral_id=submission.referral_id,
                organization=submission.organization,
                coordinator=submission.coordinator,
                submission_id=submission_id,
                problem=refused.problem(),
            )
        case CoordinatorWithdrawalSubmitted():
            return CoordinatorWithdrawalRefused(
                referral_id=submission.referral_id,
                organization=submission.organization,
                coordinator=submission.coordinator,
                submission_id=submission_id,
                problem=refused.problem(),
            )
        case InterventionSubmitted():
            return InterventionRefused(
                referral_id=submission.referral_id,
                organization=submission.organization,
                coordinator=submission.coordinator,
                act=submission.act,
                submission_id=submission_id,
                problem=refused.problem(),
            )
        case HandBackSubmitted():
            return HandBackRefused(
                referral_id=submission.referral_id,
                organization=submission.organization,
                submission_id=submission_id,
                problem=refused.problem(),
            )
        case (
            ProgressSubmitted()
            | OutcomeSubmitted()
            | WithdrawalSubmitted()
            | RevocationSubmitted()
            | UnreadableSubmitted()
        ):
            return SubmissionRefused(
                referral_id=submission.referral_id,
                organization=submission.organization,
                submission_id=submission_id,
                problem=refused.problem(),
            )
    # A refusal without an addressee would be lost.
    raise Defect(f"Routing cannot refuse {submission.type}.")
