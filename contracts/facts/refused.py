"""Accepted submissions that cannot take effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.codes import CoordinatorAct
from contracts.facts.fact import Fact, fact
from contracts.identifiers import MessageId, OfferId, OrganizationId, ReferralId, SubmissionKey


@fact("answer.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerRefused(Fact):
    """An accepted submission of an answer that cannot take effect (too late, not the offer's organisation).

    Sent to the organisation that answered.
    """

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    submission_id: MessageId
    problem: Mapping[str, Any]


@fact("submission.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class SubmissionRefused(Fact):
    """Any other submission that cannot take effect. Sent to the organisation that submitted it.

    message_id: of a submission over AMQP that the hub did not accept, as the organisation chose it; then
    referral_id and submission_id are null. Otherwise the submission had been accepted; message_id is null.
    """

    referral_id: ReferralId | None
    organization: OrganizationId
    submission_id: MessageId | None
    problem: Mapping[str, Any]
    message_id: SubmissionKey | None = None


@fact("placement.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementRefused(Fact):
    """A placement that cannot take effect. Sent to the coordinators.

    Routing publishes it for a request refused at its API as well; `placement.submitted` then does not exist.
    organization: the one the coordinator asked for. problem: RFC 9457.
    """

    referral_id: ReferralId
    organization: OrganizationId
    coordinator: str
    submission_id: MessageId
    problem: Mapping[str, Any]


@fact("coordinator_withdrawal.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class CoordinatorWithdrawalRefused(Fact):
    """A withdrawal by a coordinator that cannot take effect. Sent to the coordinators.

    Routing publishes it for a request refused at its API as well; `coordinator_withdrawal.submitted` then
    does not exist. organization: the one the coordinator acted for. problem: RFC 9457.
    """

    referral_id: ReferralId
    organization: OrganizationId
    coordinator: str
    submission_id: MessageId
    problem: Mapping[str, Any]


@fact("intervention.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class InterventionRefused(Fact):
    """A coordinator's intervention that cannot take effect. Sent to the coordinators.

    Routing publishes it for a request refused at its API as well; `intervention.submitted` then does not
    exist. problem: RFC 9457.
    """

    referral_id: ReferralId
    organization: OrganizationId | None
    coordinator: str
    act: CoordinatorAct
    submission_id: MessageId
    problem: Mapping[str, Any]


@fact("hand_back.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class HandBackRefused(Fact):
    """An accepted hand-back that cannot take effect. Sent to the organisation that submitted it.

    problem: RFC 9457.
    """

    referral_id: ReferralId
    organization: OrganizationId
    submission_id: MessageId
    problem: Mapping[str, Any]
