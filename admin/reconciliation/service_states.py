"""Read-only queries of the services' databases for a reconciliation.

They read only the columns below. When one of these changes, this file must change with it;
tests/services/test_reconcile.py fails until it does:

    intake    submissions(referral_id, submitted_at)
    routing   referrals(id, sender, status, acceptor, updated_at), offers(referral_id, organization),
              decisions(id, referral_id, decided_at, record, salt)
    vault     custodies(referral_id, state, acceptor, changed_at, part_of), sealed_cases(referral_id)
    delivery  mailbox_messages(sequence, message_id, type, referral_id, queued_at)
    directory revisions(subject, id, number, changed_at),
              organizations, agreements, token_keys(id, revision, record)
    each      unreceipted(number, body, published_at)

Times are microseconds since 1970 (`runtime.storage.columns.Instant`).
"""

from __future__ import annotations

import datetime as dt
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import orjson
from sqlalchemy import (
    Connection,
    Engine,
    LargeBinary,
    Text,
    column,
    create_engine,
    func,
    make_url,
    select,
    table,
)
from sqlalchemy.sql.selectable import TableClause

from admin.reconciliation.decision_differences import LoggedDecision, StoredDecision
from admin.reconciliation.differences import (
    HeldCase,
    LoggedFact,
    LoggedRevision,
    ReferralState,
    Revision,
    RoutedReferral,
)
from admin.reconciliation.statement_differences import LoggedStatement, StoredStatement
from admin.reconciliation.unreceipted_events import UnreceiptedEvent, unreceipted_events
from contracts.commitment import SALT_BYTES, commitment_to
from contracts.facts import DecisionsRecorded, StatementIssued
from kopuro_client.errors import InvalidArgumentError
from runtime.storage.columns import Instant
from runtime.tls import DATABASE, TlsFiles, UnusableTlsFiles, tls_files
from services.audit.adapters.tables import ENTRIES
from services.audit.log.adapters.sql_contents import SqlContents
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.domain.leaf import fields_of
from services.audit.log.domain.opening import ContentMismatch, changed_head
from services.audit.log.handlers.content_inspection import ContentInspection, ReasonMissing
from services.audit.log.handlers.entry_verification import LogDamaged
from services.audit.log.ports import OpenedLeaf
from services.routing.domain.candidate_tree import candidates_root
from services.routing.domain.monthly_statement import digest_of

SERVICES = ("audit", "intake", "routing", "vault", "delivery", "directory")
# The kinds of directory records that are published, with the path of the id in the event's data.
_PUBLISHED: Mapping[str, tuple[str, ...]] = {
    "organization": ("organization", "id"),
    "agreement": ("agreement", "id"),
    "token_key": ("key", "kid"),
    "client": ("client_id",),
}

_SUBMISSIONS = table("submissions", column("referral_id"), column("submitted_at", Instant))
_REFERRALS = table(
    "referrals",
    column("id"),
    column("sender"),
    column("status"),
    column("acceptor"),
    column("updated_at", Instant),
)
_OFFERS = table("offers", column("referral_id"), column("organization"))
_DECISIONS = table(
    "decisions",
    column("id"),
    column("referral_id"),
    column("decided_at", Instant),
    column("record", Text),
    column("salt", LargeBinary),
    column("erased_at", Instant),
    column("commitment"),
    column("asked", Text),
)
_STATEMENTS = table(
    "statements",
    column("month"),
    column("organization"),
    column("issued_at", Instant),
    column("content", LargeBinary),
    column("logged_in"),
)
# Routing erases the records of decisions about these, and of no other referrals.
_ENDED = frozenset({"completed", "withdrawn", "failed", "entered_in_error"})
_CUSTODIES = table(
    "custodies",
    column("referral_id"),
    column("state"),
    column("acceptor"),
    column("changed_at", Instant),
    column("part_of"),
)
_CASES = table("sealed_cases", column("referral_id"))
_MESSAGES = table(
    "mailbox_messages",
    column("sequence"),
    column("message_id"),
    column("type"),
    column("referral_id"),
    column("queued_at", Instant),
)

_RECORDS = {
    subject: table(name, column("id"), column("revision"), column("record", Text))
    for subject, name in (
        ("organization", "organizations"),
        ("agreement", "agreements"),
        ("token_key", "token_keys"),
    )
}
_REVISIONS = table(
    "revisions", column("subject"), column("id"), column("number"), column("changed_at", Instant)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxMessage:
    """A message in a mailbox. sequence: its position among all messages of delivery."""

    sequence: int
    message_id: str
    fact: str
    referral_id: str
    queued_at: dt.datetime


def open_read_only(url: str, tls: TlsFiles | None = None) -> Engine:
    """Return an engine that cannot write. url: in the form of KOPURO_DATABASE_URL.

    tls: the files for TLS; None: those that KOPURO_DATABASE_CA and so on name. Raises InvalidArgumentError if
    these are unusable.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        file = f"file:{quote(parsed.database or '')}"
        parsed = parsed.set(database=file, query={"mode": "ro", "uri": "true"})
        return create_engine(parsed, hide_parameters=True)
    try:
        tls = tls or tls_files(DATABASE, os.environ)
    except UnusableTlsFiles as error:
        raise InvalidArgumentError(str(error)) from None
    options = {
        "options": "-c default_transaction_read_only=on",
        **({} if tls is None else tls.libpq_options()),
    }
    return create_engine(parsed, connect_args=options, hide_parameters=True)


class ServiceStates:
    """The services' states, read through one read-only engine for each of SERVICES."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines
        self._log = SqlLog()
        # Entries whose leaf or content is not what was logged. Nothing of them is compared.
        self.mismatches: dict[int, ContentMismatch] = {}

    def referrals(self, after: str, limit: int) -> list[ReferralState]:
        """Return the next referrals after an id that any service knows, in the order of their ids.

        The services are read before the log, so that the log has their changes or will soon receive them.
        """
        ids = self._ids(after, limit)
        if not ids:
            return []
        submitted = {
            row.referral_id: row.submitted_at
            for row in self._rows("intake", _SUBMISSIONS, "referral_id", ids)
        }
        offered: dict[str, list[str]] = defaultdict(list)
        for row in self._rows("routing", _OFFERS, "referral_id", ids):
            offered[row.referral_id].append(row.organization)
        routed = {
            row.id: RoutedReferral(
                status=row.status,
                acceptor=row.acceptor,
                updated_at=row.updated_at,
                offered=tuple(offered[row.id]),
                sender=row.sender,
            )
            for row in self._rows("routing", _REFERRALS, "id", ids)
        }
        held = self._rows("vault", _CUSTODIES, "referral_id", ids)
        kept = [row.part_of or row.referral_id for row in held]
        cases = {row.referral_id for row in self._rows("vault", _CASES, "referral_id", kept)}
        custodies = {
            row.referral_id: HeldCase(
                state=row.state,
                has_case=(row.part_of or row.referral_id) in cases,
                changed_at=row.changed_at,
                acceptor=row.acceptor,
                is_part=row.part_of is not None,
            )
            for row in held
        }
        entries = self._entries(ids)
        return [
            ReferralState(
                referral_id=number,
                entries=tuple(entries[number]),
                submitted_at=submitted.get(number),
                routed=routed.get(number),
                custody=custodies.get(number),
            )
            for number in ids
        ]

    def messages(self, after: int, limit: int) -> list[MailboxMessage]:
        """Return the next messages of all mailboxes after a sequence."""
        wanted = select(_MESSAGES).where(_MESSAGES.c.sequence > after).order_by(_MESSAGES.c.sequence)
        with self._engines["delivery"].connect() as connection:
            return [
                MailboxMessage(
                    sequence=row.sequence,
                    message_id=row.message_id,
                    fact=_fact(row.type),
                    referral_id=row.referral_id,
                    queued_at=row.queued_at,
                )
                for row in connection.execute(wanted.limit(limit))
            ]

    def revisions(self) -> dict[Revision, dt.datetime]:
        """Return every published revision of the directory with its time."""
        wanted = select(_REVISIONS).where(_REVISIONS.c.subject.in_(_PUBLISHED))
        with self._engines["directory"].connect() as connection:
            return {
                Revision(subject=row.subject, id=row.id, number=row.number): row.changed_at
                for row in connection.execute(wanted)
            }

    def records(self) -> dict[Revision, str]:
        """Return the digest of each published record in force, under the revision that it says it is."""
        found = {}
        with self._engines["directory"].connect() as connection:
            for subject, records in _RECORDS.items():
                for row in connection.execute(select(records)):
                    record = orjson.loads(row.record)
                    content = record["key"] if subject == "token_key" else record
                    revision = Revision(subject=subject, id=row.id, number=row.revision)
                    found[revision] = _digest(content)
        return found

    def logged_revisions(self, limit: int) -> dict[Revision, LoggedRevision]:
        """Return every revision of the directory in the log. limit: entries per query."""
        types = [f"kopuro.{subject}.changed.v1" for subject in _PUBLISHED]
        found: dict[Revision, LoggedRevision] = {}
        for page in self._opened_pages(types, limit):
            for opened in page:
                if opened.data is None:
                    continue
                leaf = opened.fields
                revision = _revision(leaf["type"], opened.data)
                entry = LoggedRevision(
                    index=opened.index,
                    time=dt.datetime.fromisoformat(leaf["time"]),
                    content=_digest(_logged_record(revision.subject, opened.data)),
                )
                found.setdefault(revision, entry)
        return found

    def decisions(self, after: str, limit: int) -> list[StoredDecision]:
        """Return routing's next decisions after an id, in the order of their ids."""
        wanted = select(_DECISIONS).where(_DECISIONS.c.id > after).order_by(_DECISIONS.c.id).limit(limit)
        with self._engines["routing"].connect() as connection:
            rows = connection.execute(wanted).all()
        return self._stored_decisions(rows)

    def decisions_of(self, ids: Sequence[str]) -> dict[str, StoredDecision]:
        """Return the existing ones of these decisions."""
        found = self._stored_decisions(self._rows("routing", _DECISIONS, "id", ids))
        return {decision.id: decision for decision in found}

    def _stored_decisions(self, rows: Sequence[Any]) -> list[StoredDecision]:
        erased = sorted({row.referral_id for row in rows if row.erased_at is not None})
        ended = {row.id for row in self._rows("routing", _REFERRALS, "id", erased) if row.status in _ENDED}
        return [
            _stored_decision(row, early=row.erased_at is not None and row.referral_id not in ended)
            for row in rows
        ]

    def logged_decisions(self, limit: int) -> Iterator[list[LoggedDecision]]:
        """Yield the log's commitments to decisions, in pages. limit: entries per query."""
        for page in self._opened_pages([DecisionsRecorded.type], limit):
            yield [
                LoggedDecision(
                    index=opened.index,
                    time=dt.datetime.fromisoformat(opened.fields["time"]),
                    id=one["decision_id"],
                    commitment=one["commitment"],
                    candidates=one.get("candidates"),
                )
                for opened in page
                for one in (opened.data or {}).get("decisions", ())
            ]

    def statements(self) -> list[StoredStatement]:
        """Return the statements that routing issued."""
        with self._engines["routing"].connect() as connection:
            return [
                StoredStatement(
                    organization=row.organization,
                    month=row.month,
                    digest=digest_of(bytes(row.content)),
                    issued_at=row.issued_at,
                    logged_in=row.logged_in,
                )
                for row in connection.execute(select(_STATEMENTS))
            ]

    def logged_statements(self, limit: int) -> Iterator[list[LoggedStatement]]:
        """Yield the statements that the log says were issued, in pages. limit: entries per query."""
        for page in self._opened_pages([StatementIssued.type], limit):
            yield [
                LoggedStatement(
                    index=opened.index,
                    time=dt.datetime.fromisoformat(opened.fields["time"]),
                    message_id=opened.fields["message_id"],
                    **opened.data,
                )
                for opened in page
                if opened.data is not None
            ]

    def _opened_pages(self, types: Sequence[str], limit: int) -> Iterator[list[OpenedLeaf]]:
        """Yield the entries of these types with their content, after comparing both with the log."""
        after = -1
        with self._engines["audit"].connect() as connection:
            while True:
                wanted = select(ENTRIES.c.leaf_index).where(
                    ENTRIES.c.type.in_(types), ENTRIES.c.leaf_index > after
                )
                indices = list(
                    connection.execute(wanted.order_by(ENTRIES.c.leaf_index).limit(limit)).scalars()
                )
                if not indices:
                    return
                after = indices[-1]
                opened = self._opened(connection, indices)
                yield [opened[index] for index in indices if index in opened]

    def _opened(self, connection: Connection, indices: Sequence[int]) -> dict[int, OpenedLeaf]:
        """Return these entries without those that do not match, which `mismatches` keeps."""
        left = [index for index in indices if index not in self.mismatches]
        while True:
            try:
                return self._log.opened_at(connection, left)
            except ContentMismatch as mismatch:
                self.mismatches[mismatch.index] = mismatch
                left.remove(mismatch.index)

    def content_damage(self, limit: int) -> Iterator[str]:
        """Yield what is wrong beside the log: content missing without a reason, rewritten search keys.

        The first damage of each `limit` entries. Audit's own inspection does the same in the background.
        """
        inspection = ContentInspection(self._log, SqlContents())
        waiting: list[tuple[int, int]] = []
        with self._engines["audit"].connect() as connection:
            size = connection.execute(select(func.max(ENTRIES.c.leaf_index))).scalar()
            for start in range(0, 0 if size is None else size + 1, limit):
                try:
                    inspection.check(connection, start, start + limit)
                except ReasonMissing:
                    waiting.append((start, start + limit))
                except LogDamaged as damage:
                    yield str(damage)
        # The reason for an erasure reaches the log within a second, and is no damage until then.
        with self._engines["audit"].connect() as connection:
            for start, stop in waiting:
                try:
                    inspection.check(connection, start, stop)
                except LogDamaged as damage:
                    yield str(damage)

    def in_mailboxes(self, message_ids: Sequence[str]) -> set[tuple[str, str]]:
        """Return those of the ids that are in a mailbox, each with its fact: authors may share an id."""
        return self._known("delivery", _MESSAGES, message_ids)

    def in_log(self, message_ids: Sequence[str]) -> set[tuple[str, str]]:
        """Return those of the ids that have a log entry, each with its fact."""
        return self._known("audit", ENTRIES, message_ids)

    def unreceipted(self, service: str, limit: int) -> Iterator[list[UnreceiptedEvent]]:
        """Yield the service's published events without a receipt, in pages. limit: messages per query."""
        return unreceipted_events(self._engines[service], limit)

    def _known(self, service: str, where: Any, message_ids: Sequence[str]) -> set[tuple[str, str]]:
        wanted = select(where.c.message_id, where.c.type).where(where.c.message_id.in_(message_ids))
        with self._engines[service].connect() as connection:
            return {(row.message_id, _fact(row.type)) for row in connection.execute(wanted)}

    def _ids(self, after: str, limit: int) -> list[str]:
        """Return the services' next ids, truncated to the shortest full page so that no id is skipped."""
        pages = []
        for service, column_ in (
            ("intake", _SUBMISSIONS.c.referral_id),
            ("routing", _REFERRALS.c.id),
            ("vault", _CUSTODIES.c.referral_id),
            ("audit", ENTRIES.c.referral_id),
        ):
            wanted = select(column_).distinct().where(column_ > after).order_by(column_).limit(limit)
            with self._engines[service].connect() as connection:
                pages.append(list(connection.execute(wanted).scalars()))
        ends = [page[-1] for page in pages if len(page) == limit]
        known = sorted({number for page in pages for number in page})
        return [number for number in known if number <= min(ends)] if ends else known

    def _rows(self, service: str, where: TableClause, key: str, ids: Sequence[str]) -> Sequence[Any]:
        with self._engines[service].connect() as connection:
            return connection.execute(select(where).where(where.c[key].in_(ids))).all()

    def _entries(self, ids: Sequence[str]) -> dict[str, list[LoggedFact]]:
        with self._engines["audit"].connect() as connection:
            found: dict[str, list[LoggedFact]] = defaultdict(list)
            wanted = select(ENTRIES).where(ENTRIES.c.referral_id.in_(ids)).order_by(ENTRIES.c.leaf_index)
            for row in connection.execute(wanted):
                try:
                    found[row.referral_id].append(_logged_fact(row))
                except (ValueError, KeyError):
                    self.mismatches[row.leaf_index] = changed_head(row.leaf_index)
            return found


def _logged_fact(row: Any) -> LoggedFact:
    """Return the entry of a row. Raises ValueError for a head that is not the leaf's."""
    return LoggedFact(
        index=row.leaf_index,
        fact=_fact(row.type),
        message_id=row.message_id,
        organization=fields_of(row.leaf, row.head)["organization"],
        time=row.time,
    )


def _stored_decision(row: Any, *, early: bool) -> StoredDecision:
    salt = row.salt
    committed = salt is not None and len(salt) == SALT_BYTES
    # A record that only claims to be erased is a rewritten one.
    kept = row.commitment if row.erased_at is not None and row.record == "{}" else None
    return StoredDecision(
        id=row.id,
        referral_id=row.referral_id,
        decided_at=row.decided_at,
        commitment=commitment_to(row.record.encode(), bytes(salt)) if committed else kept,
        candidates=_candidates(row) if committed and row.asked is not None else None,
        is_erased=kept is not None,
        is_erased_early=early,
    )


def _candidates(row: Any) -> str | None:
    """Return the root over a decision's candidates; None for a damaged record, which differs anyway."""
    try:
        organizations = [one["organization"] for one in orjson.loads(row.record)["candidates"]]
        return candidates_root(row.referral_id, organizations, orjson.loads(row.asked), bytes(row.salt))
    except (ValueError, KeyError, TypeError):
        return None


def _digest(record: Any) -> str:
    return sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _logged_record(subject: str, data: Mapping[str, Any]) -> Any:
    return data[_PUBLISHED[subject][0]]


def _revision(type: str, data: Mapping[str, Any]) -> Revision:
    subject = type.split(".")[1]
    found: Any = data
    for step in _PUBLISHED[subject]:
        found = found[step]
    return Revision(subject=subject, id=found, number=data["revision"])


def _fact(type: str) -> str:
    """Return `offer.opened` for `kopuro.offer.opened.v1`."""
    return ".".join(type.split(".")[1:-1])
