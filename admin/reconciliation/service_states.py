"""Read-only queries of the services' databases for a reconciliation. `service_tables` has the columns."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.sql.selectable import TableClause

from admin.reconciliation.application_states import ApplicationStates
from admin.reconciliation.compared_rows import (
    fact_of,
    logged_fact,
    ranked_services,
    stored_decision,
    stored_evidence,
    stored_offer,
    stored_step,
    with_content,
)
from admin.reconciliation.content_damage import content_damage
from admin.reconciliation.decision_differences import DecisionRow, LoggedDecision
from admin.reconciliation.differences import (
    Difference,
    HeldCase,
    ReferralState,
    RoutedReferral,
)
from admin.reconciliation.directory_states import DirectoryStates
from admin.reconciliation.future_times import future_times
from admin.reconciliation.mailbox_states import MailboxStates
from admin.reconciliation.opened_entries import OpenedEntries
from admin.reconciliation.referral_records import LoggedFact
from admin.reconciliation.replica_states import ReplicaStates
from admin.reconciliation.service_tables import (
    CASES,
    CUSTODIES,
    DECISIONS,
    ENTRIES,
    EVIDENCE,
    LETTERS,
    OFFERS,
    REFERRALS,
    STATEMENTS,
    SUBMISSIONS,
    TIMELINE,
)
from admin.reconciliation.statement_differences import LoggedStatement, StoredStatement
from admin.reconciliation.transit_states import TransitStates
from admin.reconciliation.unreceipted_events import UnreceiptedEvent, unreceipted_events
from admin.reconciliation.watch_states import WatchStates
from admin.reconciliation.webhook_states import WebhookStates
from contracts.facts import DecisionsRecorded, ReplacementSubmitted, StatementIssued
from contracts.part_id import part_id
from services.audit.log.adapters.sql_log import SqlLog
from services.audit.log.domain.opening import changed_head
from services.routing.domain.monthly_statement import digest_of

SERVICES = ("audit", "intake", "routing", "vault", "delivery", "directory")

# More than any split has: a damaged number of parts must not exhaust the memory.
_MOST_PARTS = 100
# Routing erases the records of decisions about these, and of no other referrals.
_ENDED = frozenset({"completed", "withdrawn", "failed", "entered_in_error"})


class ServiceStates:
    """The services' states, read through one read-only engine for each of SERVICES.

    unnamed_parts: the referrals read so far that were split, and whose damaged ids give their parts no ids.
    """

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines
        self._log = SqlLog()
        self.entries = OpenedEntries(engines["audit"], self._log)
        self.unnamed_parts: set[str] = set()

    @property
    def mailboxes(self) -> MailboxStates:
        """Delivery's mailboxes."""
        return MailboxStates(self._engines["delivery"], self.entries)

    @property
    def transit_keys(self) -> TransitStates:
        """The transit keys that intake seals to."""
        return TransitStates(self._engines["intake"], self.entries)

    @property
    def webhooks(self) -> WebhookStates:
        """The endpoints of webhooks."""
        return WebhookStates(self._engines["delivery"], self.entries)

    @property
    def applications(self) -> ApplicationStates:
        """The applications to join the network."""
        return ApplicationStates(self._engines["directory"], self.entries)

    @property
    def watch(self) -> WatchStates:
        """The reports about employers."""
        return WatchStates(self._engines["directory"], self.entries)

    @property
    def directory(self) -> DirectoryStates:
        """The directory's records."""
        return DirectoryStates(self._engines["directory"], self.entries)

    @property
    def replicas(self) -> ReplicaStates:
        """The services' replicas of the directory."""
        return ReplicaStates(self._engines, self.entries)

    def future_times(self) -> Iterator[Difference]:
        """Yield the rows of all services whose time is in the future."""
        for service in SERVICES:
            yield from future_times(service, self._engines[service])

    def referrals(self, after: str, limit: int) -> list[ReferralState]:
        """Return the next referrals after an id that any service knows, in the order of their ids.

        The services are read before the log, so that the log has their changes or will soon receive them.
        """
        ids = self._ids(after, limit)
        if not ids:
            return []
        submitted = {row.referral_id: row for row in self._rows("intake", SUBMISSIONS, "referral_id", ids)}
        rows = self._rows("routing", REFERRALS, "id", ids)
        routed = self._routed(rows, ids)
        families = self._families(rows)
        letters = {
            row.referral_id: row.organization
            for row in self._rows("delivery", LETTERS, "referral_id", ids)
            if row.sealed_case is not None
        }
        held = self._rows("vault", CUSTODIES, "referral_id", ids)
        evidence = {
            (row.referral_id, row.message_id): stored_evidence(row.body)
            for row in self._rows("vault", EVIDENCE, "referral_id", ids)
        }
        kept = [row.part_of or row.referral_id for row in held]
        cases = {row.referral_id for row in self._rows("vault", CASES, "referral_id", kept)}
        custodies = {
            row.referral_id: HeldCase(
                state=row.state,
                has_case=(row.part_of or row.referral_id) in cases,
                changed_at=row.changed_at,
                acceptor=row.acceptor,
                part_of=row.part_of,
                parts=row.parts or 0,
                acceptance_id=row.acceptance_id,
                has_evidence=(row.referral_id, row.acceptance_id) in evidence,
                evidence=evidence.get((row.referral_id, row.acceptance_id)),
                sender=row.sender,
            )
            for row in held
        }
        entries = self._entries(ids)
        replaced = self._replaced(families, entries)
        return [
            ReferralState(
                referral_id=number,
                entries=tuple(entries[number]),
                submitted_at=submitted[number].submitted_at if number in submitted else None,
                submitted_by=submitted[number].sender if number in submitted else None,
                routed=routed.get(number),
                custody=custodies.get(number),
                case_at=letters.get(number),
                of_linked=tuple(
                    entry for linked in families.get(number, ()) for entry in replaced.get(linked, ())
                ),
            )
            for number in ids
        ]

    def _routed(self, rows: Sequence[Any], ids: Sequence[str]) -> dict[str, RoutedReferral]:
        offers, steps, decisions = (self._by_referral(table, ids) for table in (OFFERS, TIMELINE, DECISIONS))
        return {
            row.id: RoutedReferral(
                status=row.status,
                acceptor=row.acceptor,
                updated_at=row.updated_at,
                offered=tuple(offer.organization for offer in offers[row.id]),
                sender=row.sender,
                submitted_at=row.submitted_at,
                consent_revoked=bool(row.consent_revoked),
                offers=tuple(map(stored_offer, offers[row.id])),
                ranked=ranked_services(decisions[row.id]),
                steps=tuple(map(stored_step, steps[row.id])),
                is_reduced=row.facts_state == "reduced",
                outcome=row.outcome,
            )
            for row in rows
        }

    def _by_referral(self, where: TableClause, ids: Sequence[str]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = defaultdict(list)
        for row in self._rows("routing", where, "referral_id", ids):
            found[row.referral_id].append(row)
        return found

    def _families(self, rows: Sequence[Any]) -> dict[str, list[str]]:
        """Return the other referrals of a split, for each of these that is a part or was split."""
        known = {row.id: row for row in rows}
        others = sorted({row.part_of for row in rows if row.part_of is not None} - known.keys())
        known |= {row.id: row for row in self._rows("routing", REFERRALS, "id", others)}
        found: dict[str, list[str]] = {}
        for row in rows:
            whole = known.get(row.part_of or row.id)
            if whole is not None and whole.parts:
                parts = range(1, min(whole.parts, _MOST_PARTS) + 1)
                try:
                    family = [whole.id, *(part_id(whole.id, n) for n in parts)]
                except ValueError:
                    self.unnamed_parts.add(whole.id)
                    continue
                found[row.id] = [one for one in family if one != row.id]
        return found

    def _replaced(
        self, families: Mapping[str, Sequence[str]], entries: Mapping[str, Sequence[LoggedFact]]
    ) -> dict[str, list[LoggedFact]]:
        """Return the replaced cases in the log of each member of these families."""
        members = {one for family in families.values() for one in family}
        known = {**self._heads(sorted(members - entries.keys())), **entries}
        return {
            one: [entry for entry in known.get(one, ()) if entry.fact == ReplacementSubmitted.routing_key]
            for one in members
        }

    def decisions(self, after: str, limit: int) -> list[DecisionRow]:
        """Return routing's next decisions after an id, in the order of their ids."""
        wanted = select(DECISIONS).where(DECISIONS.c.id > after).order_by(DECISIONS.c.id).limit(limit)
        with self._engines["routing"].connect() as connection:
            rows = connection.execute(wanted).all()
        # SQLite sorts the bytes that a text column may hold after all texts.
        return self._stored_decisions([row for row in rows if row.id > after])

    def decisions_of(self, ids: Sequence[str]) -> dict[str, DecisionRow]:
        """Return the existing ones of these decisions."""
        found = self._stored_decisions(self._rows("routing", DECISIONS, "id", ids))
        return {decision.id: decision for decision in found}

    def _stored_decisions(self, rows: Sequence[Any]) -> list[DecisionRow]:
        erased = sorted({row.referral_id for row in rows if row.erased_at is not None})
        ended = {row.id for row in self._rows("routing", REFERRALS, "id", erased) if row.status in _ENDED}
        return [
            stored_decision(row, early=row.erased_at is not None and row.referral_id not in ended)
            for row in rows
        ]

    def logged_decisions(self, limit: int) -> Iterator[list[LoggedDecision]]:
        """Yield the log's commitments to decisions, in pages. limit: entries per query."""
        for page in self.entries.pages([DecisionsRecorded.type], limit):
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
                    digest=digest_of(row.content),
                    issued_at=row.issued_at,
                    logged_in=row.logged_in,
                )
                for row in connection.execute(select(STATEMENTS))
            ]

    def logged_statements(self, limit: int) -> Iterator[list[LoggedStatement]]:
        """Yield the statements that the log says were issued, in pages. limit: entries per query."""
        for page in self.entries.pages([StatementIssued.type], limit):
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

    def content_damage(self, limit: int) -> Iterator[str]:
        """Yield what is wrong beside the log. See `content_damage.content_damage`."""
        return content_damage(self._engines["audit"], self._log, limit)

    def in_log(self, message_ids: Sequence[str]) -> set[tuple[str, str]]:
        """Return those of the ids that have a log entry, each with its fact."""
        return self._known("audit", ENTRIES, message_ids)

    def unreceipted(self, service: str, limit: int) -> Iterator[list[UnreceiptedEvent]]:
        """Yield the service's published events without a receipt, in pages. limit: messages per query."""
        return unreceipted_events(self._engines[service], limit)

    def _known(self, service: str, where: Any, message_ids: Sequence[str]) -> set[tuple[str, str]]:
        wanted = select(where.c.message_id, where.c.type).where(where.c.message_id.in_(message_ids))
        with self._engines[service].connect() as connection:
            return {(row.message_id, fact_of(row.type)) for row in connection.execute(wanted)}

    def _ids(self, after: str, limit: int) -> list[str]:
        """Return the services' next ids, truncated to the shortest full page so that no id is skipped."""
        pages = []
        for service, column_ in (
            ("intake", SUBMISSIONS.c.referral_id),
            ("routing", REFERRALS.c.id),
            ("vault", CUSTODIES.c.referral_id),
            ("audit", ENTRIES.c.referral_id),
        ):
            wanted = select(column_).distinct().where(column_ > after).order_by(column_).limit(limit)
            with self._engines[service].connect() as connection:
                page = connection.execute(wanted).scalars().all()
                if any(id_ <= after for id_ in page):
                    # SQLite sorts the bytes that a text column may hold after all texts.
                    rest = connection.execute(wanted.limit(None)).scalars()
                    page = sorted({id_ for id_ in rest if id_ > after})[:limit]
            pages.append(page)
        ends = [page[-1] for page in pages if len(page) == limit]
        known = sorted({number for page in pages for number in page})
        return [number for number in known if number <= min(ends)] if ends else known

    def _rows(self, service: str, where: TableClause, key: str, ids: Sequence[str]) -> Sequence[Any]:
        with self._engines[service].connect() as connection:
            return connection.execute(select(where).where(where.c[key].in_(ids))).all()

    def _entries(self, ids: Sequence[str]) -> dict[str, list[LoggedFact]]:
        """Return the entries of these referrals with their content, in the order of the log."""
        heads = self._heads(ids)
        indices = [entry.index for found in heads.values() for entry in found]
        opened = self.entries.at(indices, len(ids))
        return {
            id_: [with_content(entry, opened.get(entry.index)) for entry in heads.get(id_, ())] for id_ in ids
        }

    def _heads(self, ids: Sequence[str]) -> dict[str, list[LoggedFact]]:
        with self._engines["audit"].connect() as connection:
            found: dict[str, list[LoggedFact]] = defaultdict(list)
            wanted = select(ENTRIES).where(ENTRIES.c.referral_id.in_(ids)).order_by(ENTRIES.c.leaf_index)
            for row in connection.execute(wanted):
                try:
                    found[row.referral_id].append(logged_fact(row))
                except (ValueError, KeyError):
                    self.entries.mismatches[row.leaf_index] = changed_head(row.leaf_index)
            return found
