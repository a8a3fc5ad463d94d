"""The vault's facts about sealed cases, and the facts about the keys that seal messages to the vault."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from marshmallow.validate import OneOf

from contracts.canonical import Count
from contracts.facts.fact import Fact, fact
from contracts.identifiers import OrganizationId, ReferralId


@fact("case.released")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseReleased(Fact):
    """The vault released the case to the acceptor. kid: the key that the case is sealed to."""

    referral_id: ReferralId
    organization: OrganizationId
    kid: str


@fact("case.refused")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseRefused(Fact):
    """The vault could not decrypt or parse the sealed case. problem: the reason for the sender, RFC 9457."""

    referral_id: ReferralId
    organization: OrganizationId
    problem: Mapping[str, Any]


@fact("case.paused")
@dataclass(frozen=True, kw_only=True, slots=True)
class CasePaused(Fact):
    """The vault holds an accepted case: the acceptor's sealing key replaced another one without proof of it.

    organization: the acceptor; until: the vault then releases the case to the key that is published.
    """

    referral_id: ReferralId
    organization: OrganizationId
    sender: OrganizationId
    until: dt.datetime


@fact("case.requested")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseRequested(Fact):
    """The vault asks the sender for the case: what it holds is not sealed to the acceptor.

    organization: the acceptor. It has no case, or one that the sender has replaced for another acceptor.
    """

    referral_id: ReferralId
    organization: OrganizationId
    sender: OrganizationId


@fact("case.erased")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseErased(Fact):
    referral_id: ReferralId
    reason: Annotated[str, OneOf(["withdrawn", "consent_revoked", "completed", "failed"])]


@fact("transit_key.published", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class TransitKeyPublished(Fact):
    """The vault made a key for messages from intake, which uses it instead of the earlier ones.

    kid: RFC 7638 thumbprint. x: the X25519 public key, base64url. published_at: later than that of every
    earlier key of the vault.
    """

    kid: str
    x: str
    published_at: dt.datetime


@fact("transit_key.closed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class TransitKeyClosed(Fact):
    """Intake seals nothing more to the key. messages: the number of messages that it has sealed to it."""

    kid: str
    messages: Count


@fact("transit_key.destroyed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class TransitKeyDestroyed(Fact):
    """The vault destroyed the key: it has read every message that was sealed to it.

    messages: the number of messages that it has read. Copies of them cannot be opened any more.
    """

    kid: str
    messages: Count
