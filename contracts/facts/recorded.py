"""Facts about reads of persons' facts, exports of the log, and receipts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from marshmallow.validate import Length, OneOf

from contracts.canonical import Count
from contracts.facts.fact import Fact, fact
from contracts.identifiers import MessageId, OrganizationId, ReferralId

# Receipts in one message: one message should not fill a mailbox page.
MOST_RECEIPTS = 200
# Events in one message of `events.logged`: some 47 KB.
MOST_LOGGED = 1_000
# Referrals in one page of a list or of the history.
MOST_READ = 200

ReadIds = Annotated[tuple[ReferralId, ...], Length(max=MOST_READ)]


@fact("referral.read", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReferralRead(Fact):
    """A coordinator, auditor or operator read facts of persons at a service; a list counts once.

    reader: the principal; client_id: its OAuth client, null if unknown; roles: those of its token. resource:
    method and route template. filter: the codes, ids and times of the query, never free text. referral_ids:
    the referrals in the answer; entries: how many.
    """

    reader: str
    client_id: str | None
    roles: tuple[str, ...]
    resource: str
    filter: Mapping[str, Any]
    referral_ids: ReadIds
    entries: Count


@fact("case.fetched", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class CaseFetched(Fact):
    """The acceptor fetched the case that was released to it. client_id: its OAuth client, null if unknown."""

    referral_id: ReferralId
    organization: OrganizationId
    client_id: str | None


@fact("dead_letter.read", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetterRead(Fact):
    """An operator read the data of a dead letter on the command line.

    reader: the login name at the operator's machine. consumer, message_id: of the dead letter. referral_ids:
    of its events; entries: the number of events whose data was shown.
    """

    reader: str
    consumer: str
    message_id: str
    referral_ids: tuple[ReferralId, ...]
    entries: Count


@fact("history.read", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryRead(Fact):
    """A caller read the history. filter: the request's filter; entries: the number of entries returned.

    client_id, roles: of the reader's token. referral_ids: the referrals in the answer. Earlier builds wrote
    none of these.
    """

    reader: str
    filter: Mapping[str, Any]
    entries: Count
    client_id: str | None = None
    roles: tuple[str, ...] = ()
    referral_ids: ReadIds = ()


@fact("history.exported", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryExported(Fact):
    """A caller exported a referral's history with its proofs. size: of the tree that the proofs refer to.

    client_id, roles: of the reader's token. Earlier builds wrote neither.
    """

    reader: str
    referral_id: ReferralId
    entries: Count
    size: Count
    client_id: str | None = None
    roles: tuple[str, ...] = ()


@fact("log.exported", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class LogExported(Fact):
    """A caller exported the log entries of `[start, stop)` that match the filter.

    form: the output format; entries: the number of entries; size: of the exported tree, the same for every
    page of an export. client_id, roles: of the reader's token. Earlier builds wrote neither.
    """

    reader: str
    form: str
    filter: Mapping[str, Any]
    start: Count
    stop: Count
    entries: Count
    size: Count
    client_id: str | None = None
    roles: tuple[str, ...] = ()


@fact("content.erased", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class ContentErased(Fact):
    """The log erased the content of a referral's entries: the reason why it is missing.

    entries: how many lost their content, all of them below entry `stop`.
    """

    referral_id: ReferralId
    reason: Annotated[str, OneOf(["consent_revoked", "retention"])]
    entries: Count
    stop: Count


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """Proof that a message of the party is entry `index` of the log.

    leaf: the entry's exact bytes (RFC 8785). path: the audit path from the leaf's sibling upwards, as indices
    into the `hashes` that all receipts of one message share. head: the canonical JSON that names message,
    type and referral; head_salt: base64, with which the leaf commits to it. Both are null for leaves of
    earlier formats, which hold the head themselves.
    """

    index: Count
    leaf: str
    path: tuple[Count, ...]
    head: str | None = None
    head_salt: str | None = None


@fact("receipts.issued")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiptsIssued(Fact):
    """Receipts for the messages of a party that are in the log. Sent only to delivery; never logged itself.

    checkpoint: the signed note that all receipts refer to. hashes: base64, 32 bytes each. Checkpoint, index
    and the hashes of the path make up a C2SP `tlog-proof`.
    """

    organization: OrganizationId
    checkpoint: str
    hashes: tuple[str, ...]
    receipts: Annotated[tuple[Receipt, ...], Length(min=1, max=MOST_RECEIPTS)]


@fact("events.logged", classification="public")
@dataclass(frozen=True, kw_only=True, slots=True)
class EventsLogged(Fact):
    """Receipt of audit for an author: these events of the service are in the published log. Sent only to the
    service itself; never logged.

    size: of a published tree that contains them. digests: base64 SHA-256 of each event's bytes, as its author
    signed them.
    """

    service: str
    size: Count
    digests: Annotated[tuple[str, ...], Length(min=1, max=MOST_LOGGED)]


@fact("receipt.issued")
@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiptIssued(Fact):
    """The predecessor of `receipts.issued`, with one message for each entry. No longer published, but
    mailboxes may still contain it.

    leaf: the entry's exact bytes (RFC 8785). proof: a C2SP `tlog-proof`, including its checkpoint.
    """

    referral_id: ReferralId
    organization: OrganizationId
    message_id: MessageId
    message_type: str
    leaf: str
    proof: str
