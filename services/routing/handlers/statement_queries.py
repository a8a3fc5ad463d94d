"""Queries for an organisation's monthly statement and its proofs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from contracts.errors import Refused
from runtime.storage.database import Database
from services.routing.domain.calendar_month import CalendarMonth
from services.routing.domain.candidate_tree import CandidateProof, prove_candidate
from services.routing.domain.kept_proofs import kept_proof
from services.routing.domain.monthly_statement import monthly_statement
from services.routing.handlers.turns import in_turns
from services.routing.report_ports import AskingDecision, IssuedStatement, StatementStore, WeeklyReports

ERASED: Final = "erased"
EARLIER_BUILD: Final = "earlier_build"
# The stored record does not name the organisation that the decision is said to have asked.
CONTRADICTED: Final = "contradicted"


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownStatement:
    """A statement. content: its JSON; issued: None until the month is over and all have been issued."""

    content: dict[str, Any]
    issued: IssuedStatement | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownDecision:
    """A decision that asked the organisation. logged_in: the message that commits to it.

    proof: None if there is none; unproven: why.
    """

    id: str
    logged_in: str | None
    proof: CandidateProof | None
    unproven: str | None


class StatementQueries:
    """Reads only. Every method raises DatabaseUnavailable, and Refused `not-found` without any report."""

    def __init__(self, *, database: Database, reports: WeeklyReports, statements: StatementStore) -> None:
        self._database = database
        self._reports = reports
        self._statements = statements

    def statement(self, organization: str, month: CalendarMonth | None) -> ShownStatement:
        """Return an organisation's statement of a month, as issued if it was. month: None for the latest."""
        wanted = self._month(month)
        with self._database.read() as transaction:
            issued = self._statements.issued(transaction, wanted, organization)
            if issued is not None:
                return ShownStatement(content=orjson.loads(issued.content), issued=issued)
            found = {week: self._reports.statement(transaction, week, organization) for week in wanted.weeks}
        known = {week: one for week, one in found.items() if one is not None}
        if not known:
            raise _no_report(wanted)
        return ShownStatement(content=monthly_statement(organization, wanted, known), issued=None)

    def decisions(
        self, organization: str, month: CalendarMonth | None, start: int, limit: int
    ) -> tuple[list[ShownDecision], int | None]:
        """Return decisions of the month that asked the organisation, from one on, and where the next begin.

        Those that considered it and asked others are not shown: each has a time, and the count of a day or of
        an hour would undo what statements withhold (decision 0064).
        """
        wanted = self._month(month)
        with self._database.read() as transaction:
            ids = [
                one
                for week in wanted.weeks
                for one in self._reports.asked_by(transaction, week, organization)
            ]
            page = ids[start : start + limit]
            stored = self._statements.decisions(transaction, page)
        following = start + limit if len(ids) > start + limit else None
        return [_shown(one, stored.get(one), organization) for one in in_turns(page)], following

    def _month(self, wanted: CalendarMonth | None) -> CalendarMonth:
        if wanted is not None:
            return wanted
        with self._database.read() as transaction:
            newest = self._reports.newest(transaction)
        if newest is None:
            raise Refused("not-found", "No report has been made yet.")
        return CalendarMonth.of(newest[0])


def _shown(id: str, stored: AskingDecision | None, organization: str) -> ShownDecision:
    if stored is None or stored.logged_in is None:
        return ShownDecision(id=id, logged_in=None, proof=None, unproven=EARLIER_BUILD)
    try:
        proof = _proof(stored, organization)
    except ValueError:
        return ShownDecision(id=id, logged_in=stored.logged_in, proof=None, unproven=CONTRADICTED)
    unproven = ERASED if proof is None else None
    return ShownDecision(id=id, logged_in=stored.logged_in, proof=proof, unproven=unproven)


def _proof(stored: AskingDecision, organization: str) -> CandidateProof | None:
    if stored.salt is None or stored.asked is None:
        return kept_proof(stored.kept, organization, stored.referral_id)
    return prove_candidate(organization, stored.referral_id, stored.organizations, stored.asked, stored.salt)


def _no_report(month: CalendarMonth) -> Refused:
    return Refused(
        "not-found", f"There is no report of a week of {month}: a report is made after the end of its week."
    )
