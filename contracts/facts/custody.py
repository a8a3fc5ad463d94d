"""What the vault did with a sealed case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from marshmallow.validate import OneOf

from contracts.facts.fact import Fact, fact
from contracts.identifiers import OrganizationId, ReferralId


@fact("case.released")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseReleased(Fact):
    """The case is on its way to the acceptor. kid: the key it is sealed to."""

    referral_id: ReferralId
    organization: OrganizationId
    kid: str


@fact("case.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseRefused(Fact):
    """The sealed case cannot be opened or understood; its sender is told why."""

    referral_id: ReferralId
    organization: OrganizationId
    problem: Mapping[str, Any]


@fact("case.erased")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseErased(Fact):
    referral_id: ReferralId
    reason: Annotated[str, OneOf(["withdrawn", "consent_revoked", "completed", "failed"])]
