"""Statistics as CSV: the marks of withheld figures."""

from __future__ import annotations

import csv

from runtime.access.tokens import Principal
from runtime.web.request import Request
from services.audit.reports.adapters.sql_statistics import SqlReferrals
from services.audit.reports.handlers.statistics import StatisticsHandler
from services.audit.reports.statistics_api import statistics
from tests.unit.services.audit.logs import NOON, LogOnDatabase, event

MOSCOW = "ru.moscow-union"
COLUMNS = ["sex", "count", "answered_median_seconds", "answered_p90_seconds"]
WITHHELD = ["withheld"] * 3


def rows(audit: LogOnDatabase, by: str, **query: str) -> list[list[str]]:
    handler = StatisticsHandler(
        database=audit.database, log=audit.log, referrals=SqlReferrals(audit.log), history=audit.history
    )
    request = Request(
        method="GET",
        route="/v1/statistics",
        query_params={"by": by, "format": "csv", **query},
        caller=Principal(id="ann", roles=frozenset({"auditor"}), client_id="ann-client"),
    )
    return list(csv.reader(statistics(handler, request).body.decode().splitlines()))


def refer(audit: LogOnDatabase, sex: str, count: int) -> None:
    for number in range(count):
        referral = f"0199a0de-0000-7000-8000-{sex.encode().hex()[:8]}{number:04}"
        facts = {"sex": sex, "needs": ["shelter"], "region": "RU-MOW", "origin_country": "KG"}
        data = {"referral_id": referral, "organization": MOSCOW, "facts": facts}
        audit.append([event("kopuro.referral.submitted.v1", data=data, partition_key=referral, time=NOON)])


def test_withheld_count_and_times_are_the_word_withheld_and_no_empty_cells(audit: LogOnDatabase) -> None:
    refer(audit, "female", 4)
    assert rows(audit, "sex") == [COLUMNS, ["", *WITHHELD]]


def test_times_of_too_few_answers_are_the_word_withheld_unless_exact(audit: LogOnDatabase) -> None:
    refer(audit, "female", 6)
    shown = [["female", "6", "withheld", "withheld"], ["", "6", "withheld", "withheld"]]
    assert [row for row in rows(audit, "sex") if row[1] == "6"] == shown
    assert rows(audit, "sex", exact="true") == [COLUMNS, ["female", "6", "", ""], ["", "6", "", ""]]
