"""Routing's decisions about offers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated

from marshmallow.validate import OneOf

from contracts.canonical import Count
from contracts.codes import DeclineReason
from contracts.facts.fact import Fact, OpenNote, fact
from contracts.identifiers import OfferId, OrganizationId, ReferralId
from contracts.referral import Situation


@fact("offer.opened")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferOpened(Fact):
    """rank: 1 for the best candidate. deadline: an offer without an answer by then expires."""

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId
    rank: Count
    opened_at: dt.datetime
    deadline: dt.datetime
    facts: Situation


@fact("offer.reminded")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferReminded(Fact):
    """A reminder that the policy sends before the deadline of an offer without an answer."""

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId
    deadline: dt.datetime


@fact("offer.accepted")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferAccepted(Fact):
    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId


@fact("offer.declined")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferDeclined(Fact):
    """note: read in messages of earlier builds, never written."""

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId
    reason: DeclineReason
    note: OpenNote | None = None


@fact("offer.expired")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferExpired(Fact):
    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId


@fact("offer.revoked")
@dataclass(frozen=True, kw_only=True, slots=True)
class OfferRevoked(Fact):
    """reason: why the network revoked the offer. `agreement_ended`: no agreement lets the sender disclose the
    referral to the organisation any more. `organization_changed`: the referral may not go to the organisation
    any more, because its kind, country or parent has changed. `conflict_of_interest`,
    `person_prefers_another`: for this reason the organisation declined another part of the same referral, or
    handed it back.
    """

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId
    reason: Annotated[
        str,
        OneOf(
            [
                "accepted_elsewhere",
                "withdrawn",
                "consent_revoked",
                "failed",
                "organization_suspended",
                "approval_ended",
                "agreement_ended",
                "organization_changed",
                "moved_on",
                "conflict_of_interest",
                "person_prefers_another",
            ]
        ),
    ]


@fact("placement.answered")
@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementAnswered(Fact):
    """The result of an offer that a coordinator placed by hand. Sent to the coordinators.

    result: the offer's state. reason: why it was declined, revoked or returned. After `expired`, a second
    result follows when the network processes an answer that it received before the deadline; after
    `accepted`, when the acceptor hands the referral back or is suspended and replaced.
    """

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    coordinator: str
    result: Annotated[str, OneOf(["accepted", "declined", "expired", "revoked", "returned"])]
    reason: str | None = None


@fact("acceptance.revoked")
@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptanceRevoked(Fact):
    """A coordinator revoked the acceptance of a suspended or overdue acceptor, to ask another organisation.

    organization: the former acceptor. offer_id: the offer that it had accepted. The referral is offered to
    the organisation of the coordinator's placement, or to the next candidate (`offer.opened` with the same
    cause). reason: `report_overdue` if the acceptor missed a report.
    """

    referral_id: ReferralId
    offer_id: OfferId
    organization: OrganizationId
    sender: OrganizationId
    coordinator: str
    reason: Annotated[str, OneOf(["organization_suspended", "report_overdue"])] = "organization_suspended"
