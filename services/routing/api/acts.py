"""Coordinators' acts on a referral: place, intervene, withdraw. Each returns a submission."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated

from marshmallow.validate import Length

from contracts.codes import CoordinatorAct, InterventionReason
from contracts.facts import CoordinatorReason, InterventionSubmitted, RuleName
from contracts.idempotency_key import HEADER, require_well_formed
from contracts.identifiers import OfferId, OrganizationId
from contracts.records import load
from contracts.responses.referrals import Submitted
from runtime.clock import Clock
from runtime.web.request import Request
from runtime.web.response import Response
from services.routing.domain.open_offers import MOST_OPEN
from services.routing.handlers.commands import RoutingCommands

SeenOffers = Annotated[tuple[OfferId, ...], Length(max=MOST_OPEN)]
SeenRules = Annotated[tuple[RuleName, ...], Length(max=100)]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacementRequest:
    """The body of `POST /v1/coordination/{referral_id}/offer`.

    reason: required if an open offer or an overdue acceptance is revoked for the placement. offers: the ids
    of the offers that were open or accepted when the coordinator looked; by default those of now. If the
    referral waits for another one when the placement takes effect, it is refused. overridden: the rules that
    the coordinator overrides; by default those that exclude the organisation now. If another rule excludes it
    when the placement takes effect, it is refused.
    """

    organization: OrganizationId
    reason: InterventionReason | None = None
    offers: SeenOffers | None = None
    overridden: SeenRules | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class InterventionRequest:
    """The body of `POST /v1/coordination/{referral_id}/nudge` and `.../move-on`.

    organization: the holder of an open offer or the acceptor; None for all that the referral waits for.
    offers: the ids of the offers that were open or accepted when the coordinator looked; by default those of
    now. The act concerns no other one.
    """

    reason: InterventionReason
    organization: OrganizationId | None = None
    offers: SeenOffers | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtensionRequest:
    """The body of `POST /v1/coordination/{referral_id}/extend`.

    until: the new deadline. organization, offers: see `InterventionRequest`.
    """

    reason: InterventionReason
    until: dt.datetime
    organization: OrganizationId | None = None
    offers: SeenOffers | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawalRequest:
    """The body of `POST /v1/coordination/{referral_id}/withdraw`.

    organization: the party that the coordinator acts for. reason: a withdrawal code or `consent_revoked`.
    """

    organization: OrganizationId
    reason: CoordinatorReason


def place(commands: RoutingCommands, request: Request, clock: Clock) -> Response:
    """`POST /v1/coordination/{referral_id}/offer`."""
    key = _key(request)
    wanted = load(PlacementRequest, request.json())
    submission_id = commands.submit_placement(
        request.path_params["id"],
        wanted.organization,
        request.principal.id,
        clock.now(),
        reason=wanted.reason,
        offers=wanted.offers,
        overridden=wanted.overridden,
        key=key,
    )
    return _submitted(submission_id)


def intervene(commands: RoutingCommands, request: Request, clock: Clock, act: CoordinatorAct) -> Response:
    """`POST /v1/coordination/{referral_id}/nudge`, `.../extend` and `.../move-on`."""
    key = _key(request)
    wanted: ExtensionRequest | InterventionRequest
    if act is CoordinatorAct.extend:
        wanted = load(ExtensionRequest, request.json())
    else:
        wanted = load(InterventionRequest, request.json())
    intervention = InterventionSubmitted(
        referral_id=request.path_params["id"],
        organization=wanted.organization,
        coordinator=request.principal.id,
        act=act,
        reason=wanted.reason,
        until=wanted.until if isinstance(wanted, ExtensionRequest) else None,
        offers=wanted.offers,
    )
    return _submitted(commands.submit_intervention(intervention, clock.now(), key=key))


def withdraw(commands: RoutingCommands, request: Request, clock: Clock) -> Response:
    """`POST /v1/coordination/{referral_id}/withdraw`."""
    key = _key(request)
    wanted = load(WithdrawalRequest, request.json())
    submission_id = commands.submit_withdrawal(
        request.path_params["id"],
        wanted.organization,
        wanted.reason,
        request.principal.id,
        clock.now(),
        key=key,
    )
    return _submitted(submission_id)


def _key(request: Request) -> str | None:
    key = request.headers.get(HEADER)
    if key is not None:
        require_well_formed(key)
    return key


def _submitted(submission_id: str) -> Response:
    return Response.of(Submitted(id=submission_id, status="submitted"), status=202)
