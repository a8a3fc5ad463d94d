"""What audit was asked, and what it gave proof of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.facts.fact import Fact, fact
from contracts.identifiers import MessageId, OrganizationId, ReferralId


@fact("history.read", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryRead(Fact):
    """Somebody looked into the history. filter: what was asked for; entries: how many were shown."""

    reader: str
    filter: Mapping[str, Any]
    entries: int


@fact("history.exported", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryExported(Fact):
    """Somebody took a referral's history away, with its proofs. size: of the tree they stand against."""

    reader: str
    referral_id: ReferralId
    entries: int
    size: int


@fact("receipt.issued")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiptIssued(Fact):
    """To a party: the message is in the log. Sent to delivery alone, and no entry of the log itself.

    leaf: the entry, byte for byte (RFC 8785). proof: a C2SP `tlog-proof`, its checkpoint included.
    """

    referral_id: ReferralId
    organization: OrganizationId
    message_id: MessageId
    message_type: str
    leaf: str
    proof: str
