"""Reports about employers, from their submission to their end, and who receives them."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from sqlalchemy import Connection

from contracts.commitment import SALT_BYTES
from contracts.employer import Allegation, EmployerReport
from contracts.errors import Refused
from contracts.facts import (
    EmployerReported,
    EmployerReportRetracted,
    SealedReportSubmitted,
    WatchReportsChosen,
)
from contracts.jose import encoded
from contracts.organization import Organization
from contracts.records import canonical
from runtime.identifiers import new_id
from services.directory.domain.watch_report import (
    A_DAY,
    Made,
    WatchReport,
    check_report,
    may_receive,
    paused_until,
    require_may_opt_in,
)
from services.directory.domain.watched import root_of
from services.directory.handlers.change_rates import ChangeRates
from services.directory.handlers.ledger import Ledger
from services.directory.ports import KeyedReport, Register, WatchStore

_UNKNOWN = "You have no report with this id."


class WatchReports:
    """Takes reports, retracts them, and keeps the list of the organisations that receive them.

    Every other caller learns of a report only through `WatchedEmployers`.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: WatchStore,
        kept: dt.timedelta,
        rates: ChangeRates,
        *,
        pause: dt.timedelta,
        new_salt: Callable[[], bytes] = lambda: secrets.token_bytes(SALT_BYTES),
    ) -> None:
        """kept: how long a report counts. pause: see `check_report`."""
        self._ledger = ledger
        self._store = store
        self._kept = kept
        self._rates = rates
        self._pause = pause
        self._new_salt = new_salt

    def report(
        self, reporter: str, submitted: EmployerReport, *, key: str | None = None, repeats_only: bool = False
    ) -> WatchReport:
        """Store a report and send it to the organisations that its evidence is sealed to.

        key: an Idempotency-Key; a repetition returns the first report. repeats_only: whether any other report
        is refused. Raises Refused as `check_report`, and `idempotency-conflict` for another report under the
        same key.
        """
        digest = sha256(canonical(submitted)).hexdigest()
        with self._ledger.writing() as writing:
            known = None if key is None else self._store.by_key(writing.transaction, reporter, key)
            if known is not None:
                if known.body_sha256 != digest:
                    raise Refused("idempotency-conflict", "The key was used for another report.")
                return known.report
            if repeats_only:
                raise Refused("forbidden", "The organisation may only repeat a report that it has made.")
            named = [one.organization for one in submitted.evidence]
            receiving = self._receiving(writing.transaction, named)
            own = writing.organization(reporter)
            family = with_parents(writing.transaction, self._ledger.register, {reporter, *named})
            check_report(
                submitted,
                receiving,
                reporter=own,
                made=self._made(writing.transaction, reporter, writing.now),
                root_of=lambda organization: root_of(organization, family),
                now=writing.now,
                pause=self._pause,
            )
            made = WatchReport(
                id=new_id(),
                reporter=reporter,
                allegation=Allegation(
                    employer=submitted.employer,
                    practices=submitted.practices,
                    first_month=submitted.first_month,
                    last_month=submitted.last_month,
                ),
                recipients=tuple(sorted(named)),
                salt=encoded(self._new_salt()),
                reported_at=writing.now,
            )
            self._store.add(writing.transaction, KeyedReport(report=made, body_sha256=digest, key=key))
            expires_at = made.reported_at + self._kept
            writing.tell(
                EmployerReported(
                    report_id=made.id,
                    allegation=made.allegation,
                    reporter=made.commitment,
                    recipients=made.recipients,
                    expires_at=expires_at,
                ),
                key=made.id,
            )
            for one in submitted.evidence:
                sealed = SealedReportSubmitted(
                    report_id=made.id,
                    organization=one.organization,
                    reporter=reporter,
                    allegation=made.allegation,
                    salt=made.salt,
                    evidence=one.sealed,
                    expires_at=expires_at,
                )
                writing.tell(sealed, key=made.id)
        return made

    def retract(self, reporter: str, report_id: str) -> WatchReport:
        """Take the reporter's own report back; a repetition changes nothing. Raises Refused `not-found`."""
        with self._ledger.writing() as writing:
            known = self._store.one(writing.transaction, report_id)
            if known is None or known.reporter != reporter:
                raise Refused("not-found", _UNKNOWN)
            if known.retracted_at is not None:
                return known
            self._store.retract(writing.transaction, report_id, writing.now)
            fact = EmployerReportRetracted(report_id=report_id, recipients=known.recipients)
            writing.tell(fact, key=report_id)
            return replace(known, retracted_at=writing.now)

    def reports_of(self, reporter: str, after: str, limit: int) -> Sequence[WatchReport]:
        """Return the reporter's own reports with ids above `after`, ordered by id, which is their age."""
        with self._ledger.database.read() as transaction:
            return self._store.of(transaction, reporter, after, limit)

    def expires_at(self, report: WatchReport) -> dt.datetime:
        """Return when a report ends."""
        return report.reported_at + self._kept

    def choose(self, organization: str, *, receives: bool) -> dt.datetime | None:
        """Opt in or out; return since when the organisation receives reports, None if it does not.

        Raises Refused as `require_may_opt_in`, and RateLimited for opting in too often; opting out always
        succeeds.
        """
        with self._ledger.writing() as writing:
            if receives:
                require_may_opt_in(writing.organization(organization))
            transaction = writing.transaction
            if self._store.choose(transaction, organization, receives=receives, at=writing.now):
                if receives:
                    self._rates.take_opt_in(organization)
                fact = WatchReportsChosen(organization=organization, receives=receives, by=organization)
                writing.tell(fact, key=organization)
            return self._store.receiving(transaction).get(organization)

    def chosen(self, organization: str) -> dt.datetime | None:
        """Return since when the organisation has opted in; None if it has not."""
        with self._ledger.database.read() as transaction:
            return self._store.receiving(transaction).get(organization)

    def receiving(self, after: str, limit: int) -> Sequence[Organization]:
        """Return the organisations that receive reports now, with ids above `after`, ordered by id.

        Without those whose keys are paused, so that a report to all is possible.
        """
        now = self._ledger.clock.now()
        with self._ledger.database.read() as transaction:
            found = self._receiving(transaction, None)
        return [one for one in found if one.id > after and paused_until(one, now, self._pause) is None][
            :limit
        ]

    def _made(self, transaction: Connection, reporter: str, now: dt.datetime) -> Made:
        return Made(
            in_period=self._store.number_made(transaction, reporter, since=now - self._kept),
            in_a_day=self._store.number_made(transaction, reporter, since=now - A_DAY),
        )

    def _receiving(self, transaction: Connection, named: Sequence[str] | None) -> list[Organization]:
        chosen = self._store.receiving(transaction)
        ids = [name for name in chosen if named is None or name in named]
        known = organizations(transaction, self._ledger.register, ids)
        return [known[name] for name in ids if name in known and may_receive(known[name])]


def organizations(
    transaction: Connection, register: Register, ids: Sequence[str]
) -> Mapping[str, Organization]:
    """Return the existing records of those ids, by id."""
    found = register.standing(transaction, Organization, ids)
    return {name: standing.entry for name, standing in found.items()}


def with_parents(
    transaction: Connection, register: Register, ids: Iterable[str]
) -> Mapping[str, Organization]:
    """Return the existing records of those ids and of all organisations above them, by id."""
    known: dict[str, Organization] = {}
    missing = set(ids)
    while missing:
        found = organizations(transaction, register, sorted(missing))
        known |= found
        parents = {record.parent for record in found.values() if record.parent is not None}
        missing = parents - known.keys()
    return known
