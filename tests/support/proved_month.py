"""Routing and audit in the test process: a month of decisions, its statements and the files with proofs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from contracts.envelope import Envelope
from contracts.facts import OfferOpened
from kopuro_client.resources.reports import Reports
from kopuro_client.tlog import ProvedStatement, TrustPolicy, VerifiedStatement, VerifierKey
from runtime.access.tokens import Principal
from runtime.identifiers import new_id
from runtime.storage.database import Database
from runtime.web.request import Request
from runtime.web.response import Response
from services.audit.reports import proved_entries_api
from services.audit.reports.handlers.proved_entries import ProvedEntries
from services.routing import api
from services.routing.adapters.issued_statements import SqlStatementStore
from services.routing.adapters.week_events import SqlWeekEvents
from services.routing.adapters.weekly_reports import SqlWeeklyReports
from services.routing.domain.calendar_month import CalendarMonth
from services.routing.domain.calendar_week import CalendarWeek
from services.routing.handlers.statement_issuing import IssueStatements
from services.routing.handlers.statement_queries import StatementQueries
from services.routing.handlers.weekly_reports import MADE_AFTER, ReportWeeks
from tests.support.migrated import upgrade
from tests.unit.services.audit.logs import LogOnDatabase, new_key
from tests.unit.services.routing.samples import NOW
from tests.unit.services.routing.workbench import Workbench, opened, submitted

MONTH = CalendarMonth.of(CalendarWeek.of(NOW))


@dataclass(kw_only=True)
class ProvedMonth:
    """The month of NOW. logged: the messages that are in the log."""

    bench: Workbench
    audit: LogOnDatabase
    logged: set[str] = field(default_factory=set)

    def ask(self, **facts: Any) -> OfferOpened:
        """Submit a referral that one organisation is asked about."""
        (offer,) = opened(self.bench.take(submitted(new_id(), **facts)))
        return offer

    def end(self) -> None:
        """End the month: make its reports, issue its statements, and log all that routing published."""
        self.bench.clock.time = MONTH.weeks[-1].end + MADE_AFTER
        self.report()
        self.issuing().turn()
        self.log()

    def report(self) -> None:
        ReportWeeks(
            database=self.bench.database,
            reports=SqlWeeklyReports(),
            events=SqlWeekEvents(),
            network=self.bench.network,
            unready=lambda: None,
            clock=self.bench.clock,
        ).turn()

    def issuing(self) -> IssueStatements:
        return IssueStatements(
            database=self.bench.database,
            reports=SqlWeeklyReports(),
            statements=SqlStatementStore(),
            outbox=self.bench.outbox,
            source="/kg/routing",
            clock=self.bench.clock,
            after_commit=lambda: None,
        )

    def log(self) -> None:
        """Append what routing published since to the log, and publish it."""
        messages = [Envelope.decode(body) for body in self.bench.bodies()]
        new = [one for one in messages if one.id not in self.logged]
        self.audit.publish(new)
        self.logged.update(one.id for one in new)

    def queries(self) -> StatementQueries:
        return StatementQueries(
            database=self.bench.database, reports=SqlWeeklyReports(), statements=SqlStatementStore()
        )

    def file(self, organization: str, month: str | None = str(MONTH)) -> dict[str, Any]:
        """Return the organisation's file, as its client makes it from the resources."""
        connection = _Direct(self, organization)
        addresses = SimpleNamespace(
            custody_key=None, address=lambda service, *path: "/".join((service, *path))
        )
        reports = Reports(addresses, connection)  # type: ignore[arg-type]
        made: dict[str, Any] = json.loads(json.dumps(reports.proved_statement(month)))
        return made

    def verify(self, file: Mapping[str, Any]) -> VerifiedStatement:
        """Verify a file as its organisation does, with the log's key only."""
        key = VerifierKey.parse(self.audit.key.verifier_key)
        return ProvedStatement.parse(json.dumps(file).encode()).verify(
            TrustPolicy(logs=(key,)), now=self.bench.clock.time
        )

    def entries(self, organization: str, role: str, *messages: str) -> dict[str, Any]:
        """Return audit's answer about these messages."""
        response = proved_entries_api.entries(
            ProvedEntries(
                database=self.audit.database,
                log=self.audit.log,
                published=self.audit.published,
                author="/kg/routing",
            ),
            _request(organization, {"message": ",".join(messages)} if messages else {}, role),
            frozenset({"auditor", "coordinator", "operator"}),
        )
        found: dict[str, Any] = json.loads(response.body)
        return found


class _Direct:
    """Answers a client's requests with the services' own handlers, without HTTP."""

    def __init__(self, month: ProvedMonth, organization: str) -> None:
        self._month = month
        self._organization = organization

    def get(self, url: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        query = {name: str(value) for name, value in (params or {}).items() if value is not None}
        if url == "audit/v1/entries":
            messages = query["message"].split(",") if "message" in query else []
            return self._month.entries(self._organization, "partner", *messages)
        answers: dict[str, Callable[[StatementQueries, Request], Response]] = {
            "routing/v1/statement/month": api.monthly_statement,
            "routing/v1/statement/month/decisions": api.asking_decisions,
        }
        found = answers[url](self._month.queries(), _request(self._organization, query, "partner"))
        answer: dict[str, Any] = json.loads(found.body)
        return answer

    page = get


def _request(organization: str, query: dict[str, str], role: str) -> Request:
    return Request(
        method="GET",
        route="/",
        path_params={},
        query_params=query,
        body=b"",
        caller=Principal(id=organization, roles=frozenset({role})),
    )


def proved_month(bench: Workbench, directory: Path) -> ProvedMonth:
    """Return the month of a bench with a log of its own on SQLite."""
    database = Database.open(f"sqlite:///{directory}/audit.sqlite")
    upgrade("services.audit", database)
    audit = LogOnDatabase(database=database, key=new_key())
    audit.check()
    return ProvedMonth(bench=bench, audit=audit)


def in_week(number: int) -> dt.datetime:
    """Return a time in the month's week of that number, from 0."""
    return NOW + dt.timedelta(weeks=number)
