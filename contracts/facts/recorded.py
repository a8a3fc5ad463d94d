"""What audit was asked, and what it gave proof of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from marshmallow.validate import Length

from contracts.canonical import Count
from contracts.facts.fact import Fact, fact
from contracts.identifiers import MessageId, OrganizationId, ReferralId

# Receipts in one message: a mailbox page should not be one message's alone.
MOST_RECEIPTS = 200


@fact("history.read", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryRead(Fact):
    """Somebody looked into the history. filter: what was asked for; entries: how many were shown."""

    reader: str
    filter: Mapping[str, Any]
    entries: Count


@fact("history.exported", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryExported(Fact):
    """Somebody took a referral's history away, with its proofs. size: of the tree they stand against."""

    reader: str
    referral_id: ReferralId
    entries: Count
    size: Count


@fact("log.exported", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class LogExported(Fact):
    """Somebody took entries of the log away in bulk: those of `[start, stop)` that match the filter.

    form: what they are written as; entries: how many they are; size: of the tree that is exported, the same
    for every page of an export.
    """

    reader: str
    form: str
    filter: Mapping[str, Any]
    start: Count
    stop: Count
    entries: Count
    size: Count


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """One message of a party's is entry `index` of the log.

    leaf: the entry, byte for byte (RFC 8785); it names message, type and referral. path: the audit path
    from the leaf's sibling upwards, as places in the `hashes` that the receipts of a message share.
    """

    index: Count
    leaf: str
    path: tuple[Count, ...]


@fact("receipts.issued")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiptsIssued(Fact):
    """To a party: these of its messages are in the log. Sent to delivery alone, and no entry itself.

    checkpoint: the signed note that all of them stand under. hashes: base64, 32 bytes each. Checkpoint,
    index and the hashes of its path are what a C2SP `tlog-proof` is made of.
    """

    organization: OrganizationId
    checkpoint: str
    hashes: tuple[str, ...]
    receipts: Annotated[tuple[Receipt, ...], Length(min=1, max=MOST_RECEIPTS)]


@fact("receipt.issued")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiptIssued(Fact):
    """What went before `receipts.issued`, a message for each entry. Nobody says it any more; it may still
    lie in mailboxes.

    leaf: the entry, byte for byte (RFC 8785). proof: a C2SP `tlog-proof`, its checkpoint included.
    """

    referral_id: ReferralId
    organization: OrganizationId
    message_id: MessageId
    message_type: str
    leaf: str
    proof: str
