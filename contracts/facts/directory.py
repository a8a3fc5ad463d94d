"""The directory's full-state events: each carries the whole current record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.canonical import Count
from contracts.facts.fact import Fact, fact
from contracts.organization import Agreement, Organization


@fact("organization.changed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class OrganizationChanged(Fact):
    """The whole current record. A lower revision never overwrites a higher one."""

    revision: Count
    organization: Organization


@fact("agreement.changed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class AgreementChanged(Fact):
    revision: Count
    agreement: Agreement


@fact("token_key.changed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class TokenKeyChanged(Fact):
    """A public Ed25519 key (JWK) that verifies bearer tokens. Source: RFC 8037.

    withdrawn: tokens signed with it are no longer valid.
    """

    revision: Count
    key: Mapping[str, Any]
    withdrawn: bool = False


@fact("replica.requested", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaRequested(Fact):
    """A service without a replica asks the owner to send every record to its queue."""

    queue: str


@fact("replica.completed", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicaCompleted(Fact):
    """The owner has sent every record for a `replica.requested`. records: their number."""

    queue: str
    records: Count
