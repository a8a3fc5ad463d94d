"""The facts by which routing refuses submissions."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

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

# The refusals of organisations' submissions. An organisation that was asked can cause any number, so they are
# steps of the referral for their author only.
OF_ORGANIZATIONS: Final = (AnswerRefused, HandBackRefused, SubmissionRefused)
_OF_COORDINATORS: Final = (PlacementRefused, InterventionRefused, CoordinatorWithdrawalRefused)
# Each is the only step of the submission that it refuses, so that an act is one step and counts once.
REFUSALS: Final = (*OF_ORGANIZATIONS, *_OF_COORDINATORS)
# Coordinators' submissions and their refusals. They name the offers and organisations for which the referral
# waits, so they are steps of the referral for its sender and the staff only.
OF_COORDINATORS: Final = (
    PlacementSubmitted,
    InterventionSubmitted,
    CoordinatorWithdrawalSubmitted,
    *_OF_COORDINATORS,
)

# How coordinators' submissions about a referral count (`contracts/submission_bound.py`). A withdrawal counts
# by itself: no number of other acts may delay the end of a referral whose person has withdrawn the consent.
_WITHDRAWALS: Final = (CoordinatorWithdrawalSubmitted, CoordinatorWithdrawalRefused)
_OTHER_ACTS: Final = tuple(kind for kind in OF_COORDINATORS if kind not in _WITHDRAWALS)


def counted_with(submission: Fact) -> frozenset[str]:
    """Return the facts of a timeline that count with a coordinator's submission.

    A submission that was refused has its refusal as its only step.
    """
    kinds = _WITHDRAWALS if isinstance(submission, _WITHDRAWALS) else _OTHER_ACTS
    return frozenset(kind.routing_key for kind in kinds)


def refusal_of(submission: Fact, submission_id: str, refused: Refused) -> Fact:
    """Return the fact that informs the author of a submission why it has no effect.

    Raises Defect for a fact that is not a submission.
    """
    told = partial(_told, submission_id=submission_id, refused=refused)
    match submission:
        case AnswerSubmitted():
            return AnswerRefused(**told(submission), offer_id=submission.offer_id)
        case PlacementSubmitted():
            return PlacementRefused(**told(submission), coordinator=submission.coordinator)
        case CoordinatorWithdrawalSubmitted():
            return CoordinatorWithdrawalRefused(**told(submission), coordinator=submission.coordinator)
        case InterventionSubmitted():
            return InterventionRefused(
                **told(submission), coordinator=submission.coordinator, act=submission.act
            )
        case HandBackSubmitted():
            return HandBackRefused(**told(submission))
        case (
            ProgressSubmitted()
            | OutcomeSubmitted()
            | WithdrawalSubmitted()
            | RevocationSubmitted()
            | UnreadableSubmitted()
        ):
            return SubmissionRefused(**told(submission))
    # A refusal without an addressee would be lost.
    raise Defect(f"Routing cannot refuse {submission.type}.")


def _told(submission: Any, *, submission_id: str, refused: Refused) -> dict[str, Any]:
    """Return what every refusal says."""
    return {
        "referral_id": submission.referral_id,
        "organization": submission.organization,
        "submission_id": submission_id,
        "problem": refused.problem(),
    }
